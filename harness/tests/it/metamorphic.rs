//! Every relation on the trained fixtures and on random shapes, its claims as snapshots, and
//! everything that makes a relation, a control or a source of logits fail.
#![forbid(unsafe_code)]

mod faults;
mod program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::bytes::ModelBytes;
use engine::config::Architecture;
use engine::gguf::Gguf;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use harness::file::document::Document;
use harness::fixture::random::RandomShape;
use harness::judge::outcome::Outcome;
use harness::oracle::metamorphic::*;
use harness::runner::Runner;
use harness::runner::engine::Engine;

const MODELS: [&str; 2] = ["moby-tiny-b158", "moby-tiny-bitnet"];

fn engine() -> Engine {
    in_profile(Profile::GgmlAvx512)
}

fn in_profile(profile: Profile) -> Engine {
    Engine::new(Kernel::best(), 1).with_profile(profile)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(name: &str) -> Vec<u8> {
    let path = root().join(format!("fixtures/moby-tiny/{name}.gguf"));
    std::fs::read(path).expect("committed")
}

fn tokens(count: u32) -> Vec<Prompt> {
    vec![Prompt {
        text: None,
        tokens: (0..count).map(|i| i * i % 250).collect(),
    }]
}

fn report(source: &mut dyn Runner, file: Vec<u8>, prompts: Vec<Prompt>) -> Report {
    let bytes = ModelBytes::from_vec(file);
    examine(source, bytes, prompts, &mut || ()).expect("a sound model")
}

/// What is asserted about one relation, the same on every machine.
#[derive(serde::Serialize)]
struct Claim<'a> {
    relation: &'a str,
    #[serde(flatten)]
    verdict: &'a Verdict,
    control: Control,
    positions: usize,
}

impl<'a> Claim<'a> {
    fn of(row: &'a Row) -> Self {
        Claim {
            relation: row.relation,
            verdict: &row.verdict,
            control: row.control,
            positions: row.positions.declared,
        }
    }
}

#[test]
fn every_relation_about_the_fixtures_makes_the_claims_that_were_reviewed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../receipts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for name in MODELS {
        let report = report(&mut engine(), file(name), tokens(40));
        assert_eq!(report.status, Outcome::Ok, "{}", report.render(None));
        assert_eq!(report.relations.len(), 13);
        let claims: Vec<Claim> = report.relations.iter().map(Claim::of).collect();
        settings.bind(|| insta::assert_json_snapshot!(format!("metamorphic-{name}"), claims));
    }
}

#[test]
fn every_order_of_float_operations_keeps_every_relation() {
    for profile in Profile::ALL {
        let report = report(&mut in_profile(profile), small(), tokens(37));
        assert_eq!(report.status, Outcome::Ok, "{}", report.render(None));
        assert_eq!(report.coverage.relations.to_string(), "13/13");
        assert_eq!(report.computed_by.profile, profile.name());
    }
}

#[test]
fn every_snapshot_belongs_to_a_model() {
    let entries = std::fs::read_dir(root().join("receipts")).expect("committed");
    let names = entries.map(|e| e.expect("listed").file_name().into_string().expect("ASCII"));
    let ours = names.filter(|n| n.starts_with("metamorphic-") && !n.ends_with(".snap.new"));
    let living = MODELS.map(|name| format!("metamorphic-{name}.snap"));
    assert_eq!(ours.collect::<BTreeSet<_>>(), BTreeSet::from(living));
}

#[test]
fn random_shapes_of_every_family_hold_whatever_applies_to_them() {
    let mut held = BTreeSet::new();
    for (seed, words) in [
        (
            1,
            "arch=bitnet layers=2 head_dim=32 kv_heads=2 group=2 width=128 weights=i2_s-p128",
        ),
        (
            2,
            "arch=bitnet layers=2 head_dim=32 kv_heads=3 group=1 width=96 weights=f16",
        ),
        (
            3,
            "arch=bitnet-b1.58 layers=2 head_dim=32 kv_heads=2 group=4 width=256 weights=tq2_0",
        ),
        (
            4,
            "arch=bitnet-b1.58 layers=2 head_dim=64 kv_heads=2 group=1 width=128 biases=yes \
             weights=i2_s-p128",
        ),
        (
            5,
            "arch=llama layers=2 head_dim=64 kv_heads=1 group=2 width=128 biases=yes \
             output=q8_0 weights=i2_s-p128",
        ),
        (
            6,
            "arch=llama layers=1 head_dim=32 kv_heads=1 group=1 width=77 weights=f32",
        ),
    ] {
        let plain = "inner=256 vocab=260 context=128 embedding=f16 output=tied scales=no \
                     biases=no rope_factors=no";
        let shape = RandomShape::from_seed(seed, None);
        let shape = shape.changed(&format!("{plain} {words}")).expect(words);
        let bytes = shape.document().expect("possible").file();
        let report = report(&mut engine(), bytes, tokens(37));
        assert_eq!(
            report.status,
            Outcome::Ok,
            "{shape}\n{}",
            report.render(None)
        );
        let holds = report
            .relations
            .iter()
            .filter(|r| r.verdict == Verdict::Holds);
        held.extend(holds.map(|r| (shape.architecture.name(), r.relation)));
    }
    // All but the identification of the activation hold somewhere in each family, and that one
    // in the family that squares; query heads in groups of one key head have no second group.
    let missing = [
        (Architecture::Bitnet, "gate-power-of-two"),
        (Architecture::Llama, "gate-power-of-two"),
        (Architecture::Llama, "key-head-swap"),
        (Architecture::BitnetB158, "query-head-swap"),
    ];
    for family in [
        Architecture::Bitnet,
        Architecture::BitnetB158,
        Architecture::Llama,
    ] {
        for relation in Relation::ALL {
            let expected = !missing.contains(&(family, relation.name));
            let place = (family.name(), relation.name);
            assert_eq!(held.contains(&place), expected, "{place:?}");
        }
    }
}

/// A model about which every relation says something.
fn small() -> Vec<u8> {
    let words = "layers=2 head_dim=32 kv_heads=2 group=2 width=128 inner=128 vocab=259 context=128 \
                 weights=i2_s-p128 embedding=f16 biases=no rope_factors=no";
    let shape = RandomShape::from_seed(1, Some(Architecture::BitnetB158));
    let shape = shape.changed(words).expect("possible");
    shape.document().expect("possible").file()
}

/// Opens a model and lets `plan` answer for the relation of that name.
fn planted(plan: impl Fn(&Document) -> Plan) -> Row {
    let bytes = small();
    let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).expect("sound");
    let document = Document::read(&gguf).expect("decided");
    let mut source = engine();
    let begun = Examination::begin(&mut source, &gguf, tokens(17));
    let mut examination = begun.expect("sound");
    let mut row = Row::new(&Relation::ALL[3]);
    let done = examination.edit(&plan(&document), &mut row);
    done.expect("it is computed");
    row
}

fn permuted(document: &Document, rows: &[usize], cols: &[usize]) -> Rewrite {
    let mut edited = document.clone();
    for name in ["blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"] {
        edited.permute_rows(name, rows).expect("ternary");
    }
    for name in ["blk.0.ffn_sub_norm.weight", "blk.0.ffn_down.weight"] {
        edited
            .edit(name, |grid| grid.permute_cols(cols))
            .expect("editable");
    }
    Rewrite::of(edited)
}

#[test]
fn a_wrong_order_of_columns_is_caught_and_an_edit_of_nothing_is_no_control() {
    let orders = |document: &Document| {
        let inner = document
            .tensor("blk.0.ffn_down.weight")
            .expect("there")
            .shape()
            .cols;
        let right: Vec<usize> = (0..inner).map(|i| (i + 5) % inner).collect();
        let wrong: Vec<usize> = (0..inner).map(|i| (i + inner - 5) % inner).collect();
        (right, wrong)
    };
    let sound = planted(|document| {
        let (right, wrong) = orders(document);
        Plan {
            edited: Ok(permuted(document, &right, &right)),
            against: None,
            control: permuted(document, &right, &wrong),
        }
    });
    assert_eq!(
        (&sound.verdict, sound.control),
        (&Verdict::Holds, Control::Differs)
    );
    let faulty = planted(|document| {
        let (right, wrong) = orders(document);
        Plan {
            edited: Ok(permuted(document, &right, &wrong)),
            against: None,
            control: Rewrite::of(document.clone()),
        }
    });
    let Verdict::Broken { first } = faulty.verdict else {
        panic!("not caught: {faulty:?}");
    };
    assert_eq!((first.prompt, first.position), (0, 0));
    assert_ne!(first.expected, first.found);
    assert_eq!(faulty.control, Control::Vacuous);
    assert_eq!(faulty.control_changed.compared, 0);
}
