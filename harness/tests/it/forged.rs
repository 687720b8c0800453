//! Receipts that were forged and sealed again, as anybody can: each is refused with its own code,
//! or said to be unverifiable where nothing at hand contradicts it.

use std::path::Path;
use std::sync::LazyLock;

use engine::kernels::Kernel;
use harness::judge::outcome::Outcome;
use harness::oracle::crossval::campaign::Campaign;
use harness::receipt::verify::{Code, Objection, Verification, verify};
use harness::receipt::{CaseReceipt, LiveReference, Receipt};
use harness::reference::isolation::Hello;
use harness::runner::engine::Engine;
use harness::runner::suite::Suite;
use serde::Deserialize;
use serde_json::Value;

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

/// A forged receipt of `fixtures/forged`: a sound one, changed in these places.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    /// What is not as it was.
    forged: String,
    edits: Vec<Edit>,
    /// What the forger does afterwards.
    again: Again,
    answer: Answer,
    code: String,
}

/// A place: what it becomes, or which other place it is like; else it is taken away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    at: String,
    is: Option<Value>,
    r#as: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Again {
    /// Draws every conclusion anew, and seals it.
    Concluded,
    Sealed,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Refuted,
    Unverifiable,
}

impl Vector {
    fn receipt(&self) -> Receipt {
        let mut all = serde_json::to_value(sound()).expect("plain data");
        for edit in &self.edits {
            let like = edit.r#as.as_ref();
            let like = like.map(|place| all.pointer(place).expect("a place").clone());
            let to = edit.is.clone().or(like);
            let path: Vec<&str> = edit.at.split('/').skip(1).collect();
            let changed = change(&mut all, &path, to.as_ref());
            assert!(changed > 0, "{}: there is no {}", self.forged, edit.at);
        }
        let mut forged: Receipt = serde_json::from_value(all).expect("still a receipt");
        match self.again {
            Again::Concluded => return sealed(forged),
            Again::Sealed => forged.seal = forged.computed_seal(),
            Again::Nothing => {}
        }
        forged
    }
}

/// Changes, adds or takes away what a path leads to; a star is every item in which it goes on. In
/// how many places.
fn change(value: &mut Value, path: &[&str], to: Option<&Value>) -> usize {
    match (value, path) {
        (Value::Array(items), ["*", rest @ ..]) => {
            let beyond = |item: &Value| item.get(rest[0]).is_some();
            let items = items.iter_mut().filter(|item| beyond(item));
            items.map(|item| change(item, rest, to)).sum()
        }
        (Value::Array(items), [at]) => {
            let at: usize = at.parse().expect("a number");
            match to {
                Some(to) => items[at] = to.clone(),
                None => drop(items.remove(at)),
            }
            1
        }
        (Value::Object(fields), [name]) => match to {
            Some(to) => {
                fields.insert((*name).to_owned(), to.clone());
                1
            }
            None => usize::from(fields.remove(*name).is_some()),
        },
        (Value::Array(items), [at, rest @ ..]) => {
            let at: usize = at.parse().expect("a number");
            change(&mut items[at], rest, to)
        }
        (Value::Object(fields), [name, rest @ ..]) => match fields.get_mut(*name) {
            Some(inner) => change(inner, rest, to),
            None => 0,
        },
        _ => 0,
    }
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

#[test]
fn each_forged_receipt_of_the_folder_is_answered_with_its_own_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/forged");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let vector: Vector = serde_json::from_str(&text).expect("a vector");
        let found = checked(&vector.receipt());
        let codes = |objections: &[Objection]| -> Vec<&str> {
            objections.iter().map(|one| one.code.name()).collect()
        };
        let [refuted, unverifiable] = [&found.refuted, &found.unverifiable].map(|all| codes(all));
        let said = match vector.answer {
            Answer::Refuted => &refuted,
            Answer::Unverifiable => {
                assert_eq!(refuted, [""; 0], "{}", vector.forged);
                assert_eq!(found.outcome(), Outcome::Incomplete, "{}", vector.forged);
                &unverifiable
            }
        };
        let said = said.contains(&&*vector.code);
        assert!(said, "{}: {refuted:?}, {unverifiable:?}", vector.forged);
        seen += 1;
    }
    assert_eq!(seen, 37, "forged receipts");
}

/// Whoever takes cases out of every list has made the receipt of a smaller run.
#[test]
fn of_how_many_cases_a_receipt_speaks_is_said() {
    let mut forged = sound();
    forged.cases.pop();
    forged.circumstances.asked.pop();
    forged.coverage.cases.declared = 1;
    let found = checked(&sealed(forged));
    let said = |what: &String| what.starts_with("it speaks of 1 of the ");
    assert!(found.on_trust.iter().any(said), "{:?}", found.on_trust);
}

#[test]
fn a_live_answer_of_a_reference_that_is_not_described_is_refused() {
    let mut forged = sound();
    live(&mut forged.cases[0], &described());
    let found = checked(&sealed(forged));
    let codes: Vec<Code> = found.refuted.iter().map(|refuted| refuted.code).collect();
    assert!(codes.contains(&Code::Reference), "{codes:?}");
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
fn what_a_live_reference_computed_is_unverifiable_and_no_agreement() {
    let mut forged = sound();
    live(&mut forged.cases[0], &described());
    forged.circumstances.references.push(described());
    let found = checked(&sealed(forged));
    assert_eq!(found.refuted, []);
    let said = found.unverifiable.iter();
    let said: Vec<(Code, &str)> = said.map(|one| (one.code, &*one.what)).collect();
    let words = |(code, what): &(Code, &str)| {
        *code == Code::Reference && what.contains("what bitnet computed")
    };
    assert!(said.iter().any(words), "{said:?}");
    assert_eq!(found.outcome(), Outcome::Incomplete);
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
