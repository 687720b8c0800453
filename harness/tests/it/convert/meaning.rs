//! What a checkpoint does not say is not guessed: each case is refused, and converted once a flag
//! says what is meant.

use std::fs;

use engine::checkpoint::{Floats, Said, ScaleRule};
use engine::flavor::{Shape, i2_s};
use engine::gguf::Gguf;
use engine::refusal::Code;
use harness::fixture::checkpoint::Form;

use super::{MOBY, Made, options, parse};
use crate::program::{Harness, fixture};

const QUERY: &str = "blk.0.attn_q.weight";

fn said(said: Said) -> engine::checkpoint::Options {
    engine::checkpoint::Options { said, ..options() }
}

fn scale(gguf: &Gguf) -> f32 {
    let tensor = gguf.tensors.get(QUERY).expect("there");
    i2_s::scale(&gguf.region(tensor), Shape::of(tensor).expect("a matrix"))
}

#[test]
fn ternary_weights_are_not_ternarised_again_unless_that_is_said() {
    let made = Made::moby(Form::Values, 1);
    made.replace("config.json", "offline", "online");
    let refused = made.refused(&options());
    assert_eq!(refused.code, Code::TernaryTwice);
    assert!(refused.found.contains("±0.1"), "{refused}");
    assert!(
        refused
            .hint
            .as_ref()
            .is_some_and(|hint| hint.contains("--ternary as-is"))
    );
    let as_is = Said {
        floats: Some(Floats::AsIs),
        ..Said::default()
    };
    let (bytes, _) = made.convert(&said(as_is)).expect("it was said");
    let fixture = fs::read(fixture(MOBY)).expect("committed");
    assert!(bytes == fixture);
    let absmean = Said {
        floats: Some(Floats::Absmean),
        ..Said::default()
    };
    let (bytes, _) = made.convert(&said(absmean)).expect("it was said");
    let (twice, once) = (scale(&parse(bytes)), scale(&parse(fixture)));
    assert!(
        twice < 0.9 * once,
        "the mean of {once} and zeros is smaller: {twice}"
    );
}

#[test]
fn a_scale_that_is_missing_is_not_made_up() {
    let made = Made::moby(Form::Multiply, 1);
    let name = "model.layers.0.self_attn.q_proj.weight_scale";
    made.replace(
        "model.safetensors",
        name,
        &name.replace("q_proj.weight_scale", "q_proj.weight_shade"),
    );
    let refused = made.refused(&options());
    assert_eq!(refused.code, Code::UnknownTensor, "{refused}");
    let made = Made::moby(Form::Multiply, 1);
    // Told apart from a stranger by being under a name that is left out on purpose.
    made.replace(
        "model.safetensors",
        name,
        "model.layers.0.xxxx_attn.rotary_emb.inv_freq",
    );
    let refused = made.refused(&options());
    assert_eq!(refused.code, Code::ScaleMissing, "{refused}");
    assert!(
        refused.field.contains("layers.0.self_attn.q_proj.weight"),
        "{refused}"
    );
    let one = Said {
        missing_scale: Some(1.0),
        ..Said::default()
    };
    let (bytes, _) = made.convert(&said(one)).expect("it was said");
    assert_eq!(scale(&parse(bytes)), 1.0);
}

#[test]
fn a_scale_that_no_model_has_asks_what_it_does() {
    // Divided by instead of multiplied with: 1 / 0.05 and the like.
    let made = Made::moby(Form::Multiply, 1);
    rescale(&made, 0.05);
    made.replace("config.json", "autobitlinear", "bitlinear");
    let refused = made.refused(&options());
    assert_eq!(refused.code, Code::ScaleImplausible);
    assert!(refused.found.contains("from the stored 0.05"), "{refused}");
    let multiply = Said {
        rule: Some(ScaleRule::Multiply),
        ..Said::default()
    };
    let (bytes, _) = made.convert(&said(multiply)).expect("it was said");
    assert_eq!(scale(&parse(bytes)), 0.05);
}

/// Puts another number where the scale of the first query is stored.
fn rescale(made: &Made, scale: f64) {
    let fixture = parse(fs::read(fixture(MOBY)).expect("committed"));
    let old = f64::from(self::scale(&fixture)).to_le_bytes();
    let mut bytes = fs::read(made.file("model.safetensors")).expect("there");
    let at = bytes
        .windows(8)
        .position(|part| part == old)
        .expect("it is stored");
    bytes[at..at + 8].copy_from_slice(&scale.to_le_bytes());
    fs::write(made.file("model.safetensors"), bytes).expect("written");
}

#[test]
fn weights_that_are_not_ternary_stay_so_unless_that_is_said() {
    let made = Made::moby(Form::Master, 1);
    made.replace("config.json", "online", "offline");
    let refused = made.refused(&options());
    assert_eq!(refused.code, Code::NotTernary, "{refused}");
    let absmean = Said {
        floats: Some(Floats::Absmean),
        ..Said::default()
    };
    let (bytes, _) = made.convert(&said(absmean)).expect("it was said");
    assert!(bytes == fs::read(fixture(MOBY)).expect("committed"));
    let as_is = Said {
        floats: Some(Floats::AsIs),
        ..Said::default()
    };
    assert_eq!(made.refused(&said(as_is)).code, Code::NotTernary);
}

#[test]
fn the_command_names_the_flag_that_helps_and_takes_it() {
    let made = Made::moby(Form::Values, 1);
    made.replace("config.json", "offline", "online");
    let out = crate::program::Folder::new();
    let path = out.path().join("m.gguf");
    let convert = || {
        let convert = Harness::new("convert --name moby-tiny");
        convert.arg(made.path()).arg("-o").arg(&path)
    };
    let answer = convert().run().exits(2);
    assert!(
        answer.stderr.contains("--ternary as-is"),
        "{}",
        answer.stderr
    );
    assert!(!path.exists(), "nothing is left of it");
    assert_eq!(fs::read_dir(out.path()).expect("listed").count(), 0);
    convert().args("--ternary as-is").run().exits(0);
    assert!(fs::read(&path).expect("written") == fs::read(fixture(MOBY)).expect("committed"));
}
