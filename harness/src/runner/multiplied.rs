//! Which kernel multiplies the weights of which format.
//!
//! The one place that says it, until the engine publishes it: a kernel is chosen for the whole
//! model, but packings without a fast product are decoded and multiplied by plain code whatever
//! was chosen, and so are floats, which belong to the arithmetic and not to the kernel.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::Model;
use engine::flavor::Flavor;
use engine::kernels::Kernel;
use engine::numerics::Profile;

/// By the name of the format, for every format of weights in use whose product has a kernel.
pub fn multiplied_by(model: &Model, profile: Profile) -> BTreeMap<String, String> {
    // Builds for aarch64 add whole blocks up, which only plain code does.
    let whole_blocks = matches!(profile, Profile::GgmlNeon | Profile::GgmlNeonFp16);
    let of_blocks = if whole_blocks {
        Kernel::Scalar
    } else {
        model.kernel()
    };
    let packed = model.detections().iter().map(|(_, detection)| {
        let kernel = match detection.flavor {
            Flavor::Qk256 | Flavor::Bitnet32F16 | Flavor::Split32 => Kernel::Scalar,
            Flavor::Tq1_0 | Flavor::Tq2_0 => of_blocks,
            Flavor::I2sP128 | Flavor::I2sP64 | Flavor::I2sP4r => model.kernel(),
        };
        (detection.flavor.name(), kernel)
    });
    let blocks = model.gguf().tensors.iter().filter_map(|tensor| {
        let name = match tensor.type_id {
            8 => "q8_0",
            14 => "q6_k",
            _ => return None,
        };
        Some((name, of_blocks))
    });
    let named = |(format, kernel): (&str, Kernel)| (format.to_owned(), kernel.name().to_owned());
    packed.chain(blocks).map(named).collect()
}
