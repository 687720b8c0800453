//! Which inner loops run: a value that exists only if this CPU can run them.

/// An instruction set the inner loops are written for. Every kernel gives the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust, everywhere; the oracle of the others.
    Scalar,
}

impl Kernel {
    /// Every kernel this CPU can run, slowest first.
    pub fn available() -> Vec<Kernel> {
        vec![Kernel::Scalar]
    }

    /// The fastest of them.
    pub fn best() -> Kernel {
        *Self::available()
            .last()
            .expect("the scalar kernel is always there")
    }

    /// Printable name, stable, fit for a receipt.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Scalar => "scalar",
        }
    }
}
