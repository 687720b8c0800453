//! Recordings that wait for a person: what differs is shown, taken in with its reason or removed,
//! and what was compared with something else than what is there is refused.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::kernels::Kernel;
use harness::case::observation::{Lane, Observation};
use harness::file::provenance::{Input, sha256};
use harness::oracle::crossval::pending;
use harness::runner::engine::Engine;
use harness::runner::recorded::manifest::Reference;
use harness::runner::recorder::{Memory, Recorder};
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;
use harness::runner::{Runner, Task};

use crate::program::{Answer, Folder, Harness, fixture};

const CASE: &str = "edges-the-end";
const RECORDING: &str = "bitnet-edges";

/// Fixtures of one case with one recording.
struct Fixtures(Folder);

impl Fixtures {
    fn new() -> Self {
        let folder = Folder::new();
        let copy = |path: &str| {
            let to = folder.path().join(path);
            fs::create_dir_all(to.parent().expect("below")).expect("a temporary folder");
            fs::copy(fixture(path), to).expect("committed");
        };
        copy("edges/edges.gguf");
        for file in ["recording.json", "logits.safetensors", "trace.safetensors"] {
            copy(&format!("recordings/{RECORDING}/{file}"));
        }
        let read = |path: &str| fs::read_to_string(fixture(path)).expect("committed");
        let own = |line: &&str| line.contains(&format!("  {RECORDING}/"));
        let list = read("recordings/checksums.txt");
        let list: Vec<&str> = list.lines().filter(own).collect();
        folder.file(
            "recordings/checksums.txt",
            (list.join("\n") + "\n").as_bytes(),
        );
        let cases = read("cases.json");
        let named = cases.find(&format!("{CASE:?}")).expect("committed");
        let from = cases[..named].rfind('{').expect("an object");
        let to = named + cases[named..].find('}').expect("it ends") + 1;
        let case = cases[from..to].replace(",\n    \"bitnet-portable-edges\"", "");
        let text = format!("{{\n \"schema\": 1,\n \"cases\": [\n  {case}\n ]\n}}\n");
        folder.file("cases.json", text.as_bytes());
        Fixtures(folder)
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    fn suite(&self) -> Suite {
        Suite::open(self.0.path()).expect("sound")
    }

    /// Edits cases.json, where the edit must hit.
    fn cases(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("cases.json")).expect("there");
        assert!(text.contains(from), "{text}");
        self.0
            .file("cases.json", text.replacen(from, to, 1).as_bytes());
    }

    /// One more case, which nobody has recorded.
    fn another_case(&self) {
        let text = fs::read_to_string(self.path("cases.json")).expect("there");
        let from = text.find("  {\n").expect("an object");
        let to = text.find("\n ]").expect("it ends");
        let model = engine::open(self.path("edges/edges.gguf")).expect("a fixture");
        let tokens = model.tokenize("end").expect("it has a vocabulary").len();
        let positions = text[from..to]
            .split("\"positions\": ")
            .nth(1)
            .expect("there");
        let positions = positions.split(']').next().expect("it ends");
        let more = text[from..to]
            .replace(CASE, "edges-more")
            .replace(&format!("[\n    \"{RECORDING}\"\n   ]"), "[]")
            .replace("the end.\\n<|end|>the", "end")
            .replace(&format!("{positions}]"), "[0]")
            .replace("\"tokens\": 11", &format!("\"tokens\": {tokens}"))
            .replace("\"nodes\": 31", "\"nodes\": 0");
        let more = format!("{},\n{more}{}", &text[..to], &text[to..]);
        self.0.file("cases.json", more.as_bytes());
    }

    /// What a reference that computes as the engine does, but for an edit, leaves of these cases.
    fn leave(&self, names: &[&str], edit: fn(&mut Observation)) -> Vec<String> {
        let (suite, memory) = (self.suite(), Memory::default());
        let source = Scripted::new("bitnet", Engine::new(Kernel::Scalar, 1), move |_, seen| {
            edit(seen);
            Ok(())
        });
        let mut recorder = Recorder::new(Box::new(source), memory.clone());
        for case in suite
            .cases
            .iter()
            .filter(|case| names.contains(&&case.name[..]))
        {
            let (model, _) = Input::read(&suite.folder.join(&case.model)).expect("copied");
            let seen = recorder.observe(Task {
                case,
                model: &model,
            });
            seen.expect("the engine computes it");
        }
        let by = Reference {
            name: "bitnet".into(),
            version: "of today".into(),
            compiler: "c".into(),
            flags: "f".into(),
            isa: "i".into(),
            executed_by: "native".into(),
        };
        pending::leave(&memory, &suite, &by, |_| true).expect("writable")
    }

    fn harness(&self, words: &str) -> Harness {
        let harness = Harness::new(words);
        harness.arg("--fixtures").arg(self.0.path())
    }

    fn accept(&self) -> Answer {
        self.harness("accept")
            .arg("--reason")
            .arg("it rounds otherwise")
            .run()
    }

    /// Every file that is committed, and its hash.
    fn committed(&self) -> BTreeMap<PathBuf, String> {
        let mut open = vec![self.0.path().to_owned()];
        let mut files = BTreeMap::new();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("readable") {
                let path = entry.expect("readable").path();
                if path.is_file() {
                    let hash = sha256(&fs::read(&path).expect("readable"));
                    files.insert(path, hash);
                } else if !path.ends_with("pending") {
                    open.push(path);
                }
            }
        }
        files
    }
}

fn as_it_is(_: &mut Observation) {}

fn otherwise(seen: &mut Observation) {
    let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("computed");
    prefill.values[700] = f32::from_bits(prefill.values[700].to_bits() ^ 1);
    let node = seen
        .trace
        .iter_mut()
        .find(|node| node.key == "Qcur-0|ROPE#0");
    if let Some(node) = node {
        node.values[9] += 1.0;
    }
}

#[test]
fn the_same_answers_leave_nothing() {
    let fixtures = Fixtures::new();
    assert_eq!(fixtures.leave(&[CASE], as_it_is), Vec::<String>::new());
    let said = fixtures.harness("review").run().exits(0).stdout;
    assert!(said.contains("no recording waits"), "{said}");
    let said = fixtures.accept().exits(2).stderr;
    assert!(
        said.contains("--record"),
        "it says where they come from: {said}"
    );
}

#[test]
fn other_answers_wait_are_shown_and_are_taken_in_with_their_reason() {
    let fixtures = Fixtures::new();
    let before = fixtures.committed();
    let told = fixtures.leave(&[CASE], otherwise);
    assert!(told[0].starts_with("pending "), "{told:?}");
    let said = fixtures.harness("review").run().exits(1).stdout;
    for words in [
        "bitnet-edges: other answers than on record",
        "before: bitnet, crates.io bitnet-cpp-sys",
        "now:    bitnet, of today",
        "edges-the-end: DIVERGE",
        "1 of 5720 logits differ",
        "prefill, first: position 2 at 180: ",
        "1 ulp",
        "1 of 31 nodes differ",
        "first node: ",
        "next: harness accept --recording bitnet-edges",
    ] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    fixtures
        .harness("accept --dry-run --reason x")
        .run()
        .exits(0);
    fixtures
        .harness("accept --recording nope --reason x")
        .run()
        .exits(2);
    fixtures
        .harness("accept --reason=")
        .arg("--dry-run")
        .run()
        .exits(2);
    assert_eq!(fixtures.committed(), before, "nothing was taken in yet");

    fixtures.accept().exits(0);
    let suite = fixtures.suite();
    let taken = &suite.recordings[RECORDING];
    assert_eq!(
        taken.manifest().reason.as_deref(),
        Some("it rounds otherwise")
    );
    assert_eq!(taken.manifest().reference.version, "of today");
    // It is what was seen: the same reference leaves nothing now, and the old answers wait.
    assert_eq!(fixtures.leave(&[CASE], otherwise), Vec::<String>::new());
    fixtures.harness("review").run().exits(0);
    assert_eq!(fixtures.leave(&[CASE], as_it_is).len(), 1);
}

#[test]
fn what_is_rejected_is_gone_and_changes_nothing() {
    let fixtures = Fixtures::new();
    let before = fixtures.committed();
    fixtures.leave(&[CASE], otherwise);
    fixtures.harness("reject --recording nope").run().exits(2);
    fixtures.harness("review").run().exits(1);
    fixtures
        .harness("reject --recording bitnet*")
        .run()
        .exits(0);
    fixtures.harness("review").run().exits(0);
    assert_eq!(fixtures.committed(), before);
    // One that is damaged is refused, and can be rejected.
    fixtures.leave(&[CASE], otherwise);
    let logits = fixtures.path("pending/bitnet-edges/logits.safetensors");
    let mut bytes = fs::read(&logits).expect("there");
    *bytes.last_mut().expect("some") ^= 1;
    fs::write(&logits, bytes).expect("writable");
    let said = fixtures.accept().exits(2).stderr;
    assert!(
        said.contains("damaged") && said.contains("reject"),
        "{said}"
    );
    assert_eq!(fixtures.committed(), before);
    fixtures.harness("reject").run().exits(0);
    fixtures.harness("review").run().exits(0);
}

#[test]
fn what_is_stale_is_refused() {
    type Change = fn(&Fixtures);
    let changes: [(Change, &str); 3] = [
        (
            |one| one.cases("\"greedy_steps\": 48", "\"greedy_steps\": 47"),
            "asks something else",
        ),
        (
            |one| drop(one.0.file("edges/edges.gguf", b"GGUF")),
            "has other bytes now",
        ),
        (
            |one| rewritten(&one.path("recordings")),
            "not the one it was compared with",
        ),
    ];
    for (change, why) in changes {
        let fixtures = Fixtures::new();
        fixtures.leave(&[CASE], otherwise);
        change(&fixtures);
        let before = fixtures.committed();
        let said = fixtures.harness("review").run().exits(1).stdout;
        assert!(said.contains("STALE") && said.contains(why), "{said}");
        for words in ["accept --reason x", "accept --dry-run --reason x"] {
            let said = fixtures.harness(words).run().exits(2).stderr;
            assert!(said.contains(why), "{said}");
        }
        assert_eq!(fixtures.committed(), before);
    }
}

/// Somebody else's recording in its place, as sound as the one before.
fn rewritten(shelf: &Path) {
    let manifest = shelf.join(RECORDING).join("recording.json");
    let text = fs::read_to_string(&manifest).expect("there");
    let (old, new) = (
        sha256(text.as_bytes()),
        text.replacen("Debian clang", "clang", 1),
    );
    let list = fs::read_to_string(shelf.join("checksums.txt")).expect("there");
    assert!(list.contains(&old));
    let list = list.replace(&old, &sha256(new.as_bytes()));
    fs::write(manifest, new).expect("writable");
    fs::write(shelf.join("checksums.txt"), list).expect("writable");
}

#[test]
fn a_new_case_waits_with_all_others_of_its_recording_and_is_listed_when_it_is_taken_in() {
    let fixtures = Fixtures::new();
    fixtures.another_case();
    // A recording without what it had would be a loss.
    let told = fixtures.leave(&["edges-more"], as_it_is);
    assert!(told[0].contains("which was not asked"), "{told:?}");
    fixtures.harness("review").run().exits(0);

    fixtures.leave(&[CASE, "edges-more"], as_it_is);
    let said = fixtures.harness("review").run().exits(1).stdout;
    assert!(
        said.contains("edges-more: new") && !said.contains(CASE),
        "{said}"
    );
    fixtures.accept().exits(0);
    let suite = fixtures.suite();
    let listed = |case: &harness::case::Case| case.recordings == [RECORDING];
    assert!(suite.cases.len() == 2 && suite.cases.iter().all(listed));
    assert_eq!(suite.recordings[RECORDING].manifest().cases.len(), 2);
}

#[test]
fn cases_that_are_written_otherwise_are_left_to_their_writer() {
    let fixtures = Fixtures::new();
    fixtures.another_case();
    fixtures.cases("\"name\": \"edges-more\"", "\"name\" : \"edges-more\"");
    fixtures.leave(&[CASE, "edges-more"], as_it_is);
    let before = fixtures.committed();
    let said = fixtures.accept().exits(2).stderr;
    assert!(said.contains("by hand"), "{said}");
    assert_eq!(fixtures.committed(), before);
}
