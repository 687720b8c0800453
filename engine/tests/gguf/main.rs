//! Malformed model files: each answered with its own code, at the byte where the fault lies.

mod base;
mod builder;
mod case;
mod corpus;
mod dialects;
mod heap;
mod paths;
mod promises;
mod stages;

use std::collections::BTreeSet;
use std::path::Path;

use engine::refusal::Code;
use engine::session::EvalError;

use base::Base;
use case::{Case, Expect, Stage};
use stages::{Scratch, Verdict};

fn corpus(base: Base) -> Vec<Case> {
    let letters = [
        corpus::counts::cases,
        corpus::strings::cases,
        corpus::values::cases,
        corpus::alignment::cases,
        corpus::tensors::cases,
        corpus::hyper_parameters::cases,
        corpus::vocabularies::cases,
        corpus::binding::cases,
        corpus::dialects::cases,
    ];
    letters.into_iter().flat_map(|cases| cases(base)).collect()
}

/// What all stages say about a case. Those that read the metadata are held to the heap promise,
/// and [`engine::Model::open`] to saying the same as they.
fn verdict(case: &Case) -> Verdict {
    let bytes = case.bytes.clone();
    let (read, peak) = heap::peak_of(|| stages::read(bytes, case.stage));
    // The file itself is handed over, not allocated.
    let allowed = 4 * case.metadata + promises::SLACK;
    assert!(peak <= allowed, "{} takes {peak} bytes of heap", case.id);
    if read.stage == Stage::Finite {
        return read;
    }
    let scratch = Scratch::new(case.id, &case.bytes);
    let opened = stages::open(scratch.path());
    match (read.outcome, opened) {
        (Err(refusal), opened) => {
            let opened = opened.err();
            assert_eq!(
                opened.as_ref(),
                Some(&refusal),
                "{}: Model::open differs",
                case.id
            );
            Verdict {
                stage: read.stage,
                outcome: Err(refusal),
            }
        }
        (Ok(_), Err(refusal)) => Verdict {
            stage: Stage::Open,
            outcome: Err(refusal),
        },
        (Ok(_), Ok(model)) => {
            let evaluated = stages::evaluate(&model);
            assert_eq!(evaluated, Ok(()), "{}: opened, but not computed", case.id);
            Verdict {
                stage: Stage::Eval,
                outcome: Ok(model.warnings().cloned().collect()),
            }
        }
    }
}

/// Leaves a case where other loaders can be shown it: the file and, in a list, who had the last
/// word here, and which.
fn leave(folder: &Path, base: Base, case: &Case, verdict: &Verdict) -> String {
    let name = format!("{}-{}.gguf", base.arch(), case.id);
    std::fs::write(folder.join(&name), &case.bytes).expect("a folder to write to");
    let word = match &verdict.outcome {
        Ok(_) => "accepted".to_owned(),
        Err(refusal) => refusal.code.to_string(),
    };
    format!("{name}\t{:?}\t{word}\n", verdict.stage)
}

/// What is wrong with the verdict on a case, if anything.
fn complaint(case: &Case, verdict: &Verdict) -> Option<String> {
    let stage = verdict.stage;
    match (&case.expect, &verdict.outcome) {
        (Expect::Accepted(expected), Ok(warnings)) => {
            let names: Vec<_> = warnings.iter().map(|warning| warning.name).collect();
            (names != *expected).then(|| format!("expected the warnings {expected:?}: {names:?}"))
        }
        (Expect::Accepted(_), Err(refusal)) => {
            Some(format!("should be accepted, {stage:?} says {refusal}"))
        }
        (Expect::Refused(refused), Ok(_)) => Some(format!("accepted: {:?}", refused.codes)),
        (Expect::Refused(_), Err(refusal)) if stage != case.stage => {
            let decides = case.stage;
            Some(format!(
                "{decides:?} should decide, {stage:?} says {refusal}"
            ))
        }
        (Expect::Refused(refused), Err(refusal)) => refused
            .complaint(refusal)
            .map(|complaint| format!("{complaint}: {refusal}")),
    }
}

#[test]
fn the_base_files_are_valid_and_computed() {
    for base in Base::ALL {
        let case = Case::accepted("base", base.draft().build());
        let verdict = verdict(&case);
        assert_eq!(verdict.stage, Stage::Eval);
        assert_eq!(complaint(&case, &verdict), None, "{base:?}");
    }
}

/// `MALFORMED_FILES` names a folder for the files and what was said of them.
#[test]
fn every_malformed_file_gets_its_own_answer() {
    let folder = std::env::var_os("MALFORMED_FILES");
    let mut list = String::new();
    for base in Base::ALL {
        let mut ids = BTreeSet::new();
        let mut complaints = Vec::new();
        for case in corpus(base) {
            assert!(ids.insert(case.id), "{} is there twice", case.id);
            let verdict = verdict(&case);
            if let Err(refusal) = &verdict.outcome {
                println!("{base:?} {} {refusal}", case.id);
            }
            if let Some(folder) = &folder {
                list += &leave(folder.as_ref(), base, &case, &verdict);
            }
            let complaint = complaint(&case, &verdict);
            complaints.extend(complaint.map(|text| format!("{base:?} {}: {text}", case.id)));
        }
        println!("{base:?}: {} cases", ids.len());
        let expected: BTreeSet<_> = all_ids().collect();
        assert!(
            ids.iter().copied().eq(expected.iter().map(String::as_str)),
            "{base:?}: {ids:?}"
        );
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }
    if let Some(folder) = &folder {
        let path = Path::new(folder).join("list.tsv");
        std::fs::write(path, list).expect("a folder to write to");
    }
}

/// What a user reads: the rule, the field, the byte, both sides of the disagreement, a way out.
#[test]
fn an_answer_tells_what_to_do() {
    let cases = corpus(Base::LlamaF32);
    for (id, expected) in [
        (
            "T30",
            "DATA_PAST_EOF: tensors.\"blk.0.attn_q.weight\".data at byte 142592: expected data \
             up to byte 158976, found a file of 145408 bytes (the file looks cut off: it \
             should have at least 290816 bytes; download it again)",
        ),
        (
            "F07",
            "HPARAM_INVALID: metadata.\"llama.attention.head_count\" at byte 210: expected a \
             divisor of the embedding length 64, found 7",
        ),
        (
            "A10",
            "BAD_VERSION: header.version at byte 4: expected 2 or 3, found 50331648 (a big-endian \
             file? only little-endian ones are supported)",
        ),
    ] {
        let case = cases.iter().find(|case| case.id == id).expect("a case");
        let verdict = verdict(case);
        let refusal = verdict.outcome.expect_err("refused");
        assert_eq!(refusal.to_string(), expected, "{id}");
    }
}

/// The table's own list, so that a case cannot get lost with its test.
fn all_ids() -> impl Iterator<Item = String> {
    let letters = [
        ("A", 23),
        ("B", 17),
        ("C", 23),
        ("D", 8),
        ("F", 24),
        ("G", 26),
        ("H", 4),
        ("I", 4),
        ("T", 42),
        ("X", 8),
    ];
    letters
        .into_iter()
        .flat_map(|(letter, count)| (1..=count).map(move |number| format!("{letter}{number:02}")))
}

/// The judge can be displeased: by another code, field, byte, number, stage or warning.
#[test]
fn a_wrong_answer_is_noticed() {
    let cases = corpus(Base::LlamaF32);
    let wrong = |id: &str, change: fn(&mut Case)| {
        let mut case = cases
            .iter()
            .find(|case| case.id == id)
            .expect("a case")
            .clone();
        let verdict = verdict(&case);
        assert_eq!(complaint(&case, &verdict), None);
        change(&mut case);
        assert!(
            complaint(&case, &verdict).is_some(),
            "{id}: the change went unseen"
        );
    };
    fn refused(case: &mut Case) -> &mut case::Refused {
        match &mut case.expect {
            Expect::Refused(refused) => refused,
            Expect::Accepted(_) => panic!("{} is accepted", case.id),
        }
    }
    wrong("C18", |case| refused(case).codes = vec![Code::WrongKeyType]);
    wrong("C18", |case| refused(case).field = Some("elsewhere".into()));
    wrong("C18", |case| refused(case).offset = Some(1));
    wrong("C18", |case| refused(case).offset = None);
    wrong("C18", |case| {
        refused(case).says = Some(["4294967295".into(), "1".into()])
    });
    wrong("C18", |case| case.stage = Stage::Parse);
    wrong("C18", |case| case.expect = Expect::Accepted(Vec::new()));
    wrong("A21", |case| case.expect = Expect::Accepted(Vec::new()));
    wrong("T26", |case| {
        case.expect = Expect::Accepted(vec!["DATA_HOLE"])
    });
}

/// Without the search for them, numbers that are none still never become logits.
#[test]
fn poisoned_weights_are_an_error_and_never_a_logit() {
    for base in Base::ALL {
        let cases = corpus::binding::cases(base);
        let poisoned: Vec<_> = cases
            .iter()
            .filter(|case| case.stage == Stage::Finite)
            .collect();
        assert_eq!(poisoned.len(), 3);
        for case in poisoned {
            let scratch = Scratch::new(&format!("{}-eval", case.id), &case.bytes);
            let answer = match stages::open(scratch.path()) {
                Err(refusal) => refusal.code.to_string(),
                Ok(model) => match stages::evaluate(&model) {
                    Err(EvalError::NotFinite { node, value, .. }) => format!("{value} in {node}"),
                    other => panic!("{base:?} {}: {other:?}", case.id),
                },
            };
            println!("{base:?} {}: {answer}", case.id);
        }
    }
}

#[test]
fn no_case_hangs_or_asks_for_memory_more_often_than_its_metadata_is_long() {
    for case in Base::ALL.into_iter().flat_map(corpus) {
        let read = || heap::requests_of(|| stages::read(case.bytes.clone(), case.stage));
        let (_, requests) = promises::watched(case.id, read);
        let allowed = case.metadata / 4 + promises::REQUESTS;
        assert!(requests <= allowed, "{}: {requests} of {allowed}", case.id);
    }
}
