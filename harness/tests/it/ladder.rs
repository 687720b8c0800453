//! The ladder of tolerances: what is refused as a ladder, what each tier lets pass and what not,
//! and that README.md shows the numbers that decide.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::case::Case;
use harness::case::observation::{Lane, Observation};
use harness::file::provenance::Input;
use harness::judge::compare::compare;
use harness::judge::outcome::Outcome;
use harness::judge::tolerance::file::{TEXT, Tolerances};
use harness::judge::tolerance::{ArithmeticGap, Tolerance, table, tolerances};
use harness::judge::verdict::{Divergence, Verdict, judge};
use harness::oracle::crossval::campaign::Campaign;
use harness::receipt::Receipt;
use harness::receipt::verify::verify;
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;
use harness::runner::{Runner, Task};

const OURS: &str = "mar2026-b158-avx512";
const THEIRS: &str = "mar2026-b158-avx2";

fn suite() -> Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        Suite::open(&folder).expect("the committed fixtures are sound")
    });
    SUITE.clone()
}

#[test]
fn the_readme_shows_the_numbers_that_decide() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(path).expect("it is there");
    let again =
        table::replaced(&text, &table::markdown(tolerances())).expect("both lines are there");
    assert!(
        text == again,
        "harness calibrate --table README.md makes it again"
    );
}

#[test]
fn every_kind_of_lane_has_a_floor_with_its_circumstances() {
    let tolerances = tolerances();
    for apart in ArithmeticGap::MEASURED {
        for lane in Lane::ALL {
            assert!(
                tolerances.gates(apart, lane).is_some(),
                "{apart:?} {lane:?}"
            );
        }
    }
    for apart in [ArithmeticGap::Nothing, ArithmeticGap::Unknown] {
        assert_eq!(tolerances.gates(apart, Lane::Prefill), None);
    }
    let measured = &tolerances.measured;
    assert_eq!(measured.date.len(), "2026-11-21".len());
    assert_eq!(measured.model_sha256.len(), 64);
    assert!(measured.documents >= 24 && measured.command.starts_with("harness calibrate"));
    assert!(measured.witnesses.iter().any(|w| w.starts_with("ik (ik-")));
}

#[test]
fn a_gate_is_the_larger_of_the_constant_and_so_many_floors() {
    let order = |text: &str| {
        let tolerances = Tolerances::parse(text).expect("still a ladder");
        tolerances
            .gates(ArithmeticGap::Order, Lane::Prefill)
            .expect("measured")
    };
    let (head, _) = TEXT.split_once("[[floor]]").expect("floors");
    // Every kind of lane needs a floor; here all have the same.
    let lanes = [
        ("order", "ggml-avx2"),
        ("path", "ggml-avx512"),
        ("halves", "ggml-neon-fp16"),
        ("ik", "ik-avx512-wide"),
        ("llama", "llama.cpp-avx512-wide"),
    ];
    let floor = |median: &str| {
        let lanes = lanes
            .iter()
            .flat_map(|lane| [(lane, "prefill"), (lane, "decode")]);
        let floors = lanes.map(|((apart, theirs), path)| {
            format!(
                "[[floor]]\napart = {apart:?}\nprofiles = [{theirs:?}, \"ggml-avx512\"]\n\
                 path = {path:?}\npositions = 1000\ntail = \"worst-ten\"\n\
                 nmse_median = {median}\nnmse_mean = 1e-9\nnmse_tail = 1e-3\nkld_mean = 0.0\n\
                 kld_tail = 0.0\nmax_abs = 0.25\nflips = 2\n"
            )
        });
        head.to_owned() + &floors.collect::<String>()
    };
    let gates = order(&floor("1e-15"));
    assert_eq!((gates.nmse_median, gates.nmse_mean), (1e-12, 1e-7));
    assert_eq!((gates.nmse_tail, gates.tie), (10.0 * 1e-3, 0.5));
    assert_eq!(gates.flips, 10.0 * 0.002);
    assert_eq!(order(&floor("1e-13")).nmse_median, 100.0 * 1e-13);
    // Never above the mean, of which it would ask nothing more.
    assert_eq!(order(&floor("1e-8")).nmse_median, 1e-7);
}

#[test]
fn what_is_no_ladder_is_refused_by_name() {
    let edits = [
        ("schema = 1", "schema = 2", "schema 2"),
        ("mean = 10.0", "meen = 10.0", "meen"),
        ("name = \"t1-other-order\"", "name = \"t4\"", "t4"),
        (
            "name = \"t1-other-order\"",
            "name = \"t0-exact\"",
            "in order",
        ),
        (
            "nmse_tail = 1e-5",
            "nmse_tail = -1e-5",
            "no positive number",
        ),
        ("nmse_tail = 1e-5", "nmse_tail = nan", "no positive number"),
        ("apart = \"ik\"", "apart = \"llama\"", "no distance"),
        ("apart = \"ik\"", "apart = \"unknown\"", "no distance"),
        ("confidence = 0.95", "confidence = 95.0", "no interval"),
        ("flips = ", "flips = 99999", "no distance"),
        ("reason = ", "season = ", "season"),
    ];
    for (from, to, words) in edits {
        assert!(TEXT.contains(from), "{from:?} must hit");
        let refused = Tolerances::parse(&TEXT.replacen(from, to, 1)).expect_err(to);
        assert!(refused.message.contains("tolerances.toml"), "{refused}");
        assert!(refused.message.contains(words), "{refused}");
    }
    let (bare, _) = TEXT.rsplit_once("[[floor]]").expect("floors");
    let refused = Tolerances::parse(bare).expect_err("nothing would be judged");
    assert!(
        refused
            .message
            .contains("llama on F32 weights, decode has no floor"),
        "{refused}"
    );
    let constant = "reason = \"the same float operations in the same order have the same results, \
                    whoever does them\"\n";
    assert!(TEXT.contains(constant));
    let more = "constant = { nmse_median = 1.0, nmse_mean = 1.0, nmse_tail = 1.0, kld_mean = 1.0, \
                kld_tail = 1.0, top1 = 0.5 }\n";
    let text = TEXT.replace(constant, &format!("{constant}{more}"));
    let refused = Tolerances::parse(&text).expect_err("bits have no tolerance");
    assert!(refused.message.contains("t0-exact"), "{refused}");
}

/// What two recordings of one prompt come to, judged as lanes of another order of sums.
fn judged(edit: impl FnOnce(&mut Observation)) -> Verdict {
    let mut suite = suite();
    let case = suite.cases.iter().find(|c| c.name == "b158-november");
    let case = case.expect("a fixture").clone();
    let (model, _) = Input::read(&suite.folder.join(&case.model)).expect("a fixture");
    let mut look = |name: &str| {
        let recorded = suite.recordings.get_mut(name).expect("listed");
        let task = Task {
            case: &case,
            model: &model,
        };
        recorded.observe(task).expect("recorded")
    };
    let (theirs, mut ours) = (look(THEIRS), look(OURS));
    edit(&mut ours);
    let found = compare(&case, &theirs, &ours).expect("two witnesses");
    judge(
        &found,
        &found.coverage(case.declared(true)),
        ArithmeticGap::Order,
    )
}

fn prefill(seen: &mut Observation) -> &mut Vec<f32> {
    &mut seen.lanes.get_mut(&Lane::Prefill).expect("recorded").values
}

#[track_caller]
fn assert_diverges(verdict: &Verdict, words: &str) {
    assert!(matches!(verdict, Verdict::Diverge { .. }), "{verdict}");
    assert!(verdict.to_string().contains(words), "{verdict}");
}

/// Nothing is wrong. The first rounding of this text that falls the other way moves all that
/// follows, so that alone it is too short to be judged by its median.
#[track_caller]
fn assert_forgiven(verdict: &Verdict) {
    assert_eq!(*verdict, Verdict::NotJudged);
}

#[test]
fn another_order_is_forgiven_and_an_error_of_substance_is_not() {
    assert_forgiven(&judged(|_| {}));
    let scaled = judged(|seen| prefill(seen).iter_mut().for_each(|v| *v *= 1.3));
    assert_diverges(&scaled, "prefill: NMSE, mean of the worst 10,");
    let nan = judged(|seen| prefill(seen)[7] = f32::NAN);
    assert_diverges(&nan, "not finite");
    let infinite = judged(|seen| prefill(seen)[7] = f32::INFINITY);
    assert_diverges(&infinite, "not finite");
}

/// The two most likely tokens of a row, and how far apart they are.
fn two_best(row: &[f32]) -> ([usize; 2], f32) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    ([order[0], order[1]], row[order[0]] - row[order[1]])
}

#[test]
fn another_most_likely_token_is_forgiven_in_a_tie_only() {
    let close = judged(|seen| {
        let rows = prefill(seen).chunks_exact_mut(1024);
        let gap = |row: &&mut [f32]| two_best(row).1;
        let row = rows.min_by(|a, b| gap(a).total_cmp(&gap(b)));
        let row = row.expect("rows");
        let ([first, second], _) = two_best(row);
        row.swap(first, second);
    });
    assert_forgiven(&close);
    // The least likely token of a row, made the most likely by a hair.
    let wide = judged(|seen| {
        let row = &mut prefill(seen)[..1024];
        let ([first, _], _) = two_best(row);
        let last = (0..1024).min_by(|a, b| row[*a].total_cmp(&row[*b]));
        row[last.expect("a row")] = row[first] * (1.0 + 1e-6);
    });
    assert_diverges(
        &wide,
        "prefill position 0: another most likely token, and no tie",
    );
}

#[test]
fn a_continuation_may_part_in_a_tie_only() {
    // Step 3 goes to another token, which is so much likelier in our own row.
    let parting = |gap: Option<f32>| {
        judged(move |seen| {
            let theirs = seen.greedy.tokens[3] as usize;
            let ours = (theirs + 1) % 1024;
            seen.greedy.tokens[3] = ours as u32;
            let mut row = vec![-10.0; 1024];
            (row[theirs], row[ours]) = (1.0, 1.0 + gap.unwrap_or_default());
            let rows = gap.map_or(0, |_| seen.greedy.tokens.len());
            seen.greedy.logits = vec![row; rows];
        })
    };
    let tie = tolerances()
        .gates(ArithmeticGap::Order, Lane::Decode)
        .expect("measured")
        .tie as f32;
    assert_forgiven(&parting(Some(0.9 * tie)));
    // Too wide; not the most likely token at all; and a recording that does not say how wide.
    for gap in [Some(1.1 * tie), Some(-0.1), Some(f32::NAN), None] {
        let Verdict::Diverge { first } = parting(gap) else {
            panic!("{gap:?}");
        };
        assert!(
            matches!(first, Divergence::Greedy { step: 3, .. }),
            "{first}"
        );
    }
}

/// The cases of one model against its recording in another order of sums, and nothing else.
fn run(cases: usize, edit: fn(&mut Observation)) -> Receipt {
    let suite = suite();
    let source = suite.recordings[OURS].clone();
    let subject = Scripted::new("subject", source, move |_, seen| {
        edit(seen);
        Ok(())
    });
    let known = suite.cases.iter().filter(|c| c.name.starts_with("b158-"));
    let only = |case: &Case| Case {
        recordings: vec![THEIRS.into()],
        ..case.clone()
    };
    let cases: Vec<(Case, PathBuf)> = known
        .take(cases)
        .map(|case| (only(case), suite.folder.join(&case.model)))
        .collect();
    let campaign = Campaign::new(suite, vec![Box::new(subject)], 1);
    campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written")
}

#[test]
fn the_median_of_all_documents_sees_what_no_single_one_shows() {
    let clean = run(5, |_| {});
    assert_eq!(clean.parity.status, Outcome::RustOnly);
    assert_eq!(clean.pooled.len(), 2);
    for lane in &clean.pooled {
        assert_eq!(lane.tolerance, Tolerance::OtherOrder);
        assert!(lane.judged && lane.broken.is_none(), "{lane:?}");
        assert_eq!((lane.documents, lane.positions, lane.flips), (5, 59, 0));
        assert!(lane.nmse_interval.is_some_and(|[low, high]| low < high));
    }
    assert_eq!(verify(&clean, None).refuted, []);

    // A scale that is off by a ten-thousandth: far below what a flipped code does to a position.
    let scaled = |seen: &mut Observation| prefill(seen).iter_mut().for_each(|v| *v *= 1.0001);
    let receipt = run(5, scaled);
    for case in &receipt.cases {
        assert_eq!(case.claims.comparisons[0].verdict, Verdict::NotJudged);
    }
    assert_eq!(receipt.parity.status, Outcome::Divergence);
    let broken = receipt.pooled[0].broken.as_deref();
    assert!(
        broken.is_some_and(|rule| rule.starts_with("median NMSE above")),
        "{broken:?}"
    );
    assert_eq!(receipt.pooled[1].broken, None, "the other way is as it was");
    let text = harness::receipt::table::summary(&receipt);
    assert!(
        text.contains("1 lane(s) diverge over all documents"),
        "{text}"
    );

    let few = run(4, scaled);
    assert_eq!(few.parity.status, Outcome::Incomplete);
    assert!(few.pooled.iter().all(|lane| !lane.judged));
    let undecided = few.pooled[0].undecided.as_deref();
    assert!(
        undecided.is_some_and(|rule| rule.starts_with("median NMSE above")),
        "{undecided:?}"
    );
}

#[test]
fn a_pooled_verdict_that_was_edited_is_refuted() {
    let mut receipt = run(5, |seen| {
        prefill(seen).iter_mut().for_each(|v| *v *= 1.0001)
    });
    receipt.pooled[0].broken = None;
    receipt.parity.status = Outcome::RustOnly;
    receipt.seal = receipt.computed_seal();
    let refuted = verify(&receipt, None).refuted;
    assert!(
        refuted.iter().any(|r| r.what.contains("pooled[0].broken")),
        "{refuted:?}"
    );
}
