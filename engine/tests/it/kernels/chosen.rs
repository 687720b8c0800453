//! Which kernel multiplies each format: vectors wherever there are some, and a list of where there
//! are none.

use engine::format::{FORMATS, Format, Product};
use engine::kernels::gemm::Gemm;
use engine::kernels::{BlockOrder, Kernel};

/// What a kernel's name begins with: AVX-512 takes vectors of 256 bits where those of 512 are no
/// faster, and products of matrices are of use to some formats only.
fn families(kernel: Kernel) -> &'static [&'static str] {
    match kernel.name() {
        "x86_64-avx512vnni" => &["x86_64-avx512vnni-", "x86_64-avx512vl-"],
        "x86_64-amx" => &["x86_64-amx-", "x86_64-avx512vnni-", "x86_64-avx512vl-"],
        "x86_64-avx2" => &["x86_64-avx2-"],
        "x86_64-avxvnni" => &["x86_64-avxvnni-"],
        "x86_64-avx512vl" => &["x86_64-avx512vl-"],
        "aarch64-dotprod" => &["aarch64-dotprod-"],
        "aarch64-i8mm" => &["aarch64-i8mm-", "aarch64-dotprod-"],
        _ => &["scalar-"],
    }
}

/// Whether there are vectors for a format: on x86-64 always, on aarch64 for these.
fn has_vectors(format: &Format) -> bool {
    is_i2_s(format) || cfg!(target_arch = "x86_64") || BLOCKS_ON_AARCH64.contains(&format.name)
}

const BLOCKS_ON_AARCH64: &[&str] = &["tq1_0", "tq2_0", "q6_k", "q8_0"];

/// Sums of integers, which have no order.
fn is_i2_s(format: &Format) -> bool {
    ["i2_s-p128", "i2_s-p64", "i2_s-p4r", "tl1", "tl2"].contains(&format.name)
}

#[test]
fn vectors_multiply_every_format_but_those_that_are_listed() {
    let mut checked = 0;
    for kernel in Kernel::available() {
        let vectors = kernel != Kernel::Scalar;
        for order in BlockOrder::ALL {
            for format in FORMATS {
                let Some(name) = format.gemm(order, kernel).map(Gemm::name) else {
                    assert!(!matches!(format.product, Product::Kernels { .. }));
                    continue;
                };
                let expected = if vectors && has_vectors(format) {
                    families(kernel)
                } else {
                    &["scalar-"]
                };
                let fits = expected.iter().any(|family| name.starts_with(family));
                let what = (format.name, order, kernel.name());
                assert!(
                    fits,
                    "{what:?} is multiplied by {name}, not by {expected:?}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked >= 2 * 15 * Kernel::available().len(), "{checked}");
}
