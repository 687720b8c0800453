//! Flags that mean the same in every command, spelled once.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use engine::flavor::Flavor;
use engine::kernels::Kernel;

/// Which file.
#[derive(clap::Args, Debug, Clone)]
pub struct ModelFile {
    /// The model, a GGUF file
    #[arg(long = "model", value_name = "FILE")]
    pub path: PathBuf,
}

/// How the engine computes.
#[derive(clap::Args, Debug, Clone)]
pub struct Computing {
    /// Packing of the two-bit weights, where the bytes allow several
    #[arg(long, value_name = "NAME", value_parser = flavor)]
    pub flavor: Option<Flavor>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = kernel)]
    pub kernel: Option<Kernel>,

    /// Threads [default: one per core]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,

    /// Tokens computed together at most: 1 is decoding, more is prefill, and the bits differ
    #[arg(long, value_name = "N", default_value = "512", value_parser = positive)]
    pub ubatch: usize,

    /// Positions to hold [default: as many as are needed]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub context: Option<usize>,
}

impl Computing {
    /// The threads asked for, or one per core.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores)
    }
}

/// Whether warnings fail.
#[derive(clap::Args, Debug, Clone, Copy)]
pub struct Strictness {
    /// Let warnings fail the command
    #[arg(
        long,
        env = "BITNET_STRICT_MODE",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_name = "BOOL",
        hide_default_value = true,
        value_parser = switch
    )]
    pub strict: bool,
}

/// A switch from the environment: `1`, `true`, `yes` and `on` switch on; `0`, `false`, `no`,
/// `off` and nothing switch off.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err("expected one of 1, true, yes, on, 0, false, no, off".into()),
    }
}

/// A number of at least one.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected a whole number".into()),
    }
}

/// A packing by its stable name.
pub fn flavor(text: &str) -> Result<Flavor, String> {
    named(text, &FLAVORS)
}

/// A kernel by its name, if this CPU can run it.
pub fn kernel(text: &str) -> Result<Kernel, String> {
    let available = Kernel::available();
    let names: Vec<_> = available.iter().map(|&k| (k.name(), k)).collect();
    named(text, &names)
}

const FLAVORS: [(&str, Flavor); 8] = [
    ("i2s-p128", Flavor::I2sP128),
    ("i2s-p64", Flavor::I2sP64),
    ("i2s-p4r", Flavor::I2sP4r),
    ("qk256", Flavor::Qk256),
    ("bitnet32-f16", Flavor::Bitnet32F16),
    ("split32", Flavor::Split32),
    ("tq1_0", Flavor::Tq1_0),
    ("tq2_0", Flavor::Tq2_0),
];

fn named<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == text);
    found.map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_read_what_people_write_and_refuse_the_rest() {
        for on in ["1", "true", "Yes", "ON"] {
            assert_eq!(switch(on), Ok(true), "{on}");
        }
        for off in ["0", "false", "No", "off", ""] {
            assert_eq!(switch(off), Ok(false), "{off}");
        }
        assert!(switch("maybe").is_err());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = flavor("q4_0").expect_err("no such packing");
        assert!(
            message.contains("i2s-p128") && message.contains("tq2_0"),
            "{message}"
        );
        assert_eq!(flavor("qk256"), Ok(Flavor::Qk256));
        assert!(
            kernel("abacus")
                .expect_err("no such kernel")
                .contains("scalar")
        );
    }
}
