//! Named arithmetics: lane counts, reduction trees, FMA places and f16 roundings of every float
//! operation, one file per profile. The transformer does not know which one is in force.

/// One fixed order of float operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// ggml built for AVX-512: 16 lanes.
    #[default]
    GgmlAvx512,
}

impl Profile {
    /// Stable name, e.g. `ggml-avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Profile::GgmlAvx512 => "ggml-avx512",
        }
    }
}
