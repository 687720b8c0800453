//! Weights: the record of the fixtures holds, and a fault in one tensor is caught and named.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Output;

use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use ffi::TypeFacts;
use harness::file::document::{Document, Format};
use harness::oracle::weights::{Engine, Finding, Library, Record, Tensor, Verdict};
use harness::reference::isolation::WorkerExit;
use harness::runner::kernels::engine::EngineKernels;
use harness::runner::kernels::question::{Answer, Computer, Question};

use crate::program::ends::harness;

const MODEL: &str = "moby-tiny/moby-tiny-b158.gguf";
const LAYER: &str = "blk.2.";
const TENSOR: &str = "blk.2.ffn_up.weight";

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn engine() -> Engine {
    Engine {
        profile: Profile::GgmlAvx2,
        kernel: Kernel::best(),
    }
}

fn parse(bytes: Vec<u8>) -> Gguf {
    Gguf::parse(ModelBytes::from_vec(bytes)).expect("sound")
}

fn model() -> Vec<u8> {
    std::fs::read(fixtures().join(MODEL)).expect("committed")
}

/// The model with one tensor's bytes changed: where they begin, and how many are codes.
fn changed(change: impl Fn(&mut [u8], usize)) -> Gguf {
    let mut bytes = model();
    let sound = parse(bytes.clone());
    let tensor = sound.tensors.get(TENSOR).expect("a layer");
    let (start, elements) = (tensor.offset as usize, tensor.elements() as usize);
    change(&mut bytes[start..], elements / 4);
    parse(bytes)
}

fn scale_off_by_1e_4() -> Gguf {
    changed(|bytes, scale_at| {
        let scale = bytes[scale_at..]
            .first_chunk_mut()
            .expect("behind the codes");
        *scale = (f32::from_le_bytes(*scale) * 1.0001).to_le_bytes();
    })
}

fn one_code_flipped() -> Gguf {
    // 0, 1 or 2 in the lowest two bits becomes another of them.
    changed(|bytes, codes| {
        let byte = &mut bytes[codes / 3];
        *byte = (*byte & !3) | (((*byte & 3) + 1) % 3);
    })
}

/// Tensors of `gguf` whose names begin so, against the record of the sound file.
fn against_the_record(gguf: &Gguf, names: &str) -> Vec<Finding> {
    let (_, record) = Record::read(&fixtures()).expect("committed");
    let recorded = &record.models[MODEL];
    let tensors = gguf.tensors.iter().filter(|t| t.name.starts_with(names));
    let compare = |info| {
        let tensor = Tensor::of(gguf, info, Kernel::best()).expect("known");
        let product = tensor.product_hash(engine());
        let decoded = tensor.decoded_hash();
        recorded.compare("bitnet-portable", &tensor, &decoded, product.as_deref())
    };
    tensors.map(compare).collect()
}

/// The same against a library that reads the sound file: the engine's own kernels, one by one.
fn against_a_library(gguf: &Gguf, names: &str) -> Vec<Finding> {
    let sound = parse(model());
    let mut computer = EngineKernels::new(engine().profile, Kernel::Scalar);
    let mut library = Library::new(&mut computer);
    let pairs = sound.tensors.iter().zip(gguf.tensors.iter());
    let compare = |(theirs, info)| {
        let tensor = Tensor::of(gguf, info, Kernel::best()).expect("known");
        let compared = library.compare((&sound, theirs), &tensor, engine());
        compared.expect("the engine answers").0
    };
    pairs
        .filter(|(theirs, _)| theirs.name.starts_with(names))
        .map(compare)
        .collect()
}

fn differing(findings: &[Finding]) -> Vec<&Finding> {
    let differs = |f: &&Finding| f.parts().iter().any(|(_, verdict)| verdict.differs());
    findings.iter().filter(differs).collect()
}

#[test]
fn every_tensor_of_the_sound_model_is_as_recorded_and_as_the_kernels_say() {
    let sound = parse(model());
    let compared = [
        (against_the_record(&sound, ""), 46, 29),
        (against_a_library(&sound, LAYER), 11, 7),
    ];
    for (findings, tensors, matrices) in compared {
        assert_eq!(findings.len(), tensors);
        assert_eq!(differing(&findings), [] as [&Finding; 0]);
        let equal = |f: &&Finding| f.decoded == Verdict::Equal;
        assert_eq!(findings.iter().filter(equal).count(), tensors);
        let equal = |f: &&Finding| f.product == Verdict::Equal;
        assert_eq!(findings.iter().filter(equal).count(), matrices);
    }
}

#[test]
fn a_scale_off_by_1e_4_and_one_flipped_code_are_caught_and_named() {
    for faulty in [scale_off_by_1e_4(), one_code_flipped()] {
        let by_library = against_a_library(&faulty, LAYER);
        for findings in [&against_the_record(&faulty, LAYER), &by_library] {
            let found = differing(findings);
            let names: Vec<&str> = found.iter().map(|f| &f.tensor[..]).collect();
            assert_eq!(names, [TENSOR]);
            assert!(found[0].decoded.differs(), "{:?}", found[0]);
            assert!(found[0].product.differs(), "{:?}", found[0]);
        }
        // The library's encoder, given our values, does not write the file again either.
        assert!(differing(&by_library)[0].encoded.differs());
    }
}

/// Packings that are handed over as F32: what is read wrong differs from the record, nothing else.
#[test]
fn a_wrong_code_and_a_wrong_scale_are_caught_where_no_library_reads_the_packing() {
    let (_, record) = Record::read(&fixtures()).expect("committed");
    for (file, edited, wrong) in [
        ("qk256", "ffn_down.weight", &["ffn_down.weight"][..]),
        ("bitnet32-f16", "ffn_up.weight", &["ffn_up.weight"]),
        ("split32", "ffn_up.weight", &["ffn_up.weight"]),
        (
            "split32",
            "ffn_up.scales",
            &["ffn_up.weight", "ffn_up.scales"],
        ),
    ] {
        let file = format!("random/random-{file}.gguf");
        let bytes = std::fs::read(fixtures().join(&file)).expect("committed");
        let mut document = Document::read(&parse(bytes)).expect("readable");
        let name = |part: &str| format!("blk.0.{part}");
        document.bytes(&name(edited)).expect("a layer")[308] ^= 1;
        let faulty = parse(document.file());
        let tensors = faulty.tensors.iter();
        let compared = tensors.map(|info| {
            let tensor = Tensor::of(&faulty, info, Kernel::best()).expect("known");
            let (decoded, product) = (tensor.decoded_hash(), tensor.product_hash(engine()));
            let recorded = &record.models[&file];
            recorded.compare("bitnet-portable", &tensor, &decoded, product.as_deref())
        });
        let compared: Vec<Finding> = compared.collect();
        let found = differing(&compared);
        // A last bit of a scale is lost in the rounding of a product.
        let values = found.iter().all(|f| f.decoded.differs());
        assert!(values, "{found:?}");
        let names: Vec<&str> = found.iter().map(|f| &f.tensor[..]).collect();
        let wrong: Vec<String> = wrong.iter().map(|part| name(part)).collect();
        assert_eq!(names, wrong, "{file}");
    }
}

#[test]
fn a_tensor_that_is_missing_from_the_record_is_no_agreement() {
    let (_, mut record) = Record::read(&fixtures()).expect("committed");
    let recorded = record.models.get_mut(MODEL).expect("recorded");
    recorded.tensors.remove(TENSOR);
    let gguf = parse(model());
    let info = gguf.tensors.get(TENSOR).expect("a layer");
    let tensor = Tensor::of(&gguf, info, Kernel::best()).expect("known");
    let finding = recorded.compare("bitnet", &tensor, &tensor.decoded_hash(), None);
    assert!(finding.decoded.differs());
}

/// A library that has no two-bit weights any more.
struct WithoutI2s(EngineKernels);

impl Computer for WithoutI2s {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        if kind == Format::I2_S_P128.kind() {
            return Ok(None);
        }
        self.0.describe(kind)
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        self.0.compute(question)
    }
}

#[test]
fn what_a_library_never_had_is_declined_and_what_it_once_answered_is_missing() {
    let sound = parse(model());
    let info = sound.tensors.get(TENSOR).expect("a layer");
    let tensor = Tensor::of(&sound, info, Kernel::best()).expect("known");
    let mut computer = WithoutI2s(EngineKernels::new(engine().profile, Kernel::Scalar));
    let mut library = Library::new(&mut computer);
    let compared = library.compare((&sound, info), &tensor, engine());
    let declined = compared.expect("it answers").0;
    for (part, verdict) in declined.parts() {
        assert!(
            matches!(verdict, Verdict::Declined(_)),
            "{part}: {verdict:?}"
        );
    }
    let (_, record) = Record::read(&fixtures()).expect("committed");
    let recorded = &record.models[MODEL];
    let mut stranger = declined.clone();
    recorded.hold("a library that was never asked", &mut stranger);
    assert_eq!(stranger, declined);
    let mut missing = declined.clone();
    recorded.hold("bitnet", &mut missing);
    for verdict in [&missing.decoded, &missing.product] {
        let Verdict::NotCompared(why) = verdict else {
            panic!("{verdict:?}");
        };
        assert!(why.contains("now it has no type i2_s"), "{why}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn without_a_reference_the_fixtures_are_judged_by_the_record() {
    let output = harness(&["weights"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let line = |line: &&str| line.starts_with(MODEL) && line.contains("of bitnet-portable");
    let row = said
        .lines()
        .find(line)
        .expect("a row for each model and library");
    let cells: Vec<&str> = row.split_whitespace().collect();
    // Tensors, values, products, bytes, differ, declined, not compared.
    assert_eq!(
        cells[cells.len() - 7..],
        ["46", "46", "29", "28", "0", "0", "0"]
    );
    assert!(
        said.contains("0 declined, 0 not compared, 0 not reached"),
        "{said}"
    );
}

#[test]
fn a_model_nobody_recorded_needs_a_reference() {
    let path = std::env::temp_dir().join(format!("weights-{}.gguf", std::process::id()));
    let mut bytes = model();
    *bytes.last_mut().expect("a file") ^= 1;
    std::fs::write(&path, bytes).expect("temporary file");
    let output = harness(&["weights", "--model", path.to_str().expect("plain path")]);
    std::fs::remove_file(&path).expect("temporary file");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("scripts/reference.sh"), "{said}");
    let output = harness(&["weights", "--record", "nowhere.json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn weights_in_other_packings_are_held_to_what_is_on_record() {
    let (_, record) = Record::read(&fixtures()).expect("committed");
    let recorded = &record.models[MODEL];
    for (gguf, sound) in [(parse(model()), true), (scale_off_by_1e_4(), false)] {
        let info = gguf.tensors.get(TENSOR).expect("a layer");
        let tensor = Tensor::of(&gguf, info, Kernel::best()).expect("it opens");
        let packed = tensor.repacked(Kernel::best()).into_iter();
        let packed = packed.map(|other| (other.decoded_hash(), other));
        let packed: Vec<(String, Tensor)> = packed.collect();
        let names: Vec<&str> = packed.iter().map(|(_, other)| other.encoding()).collect();
        assert_eq!(names, ["i2_s-p64", "i2_s-p4r"]);
        for at in 0..packed.len() {
            let one = &packed[at..=at];
            let verdict = recorded.repacked("bitnet-portable", one, engine());
            assert_eq!(verdict == Verdict::Equal, sound, "{verdict:?}");
        }
    }
    assert_eq!(
        recorded.repacked("bitnet-portable", &[], engine()),
        Verdict::None
    );
}
