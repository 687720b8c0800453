//! The references this program can build: where the source is, which flags, what must be mended.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::reference::cache::{Cache, key};

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
    /// Which build system it has.
    pub family: Family,
    /// Compile for this machine's processor, instead of for AVX2, FMA and F16C.
    pub native: bool,
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

/// Everything a build depends on besides the source.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the result is called.
    pub name: String,
    /// Where the source comes from, in words.
    pub origin: String,
    /// Which build system it has.
    pub family: Family,
    /// Compile for this machine's processor.
    pub native: bool,
}

static KNOWN: [Recipe; 4] = [
    Recipe {
        name: "bitnet",
        summary: "bitnet.cpp of December 2024, compiled for this processor",
        native: true,
        ..BITNET
    },
    Recipe {
        name: "bitnet-portable",
        summary: "bitnet.cpp of December 2024, compiled for AVX2, FMA and F16C",
        native: false,
        ..BITNET
    },
    Recipe {
        name: "ik",
        summary: "ik_llama.cpp of August 2026, the second opinion for arch bitnet-b1.58",
        package: "ik-llama-cpp-sys",
        version: "0.1.7",
        checksum: "bf75d16572e3038ddd6a91cb036d4b70d0c4bdd2ba1859eebd5de498f238a1fc",
        folder: "ik_llama.cpp",
        family: Family::Ik,
        native: true,
    },
    Recipe {
        name: "llama",
        summary: "llama.cpp of 2026: no I2_S, every other type and arch",
        package: "llama-cpp-sys-2",
        version: "0.1.161",
        checksum: "e9bea77fde41bbc15a278891cd5edd2ba07c5260d162614b41080ba1f100b39b",
        folder: "llama.cpp",
        family: Family::Upstream,
        native: true,
    },
];

const BITNET: Recipe = Recipe {
    name: "",
    summary: "",
    package: "bitnet-cpp-sys",
    version: "0.0.5",
    checksum: "be00ca9092d4cd9c30967e8fa3c001b15d1398d021423f0524afb86c00af51f7",
    folder: "bitnet",
    family: Family::BitNet,
    native: true,
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
        let plan = self.plan();
        let flags = plan.flags().join(" ");
        let parts = [
            EPOCH,
            self.package,
            self.version,
            self.checksum,
            &flags,
            &plan.processor(),
        ];
        key(parts.map(str::as_bytes))
    }

    /// Where it is in the cache, built or to be built.
    pub fn place(&self, cache: &Cache) -> PathBuf {
        cache.reference(self.name, &self.key())
    }

    /// How it is built.
    pub fn plan(&self) -> Plan {
        Plan {
            name: self.name.to_owned(),
            origin: format!("crates.io {} {}", self.package, self.version),
            family: self.family,
            native: self.native,
        }
    }
}

impl Family {
    /// What the source below `dir` is, if it is one of those that can be built.
    pub fn of_source(dir: &Path) -> Option<Self> {
        let has = |file: &str| dir.join(file).is_file();
        if !has("CMakeLists.txt") {
            None
        } else if has("3rdparty/llama.cpp/include/llama.h") {
            Some(Family::BitNet)
        } else if !has("include/llama.h") {
            None
        } else if dir.join("ggml/src/iqk").is_dir() {
            Some(Family::Ik)
        } else {
            Some(Family::Upstream)
        }
    }

    /// How a user's checkout is built: for this processor.
    pub fn plan(self, dir: &Path) -> Plan {
        let name = dir
            .file_name()
            .unwrap_or(dir.as_os_str())
            .to_string_lossy()
            .into_owned();
        Plan {
            name,
            origin: "a checkout".into(),
            family: self,
            native: true,
        }
    }

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
            Family::BitNet => &["BITNET_X86_TL2=OFF", "BITNET_ARM_TL1=OFF"],
            Family::Ik => &["GGML_IQK_FLASH_ATTENTION=OFF"],
            Family::Upstream => &[
                "LLAMA_BUILD_COMMON=OFF",
                "LLAMA_BUILD_TOOLS=OFF",
                "LLAMA_BUILD_APP=OFF",
            ],
        };
        let native = if self.native {
            "GGML_NATIVE=ON"
        } else {
            "GGML_NATIVE=OFF"
        };
        let mut flags: Vec<_> = common
            .iter()
            .chain(own)
            .map(|&flag| flag.to_owned())
            .collect();
        flags.push(native.to_owned());
        flags.push(format!("CMAKE_C_COMPILER={c}"));
        flags.push(format!("CMAKE_CXX_COMPILER={cxx}"));
        flags
    }

    /// A name for a checkout's build: path, and size and time of every file.
    pub fn key_of_checkout(&self, dir: &Path) -> Result<String, Error> {
        let real = dir.canonicalize().map_err(|e| Error::io(dir, e))?;
        let mut listing = String::new();
        super::tree::walk(&real, &mut |path, metadata| {
            let time = metadata.modified().ok();
            listing.push_str(&format!("{} {} {time:?}\n", path.display(), metadata.len()));
        })?;
        let flags = self.flags().join(" ");
        let parts = [
            EPOCH,
            &real.to_string_lossy(),
            &listing,
            &flags,
            &self.processor(),
        ];
        Ok(key(parts.map(str::as_bytes)))
    }

    /// What `-march=native` depends on; a cache may travel to another machine.
    fn processor(&self) -> String {
        if !self.native {
            return std::env::consts::ARCH.to_owned();
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
}
