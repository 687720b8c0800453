//! The recordings against each other: builds of one reference for different instruction sets are
//! known to lie these distances apart, so the whole comparison can be checked without an engine.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::LazyLock;

use harness::case::Case;
use harness::case::observation::Lane;
use harness::file::provenance::Input;
use harness::judge::compare::{Findings, Incomparable, LaneFindings, compare};
use harness::judge::tolerance;
use harness::judge::verdict::{Verdict, judge};
use harness::numbers::metrics::{Distance, median};
use harness::runner::suite::Suite;
use harness::runner::{Runner, Task};

fn suite() -> Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        Suite::open(&folder).expect("the committed fixtures are sound")
    });
    SUITE.clone()
}

fn model(folder: &Path, case: &Case) -> Input {
    let (model, _) = Input::read(&folder.join(&case.model)).expect("a fixture");
    model
}

/// Findings of every case that two recordings share.
fn between(suite: &mut Suite, theirs: &str, ours: &str) -> Vec<Result<Findings, Incomparable>> {
    let (folder, cases) = (suite.folder.clone(), suite.cases.clone());
    let shared = |names: &[String]| [theirs, ours].iter().all(|n| names.iter().any(|m| m == n));
    let shared: Vec<_> = cases.iter().filter(|c| shared(&c.recordings)).collect();
    assert!(!shared.is_empty(), "{theirs} and {ours} share no case");
    let mut look = |name: &str, case| {
        let recorded = suite.recordings.get_mut(name).expect("listed");
        let task = Task {
            case,
            model: &model(&folder, case),
        };
        recorded.observe(task).expect("recorded")
    };
    let findings = |case| compare(case, &look(theirs, case), &look(ours, case));
    shared.into_iter().map(findings).collect()
}

struct ArithmeticGap {
    /// Mean over prompts and lanes, so that a long prompt weighs no more than a short one.
    bit_equal: f64,
    nmse_median: f64,
    nmse_max: f64,
}

fn apart(findings: &[Findings]) -> ArithmeticGap {
    let lanes: Vec<_> = findings.iter().flat_map(|f| &f.lanes).collect();
    let share = |lane: &&LaneFindings| {
        let sum = |part: fn(&Distance) -> usize| -> usize {
            lane.positions.iter().map(|p| part(&p.distance)).sum()
        };
        sum(|d| d.bit_equal) as f64 / sum(|d| d.values) as f64
    };
    let nmse = lanes.iter().flat_map(|l| l.nmse().expect("finite"));
    let nmse: Vec<f64> = nmse.collect();
    ArithmeticGap {
        bit_equal: lanes.iter().map(share).sum::<f64>() / lanes.len() as f64,
        nmse_median: median(&nmse).expect("positions"),
        nmse_max: nmse.iter().copied().fold(0.0, f64::max),
    }
}

fn assert_apart(theirs: &str, ours: &str, share: f64, nmse_median: f64, nmse_max: f64) {
    let findings: Result<Vec<_>, _> = between(&mut suite(), theirs, ours).into_iter().collect();
    let apart = apart(&findings.expect("two witnesses"));
    // The known figures have one or two digits: half a unit of the last one either way.
    approx::assert_abs_diff_eq!(apart.bit_equal, share, epsilon = 0.005);
    approx::assert_relative_eq!(apart.nmse_median, nmse_median, max_relative = 0.5);
    approx::assert_relative_eq!(apart.nmse_max, nmse_max, max_relative = 0.5);
}

#[test]
fn avx2_lies_as_far_from_avx512_as_is_known() {
    assert_apart(
        "dec2024-bitnet-avx512",
        "dec2024-bitnet-avx2",
        0.41,
        6e-15,
        2e-5,
    );
}

#[test]
fn neon_lies_as_far_from_avx512_as_is_known() {
    assert_apart(
        "dec2024-bitnet-avx512",
        "dec2024-bitnet-neon",
        0.34,
        1e-14,
        8e-5,
    );
}

#[test]
fn neon_with_f16_arithmetic_lies_as_far_from_avx512_as_is_known() {
    assert_apart(
        "dec2024-bitnet-avx512",
        "dec2024-bitnet-neon-fp16",
        0.00,
        5e-5,
        1e-3,
    );
}

#[test]
fn prefill_and_decode_of_one_build_differ_in_bits() {
    let mut suite = suite();
    let (folder, case) = (suite.folder.clone(), suite.cases[0].clone());
    let recorded = suite
        .recordings
        .get_mut(&case.recordings[0])
        .expect("listed");
    let task = Task {
        case: &case,
        model: &model(&folder, &case),
    };
    let seen = recorded.observe(task).expect("recorded");
    assert_ne!(seen.lanes[&Lane::Prefill], seen.lanes[&Lane::Decode]);
}

#[test]
fn a_recording_cannot_confirm_itself() {
    let name = "mar2026-b158-avx512";
    for findings in between(&mut suite(), name, name) {
        assert!(matches!(findings, Err(Incomparable::SameIdentity(_))));
    }
}

#[test]
fn another_arithmetic_is_within_its_own_tier_and_never_equal() {
    let mut suite = suite();
    let findings = between(&mut suite, "mar2026-b158-avx512", "mar2026-b158-avx2");
    let shared = suite.cases.iter().filter(|c| c.name.starts_with("b158-"));
    for (case, findings) in shared.zip(findings) {
        let findings = findings.expect("two witnesses");
        let coverage = findings.coverage(case.declared(true));
        assert!(coverage.is_complete(), "{}", coverage.shortfall());
        // The median of this text is above its gate, which several documents settle together.
        let alone = if case.name == "b158-november" {
            Verdict::NotJudged
        } else {
            Verdict::Agree
        };
        let found = judge(&findings, &coverage, tolerance::ArithmeticGap::Order);
        assert_eq!(found, alone, "{}", case.name);
        assert_eq!(
            judge(&findings, &coverage, tolerance::ArithmeticGap::Unknown),
            Verdict::NotJudged
        );
        let exact = judge(&findings, &coverage, tolerance::ArithmeticGap::Nothing);
        assert!(matches!(exact, Verdict::Diverge { .. }), "{exact}");
    }
}
