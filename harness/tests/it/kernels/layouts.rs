//! What is on record of single functions of weights: the engine agrees, and each change of a
//! record is noticed.

use std::path::PathBuf;

use serde_json::Value;

use crate::kernels::weights::fixtures;
use crate::program::ends::{assert_ends, harness};

/// A fixtures folder with nothing in it but records, changed; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, record: &str, change: impl Fn(&mut Value)) -> Self {
        let folder = std::env::temp_dir().join(format!("layouts-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder).and(record, change)
    }

    fn and(self, record: &str, change: impl Fn(&mut Value)) -> Self {
        let bytes = std::fs::read(fixtures().join(record)).expect("committed");
        let mut value = serde_json::from_slice(&bytes).expect("JSON");
        change(&mut value);
        std::fs::write(self.0.join(record), value.to_string()).expect("written");
        self
    }

    /// Where layouts are changed; beside them lies what libraries answered.
    fn of_layouts(name: &str, change: impl Fn(&mut Value)) -> Self {
        Folder::new(name, "kernels.json", |_| {}).and("layouts.json", change)
    }

    #[track_caller]
    fn assert_weights(&self, record: &str, code: i32, words: &[&str]) {
        let place = self.0.to_str().expect("plain path");
        let record = self.0.join(record);
        let record = record.to_str().expect("plain path");
        let output = harness(&["weights", "--fixtures", place, record]);
        assert_ends(&output, code, words);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_second_reading_of_each_layout_agrees_and_every_format_is_on_some_record() {
    let sound = Folder::of_layouts("sound", |_| {});
    let words = [
        "record of a second reading (any order)",
        "equal are 22 decoded, 0 products, 21 encoded again; 0 differ",
        "0 not compared",
    ];
    sound.assert_weights("layouts.json", 0, &words);
    // The second has a name among single functions, about which no library was asked.
    for name in ["int8_per_channel", "ptq1_0"] {
        let unread = Folder::of_layouts(name, |record| {
            let formats = record["formats"].as_object_mut().expect("formats");
            formats.remove(name).expect("it is there");
        });
        let first = format!("first {name}");
        unread.assert_weights(
            "layouts.json",
            5,
            &["NOT COMPARED: values of 1 tensor", &first],
        );
    }
}

#[test]
fn a_record_that_says_otherwise_is_noticed_and_names_the_format() {
    for (format, field, words) in [
        ("f8_e4m3", "encoded", "DIFFERS: bytes of f8_e4m3"),
        ("tl2", "encoded", "DIFFERS: bytes of tl2"),
        ("split32", "decoded", "DIFFERS: values of split32"),
    ] {
        let changed = Folder::of_layouts(format, |record| {
            record["formats"][format][field] = "0".repeat(64).into();
        });
        changed.assert_weights("layouts.json", 1, &[words]);
    }
    let miscounted = Folder::of_layouts("miscounted", |record| {
        record["threes"]["i2_s"] = 1.into();
    });
    miscounted.assert_weights("layouts.json", 1, &["DIFFERS: values of codes that are 3"]);
}

#[test]
fn what_libraries_answered_about_functions_is_compared_with_the_weights() {
    let changed = Folder::new("answers", "kernels.json", |record| {
        let hashes = &mut record["answers"]["bitnet"]["q3_k-encode"];
        *hashes = hashes
            .as_str()
            .expect("hashes")
            .replacen(' ', " 0", 1)
            .into();
    });
    let words = [
        "DIFFERS: bytes of q3_k-encode (scalar) of kernels.json with record of bitnet",
        "harness kernels --only q3_k-encode --kernel scalar",
    ];
    changed.assert_weights("kernels.json", 1, &words);
}
