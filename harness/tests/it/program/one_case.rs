//! A fixtures folder of one case and one recording, whose files a test may change.
#![forbid(unsafe_code)]

use std::path::Path;

use harness::file::provenance::sha256;
use harness::runner::suite::Suite;
use serde_json::{Value, json};

use super::{Folder, fixture};

pub const RECORDING: &str = "mar2026-b158-avx512";

/// The folder, removed at the end, and its recording.
pub struct OneCase(Folder, &'static str);

impl OneCase {
    pub fn new() -> Self {
        Self::of("b158-ishmael", RECORDING)
    }

    pub fn of(name: &str, recording: &'static str) -> Self {
        let folder = Folder::new();
        let copy = |file: &str| {
            let to = folder.path().join(file);
            std::fs::create_dir_all(to.parent().expect("below")).expect("temporary folder");
            std::fs::copy(fixture(file), to).expect("a fixture");
        };
        let suite = Suite::open(&fixture("")).expect("the committed fixtures are sound");
        let named = suite.cases.iter().find(|case| case.name == name);
        let mut case = named.expect("committed").clone();
        case.recordings = vec![recording.into()];
        copy(&case.model);
        for file in ["recording.json", "logits.safetensors", "trace.safetensors"] {
            copy(&format!("recordings/{recording}/{file}"));
        }
        let listed = std::fs::read_to_string(fixture("recordings/checksums.txt")).expect("list");
        let own = |line: &&str| line.contains(&format!("  {recording}/"));
        let own: Vec<&str> = listed.lines().filter(own).collect();
        folder.file("recordings/checksums.txt", own.join("\n").as_bytes());
        let cases = json!({"schema": 1, "cases": [case]}).to_string();
        folder.file("cases.json", cases.as_bytes());
        OneCase(folder, recording)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Changes one of its files.
    pub fn edit(&self, file: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path().join(file)).expect("a fixture");
        edit(&mut bytes);
        self.0.file(file, &bytes);
    }

    /// Changes a file of the recording.
    pub fn recording(&self, file: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        self.edit(&format!("recordings/{}/{file}", self.1), edit);
    }

    /// Makes every hash fit again, so that what is left to notice is the content.
    pub fn rehash(&self) {
        let folder = self.path().join("recordings").join(self.1);
        let hash = |file: &str| sha256(&std::fs::read(folder.join(file)).expect("a fixture"));
        let [logits, trace] = ["logits", "trace"].map(|f| hash(&format!("{f}.safetensors")));
        self.recording("recording.json", |json| {
            let mut value: Value = serde_json::from_slice(json).expect("json");
            value["files"]["logits.safetensors"] = logits.into();
            value["files"]["trace.safetensors"] = trace.into();
            *json = value.to_string().into_bytes();
        });
        let line = format!("{}  {}/recording.json\n", hash("recording.json"), self.1);
        self.edit("recordings/checksums.txt", |list| *list = line.into_bytes());
    }
}
