//! `harness trace` as a user meets it.

use crate::program::{Folder, Harness, fixture};

#[test]
fn agreement_difference_and_nothing_to_compare_have_their_own_codes() {
    let agrees = Harness::new("trace --case b158-ishmael --recording mar2026-b158-avx512")
        .run()
        .exits(0);
    assert!(
        agrees
            .stdout
            .contains("nodes 118/118: 118 with every bit equal, 0 differ")
    );
    assert!(
        !agrees.stdout.contains("kq-0|MUL_MAT#0"),
        "equal nodes are not listed"
    );

    let all = Harness::new("trace --all --recording mar2026-b158-avx512").run();
    assert!(all.stdout.contains("kq-0|MUL_MAT#0") && all.stdout.contains("the f16 keys"));

    let other = Harness::new("trace --profile ggml-avx512 --recording mar2026-b158-avx2")
        .run()
        .exits(0);
    assert!(
        other
            .stdout
            .contains("every local error is within the rung other-order")
    );

    Harness::new("trace --case b158-white-whale").run().exits(3);
    Harness::new("trace --case nobody").run().exits(2);
    Harness::new("trace --prompt hello").run().exits(2);
}

#[test]
fn a_model_and_a_prompt_find_their_recording() {
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let harness = || Harness::new("trace --model").arg(&model);
    let found = harness()
        .arg("--prompt")
        .arg("Call me Ishmael.")
        .run()
        .exits(0);
    assert!(
        found
            .stdout
            .contains("nodes 114/114: 114 with every bit equal")
    );
    assert!(!found.stdout.contains("b158"), "another model's recordings");
    harness()
        .arg("--prompt")
        .arg("Call me Ahab.")
        .run()
        .exits(3);
}

#[test]
fn layers_are_searched_and_bundles_replayed() {
    let search = Harness::new("trace --layer-search --recording dec2024-bitnet-avx512")
        .run()
        .exits(0);
    assert!(
        search
            .stdout
            .contains("no layer is bad; 1 passes for 4 layers")
    );

    let folder = Folder::new();
    let json = folder.path().join("trace.json");
    let made = Harness::new("trace --profile ggml-avx512 --recording dec2024-bitnet-neon --bundle")
        .arg(folder.path())
        .arg("--json")
        .arg(&json)
        .run()
        .exits(0);
    assert!(made.stdout.contains("1 of 1 certified"), "{}", made.stdout);
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).expect("written")).expect("JSON");
    let located = &report[0]["located"];
    assert_eq!(located["rung"], "other-order");
    assert_eq!(located["coverage"]["compared"], 114);

    // The folder that --bundle named, as in the help, and the bundle itself below it.
    let bundle = folder.path().join("bitnet-ishmael/dec2024-bitnet-neon");
    for place in [folder.path(), &bundle] {
        let replayed = Harness::new("trace --replay").arg(place).run().exits(0);
        assert!(replayed.stdout.contains("in the bundle: every bit equal"));
    }
    let replayed = Harness::new("trace --json --replay").arg(&bundle);
    assert_eq!(replayed.run().exits(0).json()["ours"]["differing"], 0);
    let other = fixture("moby-tiny/moby-tiny-b158.gguf");
    // Another model proves nothing.
    Harness::new("trace --model")
        .arg(other)
        .arg("--replay")
        .arg(&bundle)
        .run()
        .exits(2);
}

#[test]
fn what_nobody_recorded_needs_a_live_reference() {
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let unknown = |flags: &str| {
        let harness = Harness::new("trace --model").arg(&model);
        harness.arg("--prompt").arg("Call me Ahab.").args(flags)
    };
    let missing = unknown("").run().exits(3);
    assert!(missing.stderr.contains("scripts/reference.sh bitnet"));
    // Recordings were made in one ubatch and answer for no other.
    let other = Harness::new("trace --case bitnet-ishmael --ubatch 7");
    other.run().exits(3);
    Harness::new("trace --ubatch 0").run().exits(2);
}

#[test]
fn several_bundles_are_listed_and_none_is_told() {
    let folder = Folder::new();
    let two = "trace --profile ggml-avx512 --recording dec2024-bitnet-neon --bundle";
    Harness::new(two).arg(folder.path()).run().exits(0);
    let two = "trace --profile ggml-avx512 --recording mar2026-b158-avx2 --bundle";
    Harness::new(two).arg(folder.path()).run().exits(0);
    let replay = || Harness::new("trace --replay");
    let which = replay().arg(folder.path()).run().exits(2);
    for words in [
        "has 2 bundles; choose one",
        "harness trace --replay '",
        "b158-ishmael/mar2026-b158-avx2'",
        "bitnet-ishmael/dec2024-bitnet-neon'",
    ] {
        assert!(which.stderr.contains(words), "{}", which.stderr);
    }
    let empty = Folder::new();
    let none = replay().arg(empty.path()).run().exits(2);
    assert!(none.stderr.contains("in CASE/RECORDING below it"));
}
