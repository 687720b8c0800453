//! Exported models, run by the C++: every format, in the layers and as the tables of tokens.

use engine::gguf::Writer;
use harness::file::document::Format;
use harness::numbers::split_mix::SplitMix64;
use libtest_mimic::Trial;

use crate::live;
use crate::program::ends::{assert_ends, harness};
use crate::program::fixture;

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(
            ["bitnet", "llama"],
            every_exported_format_gives_the_bits_of_bitnet_and_runs_in_llama
        ),
        live!(
            ["bitnet"],
            formats_of_another_dialect_are_rewritten_and_give_the_bits_of_bitnet
        ),
        live!(
            ["bitnet", "llama"],
            iq2_s_is_decoded_by_the_reference_and_refused_without_it
        ),
        live!(
            ["bitnet-tl2"],
            weights_in_tl2_give_the_bits_of_a_build_with_its_kernels
        ),
        live!(
            ["bitnet"],
            packings_that_bitnet_would_misread_are_rewritten_and_give_its_bits
        ),
    ]
}

fn every_exported_format_gives_the_bits_of_bitnet_and_runs_in_llama() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("out.gguf");
    let out = path.to_str().expect("plain path");
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let model = model.to_str().expect("plain path");
    // No reference knows the first two and bitnet.cpp not the two after those; it reads the next
    // two as I2_S of x86, and has no tables of two-bit codes; of bf16 builds differ, so it has a
    // profile of its own. What is another's dialect has a test of its own.
    let others = [
        "f8_e4m3",
        "f8_e5m2",
        "q1_0",
        "q2_0",
        "i2_s-p64",
        "i2_s-p4r",
        "i2_s-p128",
        "bf16",
    ];
    let asked = Format::all().filter(|format| format.row().dialects.is_empty());
    let asked = asked.filter(|format| !others.contains(&format.name()));
    for format in asked {
        let export = [
            "export",
            model,
            "-o",
            out,
            "--format",
            format.name(),
            "--tables",
        ];
        assert_ends(&harness(&export), 0, &[format.name()]);
        let crossval = ["crossval", "--model", out, "--prompt", "Call me Ishmael."];
        let references = ["--reference", "bitnet", "--reference", "llama"];
        let output = harness(&[&crossval[..], &references].concat());
        let bits = "live bitnet (crates.io bitnet-cpp-sys 0.0.5): 1 of 1 cases answered, 1 \
                    bit-identical";
        let runs = "live llama (crates.io llama-cpp-sys-2 0.1.161): 1 of 1 cases answered";
        assert_ends(&output, 0, &[bits, runs]);
    }
}

fn formats_of_another_dialect_are_rewritten_and_give_the_bits_of_bitnet() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("out.gguf");
    let out = path.to_str().expect("plain path");
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let model = model.to_str().expect("plain path");
    let foreign = Format::all().filter(|format| !format.row().dialects.is_empty());
    // The tables of TL1 and TL2 are for shapes that this model has not.
    for format in foreign.filter(|format| !format.name().starts_with("tl")) {
        let export = ["export", model, "-o", out, "--format", format.name()];
        assert_ends(&harness(&export), 0, &[format.name()]);
        let dialect = format.row().dialects[0].name();
        let crossval = ["crossval", "--model", out, "--dialect", dialect];
        let asked = ["--prompt", "Call me Ishmael.", "--reference", "bitnet"];
        let output = harness(&[&crossval[..], &asked].concat());
        assert_ends(&output, 0, &["1 of 1 cases answered, 1 bit-identical"]);
    }
}

fn iq2_s_is_decoded_by_the_reference_and_refused_without_it() {
    const ROWS: usize = 4;
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("plain path")
            .to_owned()
    };
    let (model, out) = (path("iq2_s.gguf"), path("f32.gguf"));
    let mut random = SplitMix64(22);
    let mut blocks: Vec<u8> = (0..ROWS * 82)
        .map(|_| (random.bits() >> 56) as u8)
        .collect();
    // Scales of one: the first two bytes of a block.
    for block in blocks.chunks_exact_mut(82) {
        block[..2].copy_from_slice(&[0x00, 0x3c]);
    }
    let written = |blocks: &[u8]| {
        let dims = [256, ROWS as u64];
        let writer = Writer::new(3).key("general.architecture", "llama");
        let writer = writer.tensor("blk.0.ffn_up.weight", &dims, 22, blocks.to_vec());
        std::fs::write(&model, writer.finish()).expect("written");
    };
    let export = ["export", &model, "-o", &out, "--format", "f32"];
    let decoded = |reference: &str| {
        let ffi = ["--iq2-s", "ffi", "--reference", reference];
        assert_ends(&harness(&[&export[..], &ffi].concat()), 0, &["f32"]);
        let bytes = std::fs::read(&out).expect("written");
        bytes[bytes.len() - ROWS * 1024..].to_vec()
    };
    written(&blocks);
    let values = decoded("bitnet");
    assert!(values == decoded("llama"), "two programs, one meaning");
    // A scale of four bits for every 16 weights, and one of three magnitudes for each.
    for (index, value) in values.as_chunks().0.iter().enumerate() {
        let nibble = blocks[index / 256 * 82 + 74 + index % 256 / 32] >> (index / 16 % 2 * 4) & 15;
        let unit = (0.5 + f32::from(nibble)) * 0.25;
        let magnitude = f32::from_le_bytes(*value).abs() / unit;
        assert!(
            [8.0, 25.0, 43.0].contains(&magnitude),
            "{index}: {magnitude}"
        );
    }
    blocks[2] ^= 1;
    written(&blocks);
    assert!(decoded("bitnet") != values, "another point of the codebook");
    let said = [
        "IQ2_S",
        "codebook follows from no rule",
        "BITNET_IQ2S_IMPL=ffi",
    ];
    assert_ends(&harness(&export), 2, &said);
}

/// Prompts of fewer than eight tokens: its kernels for more leave garbage where nothing is written.
fn weights_in_tl2_give_the_bits_of_a_build_with_its_kernels() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("tl2.gguf");
    let out = path.to_str().expect("plain path");
    let shape = "weights=tl2 layers=1 head_dim=96 kv_heads=16 group=1 width=1536 inner=4096 \
                 vocab=400 scales=no biases=no";
    let made = [
        "fixtures", "random", "--seed", "3", "--arch", "bitnet", "--shape", shape,
    ];
    assert_ends(&harness(&[&made[..], &["-o", out]].concat()), 0, &["tl2"]);
    let asked = |prompt: &str| {
        let crossval = ["crossval", "--model", out, "--prompt", prompt];
        harness(&[&crossval[..], &["--reference", "bitnet-tl2"]].concat())
    };
    assert_ends(&asked("Ah"), 0, &["1 of 1 cases answered, 1 bit-identical"]);
    let long = asked("Call me Ishmael.");
    assert_ne!(
        long.status.code(),
        Some(0),
        "garbage is not taken for an answer"
    );
}

fn packings_that_bitnet_would_misread_are_rewritten_and_give_its_bits() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (weights, architecture) in [
        ("qk256", "llama"),
        ("bitnet32-f16", "bitnet"),
        ("split32", "bitnet"),
    ] {
        let path = folder.path().join(format!("{weights}.gguf"));
        let out = path.to_str().expect("plain path");
        let shape = format!("weights={weights} width=256 inner=256");
        let made = [
            "fixtures",
            "random",
            "--seed",
            "5",
            "--arch",
            architecture,
            "--shape",
            &shape,
        ];
        assert_ends(&harness(&[&made[..], &["-o", out]].concat()), 0, &[weights]);
        let crossval = [
            "crossval",
            "--model",
            out,
            "--prompt",
            "abc def",
            "--reference",
            "bitnet",
        ];
        let output = harness(&crossval);
        assert_ends(&output, 0, &["1 of 1 cases answered, 1 bit-identical"]);
        // As they are, they are not even shown to it.
        let relations = ["metamorphic", "--model", out, "--reference", "bitnet"];
        let said = format!("would read {weights} as i2_s-p128");
        let output = harness(&relations);
        let both = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(both).expect("text");
        assert!(text.contains(&said), "{text}");
    }
}
