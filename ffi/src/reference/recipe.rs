//! The references this program can build: where the source is, which flags.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use crate::reference::cache::{Cache, key};
use crate::reference::tool::triple;

/// Grows when a build, or the record beside it, would come out differently although nothing below
/// in this file changed.
const EPOCH: &str = "1";

/// A reference that can be built from a package registry alone.
#[derive(Debug)]
pub struct Recipe {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// The crate that carries the source. Its own build script is never run.
    pub package: &'static str,
    /// The crate's exact version.
    pub version: &'static str,
    /// SHA-256 of the crate, as the registry's index must state it.
    pub checksum: &'static str,
    /// The source's root inside the crate.
    pub folder: &'static str,
    /// [`content`](crate::reference::tree::content) of that root: cargo does not look again at what
    /// it once unpacked.
    pub content: &'static str,
    /// Which build system it has.
    pub family: Family,
    /// What it is compiled for.
    pub processor: Processor,
    /// Whether its kernels of TL2 are generated, for one published set of shapes, and compiled.
    pub tl2: bool,
}

/// The build systems there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// microsoft/BitNet: a llama.cpp of October 2024 below `3rdparty`.
    BitNet,
    /// ik_llama.cpp.
    Ik,
    /// llama.cpp as it is today.
    Upstream,
}

/// What a build is for: it decides which instructions add up the numbers, and with that the bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// This machine's.
    Native,
    /// The least common one of this family: on x86-64 AVX2, FMA and F16C.
    Portable,
    /// An x86-64 with AVX-512 and VNNI, whatever this machine has.
    Avx512,
    /// The same with products of bfloat16.
    Avx512Bf16,
    /// An aarch64 with dot products of bytes, from whichever machine.
    Neon,
    /// The same with arithmetic in half precision.
    NeonHalf,
}

/// Everything a build depends on besides the source.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the result is called.
    pub name: String,
    /// Where the source comes from, in words.
    pub origin: String,
    /// What the source must be, where that is known.
    pub content: Option<&'static str>,
    /// Which build system it has.
    pub family: Family,
    /// What it is compiled for.
    pub processor: Processor,
    /// Whether its kernels of TL2 are generated and compiled.
    pub tl2: bool,
}

static KNOWN: [Recipe; 9] = [
    Recipe {
        name: "bitnet",
        summary: "bitnet.cpp of December 2024, compiled for this processor",
        processor: Processor::Native,
        ..BITNET
    },
    Recipe {
        name: "bitnet-portable",
        summary: "bitnet.cpp of December 2024, compiled for AVX2, FMA and F16C",
        processor: Processor::Portable,
        ..BITNET
    },
    Recipe {
        name: "bitnet-tl2",
        summary: "the same with kernels of TL2, for the shapes of bitnet_b1_58-large",
        processor: Processor::Portable,
        tl2: true,
        ..BITNET
    },
    Recipe {
        name: "bitnet-avx512",
        summary: "bitnet.cpp of December 2024, for AVX-512 and VNNI; runs emulated elsewhere",
        processor: Processor::Avx512,
        ..BITNET
    },
    Recipe {
        name: "bitnet-avx512-bf16",
        summary: "the same with products of bfloat16",
        processor: Processor::Avx512Bf16,
        ..BITNET
    },
    Recipe {
        name: "bitnet-neon",
        summary: "bitnet.cpp of December 2024, for aarch64; runs under qemu elsewhere",
        processor: Processor::Neon,
        ..BITNET
    },
    Recipe {
        name: "bitnet-neon-fp16",
        summary: "the same with half-precision arithmetic",
        processor: Processor::NeonHalf,
        ..BITNET
    },
    Recipe {
        name: "ik",
        summary: "ik_llama.cpp of August 2026, the second opinion for arch bitnet-b1.58",
        package: "ik-llama-cpp-sys",
        version: "0.1.7",
        checksum: "bf75d16572e3038ddd6a91cb036d4b70d0c4bdd2ba1859eebd5de498f238a1fc",
        folder: "ik_llama.cpp",
        content: "bcb1e31c50a94cfc680ba28cc83ca177f2e42d9c559410b6c5142c4e697498d5",
        family: Family::Ik,
        processor: Processor::Native,
        tl2: false,
    },
    Recipe {
        name: "llama",
        summary: "llama.cpp of 2026: no I2_S, every other type and arch",
        package: "llama-cpp-sys-2",
        version: "0.1.161",
        checksum: "e9bea77fde41bbc15a278891cd5edd2ba07c5260d162614b41080ba1f100b39b",
        folder: "llama.cpp",
        content: "78368f326d76ca7ad3dc5611cea81a63e8be5f6487f14c8d8e37ccef14c26474",
        family: Family::Upstream,
        processor: Processor::Native,
        tl2: false,
    },
];

const BITNET: Recipe = Recipe {
    name: "",
    summary: "",
    package: "bitnet-cpp-sys",
    version: "0.0.5",
    checksum: "be00ca9092d4cd9c30967e8fa3c001b15d1398d021423f0524afb86c00af51f7",
    folder: "bitnet",
    content: "00f904ec6d60cbb7cec541713acf7c1081373ead1331b8637b5386a82bb7134c",
    family: Family::BitNet,
    processor: Processor::Native,
    tl2: false,
};

/// Every reference this program can build.
pub fn known() -> &'static [Recipe] {
    &KNOWN
}

/// The one of that name.
pub fn named(name: &str) -> Option<&'static Recipe> {
    known().iter().find(|recipe| recipe.name == name)
}

impl Recipe {
    /// A name for what comes out, in the cache.
    pub fn key(&self) -> String {
        self.plan()
            .key(&[self.package, self.version, self.checksum])
    }

    /// Where it is in the cache, built or to be built.
    pub fn install_dir(&self, cache: &Cache) -> PathBuf {
        cache.reference(self.name, &self.key())
    }

    /// What it is compiled for that this machine's processor lacks, as compilers call it.
    pub fn lacking(&self) -> Option<&'static str> {
        #[cfg(target_arch = "x86_64")]
        match self.processor {
            Processor::Avx512 if !is_x86_feature_detected!("avx512vbmi2") => Some("avx512vbmi2"),
            Processor::Avx512Bf16 if !is_x86_feature_detected!("avx512bf16") => Some("avx512bf16"),
            _ => None,
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// How it is built.
    pub fn plan(&self) -> Plan {
        Plan {
            name: self.name.to_owned(),
            origin: format!("crates.io {} {}", self.package, self.version),
            content: Some(self.content),
            family: self.family,
            processor: self.processor,
            tl2: self.tl2,
        }
    }
}

impl Family {
    /// The llama.cpp inside the source.
    pub fn llama(self, source: &Path) -> PathBuf {
        match self {
            Family::BitNet => source.join("3rdparty/llama.cpp"),
            Family::Ik | Family::Upstream => source.to_owned(),
        }
    }

    /// C and C++ compiler. Clang contracts floating point only inside an expression, which is what
    /// the recordings were made with; it refuses ik's constructors, so that one gets gcc.
    pub fn compilers(self) -> (&'static str, &'static str) {
        match self {
            Family::Ik => ("gcc", "g++"),
            Family::BitNet | Family::Upstream => ("clang", "clang++"),
        }
    }
}

impl Processor {
    /// The family of processors that it belongs to, as compilers call it.
    fn family(self) -> &'static str {
        match self {
            Processor::Native | Processor::Portable => std::env::consts::ARCH,
            Processor::Avx512 | Processor::Avx512Bf16 => "x86_64",
            Processor::Neon | Processor::NeonHalf => "aarch64",
        }
    }

    /// What cmake is told about it. The compilers are clang, which needs no other one to compile
    /// for another machine, only its headers and libraries.
    fn flags(self) -> Vec<String> {
        let (aarch64, march) = match self {
            Processor::Native => return vec!["GGML_NATIVE=ON".into()],
            Processor::Portable => return vec!["GGML_NATIVE=OFF".into()],
            Processor::Avx512 => (false, "icelake-server"),
            Processor::Avx512Bf16 => (false, "cooperlake"),
            Processor::Neon => (true, "armv8.2-a+dotprod"),
            Processor::NeonHalf => (true, "armv8.2-a+dotprod+fp16"),
        };
        let mut flags = vec!["GGML_NATIVE=OFF".to_owned()];
        if aarch64 {
            flags.push("CMAKE_SYSTEM_NAME=Linux".into());
            flags.push("CMAKE_SYSTEM_PROCESSOR=aarch64".into());
        }
        for language in ["C", "CXX"] {
            if aarch64 {
                flags.push(format!(
                    "CMAKE_{language}_COMPILER_TARGET=aarch64-linux-gnu"
                ));
            }
            flags.push(format!("CMAKE_{language}_FLAGS=-march={march}"));
        }
        flags
    }
}

impl Plan {
    /// What cmake is told.
    pub fn flags(&self) -> Vec<String> {
        let (c, cxx) = self.family.compilers();
        let common = [
            "CMAKE_BUILD_TYPE=Release",
            "CMAKE_EXPORT_COMPILE_COMMANDS=ON",
            "CMAKE_BUILD_WITH_INSTALL_RPATH=ON",
            "CMAKE_INSTALL_RPATH=$ORIGIN",
            "BUILD_SHARED_LIBS=ON",
            "GGML_OPENMP=OFF",
            "GGML_CCACHE=OFF",
            "LLAMA_CURL=OFF",
            "LLAMA_BUILD_TESTS=OFF",
            "LLAMA_BUILD_EXAMPLES=OFF",
            "LLAMA_BUILD_SERVER=OFF",
        ];
        let own: &[&str] = match self.family {
            Family::BitNet if self.tl2 => &["BITNET_X86_TL2=ON", "BITNET_ARM_TL1=OFF"],
            Family::BitNet => &["BITNET_X86_TL2=OFF", "BITNET_ARM_TL1=OFF"],
            Family::Ik => &["GGML_IQK_FLASH_ATTENTION=OFF"],
            Family::Upstream => &[
                "LLAMA_BUILD_COMMON=OFF",
                "LLAMA_BUILD_TOOLS=OFF",
                "LLAMA_BUILD_APP=OFF",
            ],
        };
        let mut flags: Vec<_> = common
            .iter()
            .chain(own)
            .map(|&flag| flag.to_owned())
            .collect();
        flags.extend(self.processor.flags());
        flags.push(format!("CMAKE_C_COMPILER={c}"));
        flags.push(format!("CMAKE_CXX_COMPILER={cxx}"));
        flags
    }

    /// What compilers call the machine it is for.
    pub fn target(&self) -> String {
        triple(self.processor.family())
    }

    /// A name for what comes out of a source that is told by `parts`.
    pub fn key(&self, parts: &[&str]) -> String {
        let (flags, processor) = (self.flags().join(" "), self.processor());
        let all = [&[EPOCH], parts, &[&flags, &processor]].concat();
        key(all.into_iter().map(str::as_bytes))
    }

    /// What `-march=native` depends on; a cache may travel to another machine.
    fn processor(&self) -> String {
        if self.processor != Processor::Native {
            return self.processor.family().to_owned();
        }
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let features = info
            .lines()
            .find(|l| l.starts_with("flags") || l.starts_with("Features"));
        format!(
            "{} {}",
            std::env::consts::ARCH,
            features.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{known, named};

    #[test]
    fn every_recipe_has_its_own_name_and_key() {
        let mut keys: Vec<_> = known().iter().map(|r| (r.key(), r.name)).collect();
        keys.sort();
        keys.dedup_by(|a, b| a.0 == b.0 || a.1 == b.1);
        assert_eq!(keys.len(), known().len());
        assert!(named("bitnet").is_some() && named("nonsense").is_none());
    }

    #[test]
    fn the_portable_build_differs_from_the_native_one_in_one_flag() {
        let flags = |name: &str| named(name).unwrap().plan().flags();
        let (native, portable) = (flags("bitnet"), flags("bitnet-portable"));
        let differ: Vec<_> = native.iter().filter(|f| !portable.contains(f)).collect();
        assert_eq!(differ, ["GGML_NATIVE=ON"]);
        assert!(native.iter().any(|f| f == "GGML_OPENMP=OFF"));
    }

    #[test]
    fn the_builds_for_avx512_differ_in_what_they_are_compiled_for_and_are_found_from_any_machine() {
        let [plain, bf16] =
            ["bitnet-avx512", "bitnet-avx512-bf16"].map(|n| named(n).unwrap().plan());
        let (flags, with) = (plain.flags(), bf16.flags());
        let differ: Vec<_> = with.iter().filter(|f| !flags.contains(f)).collect();
        let expected = ["C", "CXX"].map(|l| format!("CMAKE_{l}_FLAGS=-march=cooperlake"));
        assert_eq!(differ, expected.iter().collect::<Vec<_>>());
        assert_eq!(
            (plain.processor(), bf16.processor()),
            ("x86_64".into(), "x86_64".into())
        );
    }

    #[test]
    fn the_aarch64_builds_differ_in_the_half_precision_and_are_found_from_any_machine() {
        let [full, half] = ["bitnet-neon", "bitnet-neon-fp16"].map(|n| named(n).unwrap().plan());
        let (flags, halved) = (full.flags(), half.flags());
        let differ: Vec<_> = halved.iter().filter(|f| !flags.contains(f)).collect();
        assert_eq!(differ.len(), 2, "{differ:?}");
        assert!(differ.iter().all(|f| f.ends_with("+fp16")), "{differ:?}");
        assert_eq!(
            (full.processor(), half.processor()),
            ("aarch64".into(), "aarch64".into())
        );
    }
}
