//! Malformed model files: each answered with its own code, at the byte where the fault lies.

mod base;
mod builder;
mod case;
mod corpus_a;
mod corpus_b;
mod corpus_c;
mod corpus_d;
mod corpus_f;
mod corpus_g;
mod corpus_i;
mod corpus_t;
mod heap;
mod paths;
mod promises;

use std::collections::BTreeSet;
use std::time::Duration;

use engine::bytes::ModelBytes;
use engine::config::Config;
use engine::gguf::{Gguf, Warning};
use engine::refusal::Refusal;
use engine::tokenizer::Tokenizer;

use base::Base;
use case::{Case, Expect, Stage};

/// The last stage the tests can drive.
const LAST_STAGE: Stage = Stage::Finite;

fn corpus(base: Base) -> Vec<Case> {
    let letters = [
        corpus_a::cases,
        corpus_b::cases,
        corpus_c::cases,
        corpus_d::cases,
        corpus_t::cases,
        corpus_f::cases,
        corpus_g::cases,
        corpus_i::cases,
    ];
    letters.into_iter().flat_map(|cases| cases(base)).collect()
}

/// The stage that had the last word, and what it said: the warnings, or why not.
struct Verdict {
    stage: Stage,
    outcome: Result<Vec<Warning>, Refusal>,
}

fn verdict(bytes: Vec<u8>, decides: Stage) -> Verdict {
    let mut stage = Stage::Parse;
    let outcome = Gguf::parse(ModelBytes::from_vec(bytes)).and_then(|gguf| {
        stage = Stage::Config;
        Config::from_gguf(&gguf)?;
        stage = Stage::Tokenizer;
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata)?;
        let mut warnings = gguf.warnings.clone();
        warnings.extend(tokenizer.iter().flat_map(|t| t.warnings().to_vec()));
        if decides == Stage::Finite {
            stage = Stage::Finite;
            gguf.check_finite()?;
        }
        Ok(warnings)
    });
    Verdict { stage, outcome }
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
        (Expect::Refused(_), Err(refusal)) if stage != case.stage => Some(format!(
            "{:?} should decide, {stage:?} says {refusal}",
            case.stage
        )),
        (Expect::Refused(refused), Err(refusal)) => refused
            .complaint(refusal)
            .map(|complaint| format!("{complaint}: {refusal}")),
    }
}

#[test]
fn the_base_files_are_valid() {
    for base in Base::ALL {
        let verdict = verdict(base.draft().build().bytes, Stage::Finite);
        assert_eq!(verdict.outcome, Ok(Vec::new()), "{base:?}");
    }
}

#[test]
fn every_malformed_file_gets_its_own_answer() {
    for base in Base::ALL {
        let (mut ids, mut complaints, mut pending) = (BTreeSet::new(), Vec::new(), Vec::new());
        for case in corpus(base) {
            assert!(ids.insert(case.id), "{} is there twice", case.id);
            if case.stage > LAST_STAGE {
                pending.push(case.id);
                continue;
            }
            let bytes = case.bytes.clone();
            let (verdict, peak) = heap::peak_of(|| verdict(bytes, case.stage));
            // The file itself is handed over, not allocated.
            let allowed = 4 * case.metadata + promises::SLACK;
            assert!(peak <= allowed, "{} takes {peak} bytes of heap", case.id);
            if let Err(refusal) = &verdict.outcome {
                println!("{base:?} {} {refusal}", case.id);
            }
            let complaint = complaint(&case, &verdict);
            complaints.extend(complaint.map(|text| format!("{base:?} {}: {text}", case.id)));
        }
        println!(
            "{base:?}: {} cases, not yet decidable: {pending:?}",
            ids.len()
        );
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }
}

#[test]
fn no_case_takes_a_second() {
    for case in Base::ALL.into_iter().flat_map(corpus) {
        let took = promises::quickest(1, || drop(verdict(case.bytes.clone(), case.stage)));
        if took > Duration::from_millis(300) {
            let took = promises::quickest(3, || drop(verdict(case.bytes.clone(), case.stage)));
            assert!(took < Duration::from_secs(1), "{}: {took:?}", case.id);
        }
    }
}
