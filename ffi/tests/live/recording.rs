//! The live reference computes what it computed when the recordings were made, bit for bit.
#![forbid(unsafe_code)]

use ffi::{SessionOptions, Text, Wanted};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::bench::{Bench, Check, Keeper, bits, decode_in_parts, fixture};

pub const CHECKS: &[Check] = &[
    Check::any("recording::tokens_and_text_are_the_recorded_ones", text),
    Check::bitnet("recording::logits_are_the_recorded_ones", logits),
    Check::bitnet("recording::every_node_is_the_recorded_one", nodes),
    Check::bitnet("recording::the_greedy_text_is_the_recorded_one", greedy),
];

struct Recording {
    manifest: Value,
    logits: Vec<u8>,
    trace: Vec<u8>,
}

impl Recording {
    /// The one made with the instruction sets this build was compiled for.
    fn of(bench: &Bench) -> Self {
        let info = &bench.library.identity().system_info;
        let has = |set: &str| info.contains(&format!("{set} = 1"));
        let isa = match () {
            () if has("AVX512") => "avx512",
            () if has("AVX2") => "avx2",
            () if has("FP16_VA") => "neon-fp16",
            () if has("NEON") => "neon",
            () => panic!("no recording was made with what {info:?} says"),
        };
        let read = |file: &str| {
            let path = fixture(&format!("recordings/dec2024-bitnet-{isa}/{file}"));
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        Recording {
            manifest: serde_json::from_slice(&read("recording.json")).unwrap(),
            logits: read("logits.safetensors"),
            trace: read("trace.safetensors"),
        }
    }

    fn cases(&self) -> &[Value] {
        self.manifest["cases"].as_array().unwrap()
    }
}

fn numbers(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap() as u32)
        .collect()
}

fn array(file: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let data = file
        .tensor(name)
        .unwrap_or_else(|e| panic!("{name}: {e}"))
        .data()
        .to_vec();
    data.chunks_exact(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn text(bench: &Bench) {
    let model = bench.moby();
    for case in Recording::of(bench).cases() {
        let prompt = case["prompt"].as_str().unwrap();
        let tokens = model.tokenize(prompt.as_bytes(), true, true).unwrap();
        assert_eq!(tokens, numbers(&case["tokens"]), "{prompt:?}");
        let text = model
            .detokenize(&numbers(&case["greedy"]), true, Text::Pieces)
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&text),
            case["greedy_text"].as_str().unwrap()
        );
    }
}

fn logits(bench: &Bench) {
    let model = bench.moby();
    let recording = Recording::of(bench);
    let file = SafeTensors::deserialize(&recording.logits).unwrap();
    for case in recording.cases() {
        let tokens = numbers(&case["tokens"]);
        let positions: Vec<_> = numbers(&case["positions"])
            .iter()
            .map(|&p| p as usize)
            .collect();
        let mut session = model.session(&SessionOptions::default()).unwrap();
        let prefill = session.decode(&tokens, 0, Wanted::All).unwrap();
        let n_vocab = model.facts().n_vocab;
        let kept = |all: &[f32]| -> Vec<u32> {
            positions
                .iter()
                .flat_map(|p| bits(&all[p * n_vocab..(p + 1) * n_vocab]))
                .collect()
        };
        assert!(
            kept(&prefill) == array(&file, case["prefill"].as_str().unwrap()),
            "{case}"
        );
        session.clear().unwrap();
        let decode = decode_in_parts(&mut session, &tokens, &vec![1; tokens.len()]);
        assert!(
            kept(&decode) == array(&file, case["decode"].as_str().unwrap()),
            "{case}"
        );
    }
}

fn nodes(bench: &Bench) {
    let model = bench.moby();
    let recording = Recording::of(bench);
    let file = SafeTensors::deserialize(&recording.trace).unwrap();
    let traced = |case: &&Value| !case["trace_order"].as_array().unwrap().is_empty();
    let case = recording
        .cases()
        .iter()
        .find(traced)
        .expect("one case has a trace");
    let mut keeper = Keeper::default();
    let mut session = model
        .observed_session(&SessionOptions::default(), &mut keeper)
        .unwrap();
    let seen = session
        .decode(&numbers(&case["tokens"]), 0, Wanted::All)
        .unwrap();
    drop(session);
    let recorded = case["trace_order"].as_array().unwrap();
    let recorded: Vec<_> = recorded.iter().map(|s| s.as_str().unwrap()).collect();
    let plain = || keeper.nodes.iter().filter(|node| node.is_plain);
    let order: Vec<_> = plain().map(|node| node.key.as_str()).collect();
    assert_eq!(order, recorded);
    for node in plain() {
        assert_eq!(
            node.shape,
            file.tensor(&node.key).unwrap().shape(),
            "{}",
            node.key
        );
        assert!(
            bits(&node.values) == array(&file, &node.key),
            "{} differs",
            node.key
        );
    }
    let unobserved = model.session(&SessionOptions::default()).unwrap().decode(
        &numbers(&case["tokens"]),
        0,
        Wanted::All,
    );
    assert!(
        bits(&seen) == bits(&unobserved.unwrap()),
        "observing changed the logits"
    );
}

fn greedy(bench: &Bench) {
    let model = bench.moby();
    for case in Recording::of(bench).cases() {
        let mut session = model.session(&SessionOptions::default()).unwrap();
        let mut tokens = numbers(&case["tokens"]);
        let mut row = session.decode(&tokens, 0, Wanted::Last).unwrap();
        let mut made = Vec::new();
        for _ in 0..numbers(&case["greedy"]).len() {
            let best = (0..row.len())
                .rev()
                .max_by(|&a, &b| row[a].total_cmp(&row[b]))
                .unwrap();
            made.push(best as u32);
            row = session
                .decode(&[best as u32], tokens.len(), Wanted::Last)
                .unwrap();
            tokens.push(best as u32);
        }
        assert_eq!(made, numbers(&case["greedy"]), "{}", case["prompt"]);
    }
}
