//! A table of checkpoints that are damaged, each with what is said of it: the code, the file and
//! the field, the byte where there is one, and both of what disagree.

mod description;
mod weights;

use std::fs;

use engine::refusal::{Code, Refusal};
use harness::fixture::checkpoint::Form;

use super::{MOBY, Made, files, options};
use crate::program::fixture;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

/// One kind of damage.
struct Row {
    what: &'static str,
    shards: usize,
    damage: fn(&Made),
    code: Code,
    /// Parts of the field, of what was expected and of what was found.
    told: [&'static str; 3],
    /// Whether a byte is named.
    offset: bool,
}

const fn row(
    what: &'static str,
    damage: fn(&Made),
    code: Code,
    told: [&'static str; 3],
    offset: bool,
) -> Row {
    Row {
        what,
        shards: 1,
        damage,
        code,
        told,
        offset,
    }
}

const fn sharded(row: Row) -> Row {
    Row { shards: 2, ..row }
}

fn cut(made: &Made, name: &str, left: impl Fn(usize) -> usize) {
    let bytes = fs::read(made.file(name)).expect("there");
    fs::write(made.file(name), &bytes[..left(bytes.len())]).expect("written");
}

#[test]
fn each_is_refused_by_code_place_and_both_sides() {
    let mut wrong = Vec::new();
    let sound = [1, 2].map(|shards| files(&fixture(MOBY), Form::Values, shards));
    for row in description::ROWS.iter().chain(&weights::ROWS) {
        let made = Made::from(&sound[row.shards - 1]);
        (row.damage)(&made);
        let refusal = made.refused(&options());
        let [field, expected, found] = row.told;
        let told = refusal.code == row.code
            && refusal.field.contains(field)
            && refusal.expected.contains(expected)
            && refusal.found.contains(found)
            && refusal.offset.is_some() == row.offset;
        if !told {
            let Refusal { offset, .. } = &refusal;
            wrong.push(format!("{}: {refusal}, offset {offset:?}", row.what));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn without_damage_the_same_checkpoint_is_converted() {
    for shards in [1, 2] {
        let made = Made::moby(Form::Values, shards);
        assert!(made.convert(&options()).is_ok());
    }
}

/// What has no end is not waited for.
#[cfg(unix)]
#[test]
fn a_pipe_and_a_name_that_leads_to_itself_are_refused_at_once() {
    for name in [CONFIG, TOKENIZER, WEIGHTS] {
        let made = Made::moby(Form::Values, 1);
        fs::remove_file(made.file(name)).expect("there");
        let pipe = std::process::Command::new("mkfifo")
            .arg(made.file(name))
            .status();
        assert!(pipe.expect("coreutils").success());
        let refused = made.refused(&options());
        assert_eq!(refused.code, Code::NotARegularFile, "{refused}");
        assert!(
            refused.field.contains(name) && refused.found.contains("pipe"),
            "{refused}"
        );
        fs::remove_file(made.file(name)).expect("there");
        std::os::unix::fs::symlink(name, made.file(name)).expect("made");
        let refused = made.refused(&options());
        assert_eq!(refused.code, Code::Io, "{refused}");
        assert!(refused.field.contains(name), "{refused}");
    }
}
