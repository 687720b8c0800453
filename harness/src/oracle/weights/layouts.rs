//! Layouts as a second reading of them has it, in another language (`scripts/layouts`): what
//! stored bytes mean, and which bytes values become. No C++ here reads or writes most of them.

use std::collections::BTreeMap;
use std::path::Path;

use engine::bytes::ModelBytes;
use engine::encoding::Quantiser;
use engine::flavor::{Flavor, Shape, bitnet32_f16, i2_s, split32};
use engine::format::{Encode, FORMATS, Format};
use engine::gguf::finite::half_places;
use engine::gguf::tensor_type::id;
use engine::gguf::{Gguf, Writer};
use engine::kernels::Kernel;
use engine::kernels::gemm::Stored;
use engine::matrix::Matrix;
use serde::Deserialize;

use super::{Compared, Finding, Verdict};
use crate::exit::Failure;
use crate::file::provenance::{Hash, Input, sha256};
use crate::judge::outcome::{Lost, Outcome};
use crate::numbers::split_mix::SplitMix64;

/// Where it lies in the fixtures folder.
pub const FILE: &str = "layouts.json";

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layouts {
    /// Grows with every change of the fields.
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    seed: u64,
    threes: Threes,
    formats: BTreeMap<String, Layout>,
}

/// How many codes are 3 among the bytes that a packing reads of a matrix.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Threes {
    rows: usize,
    cols: usize,
    i2_s: u64,
    qk256: u64,
}

/// What the other reading says of one layout.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layout {
    rows: usize,
    cols: usize,
    /// SHA-256 of what stored bytes mean, as little-endian floats.
    decoded: String,
    /// SHA-256 of the bytes that values become.
    encoded: String,
}

impl Layouts {
    /// Reads the record of a fixtures folder.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let (_, bytes) = Input::read(&path)?;
        let wrong = |e| Failure::input(format!("{}: {e}", path.display()));
        serde_json::from_slice(&bytes).map_err(wrong)
    }

    /// Compares every format that is on record, and names those of which nobody says anything; of
    /// some, libraries `answered` about the function that decodes them.
    pub fn compare(&self, kernel: Kernel, answered: impl Fn(&str) -> bool) -> Compared {
        let answered = |format: &Format| answered(&format!("{}-decode", format.name));
        let mut findings = vec![self.counted(kernel)];
        let formats = FORMATS.into_iter();
        findings.extend(
            formats.filter_map(|format| match self.formats.get(format.name) {
                Some(layout) => Some(layout.compare(format, self.seed, kernel)),
                // Plain singles are no layout, and what libraries read is on record of them.
                None if format.name == "f32" || answered(format) => None,
                None => {
                    let mut finding = Finding::of(format.name, format.name, 0);
                    finding.decoded =
                        Verdict::NotCompared("there is no second reading of it".into());
                    Some(finding)
                }
            }),
        );
        let unknown = self
            .formats
            .keys()
            .find(|name| Format::named(name).is_none());
        let lost = unknown.map(|name| {
            Lost::new(
                Outcome::Refused,
                format!("{FILE}: there is no format {name:?}"),
            )
        });
        Compared {
            library: "a second reading".into(),
            profile: "any order",
            tensors: findings.len(),
            findings,
            lost,
            ..Compared::failed(FILE, Lost::new(Outcome::Ok, ""))
        }
    }

    /// Whether the bytes of a matrix are told to be no I2_S, by as many codes as there are.
    fn counted(&self, kernel: Kernel) -> Finding {
        let Threes {
            rows,
            cols,
            i2_s,
            qk256,
        } = self.threes;
        let mut dice = SplitMix64(self.seed);
        let mut code = |shift: u32| (dice.below(3) as u8) << shift;
        let mut bytes: Vec<u8> = (0..4096)
            .map(|_| [0, 2, 4, 6].into_iter().map(&mut code).sum::<u8>())
            .collect();
        bytes[17] |= 0xc0;
        bytes.extend(drawn(&mut dice, rows * 128 - 4096, &[], 1));
        let mut finding = Finding::of("codes that are 3", "i2_s", 4 * bytes.len());
        let file = Writer::new(3).tensor("t", &[cols as u64, rows as u64], id::I2_S, bytes);
        let gguf = Gguf::parse(ModelBytes::from_vec(file.finish())).expect("it was written here");
        let tensor = gguf.tensors.get("t").expect("the only one");
        let found = Matrix::with_evidence(&gguf, tensor, None, kernel);
        finding.decoded = match found {
            Ok((matrix, Some(detection))) => {
                let said = |flavor: Flavor, count: u64, of: usize| {
                    let weighed = detection.candidates.iter().find(|c| c.flavor == flavor);
                    let start = format!("{count} of {of} two-bit codes are 3");
                    let said = weighed.map(|one| one.facts.iter().chain(&one.excluded));
                    said.is_some_and(|mut said| said.any(|fact| fact.starts_with(&start)))
                };
                let same = said(Flavor::I2sP128, i2_s, rows * cols)
                    && said(Flavor::Qk256, qk256, rows * 512)
                    && matrix.encoding() == Flavor::Qk256.name();
                Verdict::of(same, || {
                    format!(
                        "{i2_s} and {qk256} of them say that it is no I2_S; found: {detection:?}"
                    )
                })
            }
            Ok(_) => Verdict::Different("nothing was weighed".into()),
            Err(refusal) => Verdict::Different(refusal.to_string()),
        };
        finding
    }
}

impl Layout {
    fn compare(&self, format: &'static Format, seed: u64, kernel: Kernel) -> Finding {
        let shape = Shape {
            rows: self.rows,
            cols: self.cols,
        };
        let mut dice = SplitMix64(seed);
        let tables = matches!(format.flavor, Some(Flavor::Tl1 | Flavor::Tl2));
        let stored = (!tables).then(|| stored(&mut dice, format, shape));
        let count = shape.rows * shape.cols;
        let values: Vec<f32> = if tables {
            (0..count)
                .map(|_| 0.5 * (dice.below(3) as f32 - 1.0))
                .collect()
        } else {
            values(&mut dice, count)
        };
        let (bytes, behind) = encoded(format, &values, shape);
        let mut hashed = bytes.clone();
        hashed.extend(behind.iter().flat_map(|x| x.to_le_bytes()));
        let mut finding = Finding::of(format.name, format.name, count);
        finding.encoded = self.verdict("bytes", &self.encoded, &sha256(&hashed));
        // What the tables hold of any bytes is of no interest: not all are indices.
        let (bytes, scales) = stored.unwrap_or((bytes, behind));
        let opened = {
            let stored = Stored::from_vec(shape, bytes.clone(), scales.clone());
            let matrix = Matrix::of(format, stored, kernel);
            of_rows(shape, |row, out| matrix.decode_row(row, out))
        };
        finding.decoded = self.verdict("values", &self.decoded, &opened);
        if let (Some(flavor), Verdict::Equal) = (format.flavor, &finding.decoded) {
            // As files are checked and compared, without a matrix that multiplies.
            let flat = of_rows(shape, |row, out| {
                flavor.decode_row(&bytes, &scales, shape, row, out);
            });
            finding.decoded = self.verdict("values, element by element", &self.decoded, &flat);
        }
        finding
    }

    fn verdict(&self, what: &str, theirs: &str, ours: &str) -> Verdict {
        Verdict::of(theirs == ours, || {
            let [ours, theirs] = [ours, theirs].map(|hash| &hash[..12.min(hash.len())]);
            format!("the {what} hash to {ours}, a second reading has {theirs}")
        })
    }
}

/// The hash of all rows, in which every NaN is one and the same.
fn of_rows(shape: Shape, decode: impl Fn(usize, &mut [f32])) -> String {
    let (mut hash, mut out) = (Hash::default(), vec![0.0; shape.cols]);
    for row in 0..shape.rows {
        decode(row, &mut out);
        let nan = out.iter_mut().filter(|x| x.is_nan());
        nan.for_each(|x| *x = f32::NAN);
        hash.add(&out);
    }
    hash.hex()
}

/// A whole matrix, and the scales that lie elsewhere.
fn encoded(format: &Format, values: &[f32], shape: Shape) -> (Vec<u8>, Vec<f32>) {
    if let Encode::Nothing = format.encode {
        return split32::encode(values, shape);
    }
    let bytes = format.encode_matrix(values, shape, &Quantiser::default());
    (bytes.unwrap_or_default(), Vec::new())
}

/// Any bytes of a matrix, and the scales that lie elsewhere.
fn stored(dice: &mut SplitMix64, format: &Format, shape: Shape) -> (Vec<u8>, Vec<f32>) {
    let Shape { rows, cols } = shape;
    let i2_s = format.flavor.is_some_and(Flavor::is_i2_s);
    let blocks = match format.flavor {
        Some(Flavor::Qk256 | Flavor::Bitnet32F16 | Flavor::Split32) => {
            rows * cols.div_ceil(format.block)
        }
        _ => rows * cols / format.block,
    };
    let halves = match format.flavor {
        Some(Flavor::Bitnet32F16) => &[bitnet32_f16::SCALE_AT],
        _ => half_places(format.meaning()),
    };
    let mut bytes = drawn(
        dice,
        blocks * format.block_bytes,
        halves,
        format.block_bytes,
    );
    let mut scales = |count: usize| -> Vec<f32> {
        let scale = |_| 2f32.powi(dice.below(20) as i32 - 10) / 3.0;
        (0..count).map(scale).collect()
    };
    if let Encode::Nothing = format.encode {
        return (bytes, scales(blocks));
    }
    let behind = match format.name {
        "int8_per_channel" => scales(rows),
        _ if i2_s => scales(1),
        _ => Vec::new(),
    };
    bytes.extend(behind.iter().flat_map(|x| x.to_le_bytes()));
    if i2_s {
        let whole = shape.rows * shape.cols / 4 + i2_s::TRAILER_BYTES as usize;
        bytes.resize(whole, 0);
    }
    (bytes, Vec::new())
}

/// Blocks of any bytes, with finite halves in their places.
fn drawn(dice: &mut SplitMix64, count: usize, halves: &[usize], block: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    for block in bytes.chunks_mut(block.max(1)) {
        block
            .iter_mut()
            .for_each(|byte| *byte = dice.below(256) as u8);
        for &at in halves {
            let half = (dice.below(2) << 15 | dice.below(0x7c00)) as u16;
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
    }
    bytes
}

/// Groups of 32 of many kinds and magnitudes, some of them whole blocks of 256.
fn values(dice: &mut SplitMix64, count: usize) -> Vec<f32> {
    const KINDS: usize = 12;
    let (mut values, mut whole) = (Vec::with_capacity(count + 32), None);
    for group in 0..count.div_ceil(32) {
        if group.is_multiple_of(8) {
            whole = dice.once_in(4).then(|| dice.below(KINDS));
        }
        let kind = whole.unwrap_or_else(|| dice.below(KINDS));
        let scale = 2f32.powi(dice.below(20) as i32 - 10);
        values.extend(group_of(dice, kind, scale));
    }
    values.truncate(count);
    values
}

/// 32 values of a kind. In those of the later ones lies the largest, and the others are ties under
/// the scale that it makes.
fn group_of(dice: &mut SplitMix64, kind: usize, scale: f32) -> [f32; 32] {
    let mut group = [0.0; 32];
    group.fill_with(|| one_of(dice, kind, scale));
    let peak = match kind {
        4 => grid(dice, 3),
        // The largest that a float of eight bits can be.
        8 => 57344.0,
        9 => 127.0,
        10 => 7.0,
        11 => 2.0,
        _ => return group,
    };
    group[dice.below(32)] = scale * peak;
    group
}

fn one_of(dice: &mut SplitMix64, kind: usize, scale: f32) -> f32 {
    let fine = 2f32.powi(-20);
    let size = match kind {
        0 => return 0.0,
        1 => return scale * (grid(dice, 1 << 22) / 4_194_304.0),
        2 => return scale * grid(dice, 1),
        3 => return scale * grid(dice, 16) / 16.0,
        4 => return -0.0,
        5 => return -(scale * grid(dice, 1 << 20) * fine).abs(),
        6 => return (scale * grid(dice, 1 << 20) * fine).abs(),
        7 => return 2f32.powi(-40) * grid(dice, 100),
        8 => (1.0 + dice.below(16) as f32 / 16.0) * 2f32.powi(dice.below(15) as i32),
        9 => dice.below(254) as f32 / 2.0,
        10 => dice.below(14) as f32 / 2.0,
        _ => dice.below(8) as f32 / 4.0,
    };
    scale * size * (1.0 - 2.0 * dice.below(2) as f32)
}

/// A whole number up to that, of either sign.
fn grid(dice: &mut SplitMix64, most: usize) -> f32 {
    dice.below(2 * most + 1) as f32 - most as f32
}
