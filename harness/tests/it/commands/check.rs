//! `harness check`: every lint finds the defect it is for and stays silent about sound files.

use std::collections::BTreeSet;

use harness::file::check::{Lint, Severity};

use crate::commands::tiny::{self, BF16, F32, I2_S, Tiny, i2_s};
use crate::program::{Answer, Folder, Harness, fixture};

/// The one thing there is to say about a sound file in I2_S: other tools read the id differently.
const ALWAYS: Lint = Lint::TypeIdContested;

fn check(tiny: &Tiny, flags: &str) -> Answer {
    let folder = Folder::new();
    let model = folder.file("tiny.gguf", &tiny.file());
    Harness::new("check --json --model")
        .arg(model)
        .args(flags)
        .run()
}

fn found(answer: &Answer) -> BTreeSet<String> {
    let report = answer.json();
    let findings = report["findings"].as_array().expect("findings");
    let name = |finding: &serde_json::Value| finding["name"].as_str().expect("name").to_owned();
    findings.iter().map(name).collect()
}

fn names(lints: &[Lint]) -> BTreeSet<String> {
    lints.iter().map(|lint| lint.name().to_owned()).collect()
}

type Defect = (&'static [Lint], &'static str, fn(&mut Tiny));

const ATTN_Q: &str = "blk.1.attn_q.weight";

/// What is found, the subject named first, and how it is planted.
const DEFECTS: &[Defect] = &[
    (&[Lint::PreTokenizerMissing], "tokenizer.ggml.pre", |t| {
        t.unset("tokenizer.ggml.pre")
    }),
    (&[Lint::PreTokenizerDefault], "tokenizer.ggml.pre", |t| {
        t.set("tokenizer.ggml.pre", "default")
    }),
    (
        &[Lint::AddBosMissing],
        "tokenizer.ggml.add_bos_token",
        |t| {
            t.set("tokenizer.ggml.pre", "gpt-2");
            t.unset("tokenizer.ggml.add_bos_token");
        },
    ),
    (
        &[Lint::TokenizerRefused],
        "metadata.\"tokenizer.ggml.pre\"",
        |t| {
            t.set("tokenizer.ggml.pre", "klingon");
        },
    ),
    (&[Lint::VocabSizeMismatch], "bitnet-b1.58.vocab_size", |t| {
        t.set("bitnet-b1.58.vocab_size", 300_u32);
    }),
    (
        &[Lint::HyperParametersRefused],
        "metadata.\"bitnet-b1.58.context_length\"",
        |t| {
            t.unset("bitnet-b1.58.context_length");
        },
    ),
    (&[Lint::ActivationSuspect], "general.architecture", |t| {
        t.architecture("bitnet")
    }),
    (&[Lint::ActivationSuspect], "general.architecture", |t| {
        t.set("bitnet-b1.58.hidden_activation", "silu");
    }),
    (&[Lint::ContextOdd], "bitnet-b1.58.context_length", |t| {
        t.set("bitnet-b1.58.context_length", 2_u32);
    }),
    (
        &[Lint::RopeBaseMissing],
        "bitnet-b1.58.rope.freq_base",
        |t| {
            t.unset("bitnet-b1.58.rope.freq_base");
        },
    ),
    (
        &[Lint::EpsilonOdd],
        "bitnet-b1.58.attention.layer_norm_rms_epsilon",
        |t| {
            t.set("bitnet-b1.58.attention.layer_norm_rms_epsilon", 0.5_f32);
        },
    ),
    (&[Lint::TensorMissing], "blk.2.ffn_sub_norm.weight", |t| {
        t.remove("blk.2.ffn_sub_norm.weight")
    }),
    (&[Lint::TensorMissing], "output_norm.weight", |t| {
        t.remove("output_norm.weight")
    }),
    (&[Lint::TensorShape], "blk.0.attn_norm.weight", |t| {
        let norm = t.tensor("blk.0.attn_norm.weight");
        norm.dims = vec![64];
        norm.bytes.truncate(64 * 4);
    }),
    (&[Lint::TensorExtra], "blk.0.mystery.weight", |t| {
        t.norm("blk.0.mystery.weight", 32)
    }),
    (&[Lint::EmbeddingPacked], "token_embd.weight", |t| {
        let embedding = t.tensor("token_embd.weight");
        embedding.type_id = I2_S;
        embedding.bytes = i2_s(embedding.dims.iter().product(), 0.5);
    }),
    (&[Lint::CodeThree], ATTN_Q, |t| {
        t.tensor(ATTN_Q).bytes[77] |= 0b11
    }),
    (&[Lint::QuantisedInThreads], "blk.0.ffn_up.weight", |t| {
        let up = t.tensor("blk.0.ffn_up.weight");
        up.bytes.extend([0; 32]);
    }),
    (&[Lint::GapOversized], ATTN_Q, |t| {
        t.tensor(ATTN_Q).bytes.extend([0; 96])
    }),
    (&[Lint::PackingUnknown], ATTN_Q, |t| {
        t.tensor(ATTN_Q).bytes.truncate(1024)
    }),
    (
        &[Lint::LookupTableShape, Lint::PackingUnknown],
        ATTN_Q,
        |t| t.tensor(ATTN_Q).type_id = 39,
    ),
    (&[Lint::ScaleInverted], ATTN_Q, |t| scale(t, ATTN_Q, 27.5)),
    (&[Lint::ScaleOutlier], ATTN_Q, |t| scale(t, ATTN_Q, 0.01)),
    (&[Lint::WeightsNotTernary], ATTN_Q, |t| {
        plain(t, |n| [0.0, 0.5, -0.5, 0.25][n % 4])
    }),
    (
        &[Lint::PreTokenizerSuspect],
        "tokenizer.ggml.pre",
        trained_with_digits_in_threes,
    ),
    (
        &[Lint::EndTokenOrdinary],
        "tokenizer.ggml.eos_token_id",
        |t| t.set("tokenizer.ggml.eos_token_id", 5_u32),
    ),
    (
        &[Lint::ChatTemplateBroken],
        "tokenizer.chat_template",
        |t| t.set("tokenizer.chat_template", "{% for message in %}"),
    ),
    (&[Lint::RopeBaseOdd], "bitnet-b1.58.rope.freq_base", |t| {
        t.set("bitnet-b1.58.rope.freq_base", 10_000_f32);
    }),
    (&[Lint::FileTypeContradicted], "general.file_type", |t| {
        t.set("general.file_type", 1_u32);
    }),
    (&[Lint::ZeroRun], ATTN_Q, |t| {
        t.tensor(ATTN_Q).bytes[512..2048].fill(0)
    }),
    (&[Lint::ZeroShareOutlier], ATTN_Q, |t| {
        t.tensor(ATTN_Q).bytes[..2048].fill(0b0101_0101)
    }),
    (&[Lint::TensorZero], "blk.1.attn_norm.weight", |t| {
        t.tensor("blk.1.attn_norm.weight").bytes.fill(0)
    }),
    (&[Lint::NormConstant], "output_norm.weight", |t| {
        let ones = [1.0_f32; 128].map(f32::to_le_bytes);
        t.tensor("output_norm.weight").bytes = ones.concat();
    }),
    (&[Lint::MagnitudeOdd], "token_embd.weight", |t| {
        t.tensor("token_embd.weight").type_id = BF16
    }),
    (&[Lint::DialectForeign], "oxibonsai", |t| {
        t.set("general.quantization_version", "F32")
    }),
    (
        &[Lint::DialectAmbiguous],
        "tensors.\"blk.1.attn_q.weight\".type",
        |t| {
            t.set("general.quantization_version", "Q4_0");
            let tensor = t.tensor(ATTN_Q);
            tensor.type_id = 2; // Q4_0
            tensor.bytes = vec![1; 128 * 128 / 32 * 18];
        },
    ),
    (&[Lint::FileOdd], "metadata.\"General.Shouting\"", |t| {
        t.set("General.Shouting", true);
    }),
];

/// A hundred tokens that single digits never become, under the rules that cut digits one by one.
fn trained_with_digits_in_threes(tiny: &mut Tiny) {
    tiny.set("tokenizer.ggml.pre", "qwen2");
    let mut tokens = tiny::vocabulary();
    for (number, token) in (100..).zip(&mut tokens[100..200]) {
        *token = format!("{number}");
    }
    tiny.set("tokenizer.ggml.tokens", tokens);
}

/// Overwrites the scale of an I2_S tensor.
fn scale(tiny: &mut Tiny, name: &str, scale: f32) {
    let tensor = tiny.tensor(name);
    let at = tensor.bytes.len() - 32;
    tensor.bytes[at..at + 4].copy_from_slice(&scale.to_le_bytes());
}

/// Replaces a packed weight by plain floats.
fn plain(tiny: &mut Tiny, value: impl Fn(usize) -> f32) {
    let tensor = tiny.tensor(ATTN_Q);
    let elements: u64 = tensor.dims.iter().product();
    tensor.type_id = F32;
    tensor.bytes = (0..elements as usize)
        .flat_map(|n| value(n).to_le_bytes())
        .collect();
}

#[test]
fn a_sound_file_has_nothing_but_a_note() {
    for flags in ["", "--check-finite", "--strict"] {
        let answer = check(&Tiny::new(), flags).exits(0);
        assert_eq!(found(&answer), names(&[ALWAYS]), "{flags}");
    }
    let mut dense = Tiny::new();
    plain(&mut dense, |n| [0.0, 0.5, -0.5][n % 3]);
    assert_eq!(
        found(&check(&dense, "--check-finite").exits(0)),
        names(&[ALWAYS])
    );
}

#[test]
fn every_planted_defect_is_found_and_nothing_else() {
    for (lints, subject, plant) in DEFECTS {
        let mut tiny = Tiny::new();
        plant(&mut tiny);
        let worst = lints.iter().map(|lint| lint.severity()).max();
        let failed = i32::from(worst == Some(Severity::Error));
        let answer = check(&tiny, "").exits(failed);
        let expected = [*lints, &[ALWAYS]].concat();
        assert_eq!(found(&answer), names(&expected), "{}", answer.stdout);
        let report = answer.json();
        let findings = report["findings"].as_array().expect("findings").iter();
        let mut of_lint = findings.filter(|f| f["name"] == lints[0].name());
        assert_eq!(of_lint.next().expect("found")["subjects"][0], *subject);
        let strict = i32::from(worst >= Some(Severity::Warning));
        check(&tiny, "--strict").exits(strict);
    }
}

#[test]
fn a_shape_the_kernels_cannot_serve_is_an_error() {
    // The feed-forward length of bitnet_b1_58-3B is no multiple of 128 either.
    let mut tiny = Tiny::new();
    tiny.set("bitnet-b1.58.feed_forward_length", 320_u32);
    for block in 0..3 {
        for (part, dims) in [
            ("gate", [128, 320]),
            ("up", [128, 320]),
            ("down", [320, 128]),
        ] {
            let tensor = tiny.tensor(&format!("blk.{block}.ffn_{part}.weight"));
            tensor.dims = dims.to_vec();
            tensor.bytes = i2_s(128 * 320, 0.5);
        }
        tiny.remove(&format!("blk.{block}.ffn_sub_norm.weight"));
        tiny.norm(&format!("blk.{block}.ffn_sub_norm.weight"), 320);
    }
    let answer = check(&tiny, "").exits(1);
    assert_eq!(found(&answer), names(&[Lint::ShapeUnserved, ALWAYS]));
    assert_eq!(
        answer.json()["findings"][0]["subjects"][0],
        "blk.0.ffn_down.weight"
    );
}

#[test]
fn what_is_not_finite_is_found_with_its_place() {
    for broken in [f32::NAN, f32::INFINITY] {
        let mut tiny = Tiny::new();
        tiny.tensor("blk.2.attn_norm.weight").bytes[100..104]
            .copy_from_slice(&broken.to_le_bytes());
        for flags in ["", "--check-finite"] {
            let answer = check(&tiny, flags).exits(1);
            assert_eq!(found(&answer), names(&[Lint::DataNonfinite, ALWAYS]));
            let finding = &answer.json()["findings"][0];
            let detail = finding["detail"].as_str().expect("text");
            assert!(detail.ends_with("in row 0 column 25"), "{detail}");
        }
    }
}

#[test]
fn every_lint_has_a_defect_of_its_own() {
    let planted = DEFECTS.iter().flat_map(|(lints, ..)| lints.iter().copied());
    let elsewhere = [
        ALWAYS,
        Lint::ShapeUnserved,
        Lint::DataNonfinite,
        Lint::NotAModel,
    ];
    // What `doctor` finds has tests beside it.
    let elsewhere = elsewhere.into_iter().chain([
        Lint::WordOrderIgnored,
        Lint::NotTheRelease,
        Lint::TensorsExchanged,
        Lint::ScalesLost,
        Lint::ManifestMismatch,
        Lint::BuildSpeedOdd,
        Lint::BuildWithoutVectors,
        Lint::BuildKernelDiffers,
        Lint::BuildGraphDiffers,
        Lint::BuildLanesApart,
    ]);
    let planted: BTreeSet<Lint> = planted.chain(elsewhere).collect();
    let all: BTreeSet<Lint> = Lint::ALL.iter().copied().collect();
    assert_eq!(planted, all);
    let listed = Harness::new("check --list --json").run().exits(0).json();
    assert_eq!(listed.as_array().expect("lints").len(), all.len());
}

// AC:AC3
#[test]
fn the_fixtures_are_judged_for_what_they_are() {
    let judge = |path: &str, flags: &str| {
        let model = fixture(path);
        Harness::new("check --model").arg(model).args(flags).run()
    };
    judge("moby-tiny/moby-tiny-b158.gguf", "--strict --check-finite").exits(0);
    let silu = judge("moby-tiny/moby-tiny-bitnet.gguf", "").exits(0);
    assert!(
        silu.stdout.contains("warning[activation-suspect]"),
        "{}",
        silu.stdout
    );
    // Tensors alone are no model that lacks something.
    for file in [
        "qk256_4x256_seed42",
        "qk256_3x300_seed44",
        "bitnet32_2x64_seed43",
    ] {
        let tensors = judge(&format!("qk256/{file}.gguf"), "--json").exits(0);
        let expected = [Lint::NotAModel, Lint::DialectForeign, ALWAYS];
        assert_eq!(found(&tensors), names(&expected));
    }
    let typed = Harness::new("compat-check").arg(fixture("qk256/qk256_4x256_seed42.gguf"));
    assert!(typed.run().exits(0).stdout.contains("0 errors"));
    judge("qk256/README.md", "").exits(2);
}
