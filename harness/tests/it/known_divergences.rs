//! Known divergences: excused within their bound, fatal beyond it, and fatal when they are gone.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use harness::case::Case;
use harness::case::observation::{Lane, Observation};
use harness::exit::Exit;
use harness::judge::known_divergences::Ledger;
use harness::judge::verdict::Verdict;
use harness::oracle::crossval::campaign::Campaign;
use harness::receipt::Receipt;
use harness::receipt::verify::verify;
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;

use crate::program::{Folder, Harness};

const CASE: &str = "bitnet-white-whale";
const REFERENCE: &str = "dec2024-bitnet-avx512";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn suite(entry: &str) -> Suite {
    listed(&format!(
        "[[divergence]]\ncase = {CASE:?}\nreference = {REFERENCE:?}\n{entry}\n"
    ))
}

/// The fixtures with that list of known divergences.
fn listed(list: &str) -> Suite {
    let mut suite = Suite::open(&fixtures()).expect("the committed fixtures are sound");
    suite.ledger = Ledger::parse(list).expect("sound entries");
    // Recordings of other arithmetics are judged by distances, which the nudge exceeds as well.
    for case in &mut suite.cases {
        case.recordings.retain(|name| name == REFERENCE);
    }
    suite
}

/// A run of one case in which the engine says what the reference said, edited.
fn run(entry: &str, name: &str, edit: fn(&mut Observation)) -> Receipt {
    run_in(suite(entry), name, edit)
}

fn run_in(suite: Suite, name: &str, edit: fn(&mut Observation)) -> Receipt {
    let source = suite.recordings[REFERENCE].clone();
    let subject = Scripted::new("subject", source, move |_, seen| {
        edit(seen);
        Ok(())
    });
    let wanted = suite.cases.iter().filter(|c| c.name == name);
    let cases: Vec<(Case, PathBuf)> = wanted
        .map(|c| (c.clone(), suite.folder.join(&c.model)))
        .collect();
    let fixtures = suite.clone();
    let campaign = Campaign::new(suite, vec![Box::new(subject)], 1);
    let receipt = campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written");
    assert_eq!(verify(&receipt, Some(&fixtures)).refuted, []);
    receipt
}

fn exit(receipt: &Receipt) -> Exit {
    receipt.parity.status.exit()
}

/// Other bits, and far apart, at one position.
fn nudge(seen: &mut Observation) {
    let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("recorded");
    prefill.values[700] += 10.0;
}

const WIDE: &str = "reason = \"a planted nudge\"\nbound = { nmse = 0.1 }";
const NARROW: &str = "reason = \"a planted nudge\"\nbound = { nmse = 1e-12 }";
const NONE: &str = "reason = \"a planted nudge\"\nbound = { nmse = 0.0 }";

#[test]
fn within_its_bound_it_is_known_and_the_run_passes() {
    let receipt = run(WIDE, CASE, nudge);
    assert_eq!(exit(&receipt), Exit::Agrees);
    let verdict = &receipt.cases[0].claims.comparisons[0].verdict;
    assert!(matches!(verdict, Verdict::Known { .. }), "{verdict}");
    assert!(
        verdict.to_string().ends_with("a planted nudge"),
        "{verdict}"
    );
}

#[test]
fn a_single_bit_is_a_divergence_that_has_to_be_known() {
    let flip = |seen: &mut Observation| {
        let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("recorded");
        prefill.values[700] = f32::from_bits(prefill.values[700].to_bits() ^ 1);
    };
    assert_eq!(exit(&run(NARROW, CASE, flip)), Exit::Agrees);
    assert_eq!(exit(&run(NONE, CASE, flip)), Exit::Diverges);
}

#[test]
fn beyond_its_bound_it_diverges() {
    assert_eq!(exit(&run(NARROW, CASE, nudge)), Exit::Diverges);
    let none = |seen: &mut Observation| {
        nudge(seen);
        seen.trace.clear();
        seen.lanes.remove(&Lane::Decode);
    };
    assert_eq!(
        exit(&run(WIDE, CASE, none)),
        Exit::Diverges,
        "gaps are not excused"
    );
    let tokens = |seen: &mut Observation| seen.tokens.swap(1, 2);
    assert_eq!(
        exit(&run(WIDE, CASE, tokens)),
        Exit::Diverges,
        "nor are token ids"
    );
    let nan = |seen: &mut Observation| {
        let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("recorded");
        prefill.values[7] = f32::NAN;
    };
    assert_eq!(
        exit(&run(WIDE, CASE, nan)),
        Exit::Diverges,
        "nor is what is no number"
    );
}

#[test]
fn a_continuation_may_part_only_where_the_entry_says() {
    let parts = |seen: &mut Observation| seen.greedy.tokens[20] += 1;
    let entry = |from: &str| format!("reason = \"a tie\"\nbound = {{ nmse = 0.0{from} }}");
    assert_eq!(exit(&run(&entry(""), CASE, parts)), Exit::Diverges);
    assert_eq!(
        exit(&run(&entry(", greedy_from = 21"), CASE, parts)),
        Exit::Diverges
    );
    assert_eq!(
        exit(&run(&entry(", greedy_from = 20"), CASE, parts)),
        Exit::Agrees
    );
}

#[test]
fn an_entry_that_excuses_nothing_fails_where_it_was_looked_at() {
    let receipt = run(WIDE, CASE, |_| {});
    assert_eq!(exit(&receipt), Exit::StaleEntry);
    let stale = &receipt.circumstances.stale_entries;
    assert_eq!(*stale, [format!("{CASE} with {REFERENCE}")]);
    let elsewhere = run(WIDE, "bitnet-ishmael", |_| {});
    assert_eq!(
        exit(&elsewhere),
        Exit::Agrees,
        "another case says nothing about it"
    );
}

/// Some prompts on one model against its recording in another order of sums, with an entry about
/// the model or none; our prefill is scaled.
fn of_model(entry: bool, cases: usize, scale: f32) -> Receipt {
    compared_with_avx2("mar2026-b158-avx512", entry, cases, scale)
}

fn compared_with_avx2(ours: &str, entry: bool, cases: usize, scale: f32) -> Receipt {
    const MODEL: &str = "moby-tiny/moby-tiny-b158.gguf";
    const THEIRS: &str = "mar2026-b158-avx2";
    let mut suite = suite("reason = \"a tie\"\nbound = { nmse = 0.0 }");
    let recorded = &suite.recordings[THEIRS];
    let sha256 = recorded.manifest().model.sha256.clone();
    let about = format!("[[divergence]]\nmodel = {MODEL:?}\nreference = {THEIRS:?}\n");
    let reason = "reason = \"another scale\"\nbound = { nmse = 1e-4 }\n";
    suite.ledger = Ledger::parse(&format!("{about}{reason}")).expect("sound");
    suite.ledger.entries[0].model_sha256 = sha256;
    if !entry {
        suite.ledger = Ledger::default();
    }
    let source = suite.recordings[ours].clone();
    let subject = Scripted::new("subject", source, move |_, seen| {
        let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("recorded");
        prefill.values.iter_mut().for_each(|v| *v *= scale);
        Ok(())
    });
    let own = suite.cases.iter().filter(|c| c.model == MODEL).take(cases);
    let only = |case: &Case| Case {
        recordings: vec![THEIRS.into()],
        ..case.clone()
    };
    let cases: Vec<(Case, PathBuf)> = own
        .map(|case| (only(case), suite.folder.join(&case.model)))
        .collect();
    let campaign = Campaign::new(suite.clone(), vec![Box::new(subject)], 1);
    let receipt = campaign.run(&cases, |_| Ok(())).expect("no output");
    assert_eq!(verify(&receipt, None).refuted, []);
    receipt
}

#[test]
fn what_is_known_of_a_model_covers_every_prompt_on_it_within_its_bound() {
    // Too little for one document to be judged by, and too much for all of them together.
    let scaled = 1.0001;
    assert_eq!(exit(&of_model(false, 5, scaled)), Exit::Diverges);
    assert_eq!(exit(&of_model(false, 4, scaled)), Exit::Incomplete);
    for cases in [4, 5] {
        let receipt = of_model(true, cases, scaled);
        assert_eq!(exit(&receipt), Exit::Agrees);
        for case in &receipt.cases {
            let verdict = &case.claims.comparisons[0].verdict;
            assert!(matches!(verdict, Verdict::Known { .. }), "{verdict}");
            assert!(verdict.to_string().contains("prefill: median NMSE above"));
        }
    }
    // A real fault goes beyond the bound, one at a time and all together.
    let wrong = of_model(true, 5, 1.3);
    assert_eq!(exit(&wrong), Exit::Diverges);
    let first = &wrong.cases[0].claims.comparisons[0];
    assert!(first.exceeded.is_some(), "{}", first.verdict);
}

#[test]
fn what_is_known_of_a_model_is_stale_when_enough_prompts_agree() {
    // The same bits in every prompt: nothing is left to be known.
    let same = |cases| exit(&compared_with_avx2("mar2026-b158-avx2", true, cases, 1.0));
    assert_eq!(same(4), Exit::Agrees, "too few to be sure");
    assert_eq!(same(5), Exit::StaleEntry);
}

#[test]
fn the_model_of_an_entry_must_be_one_that_was_recorded() {
    let suite = Suite::open(&fixtures()).expect("the committed fixtures are sound");
    let ledger = &suite.ledger.entries;
    let llama = &suite.recordings["bitnet-random-llama"].manifest().model;
    assert_eq!(ledger[0].model_sha256, llama.sha256);
    assert!(
        suite
            .ledger
            .about("ad-hoc-3", &llama.sha256, "ik")
            .is_some()
    );
    assert!(
        suite
            .ledger
            .about("ad-hoc-3", &llama.sha256, "llama")
            .is_none()
    );
    assert!(suite.ledger.about("ad-hoc-3", "other", "ik").is_none());
}

#[test]
fn an_invented_excuse_is_refuted() {
    let mut receipt = run(WIDE, CASE, nudge);
    let verdict = &mut receipt.cases[0].claims.comparisons[0].verdict;
    let Verdict::Known { reason, .. } = verdict else {
        panic!("{verdict}");
    };
    *reason = "because".into();
    receipt.seal = receipt.computed_seal();
    let verified = verify(&receipt, Some(&suite(WIDE)));
    assert!(
        verified.refuted.iter().any(|r| r.what.contains("is known")),
        "{verified:?}"
    );
}

#[test]
fn what_accept_writes_makes_a_divergence_known_and_no_larger_one() {
    let folder = Folder::new();
    let list = folder.path().join("known_divergences.toml");
    std::fs::write(&list, "# none yet\n").expect("writable");
    let diverging = run_in(listed(""), CASE, nudge);
    assert_eq!(exit(&diverging), Exit::Diverges);
    let receipt = serde_json::to_vec(&diverging).expect("plain data");
    let receipt = folder.file("receipt.json", &receipt);

    let reviewed = Harness::new("review").arg(&receipt).run().exits(1);
    assert!(reviewed.stdout.contains(REFERENCE), "{}", reviewed.stdout);
    let accept = |words: &str| {
        Harness::new("accept --reason planted --fixtures")
            .arg(folder.path())
            .arg(&receipt)
            .args(words)
            .run()
            .exits(0)
    };
    accept("--dry-run");
    let written = || std::fs::read_to_string(&list).expect("there");
    assert_eq!(written(), "# none yet\n", "a dry run writes nothing");
    accept("");
    let text = written();
    assert!(text.starts_with("# none yet\n"), "{text}");

    assert_eq!(exit(&run_in(listed(&text), CASE, nudge)), Exit::Agrees);
    let larger = run_in(listed(&text), CASE, |seen| {
        let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("recorded");
        prefill.values[700] += 1000.0;
    });
    assert_eq!(exit(&larger), Exit::Diverges);
}
