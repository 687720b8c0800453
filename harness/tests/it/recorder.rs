//! What is recorded is read back as it was seen, and evidence is not overwritten.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use harness::case::observation::Observation;
use harness::file::provenance::{Input, checksums};
use harness::runner::recorded::Recorded;
use harness::runner::recorded::manifest::Reference;
use harness::runner::recorder::{Memory, Recorder};
use harness::runner::suite::Suite;
use harness::runner::{RunError, Runner, Task};

const SOURCE: &str = "dec2024-bitnet-avx512";

struct Shelf(PathBuf);

impl Shelf {
    fn new(name: &str) -> Self {
        Shelf(std::env::temp_dir().join(format!("shelf-{name}-{}", std::process::id())))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn suite() -> Suite {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    Suite::open(&folder).expect("the committed fixtures are sound")
}

fn observe(runner: &mut dyn Runner, suite: &Suite) -> Vec<Result<Observation, RunError>> {
    let cases = suite
        .cases
        .iter()
        .filter(|c| c.recordings.contains(&SOURCE.into()));
    let observe = |case| {
        let (model, _) = Input::read(&suite.folder.join("moby-tiny/moby-tiny-bitnet.gguf"))?;
        let model = &model;
        Ok(runner.observe(Task { case, model }))
    };
    let seen: Result<_, harness::exit::Failure> = cases.map(observe).collect();
    seen.expect("a fixture")
}

fn reference() -> Reference {
    Reference {
        name: "again".into(),
        version: "1".into(),
        compiler: "c".into(),
        flags: "f".into(),
        isa: "i".into(),
        executed_by: "native".into(),
    }
}

#[test]
fn a_recording_is_read_back_bit_for_bit() {
    let (shelf, suite, memory) = (Shelf::new("bits"), suite(), Memory::default());
    let source = Box::new(suite.recordings[SOURCE].clone());
    let mut recorder = Recorder::new(source, memory.clone());
    let seen = observe(&mut recorder, &suite);
    let names = memory.write(&shelf.0, &reference(), |case| case != "bitnet-november");
    let names = names.expect("a temporary folder");
    assert_eq!(names, ["again-moby-tiny-bitnet"]);
    let list = checksums(&shelf.0.join("checksums.txt")).expect("written");
    let mut read = Recorded::open(&shelf.0, &names[0], &list).expect("sound");
    let (mut answered, mut silent) = (0, 0);
    for (written, read) in seen.into_iter().zip(observe(&mut read, &suite)) {
        let Ok(read) = read else {
            silent += 1;
            continue;
        };
        let mut written = written.expect("recorded");
        written.identity = read.identity.clone();
        assert!(written == read, "{:?}", read.tokens);
        answered += 1;
    }
    assert_eq!(
        (answered, silent),
        (4, 1),
        "the case that was not fit is left out"
    );
}

#[test]
fn a_recording_that_is_there_is_not_overwritten() {
    let (shelf, suite, memory) = (Shelf::new("twice"), suite(), Memory::default());
    let source = Box::new(suite.recordings[SOURCE].clone());
    observe(&mut Recorder::new(source, memory.clone()), &suite);
    let write = || memory.write(&shelf.0, &reference(), |_| true);
    write().expect("a temporary folder");
    let refusal = write().expect_err("it is there").message;
    assert!(refusal.contains("is there already"), "{refusal}");
}

#[test]
fn portions_are_part_of_a_recordings_name_and_conditions() {
    const SPLIT: &str = "bitnet-random-llama-ubatch-7";
    let (shelf, suite, memory) = (Shelf::new("portions"), suite(), Memory::default());
    let case = |name: &str| suite.cases.iter().find(|c| c.name == name).expect("listed");
    let mut split = case("llama-portions").clone();
    split.threads = 2;
    let (model, _) = Input::read(&suite.folder.join(&split.model)).expect("a fixture");
    let model = &model;
    for (case, source) in [(case("llama-ahab"), "bitnet-random-llama"), (&split, SPLIT)] {
        let source = Box::new(suite.recordings[source].clone());
        let seen = Recorder::new(source, memory.clone()).observe(Task { case, model });
        seen.expect("recorded");
    }
    let names = memory.write(&shelf.0, &reference(), |_| true);
    let names = names.expect("a temporary folder");
    assert_eq!(names, ["again-random-llama-ubatch-7", "again-random-llama"]);
    let list = checksums(&shelf.0.join("checksums.txt")).expect("written");
    let mut read = Recorded::open(&shelf.0, &names[0], &list).expect("sound");
    let conditions = &read.manifest().conditions;
    assert_eq!((conditions.ubatch, conditions.threads), (7, 2));
    // In other portions the same prompt has other bits, which nobody recorded.
    let mut whole = split.clone();
    whole.ubatch = 512;
    let refused = read.observe(Task {
        case: &whole,
        model,
    });
    let refused = refused.expect_err("another arithmetic").to_string();
    assert!(refused.contains("in ubatches of 7"), "{refused}");
}
