//! What a configuration says of the rotation of positions: its base, and how longer contexts than
//! those of training are reached.

use std::f64::consts::TAU;

use super::json::Node;
use crate::config::Stretch;
use crate::numerics::libm::pow;
use crate::refusal::{Code, Refusal};

/// The tensor that divides the frequency of each pair.
pub const FACTORS: &str = "rope_freqs.weight";

/// The rotation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub base: f32,
    /// How angles are stretched.
    pub stretch: Stretch,
    /// What the frequency of each pair is divided by.
    pub factors: Option<Vec<f32>>,
}

impl Rope {
    /// Of a head of so many dimensions.
    pub fn read(root: &Node, dimensions: usize) -> Result<Self, Refusal> {
        // Newer configurations keep everything about the rotation in one place.
        let inner = root.get("rope_parameters");
        let inner_base = inner.as_ref().and_then(|node| node.get("rope_theta"));
        let base = root.get("rope_theta").or(inner_base);
        let base = base.map_or(Ok(10_000.0), |node| node.positive())?;
        let plain = Rope {
            base,
            stretch: Stretch::NONE,
            factors: None,
        };
        let scaling = root.get("rope_scaling").or(inner);
        let kind = scaling
            .as_ref()
            .and_then(|node| node.get("rope_type").or(node.get("type")));
        let (Some(node), Some(kind)) = (scaling, kind) else {
            return Ok(plain);
        };
        let number = |key| node.need(key, "a number above 0")?.positive();
        match kind.text()? {
            "default" => Ok(plain),
            "linear" => Ok(Rope {
                stretch: Stretch::by(1.0 / number("factor")?),
                ..plain
            }),
            "llama3" => {
                let wavelengths = Wavelengths {
                    factor: number("factor")?,
                    context: number("original_max_position_embeddings")?,
                    low: number("low_freq_factor")?,
                    high: number("high_freq_factor")?,
                };
                if wavelengths.low >= wavelengths.high {
                    let high = node.need("high_freq_factor", "a number above 0")?;
                    let rule = format!("above low_freq_factor, {}", wavelengths.low);
                    return Err(high.refuse(Code::HparamInvalid, rule, wavelengths.high));
                }
                Ok(Rope {
                    factors: Some(wavelengths.factors(base, dimensions)),
                    ..plain
                })
            }
            "yarn" => {
                refuse_other_yarn(&node)?;
                let trained = match node.get("original_max_position_embeddings") {
                    Some(trained) => trained,
                    None => root.need("max_position_embeddings", "a number of positions")?,
                };
                Ok(Rope {
                    stretch: Stretch {
                        trained: Some(trained.size()? as u32),
                        ..Stretch::by(1.0 / number("factor")?)
                    },
                    ..plain
                })
            }
            other => {
                let rule = "default, linear, llama3 or yarn";
                let refusal = kind.refuse(Code::HparamInvalid, rule, other);
                Err(refusal.hint("no other way to stretch the positions is computed here"))
            }
        }
    }
}

/// YaRN with other numbers than the usual ones, for which a GGUF has no keys that all readers know.
fn refuse_other_yarn(node: &Node) -> Result<(), Refusal> {
    for (key, usual) in [("beta_fast", 32.0), ("beta_slow", 1.0)] {
        let Some(given) = node.get(key) else { continue };
        let number = given.positive()?;
        if number != usual {
            return Err(given.refuse(Code::HparamInvalid, usual, number));
        }
    }
    for key in ["attention_factor", "mscale", "mscale_all_dim"] {
        if let Some(given) = node.get(key) {
            let rule = "none: it follows from the factor";
            return Err(given.refuse(Code::HparamInvalid, rule, given.shown()));
        }
    }
    Ok(())
}

/// Llama 3.1: pairs that turn fast stay, those that turn slowly are slowed down by a factor, and
/// between them the factor grows.
struct Wavelengths {
    factor: f32,
    /// Positions of training.
    context: f32,
    /// Turns in a context below which a pair is slow, and above which it is fast.
    low: f32,
    high: f32,
}

impl Wavelengths {
    /// In singles, operation by operation as the published conversion computes them.
    fn factors(&self, base: f32, dimensions: usize) -> Vec<f32> {
        let pair = |pair: usize| {
            let frequency = 1.0 / pow(base, (2 * pair) as f32 / dimensions as f32);
            let wavelength = TAU as f32 / frequency;
            if wavelength < self.context / self.high {
                1.0
            } else if wavelength > self.context / self.low {
                self.factor
            } else {
                let turns = self.context / wavelength;
                let smooth = (turns - self.low) / (self.high - self.low);
                1.0 / ((1.0 - smooth) / self.factor + smooth)
            }
        };
        (0..dimensions / 2).map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(config: Value, dimensions: usize) -> Result<Rope, Refusal> {
        let path = "config.json".to_owned();
        let value = &config;
        Rope::read(&Node { path, value }, dimensions)
    }

    fn llama3(factor: f64, dimensions: usize) -> Vec<f32> {
        let scaling = json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        });
        let config = json!({ "rope_theta": 500000.0, "rope_scaling": scaling });
        read(config, dimensions)
            .expect("sound")
            .factors
            .expect("there are")
    }

    #[test]
    fn the_factors_of_llama_3_are_those_that_torch_computes() {
        // Of the 8B models of Llama 3.1, and of the 1B model of Llama 3.2.
        for (factor, dimensions, ones, between) in [
            (
                8.0,
                128,
                29,
                &[
                    0x3f9a_8ed5,
                    0x3fc6_d64a,
                    0x4001_af1d,
                    0x402c_732e,
                    0x406b_cace,
                    0x40a8_3c06,
                ][..],
            ),
            (32.0, 64, 15, &[0x3fd3_5ec2, 0x4052_b46f, 0x411a_aaee]),
        ] {
            let mut expected = vec![1.0_f32; ones];
            expected.extend(between.iter().map(|&bits| f32::from_bits(bits)));
            expected.resize(dimensions / 2, factor as f32);
            assert_eq!(llama3(factor, dimensions), expected);
        }
    }

    #[test]
    fn a_configuration_is_read_in_its_old_and_in_its_new_form() {
        let plain = |base| Rope {
            base,
            stretch: Stretch::NONE,
            factors: None,
        };
        let linear = json!({ "type": "linear", "factor": 4.0 });
        let yarn = json!({ "type": "yarn", "factor": 4.0, "beta_slow": 1 });
        for (config, expected) in [
            (json!({}), plain(10_000.0)),
            (json!({ "rope_theta": 5e5 }), plain(5e5)),
            (
                json!({ "rope_theta": 5e5, "rope_scaling": null }),
                plain(5e5),
            ),
            (
                json!({ "rope_parameters": { "rope_theta": 1e6, "rope_type": "default" } }),
                plain(1e6),
            ),
            (
                json!({ "rope_scaling": linear }),
                Rope {
                    stretch: Stretch::by(0.25),
                    ..plain(10_000.0)
                },
            ),
            (
                json!({ "max_position_embeddings": 512, "rope_scaling": yarn }),
                Rope {
                    stretch: Stretch {
                        trained: Some(512),
                        ..Stretch::by(0.25)
                    },
                    ..plain(10_000.0)
                },
            ),
        ] {
            assert_eq!(read(config.clone(), 64).as_ref(), Ok(&expected), "{config}");
        }
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        let incomplete = json!({ "rope_type": "llama3", "factor": 8.0 });
        let crossed = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
        });
        for (scaling, said) in [
            (
                json!({ "rope_type": "longrope", "factor": 4.0 }),
                "longrope",
            ),
            (
                json!({ "rope_type": "yarn", "factor": 4.0, "beta_fast": 16.0 }),
                "beta_fast",
            ),
            (
                json!({ "rope_type": "yarn", "factor": 4.0, "mscale": 0.7 }),
                "mscale",
            ),
            (json!({ "type": "dynamic", "factor": 4.0 }), "dynamic"),
            (
                json!({ "type": "linear", "factor": 0.0 }),
                "rope_scaling.factor",
            ),
            (incomplete, "original_max_position_embeddings"),
            (crossed, "above low_freq_factor, 4"),
        ] {
            let refusal = read(json!({ "rope_scaling": scaling }), 64).expect_err("refused");
            assert!(refusal.to_string().contains(said), "{refusal}");
        }
    }
}
