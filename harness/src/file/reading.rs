//! What a user says about a file where its bytes leave something open. The same two flags in every
//! command that opens a model.

use std::ffi::OsString;

use engine::bytes::Storage;
use engine::flavor::Flavor;
use engine::gguf::dialect::Dialect;
use engine::kernels::Kernel;
use engine::session::OpenOptions;

/// Whose file it is, and how its two-bit weights are packed.
#[derive(clap::Args, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whose GGUF it is, where several would read the file differently
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Dialect>)]
    pub dialect: Option<Dialect>,

    /// Packing of the two-bit weights, where the bytes allow several
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Flavor>)]
    pub flavor: Option<Flavor>,
}

impl Reading {
    /// How the engine opens the file.
    pub fn options(self, storage: Storage, kernel: Option<Kernel>) -> OpenOptions {
        OpenOptions {
            storage,
            dialect: self.dialect,
            flavor: self.flavor,
            kernel,
        }
    }

    /// Whether anything was said.
    pub fn is_forced(self) -> bool {
        self != Reading::default()
    }

    /// The flags as they are typed, nothing where nothing was said.
    pub fn text(self) -> String {
        let words = self.words();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// The flags, for a program that opens the file in turn.
    pub fn words(self) -> Vec<OsString> {
        let dialect = self.dialect.map(|dialect| ["--dialect", dialect.name()]);
        let flavor = self.flavor.map(|flavor| ["--flavor", flavor.name()]);
        let flags = dialect.into_iter().chain(flavor).flatten();
        flags.map(OsString::from).collect()
    }
}
