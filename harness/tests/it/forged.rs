//! Receipts that were forged and sealed again, as anybody can: each is refused with its own code,
//! or said to be unverifiable where nothing at hand contradicts it.

use std::path::Path;
use std::sync::LazyLock;

use engine::kernels::Kernel;
use harness::oracle::crossval::campaign::Campaign;
use harness::receipt::verify::{Code, Verification, verify};
use harness::receipt::{CaseReceipt, LeftOut, LiveReference, Receipt};
use harness::reference::isolation::Hello;
use harness::runner::engine::Engine;
use harness::runner::suite::Suite;
use serde_json::{Value, json};

fn suite() -> Suite {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    Suite::open(&folder).expect("the committed fixtures are sound")
}

/// What the engine computed of two cases, which agree with every recording.
fn sound() -> Receipt {
    static SOUND: LazyLock<Receipt> = LazyLock::new(|| {
        let suite = suite();
        let asked = ["b158-ishmael", "qk256-ahab"].map(|name| {
            let case = suite.cases.iter().find(|case| case.name == name);
            let case = case.expect("a fixture").clone();
            let model = suite.folder.join(&case.model);
            (case, model)
        });
        let engine = Engine::new(Kernel::best(), 1);
        let campaign = Campaign::new(suite, vec![Box::new(engine)], 1);
        campaign.run(&asked, |_| Ok(())).expect("it runs")
    });
    SOUND.clone()
}

/// Concludes everything again and seals it, as a forger who has this program would.
fn sealed(forged: Receipt) -> Receipt {
    let mut cases = forged.cases;
    cases.iter_mut().for_each(|case| case.claims.conclude());
    let asked = forged.coverage.cases.declared;
    Receipt::assemble(asked, cases, forged.failures, forged.circumstances)
}

fn checked(forged: &Receipt) -> Verification {
    verify(forged, Some(&suite()))
}

/// Changes one field of the JSON, whichever.
fn edited(pointer: &str, value: Value) -> Receipt {
    let mut all = serde_json::to_value(sound()).expect("plain data");
    match all.pointer_mut(pointer) {
        Some(field) => *field = value,
        None => {
            let (parent, name) = pointer.rsplit_once('/').expect("a path");
            let parent = all.pointer_mut(parent).expect(pointer);
            parent
                .as_object_mut()
                .expect(pointer)
                .insert(name.into(), value);
        }
    }
    serde_json::from_value(all).expect("still a receipt")
}

#[test]
fn a_sound_receipt_is_confirmed() {
    let found = checked(&sound());
    assert_eq!(
        (&found.refuted[..], &found.unverifiable[..]),
        (&[][..], &[][..])
    );
    assert!(
        found
            .confirmed
            .iter()
            .any(|what| what.ends_with("the outputs"))
    );
}

/// Fields of the first case, what they are changed to, and what that must be refused with.
#[rustfmt::skip] // a table: a line a row
fn fields() -> Vec<(&'static str, Value, Code)> {
    let nothing = || json!("0".repeat(64));
    vec![
        ("claims/model/sha256", nothing(), Code::Model),
        ("claims/model/architecture", json!("llama"), Code::Facts),
        ("claims/quant/flavor", json!("i2_s-p64"), Code::Facts),
        ("claims/prompt", json!("Call me Ahab."), Code::Prompt),
        ("claims/tokens/3", json!(7), Code::Tokens),
        ("claims/greedy/3", json!(7), Code::Tokens),
        ("claims/greedy_text", json!("It is done."), Code::Text),
        ("claims/outputs/prefill", nothing(), Code::Output),
        ("claims/engine/kernel", json!("quantum"), Code::Engine),
        ("claims/engine/identity/name", json!("engine of gold"), Code::Engine),
        ("claims/engine/multiplied_by/i2_s-p128", json!("gears"), Code::Engine),
        ("claims/comparisons/0/reference/fingerprint", nothing(), Code::Recording),
        ("claims/comparisons/0/coverage/nodes/declared", json!(0), Code::Declared),
        ("claims/comparisons/0/live", json!(true), Code::Reference),
        ("measured/0/findings/lanes/0/positions/2/distance/nmse", json!(0.5), Code::Numbers),
        ("measured/0/taken/q5_1 scalar-q5_1", json!(["linear, prefill"]), Code::Facts),
        ("measured/0/taken/rope factors", json!(["by heart"]), Code::Facts),
    ]
}

#[test]
fn a_field_that_contradicts_is_refused_with_its_own_code() {
    for (field, value, code) in fields() {
        let pointer = format!("/cases/0/{field}");
        let found = checked(&sealed(edited(&pointer, value)));
        let codes: Vec<Code> = found.refuted.iter().map(|refuted| refuted.code).collect();
        assert!(codes.contains(&code), "{pointer} gave {codes:?}");
    }
}

#[test]
fn what_is_changed_behind_the_conclusions_is_refused() {
    for (pointer, value, code) in [
        ("/parity/status", json!("ok"), Code::Conclusion),
        ("/parity/cpp_available", json!(true), Code::Conclusion),
        ("/features/ways/compared", json!(7000), Code::Conclusion),
        ("/features/not_covered", json!({}), Code::Conclusion),
        ("/schema_version", json!(1), Code::Schema),
        ("/seal", json!("0"), Code::Seal),
    ] {
        let mut forged = edited(pointer, value);
        if code != Code::Seal {
            forged.seal = forged.computed_seal();
        }
        let found = checked(&forged);
        assert!(
            found.refuted.iter().any(|refuted| refuted.code == code),
            "{pointer}"
        );
    }
}

/// A whole receipt that was forged, and what it must be refused with.
type Forgery = (&'static str, Code, fn(&mut Receipt));

#[test]
fn a_receipt_that_lacks_or_doubles_something_is_refused() {
    let forgeries: [Forgery; 8] = [
        ("inputs with other hashes", Code::Inputs, |r| {
            let inputs = r.circumstances.inputs.iter_mut();
            inputs.for_each(|input| input.sha256 = "0".repeat(64));
        }),
        ("no inputs", Code::Inputs, |r| {
            r.circumstances.inputs.clear()
        }),
        ("a case removed and one declared less", Code::Missing, |r| {
            r.cases.pop();
            r.coverage.cases.declared = 1;
        }),
        ("a case replaced by another once more", Code::Case, |r| {
            r.cases[1] = r.cases[0].clone();
        }),
        ("a case that was not asked for", Code::Case, |r| {
            r.circumstances.asked.pop();
            r.coverage.cases.declared = 1;
        }),
        ("a recording that was not asked", Code::Missing, |r| {
            r.cases[0].claims.comparisons.pop();
            r.cases[0].measured.remove(1);
        }),
        (
            "a case left out that recordings answer",
            Code::LeftOut,
            |r| {
                let left = suite()
                    .cases
                    .into_iter()
                    .find(|c| c.name == "b158-november");
                let left = LeftOut::unasked(&left.expect("a fixture"));
                r.circumstances.left_out.push(left);
            },
        ),
        (
            "a live answer of a reference that is not described",
            Code::Reference,
            |r| {
                live(&mut r.cases[0], &described());
            },
        ),
    ];
    for (what, code, forge) in forgeries {
        let mut forged = sound();
        forge(&mut forged);
        let found = checked(&sealed(forged));
        let codes: Vec<Code> = found.refuted.iter().map(|refuted| refuted.code).collect();
        assert!(codes.contains(&code), "{what} gave {codes:?}");
    }
}

fn described() -> LiveReference {
    LiveReference {
        name: "bitnet".into(),
        origin: "crates.io bitnet-cpp-sys 0.0.5".into(),
        commit: None,
        compiler: None,
        flags: None,
        hello: Hello {
            system_info: "AVX512 = 1 | ".into(),
            sha256: vec!["f".repeat(64)],
            knows_i2_s: true,
            ..Hello::default()
        },
    }
}

/// Adds what a recording computed once more, as if that reference had computed it now.
fn live(case: &mut CaseReceipt, reference: &LiveReference) {
    let comparisons = &mut case.claims.comparisons;
    let mut copy = comparisons[0].clone();
    (copy.live, copy.reference) = (true, reference.identity());
    let mut numbers = case.measured[0].clone();
    numbers.with.clone_from(&reference.name);
    case.measured.insert(comparisons.len(), numbers);
    comparisons.push(copy);
}

#[test]
fn what_nothing_here_contradicts_is_unverifiable_and_no_agreement() {
    type Forge = fn(&mut Receipt);
    let forgeries: [(&str, Forge); 4] = [
        ("what bitnet computed", |r| {
            live(&mut r.cases[0], &described());
            r.circumstances.references.push(described());
        }),
        ("nowhere.gguf is not here", |r| {
            r.cases[0].claims.model.file = "nowhere.gguf".into();
        }),
        ("what engine 9.9.9 computed", |r| {
            for case in &mut r.cases {
                case.claims.engine.identity.fingerprint = "engine 9.9.9".into();
            }
        }),
        ("ad-hoc-1 is not among the fixtures", |r| {
            r.cases[0].claims.case = "ad-hoc-1".into();
            r.circumstances.asked[0] = "ad-hoc-1".into();
        }),
    ];
    for (words, forge) in forgeries {
        let mut forged = sound();
        forge(&mut forged);
        let found = checked(&sealed(forged));
        assert_eq!(found.refuted, [], "{words}");
        let said = found.unverifiable.iter().any(|what| what.contains(words));
        assert!(said, "{words}: {:?}", found.unverifiable);
        assert_eq!(
            found.outcome(),
            harness::judge::outcome::Outcome::Incomplete
        );
    }
}

#[test]
fn what_surrounds_a_reference_is_in_its_fingerprint() {
    let clean = described();
    let mut preloaded = clean.clone();
    let surroundings = &mut preloaded.hello.surroundings;
    surroundings.insert("/tmp/pre.so".into(), "a".repeat(64));
    assert_ne!(clean.fingerprint(), preloaded.fingerprint());
    let mut wrapped = clean.clone();
    let surroundings = &mut wrapped.hello.surroundings;
    surroundings.insert(
        "$HARNESS_WORKER_WRAPPER".into(),
        "env LD_PRELOAD=pre.so".into(),
    );
    assert_ne!(clean.fingerprint(), wrapped.fingerprint());
}
