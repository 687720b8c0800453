//! Live references: found, opened in a process of their own, and shown to be different libraries.
#![forbid(unsafe_code)]

pub mod client;
pub mod isolation;
mod live;
mod scratch;
mod surroundings;
pub mod worker;

use engine::encoding::Author;
use engine::numerics::Profile;
use serde::{Deserialize, Serialize};

use crate::case::observation::Identity;
use crate::exit::{Exit, Failure};
use crate::file::provenance;
use crate::reference::isolation::Hello;

/// A reference that computed during this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveReference {
    /// As in the comparisons.
    pub name: String,
    /// The package and version, or the directory, it was built from.
    pub origin: String,
    /// The commit, if it is known.
    pub commit: Option<String>,
    /// The compiler's own words, if they are known.
    pub compiler: Option<String>,
    /// How it was compiled, if that is known.
    pub flags: Option<String>,
    /// What it said of itself.
    pub hello: Hello,
}

/// A reference that was once asked, as records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The order of its float operations.
    pub profile: String,
    /// The package and version it was built from.
    pub origin: String,
    /// The compiler's own words, if they are known.
    pub compiler: Option<String>,
    /// How it was compiled, if that is known.
    pub flags: Option<String>,
    /// Hashes of its libraries.
    pub sha256: Vec<String>,
}

impl Source {
    /// A reference that is asked now, with the name of its arithmetic.
    pub fn of(facts: &LiveReference, profile: &str) -> Self {
        Source {
            profile: profile.into(),
            origin: facts.origin.clone(),
            compiler: facts.compiler.clone(),
            flags: facts.flags.clone(),
            sha256: facts.hello.sha256.clone(),
        }
    }
}

impl LiveReference {
    /// Two references with the same fingerprint are the same library in the same surroundings.
    pub fn fingerprint(&self) -> String {
        let mut all = self.hello.sha256.concat();
        for (what, is) in &self.hello.surroundings {
            // Libraries are what they hold, wherever they lie.
            let name = what.rsplit('/').next().unwrap_or(what);
            all += &format!("\n{name}={is}");
        }
        provenance::sha256(all.as_bytes())
    }

    /// As in comparisons.
    pub fn identity(&self) -> Identity {
        Identity {
            name: self.name.clone(),
            profile: self.profile(),
            fingerprint: self.fingerprint(),
        }
    }

    /// The engine's arithmetic for the instruction sets it was compiled for.
    pub fn engine_profile(&self) -> Result<Profile, Failure> {
        self.known_profile().ok_or_else(|| {
            let (name, sets) = (&self.name, &self.hello.system_info);
            Failure::input(format!(
                "{name} was compiled for instruction sets whose arithmetic is not known: {sets}"
            ))
        })
    }

    /// The order in which the engine computes every bit it does, bfloat16 included.
    pub fn same_bits_profile(&self) -> Result<Profile, Failure> {
        let (name, profile) = (&self.name, self.profile());
        if Profile::from_name(&profile).is_some() {
            return self.engine_profile();
        }
        Err(Failure::input(format!(
            "{name} computes in {profile}, an order of float operations that the engine does not \
             have, so there are no bits to compare; bitnet and bitnet-portable have"
        )))
    }

    fn known_profile(&self) -> Option<Profile> {
        let has = |set: &str| self.hello.system_info.contains(&format!("{set} = 1"));
        let known = [
            ("AVX512_BF16", Profile::GgmlAvx512Bf16),
            ("AVX512", Profile::GgmlAvx512),
            ("AVX2", Profile::GgmlAvx2),
            ("FP16_VA", Profile::GgmlNeonFp16),
            ("NEON", Profile::GgmlNeon),
        ];
        let known = known.into_iter().find(|(set, _)| has(set));
        known.map(|(_, profile)| profile)
    }

    /// The order of its float operations. What it computes with is F32 where the file has I2_S and
    /// the library does not know that.
    pub fn profile(&self) -> String {
        if self.hello.knows_i2_s {
            self.arithmetic()
        } else {
            format!("{}-wide", self.arithmetic())
        }
    }

    /// The order of its float operations, whatever form the weights have. The trees that invented
    /// I2_S share one per instruction set; others compute these models in ways of their own.
    pub fn arithmetic(&self) -> String {
        let isa = match self.known_profile() {
            None => "unknown",
            // A difference in BF16 weights alone; whoever opens a model that has some says so.
            Some(Profile::GgmlAvx512Bf16) => "avx512",
            Some(profile) => profile.name().trim_start_matches("ggml-"),
        };
        let family = match (self.hello.knows_i2_s, self.writes_iq2_bn()) {
            (true, _) => "ggml",
            (false, true) => "ik",
            (false, false) => "llama.cpp",
        };
        format!("{family}-{isa}")
    }

    /// Whose bytes it writes for weights, if that is known.
    pub fn author(&self) -> Option<Author> {
        match (self.hello.knows_i2_s, self.writes_iq2_bn()) {
            (true, _) => Some(Author::Bitnet),
            (false, true) => None,
            (false, false) => Some(Author::Upstream),
        }
    }

    /// Whether it makes IQ2_BN, a type of its own for ternary weights, of I2_S.
    pub fn writes_iq2_bn(&self) -> bool {
        self.hello.api.starts_with("ik_llama.cpp")
    }
}

pub use self::live::{Launch, Reference, WRAPPER, launch, launch_with, open, open_some};
pub use self::scratch::Scratch;

fn missing(message: impl ToString) -> Failure {
    let exit = Exit::ReferenceMissing;
    Failure::new(exit, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that says this of itself.
    fn live(system_info: &str, knows_i2_s: bool) -> LiveReference {
        LiveReference {
            name: "x".into(),
            origin: String::new(),
            commit: None,
            compiler: None,
            flags: None,
            hello: Hello {
                protocol: 0,
                api: "x".into(),
                system_info: system_info.into(),
                sha256: Vec::new(),
                knows_i2_s,
                details: Default::default(),
                control_word: [0; 2],
                ..Hello::default()
            },
        }
    }

    #[test]
    fn a_build_with_products_of_bfloat16_is_compared_in_them_and_other_forms_of_weights_are_not() {
        let sets = "AVX2 = 1 | AVX512 = 1 | AVX512_BF16 = 1 |";
        let profile = live(sets, true).same_bits_profile();
        assert_eq!(profile.ok(), Some(Profile::GgmlAvx512Bf16));
        let profile = live("AVX2 = 1 |", true).same_bits_profile();
        assert_eq!(profile.ok(), Some(Profile::GgmlAvx2));
        let message = live(sets, false)
            .same_bits_profile()
            .expect_err("not comparable");
        assert!(
            message.to_string().contains("no bits to compare"),
            "{message}"
        );
    }

    #[test]
    fn the_arithmetic_follows_from_the_instruction_sets_and_without_any_is_not_known() {
        let of = |system_info: &str| live(system_info, true).engine_profile().ok();
        assert_eq!(of("AVX = 1 | AVX2 = 1 |"), Some(Profile::GgmlAvx2));
        assert_eq!(of("NEON = 1 | FP16_VA = 1 |"), Some(Profile::GgmlNeonFp16));
        assert_eq!(of("NEON = 1 |"), Some(Profile::GgmlNeon));
        assert_eq!(of("AVX = 1 | AVX2 = 0 | NEON = 0 | SSSE3 = 1 |"), None);
    }
}
