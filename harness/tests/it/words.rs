//! What a receipt says in words: each lane for itself, each number for what it is.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::case::Case;
use harness::case::observation::{Lane, Observation};
use harness::exit::Exit;
use harness::judge::known_divergences::Ledger;
use harness::judge::outcome::Outcome;
use harness::judge::tolerance::Tolerance;
use harness::judge::verdict::Verdict;
use harness::oracle::crossval::campaign::Campaign;
use harness::receipt::table::{self, Detail};
use harness::receipt::verify::verify;
use harness::receipt::{Receipt, junit};
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;
use harness::runner::{RunError, Task};

const CASE: &str = "b158-ishmael";
const RECORDING: &str = "mar2026-b158-avx512";

fn suite() -> Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        Suite::open(&folder).expect("the committed fixtures are sound")
    });
    SUITE.clone()
}

/// The cases of one model against one recording; the engine says the same, edited.
fn run(
    names: &[&str],
    ledger: &str,
    edit: impl FnMut(Task<'_>, &mut Observation) -> Result<(), RunError> + 'static,
) -> Receipt {
    let mut suite = suite();
    suite.ledger = Ledger::parse(ledger).expect("a sound list");
    let source = suite.recordings[RECORDING].clone();
    let subject = Scripted::new("subject", source, edit);
    let wanted = suite.cases.iter().filter(|c| names.contains(&&c.name[..]));
    let cases: Vec<(Case, PathBuf)> = wanted
        .map(|case| {
            let mut asked = case.clone();
            asked.recordings = vec![RECORDING.into()];
            (asked, suite.folder.join(&case.model))
        })
        .collect();
    let campaign = Campaign::new(suite, vec![Box::new(subject)], 1);
    let receipt = campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written");
    assert_eq!(verify(&receipt, None).refuted, []);
    receipt
}

fn planted(edit: fn(&mut Observation)) -> Receipt {
    run(&[CASE], "", move |_, seen| {
        edit(seen);
        Ok(())
    })
}

fn flip(lane: Lane) -> impl Fn(&mut Observation) {
    move |seen| {
        let lane = seen.lanes.get_mut(&lane).expect("recorded");
        lane.values[700] = f32::from_bits(lane.values[700].to_bits() ^ 1);
    }
}

fn text(receipt: &Receipt) -> String {
    table::render(receipt, Detail::Pairs, None)
}

/// The words of the row that has these.
#[track_caller]
fn row<'t>(text: &'t str, of: &[&str]) -> &'t str {
    let has = |line: &&str| {
        of.iter()
            .all(|word| line.split("  ").any(|cell| cell.trim() == *word))
    };
    text.lines()
        .find(has)
        .unwrap_or_else(|| panic!("no row of {of:?} in:\n{text}"))
}

#[test]
fn a_lane_whose_bits_are_equal_is_called_so_beside_one_that_diverges() {
    let text = text(&planted(|seen| flip(Lane::Decode)(seen)));
    assert!(row(&text, &[CASE, "prefill"]).contains("bit-identical"));
    assert!(row(&text, &[CASE, "decode"]).contains("DIVERGE"));
    let text = self::text(&planted(|seen| seen.greedy.tokens[3] += 1));
    for lane in ["prefill", "decode"] {
        assert!(row(&text, &[CASE, lane]).contains("bit-identical"));
    }
    assert!(row(&text, &[CASE, "greedy"]).contains("DIVERGE"));
    let text = self::text(&planted(|seen| seen.trace[20].values[9] += 1.0));
    assert!(row(&text, &[CASE, "nodes"]).contains("DIVERGE"));
}

#[test]
fn equal_bits_agree_whatever_the_arithmetic_is_called() {
    let receipt = planted(|seen| seen.identity.profile = "somebody's own".into());
    let with = &receipt.cases[0].claims.comparisons[0];
    assert_eq!(
        (&with.verdict, with.tolerance),
        (&Verdict::Agree, Tolerance::Exact)
    );
    assert_eq!(receipt.parity.status.exit(), Exit::Agrees);
    assert!(row(&text(&receipt), &["moby-tiny-b158", RECORDING]).contains("bit-identical"));
    // One bit off, and nobody knows what it means.
    let other = planted(|seen| {
        seen.identity.profile = "somebody's own".into();
        flip(Lane::Decode)(seen);
    });
    assert_eq!(other.parity.status.exit(), Exit::Incomplete);
    let text = text(&other);
    assert!(row(&text, &[CASE, "prefill"]).contains("bit-identical"));
    assert!(row(&text, &[CASE, "decode"]).contains("not judged"));
    assert!(text.contains("no tolerance is on record between"), "{text}");
}

#[test]
fn a_known_divergence_is_counted_as_one_and_an_exceeded_bound_is_explained() {
    let entry = |bound: &str| {
        format!(
            "[[divergence]]\ncase = {CASE:?}\nreference = {RECORDING:?}\n\
             reason = \"a planted nudge\"\nbound = {{ nmse = {bound} }}\n"
        )
    };
    let nudge = |_: Task<'_>, seen: &mut Observation| {
        let lane = seen.lanes.get_mut(&Lane::Prefill).expect("recorded");
        lane.values[700] += 10.0;
        Ok(())
    };
    let known = run(&[CASE], &entry("0.5"), nudge);
    assert_eq!(known.parity.status.exit(), Exit::Agrees);
    assert!(text(&known).contains("0 diverge, 1 known, 0 not judged"));
    let beyond = run(&[CASE], &entry("1e-12"), nudge);
    assert_eq!(beyond.parity.status.exit(), Exit::Diverges);
    let text = text(&beyond);
    for words in [
        "1 diverge, 0 known",
        "known_divergences.toml lists it (a planted nudge) with nmse = 1.0e-12",
        "prefill position 0: NMSE above 1.0e-12: it is ",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
}

#[test]
fn what_ended_before_any_comparison_is_counted_and_said() {
    let receipt = run(&[CASE], "", |_, _| {
        Err(RunError::NotFinite(
            "NOT_FINITE: NaN in node l_out-2".into(),
        ))
    });
    assert_eq!(receipt.parity.status, Outcome::Divergence);
    assert_eq!(receipt.validation.compute, "none", "nobody computed");
    let text = text(&receipt);
    for words in [
        "1 case(s) ended before any comparison: divergence",
        "NaN in node l_out-2",
        "no recording stood in for it: nothing was compared",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
}

#[test]
fn recordings_stood_in_only_where_they_did() {
    let both = [CASE, "b158-white-whale"];
    assert!(text(&run(&both, "", |_, _| Ok(()))).contains("the reference stood in for it\n"));
    let partly = run(&both, "", |task, _| {
        if task.case.name == CASE {
            return Err(RunError::Refused("planted".into()));
        }
        Ok(())
    });
    assert!(text(&partly).contains("stood in for it"));
}

#[test]
fn a_failing_comparison_names_its_lanes_its_first_difference_and_the_next_command() {
    let receipt = planted(|seen| flip(Lane::Decode)(seen));
    let next = format!("next: harness trace --case {CASE} --recording {RECORDING}");
    let xml = junit::render(&receipt);
    for said in [&text(&receipt), &xml] {
        for words in [
            "prefill: bit-identical",
            "decode: DIVERGE, first at position 0 at 700",
            &next,
        ] {
            assert!(said.contains(words), "{words:?} is not in:\n{said}");
        }
    }
    assert!(xml.contains("</failure>"), "{xml}");
}

#[test]
fn who_computed_and_who_made_the_ids_follows_from_what_ran() {
    let mut receipt = planted(|_| {});
    assert_eq!(receipt.validation.compute, "script", "no engine took part");
    receipt.validation.compute = "rust".into();
    receipt.cases[0].claims.validation.tokenizer = "rust".into();
    receipt.seal = receipt.computed_seal();
    let refuted = verify(&receipt, None).refuted;
    for path in ["validation.compute", "cases[0].claims.validation.tokenizer"] {
        assert!(
            refuted.iter().any(|r| r.what.starts_with(path)),
            "{path}: {refuted:?}"
        );
    }
}

#[test]
fn a_narrow_terminal_gets_narrow_tables() {
    let receipt = planted(|seen| flip(Lane::Decode)(seen));
    let wide = |line: &&str| line.chars().count() > 100;
    let text = table::render(&receipt, Detail::Lanes, Some(80));
    let rows = text.lines().filter(|line| line.split("  ").count() > 3);
    let rows: Vec<&str> = rows.collect();
    assert!(rows.len() >= 5 && !rows.iter().any(wide), "{text}");
}
