//! `harness attribute` as a user meets it.

use crate::program::{Folder, Harness, fixture};

#[test]
fn agreement_faults_and_nothing_to_compare_have_their_own_codes() {
    let agrees = Harness::new("attribute --case b158-ishmael --recording mar2026-b158-avx512");
    let agrees = agrees.run().exits(0);
    for words in [
        "the reference's modules in the engine's run",
        "layer 3 feed-forward",
        "no-swap controls 11/11 exactly 0",
        "no module is named: every module is the same, 0 bits",
    ] {
        assert!(agrees.stdout.contains(words), "{}", agrees.stdout);
    }

    let folder = Folder::new();
    let json = folder.path().join("found.json");
    let planted =
        "attribute --recording dec2024-bitnet-avx512 --depth op --plant stuck-lane --json";
    let planted = Harness::new(planted).arg(&json).run().exits(1);
    let named = "NAMED layer 1 up product: alone it causes a KL of ";
    assert!(planted.stdout.contains(named), "{}", planted.stdout);
    assert!(planted.stdout.contains("(1)  layer 1 up product"));
    assert!(
        !planted.stdout.contains("layer 0 scores"),
        "equal operations are not listed"
    );
    let found: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).expect("written")).expect("JSON");
    let found = &found[0];
    assert_eq!(found["planted"]["fault"], "stuck-lane");
    assert_eq!(
        (&found["run"], &found["depth"]),
        (&"engine".into(), &"op".into())
    );
    assert_eq!(found["named"]["module"], "layer 1 up product");
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(83));

    let other = Harness::new("attribute --case b158-ishmael --plant stuck-lane");
    let other = other.run().exits(3);
    assert!(
        other.stdout.contains("models with other nodes"),
        "{}",
        other.stdout
    );
    Harness::new("attribute --case b158-white-whale")
        .run()
        .exits(3);
    Harness::new("attribute --run reference").run().exits(3);
    Harness::new("attribute --plant stuck-lane@x")
        .run()
        .exits(2);
    let unknown = Harness::new("attribute --plant act-not-there")
        .run()
        .exits(2);
    assert!(unknown.stderr.contains("harness power --list"));
    // It edits a file, not values.
    Harness::new("attribute --plant epsilon-1e-3")
        .run()
        .exits(2);
    let away = Harness::new("attribute --plant gelu-for-silu@4")
        .run()
        .exits(2);
    assert!(away.stderr.contains("4 layers"), "{}", away.stderr);
}

#[test]
fn a_model_without_the_layer_of_a_fault_is_left_out_and_the_others_are_asked() {
    // The help's own example.
    let example = Harness::new("attribute --plant gelu-for-silu@2").run();
    let example = example.exits(1);
    for words in [
        "NAMED layer 2 feed-forward",
        "edges-the-end: engine: skipped: there is no layer 2, the model has 1 layers",
    ] {
        assert!(example.stdout.contains(words), "{}", example.stdout);
    }
}

#[test]
#[cfg(unix)]
fn a_case_of_several_ubatches_is_skipped_aloud_unless_it_was_asked_for() {
    let folder = Folder::new();
    for name in ["recordings", "moby-tiny", "edges", "random"] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(fixture(name), link).expect("temporary link");
    }
    let cases = std::fs::read(fixture("cases.json")).expect("a fixture");
    let mut cases: serde_json::Value = serde_json::from_slice(&cases).expect("JSON");
    for case in cases["cases"].as_array_mut().expect("a list") {
        case["ubatch"] = 4.into();
    }
    folder.file("cases.json", cases.to_string().as_bytes());
    let all = Harness::new("attribute --recording dec2024-bitnet-avx512 --fixtures");
    let all = all.arg(folder.path()).run().exits(3);
    let skipped = "bitnet-ishmael: engine: skipped: it takes several ubatches";
    assert!(all.stdout.contains(skipped), "{}", all.stdout);
    let asked = Harness::new("attribute --case bitnet-ishmael --fixtures");
    asked.arg(folder.path()).run().exits(2);
}
