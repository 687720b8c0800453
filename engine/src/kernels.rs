//! Which inner loops run: a value that exists only if this CPU can run them.
#![deny(unsafe_code)] // the instruction-set files below allow it

pub mod activation;
#[cfg(target_arch = "x86_64")]
pub mod avx2;
pub mod scalar;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;

/// An instruction set the inner loops are written for. Every kernel gives the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust, everywhere; the oracle of the others.
    Scalar,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

impl Kernel {
    /// The names of every kernel there is, whether or not this machine can run it.
    pub const NAMES: [&str; 2] = ["scalar", "x86_64-avx2"];

    /// Every kernel this CPU can run, slowest first.
    pub fn available() -> Vec<Kernel> {
        Self::NAMES
            .iter()
            .filter_map(|name| Self::from_name(name))
            .collect()
    }

    /// The fastest of them.
    pub fn best() -> Kernel {
        *Self::available()
            .last()
            .expect("the scalar kernel is always there")
    }

    /// The kernel of that name, if it exists and this CPU can run it.
    pub fn from_name(name: &str) -> Option<Kernel> {
        match name {
            "scalar" => Some(Kernel::Scalar),
            #[cfg(target_arch = "x86_64")]
            "x86_64-avx2" => Avx2::new().map(Kernel::Avx2),
            _ => None,
        }
    }

    /// Printable name, stable, fit for a receipt.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(_) => "x86_64-avx2",
        }
    }

    /// Sum of code times activation over one row in the I2_S P128 packing, exact.
    pub fn ternary_dot(self, packed: &[u8], activations: &[i8]) -> i32 {
        assert_eq!(
            packed.len() * 4,
            activations.len(),
            "four codes to the byte"
        );
        match self {
            Kernel::Scalar => scalar::ternary_dot(packed, activations),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => avx2.ternary_dot(packed, activations),
        }
    }
}
