//! Documents in JSON: receipts, descriptions of recordings, lists of cases; as they are, or a sound
//! one with other values.

use std::sync::LazyLock;

use arbitrary::Unstructured;
use harness::case;
use harness::receipt::exports;
use harness::receipt::verify::verify;
use harness::receipt::{Receipt, junit};
use harness::runner::recorded::manifest::Manifest;
use serde_json::Value;

use crate::edited;

static RECEIPT: &str = include_str!("../../corpus/receipt/edges-the-end.json");
static RECORDING: &str = include_str!("../../../fixtures/recordings/bitnet-edges/recording.json");
static CASES: &str = include_str!("../../../fixtures/cases.json");

/// The bytes themselves where they begin with a brace, else a sound document edited by them.
fn document(sound: &Value, data: &[u8]) -> Vec<u8> {
    if data.first() == Some(&b'{') {
        return data.to_vec();
    }
    let mut document = sound.clone();
    // Where the input runs out, the edits end.
    let _ = edited::json(&mut document, &mut Unstructured::new(data));
    document.to_string().into_bytes()
}

fn parsed(sound: &str) -> Value {
    serde_json::from_str(sound).expect("JSON")
}

/// A receipt: read, verified and written in every form there is.
pub fn receipt(data: &[u8]) {
    static SOUND: LazyLock<Value> = LazyLock::new(|| parsed(RECEIPT));
    let bytes = document(&SOUND, data);
    let mut receipt = match Receipt::read(&bytes) {
        Ok(receipt) => receipt,
        Err(why) => return assert!(!why.is_empty()),
    };
    // Anybody can seal one.
    receipt.seal = receipt.computed_seal();
    let written = receipt.to_json();
    let again = Receipt::read(written.as_bytes()).expect("what was written is read");
    assert_eq!(
        again.to_json(),
        written,
        "another receipt when it is written again"
    );
    let verified = verify(&receipt, None);
    assert_eq!(verified, verify(&again, None));
    let _ = verified.outcome();
    let _ = junit::render(&receipt);
    let _ = (
        exports::csv(&receipt),
        exports::markdown(&receipt),
        exports::badge_svg(&receipt),
    );
}

/// A recording's description, or a list of cases.
pub fn recording(data: &[u8]) {
    static SOUND: LazyLock<[Value; 2]> = LazyLock::new(|| [RECORDING, CASES].map(parsed));
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    if kind % 2 == 0 {
        let manifest = Manifest::parse(&document(&SOUND[0], data), "bitnet-edges");
        for manifest in manifest.into_iter() {
            for case in &manifest.cases {
                let known = |&id: &u32| (id as usize) < manifest.vocab_size;
                assert!(
                    case.tokens.iter().chain(&case.greedy).all(known),
                    "{case:?}"
                );
                let last = case.tokens.len();
                assert!(case.positions.iter().all(|&at| at < last), "{case:?}");
            }
        }
        return;
    }
    for case in case::parse(&document(&SOUND[1], data))
        .into_iter()
        .flatten()
    {
        assert!(
            case.positions.iter().all(|&at| at < case.tokens),
            "{case:?}"
        );
        assert!(case.greedy_steps <= case.context - case.tokens, "{case:?}");
    }
}

/// The sound one, and its bytes.
pub fn receipts() -> Vec<Vec<u8>> {
    vec![vec![0], RECEIPT.as_bytes().to_vec()]
}

/// The sound ones, and their bytes.
pub fn recordings() -> Vec<Vec<u8>> {
    let with = |kind: u8, text: &str| [&[kind], text.as_bytes()].concat();
    vec![with(0, RECORDING), with(1, CASES), vec![0, 0], vec![1, 0]]
}
