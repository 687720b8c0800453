//! Every pair of ends that a run can meet, in one case, in two, and with what can befall the whole
//! run: the worse one decides, a divergence is hidden by none of them, and the JUnit report agrees
//! with the exit code.
#![forbid(unsafe_code)]

mod actors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::case::Case;
use harness::exit::Exit;
use harness::judge::outcome::Outcome;
use harness::judge::verdict::Verdict;
use harness::oracle::crossval::campaign::{Campaign, Live};
use harness::oracle::crossval::examine::examine;
use harness::receipt::verify::verify;
use harness::receipt::{CaseReceipt, Receipt, junit};
use harness::reference::LiveReference;
use harness::reference::isolation::Hello;
use harness::runner::suite::Suite;
use harness::runner::{Runner, Subject, Task};

use actors::End::{self, *};
use actors::{Engine, Reference};

use crate::program::silence::every_pair;

const RECORDING: &str = "mar2026-b158-avx512";
const CASES: [&str; 2] = ["b158-white-whale", "b158-ishmael"];

/// With the one recording that actors answer from: the others are long, and no case asks for any.
fn suite() -> &'static Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        let mut suite = Suite::open(&folder).expect("the committed fixtures are sound");
        suite.recordings.retain(|name, _| name == RECORDING);
        suite
    });
    &SUITE
}

/// Those of a reference.
const OF_REFERENCES: [End; 11] = [
    Agrees,
    Diverges,
    NotJudged,
    Dies,
    TimesOut,
    Refuses,
    Silent,
    Declines,
    BreaksItsPromise,
    Unsteady,
    KillsTheEngine,
];
/// Those of the engine, in its own arithmetic or run another way.
const OF_ENGINE: [End; 4] = [Agrees, EngineDies, EngineRefuses, EngineComputesNoNumber];

impl End {
    /// What it comes to beside something that was judged and agrees.
    fn outcome(self) -> Outcome {
        match self {
            Agrees | NotJudged | Declines => Outcome::Ok,
            Diverges | EngineComputesNoNumber => Outcome::Divergence,
            Dies | TimesOut => Outcome::ReferenceDied,
            Refuses | EngineRefuses => Outcome::Refused,
            Silent | BreaksItsPromise | Unsteady => Outcome::Incomplete,
            KillsTheEngine | EngineDies => Outcome::EngineDied,
        }
    }

    /// Whether it leaves nothing that was judged.
    fn is_empty(self) -> bool {
        matches!(self, NotJudged | Declines)
    }
}

/// What a case with these references comes to.
fn expected(ends: &[End]) -> Outcome {
    let floor = if ends.iter().all(|end| end.is_empty()) {
        Outcome::Incomplete
    } else {
        Outcome::Ok
    };
    Outcome::worst(floor, ends.iter().map(|end| end.outcome()))
}

/// A case without recordings, of which those that break their promise have promised an answer.
fn case(name: &str, references: &[(&str, End)]) -> (Case, PathBuf) {
    let suite = suite();
    let case = suite.cases.iter().find(|c| c.name == name).expect("listed");
    let promising = references.iter().filter(|(_, end)| *end != Declines);
    let case = Case {
        recordings: Vec::new(),
        live: promising.map(|(name, _)| (*name).to_owned()).collect(),
        ..case.clone()
    };
    let path = suite.folder.join(&case.model);
    (case, path)
}

/// One case with those references, and the engine run another way with its own end.
fn examined(references: &[(&str, End)], again: End) -> CaseReceipt {
    let name = CASES[0].to_owned();
    let (case, path) = case(&name, references);
    let (model, _) = harness::file::provenance::Input::read(&path).expect("a fixture");
    let task = Task {
        case: &case,
        model: &model,
    };
    let live = |(who, end): &(&str, End)| Reference::new(who, [(name.clone(), *end)]);
    let mut live: Vec<Reference> = references.iter().map(live).collect();
    let mut live: Vec<&mut dyn Runner> = live.iter_mut().map(|l| l as &mut dyn Runner).collect();
    let mut first = Engine::new("engine", []);
    let mut other = Engine::new("engine run another way", [(name.clone(), again)]);
    let mut subjects: [&mut dyn Subject; 2] = [&mut first, &mut other];
    examine(task, &mut subjects, &mut live, None, &suite().ledger)
        .expect("the engine answered once")
}

/// Whether the divergence of `reference` is on the receipt.
fn diverges(receipt: &CaseReceipt, reference: &str) -> bool {
    let all = receipt.claims.comparisons.iter();
    let mut own = all.filter(|c| c.reference.name == reference);
    own.any(|c| matches!(c.verdict, Verdict::Diverge { .. }))
}

#[test]
fn in_one_case_the_worse_of_two_references_decides_and_a_divergence_is_kept() {
    every_pair(&OF_REFERENCES, |&one, &other| {
        let receipt = examined(&[("one", one), ("other", other)], Agrees);
        let claims = &receipt.claims;
        let status = claims.status;
        assert_eq!(status, expected(&[one, other]), "{one:?} {other:?}");
        assert_eq!(claims.comparisons.len(), 2, "{one:?} {other:?}");
        assert_eq!(diverges(&receipt, "one"), one == Diverges);
        assert_eq!(diverges(&receipt, "other"), other == Diverges);
        if [one, other].contains(&Diverges) {
            assert_eq!(status.exit(), Exit::Diverges, "{one:?} {other:?}");
        }
    });
}

#[test]
fn the_engine_run_another_way_may_die_and_what_was_found_is_kept() {
    for one in OF_REFERENCES {
        for again in OF_ENGINE {
            let receipt = examined(&[("one", one)], again);
            let worst = expected(&[one]).max(again.outcome());
            assert_eq!(receipt.claims.status, worst, "{one:?} {again:?}");
            assert_eq!(diverges(&receipt, "one"), one == Diverges, "{again:?}");
        }
    }
}

/// Two cases: the reference's and the engine's end in each.
fn run(ends: [(End, End); 2]) -> Receipt {
    let named = |i: usize| CASES[i].to_owned();
    let theirs = [0, 1].map(|i| (named(i), ends[i].0));
    let ours = [0, 1].map(|i| (named(i), ends[i].1));
    let cases = [0, 1].map(|i| case(CASES[i], &[("live", ends[i].0)]));
    let live = Live {
        runner: Box::new(Reference::new("live", theirs)),
        facts: LiveReference {
            name: "live".into(),
            origin: "nowhere".into(),
            commit: None,
            compiler: None,
            flags: None,
            hello: Hello {
                protocol: 0,
                api: String::new(),
                system_info: String::new(),
                sha256: Vec::new(),
                knows_i2_s: true,
                details: BTreeMap::new(),
                control_word: [0, 0],
                ..Hello::default()
            },
        },
    };
    let engine = Engine::new("engine", ours);
    let campaign =
        Campaign::new(suite().clone(), vec![Box::new(engine)], 1).with_references(vec![live]);
    let receipt = campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written");
    assert_eq!(verify(&receipt, None).refuted, [], "{ends:?}");
    assert_agrees_with_junit(&receipt);
    receipt
}

/// Failures and errors are in the report if, and only if, the program ends with a code for them.
#[track_caller]
fn assert_agrees_with_junit(receipt: &Receipt) {
    let xml = junit::render(receipt);
    let count = |name: &str| {
        let (_, rest) = xml.split_once(&format!("{name}=\"")).expect("an attribute");
        let (count, _) = rest.split_once('"').expect("its end");
        count.parse::<usize>().expect("a number")
    };
    let bad = count("failures") + count("errors");
    let exit = receipt.parity.status.exit();
    assert_eq!(bad > 0, exit != Exit::Agrees, "{exit:?}\n{xml}");
}

#[test]
fn in_two_cases_the_worse_one_decides() {
    let mut all: Vec<(End, End)> = OF_REFERENCES.map(|end| (end, Agrees)).to_vec();
    all.extend(OF_ENGINE.map(|end| (Agrees, end)));
    every_pair(&all, |one, other| {
        let receipt = run([*one, *other]);
        let worst = [one, other].map(|(theirs, ours)| {
            if *ours == Agrees {
                expected(&[*theirs])
            } else {
                ours.outcome()
            }
        });
        let worst = worst[0].max(worst[1]);
        let status = receipt.parity.status;
        assert_eq!(status, worst, "{one:?} {other:?}");
        let diverges = |(theirs, _): &(End, End)| *theirs == Diverges;
        if diverges(one) || diverges(other) {
            assert_eq!(status.exit(), Exit::Diverges, "{one:?} {other:?}");
        }
        of_the_whole_run(&receipt);
    });
}

/// The same cases in a run that something befell.
fn of_the_whole_run(receipt: &Receipt) {
    let befallen = |edit: fn(&mut Receipt)| {
        let mut receipt = receipt.clone();
        edit(&mut receipt);
        let asked = receipt.coverage.cases.declared;
        let Receipt {
            cases,
            failures,
            circumstances,
            ..
        } = receipt;
        Receipt::assemble(asked, cases, failures, circumstances)
    };
    type Edit = fn(&mut Receipt);
    let befalls: [(Outcome, Edit); 3] = [
        (Outcome::Void, |r| {
            r.circumstances.changed_inputs.push("m".into())
        }),
        (Outcome::StaleEntry, |r| {
            r.circumstances.stale_entries.push("e".into())
        }),
        (Outcome::ReferenceMissing, |r| {
            r.circumstances.unanswered.push("bitnet".into())
        }),
    ];
    for (outcome, edit) in befalls {
        let befallen = befallen(edit);
        assert_eq!(befallen.parity.status, receipt.parity.status.max(outcome));
        assert_agrees_with_junit(&befallen);
    }
}
