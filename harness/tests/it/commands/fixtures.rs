//! `harness fixtures`: regeneration gives the committed bytes, and every kind of damage is found.

use std::path::Path;

use crate::program::{Folder, Harness, fixture};

/// A copy of the committed folder that may be damaged.
fn copy() -> Folder {
    let folder = Folder::new();
    for name in ["qk256", "moby-tiny", "random", "edges"] {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).expect("folder");
        for entry in std::fs::read_dir(fixture(name)).expect("committed") {
            let from = entry.expect("committed").path();
            let file = from.file_name().expect("a file");
            std::fs::copy(&from, to.join(file)).expect("copied");
        }
    }
    folder
}

fn verify(folder: &Path) -> Harness {
    Harness::new("fixtures verify --json --fixtures").arg(folder)
}

#[test]
fn everything_committed_is_as_it_would_be_made() {
    let answer = Harness::new("fixtures verify").run().exits(0);
    assert!(
        answer
            .stdout
            .contains("17 were reproduced: all as committed"),
        "{}",
        answer.stdout
    );
}

// AC:AC8
#[test]
fn regeneration_writes_the_committed_bytes_into_an_empty_folder_and_then_nothing() {
    let folder = Folder::new();
    let regenerate = || Harness::new("fixtures regenerate --json --fixtures").arg(folder.path());
    let written = regenerate().run().exits(0).json()["written"].clone();
    let written: Vec<String> = serde_json::from_value(written).expect("paths");
    assert_eq!(written.len(), 17);
    for path in written {
        let made = std::fs::read(folder.path().join(&path)).expect("written");
        let committed = std::fs::read(fixture(&path)).expect("committed");
        assert!(made == committed, "{path} differs from the committed file");
    }
    let again = regenerate().run().exits(0);
    assert_eq!(again.json()["written"], serde_json::json!([]));
}

// AC:AC4
#[test]
fn damage_of_every_kind_is_named() {
    let folder = copy();
    verify(folder.path()).run().exits(0);
    let flip = |path: &str, at: usize| {
        let path = folder.path().join(path);
        let mut bytes = std::fs::read(&path).expect("copied");
        bytes[at] ^= 1;
        std::fs::write(path, bytes).expect("damaged");
    };
    flip("moby-tiny/moby-tiny-b158.gguf", 1_000_000);
    flip("qk256/qk256_3x300_seed44.gguf", 900);
    flip("qk256/checksums.txt", 0);
    folder.file("moby-tiny/stray.gguf", b"GGUF");
    std::fs::remove_file(folder.path().join("moby-tiny/moby-tiny-bitnet.gguf")).expect("removed");
    std::fs::create_dir(folder.path().join("unlisted")).expect("folder");

    let answer = verify(folder.path()).run().exits(1).json();
    let problem = |path: &str| answer["problems"][path]["problem"].clone();
    assert_eq!(problem("moby-tiny/moby-tiny-b158.gguf"), "changed");
    assert_eq!(problem("moby-tiny/moby-tiny-bitnet.gguf"), "missing");
    assert_eq!(problem("moby-tiny/stray.gguf"), "unlisted");
    assert_eq!(problem("qk256/qk256_3x300_seed44.gguf"), "changed");
    assert_eq!(problem("qk256/checksums.txt"), "not_reproduced");
    assert_eq!(
        answer["problems"]["qk256/checksums.txt"]["first_difference"],
        0
    );
    assert_eq!(problem("unlisted/checksums.txt"), "no_list");
    // The entry whose hash was flipped in the list is the seventh.
    assert_eq!(answer["problems"].as_object().expect("by path").len(), 7);
}

#[test]
fn a_changed_fixture_with_a_matching_list_is_still_not_what_would_be_made() {
    let folder = copy();
    let path = folder.path().join("qk256/qk256_4x256_seed42.gguf");
    let mut bytes = std::fs::read(&path).expect("copied");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let list = folder.path().join("qk256/checksums.txt");
    let before = std::fs::read(&path).map(|b| harness::file::provenance::sha256(&b));
    std::fs::write(&path, &bytes).expect("damaged");
    let text = std::fs::read_to_string(&list).expect("copied");
    let after = harness::file::provenance::sha256(&bytes);
    std::fs::write(&list, text.replace(&before.expect("read"), &after)).expect("rewritten");
    let answer = verify(folder.path()).run().exits(1).json();
    let found = &answer["problems"]["qk256/qk256_4x256_seed42.gguf"];
    assert_eq!(found["problem"], "not_reproduced");
    assert_eq!(found["first_difference"], last);
}

#[test]
fn a_random_model_is_written_whole_and_can_be_asked_for_again_by_its_printed_shape() {
    let folder = Folder::new();
    let [first, second] = ["first.gguf", "second.gguf"].map(|name| folder.path().join(name));
    let made = Harness::new("fixtures random --seed 5 --arch llama --json -o").arg(&first);
    let made = made.run().exits(0).json();
    assert_eq!(made["shape"]["architecture"], "llama");
    let bytes = std::fs::read(&first).expect("written");
    assert_eq!(made["sha256"], harness::file::provenance::sha256(&bytes));
    assert_eq!(made["bytes"], bytes.len());
    let printed = Harness::new("fixtures random --seed 5 --arch llama").run();
    let shape = printed.exits(0).stdout;
    let shape = shape.lines().next().expect("a shape");
    let again = Harness::new("fixtures random --seed 99 --shape").arg(shape);
    again.args("--output").arg(&second).run().exits(0);
    assert!(std::fs::read(&second).expect("written") == bytes);
    Harness::new("check --model").arg(&first).run().exits(0);
}

#[test]
fn an_impossible_random_shape_is_bad_input_that_says_what_is_possible() {
    let refused = Harness::new("fixtures random --seed 1 --arch bitnet --shape width=1").run();
    let said = refused.exits(2).stderr;
    assert!(said.contains("--shape: width must be"), "{said}");
    let unknown = Harness::new("fixtures random --seed 1 --arch gpt").run();
    assert!(unknown.exits(2).stderr.contains("bitnet-b1.58"));
}

#[test]
fn what_cannot_be_read_is_named_and_hides_no_damage() {
    let folder = copy();
    folder.file("qk256/checksums.txt", b"no list\n");
    let damaged = folder.file("edges/edges.gguf", b"GGUF");
    let json = folder.path().join("found.json");
    let run = verify(folder.path()).run().exits(1).json();
    let problem = |path: &str| run["problems"][path]["problem"].clone();
    assert_eq!(problem("qk256/checksums.txt"), "unreadable");
    assert_eq!(problem("edges/edges.gguf"), "changed");
    let asked = || Harness::new("fixtures verify --fixtures").arg(folder.path());
    let text = asked().args("--json").arg(&json).run().exits(1).stdout;
    assert!(text.contains("line 1 is not"), "{text}");
    assert!(
        std::fs::read_to_string(&json)
            .expect("written")
            .contains("unreadable")
    );
    let refused = asked().args("--json").arg(&damaged).run().exits(2).stderr;
    assert!(
        refused.contains("is the same file as --fixtures"),
        "{refused}"
    );
    assert_eq!(std::fs::read(&damaged).expect("still there"), b"GGUF");
}

#[test]
fn a_random_model_replaces_one_of_its_own_kind_and_nothing_else() {
    let folder = Folder::new();
    let model = folder.path().join("model.gguf");
    let random = |seed: &str| Harness::new("fixtures random --seed").args(seed).args("-o");
    for seed in ["7", "7", "8"] {
        random(seed).arg(&model).run().exits(0);
    }
    let json = random("9").arg(&model).args("--json").arg(&model).run();
    let said = json.exits(2).stderr;
    assert!(said.contains("is the same file as --output"), "{said}");
    let trained = std::fs::read(fixture("moby-tiny/moby-tiny-b158.gguf")).expect("committed");
    for bytes in [&trained[..], b"notes"] {
        let input = folder.file("input", bytes);
        let said = random("7").arg(&input).run().exits(2).stderr;
        assert!(said.contains("this command did not make"), "{said}");
        assert!(std::fs::read(&input).expect("still there") == bytes);
    }
}

/// The committed files are six of as many as there are seeds.
#[test]
fn a_packed_file_is_made_of_any_seed_and_the_committed_ones_are_among_them() {
    let made = |words: &str| {
        let folder = Folder::new();
        let path = folder.path().join("packed.gguf");
        let words = format!("fixtures packed {words} -o");
        Harness::new(&words).arg(&path).run().exits(0);
        std::fs::read(path).expect("written")
    };
    let committed = |name: &str| std::fs::read(fixture(name)).expect("committed");
    let four = "--rows 4 --cols 256 --seed";
    assert!(made(&format!("{four} 42")) == committed("qk256/qk256_4x256_seed42.gguf"));
    let random = "--packing bitnet32-f16 --rows 2 --cols 64 --codes random --seed 143";
    assert!(made(random) == committed("qk256/bitnet32_2x64_random_seed143.gguf"));
    assert!(made(&format!("{four} 42")) != made(&format!("{four} 43")));
    let huge = "fixtures packed --seed 1 --rows 99999 --cols 99999 -o x.gguf";
    let refused = Harness::new(huge).run().exits(2);
    assert!(
        refused.stderr.contains("at most 16777216"),
        "{}",
        refused.stderr
    );
}
