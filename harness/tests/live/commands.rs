//! `trace` and `attribute` with a real C++ reference: any prompt, in any portions.

use libtest_mimic::Trial;

use crate::program::{Harness, fixture};
use crate::{live, native_is_avx512};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(["bitnet-portable"], what_nobody_recorded_is_traced_live),
        live!(
            ["bitnet-portable"],
            a_live_reference_answers_any_prompt_in_both_runs
        ),
        live!(
            ["bitnet", "bitnet-portable"],
            two_builds_are_compared_with_each_other
        ),
    ]
}

fn what_nobody_recorded_is_traced_live() {
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let unknown = |flags: &str| {
        let harness = Harness::new("trace --model").arg(&model);
        harness.arg("--prompt").arg("Call me Ahab.").args(flags)
    };
    let live = "--reference bitnet-portable";
    let found = unknown(live).run().exits(0);
    let sentence = "nodes 114/114: 114 with every bit equal";
    assert!(found.stdout.contains(sentence), "{}", found.stdout);
    assert!(found.stdout.starts_with("prompt: bitnet-portable"));
    // A case whose nodes nobody recorded, and the same question in portions of 3 and 1 tokens.
    let case = Harness::new("trace --case bitnet-white-whale").args(live);
    assert!(case.run().exits(0).stdout.contains(sentence));
    let case = Harness::new("trace --case bitnet-white-whale --ubatch 3").args(live);
    let sentence = "nodes 228/228: 228 with every bit equal";
    assert!(case.run().exits(0).stdout.contains(sentence));
    let other = Harness::new("trace --case bitnet-white-whale --ubatch 3 --profile ggml-avx512");
    let other = other.args(live).run().exits(0);
    assert!(
        other.stdout.contains("result_output|MUL_MAT#1"),
        "it differs in the last portion"
    );
}

fn a_live_reference_answers_any_prompt_in_both_runs() {
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let harness = Harness::new("attribute --reference bitnet-portable --model").arg(model);
    let found = harness.arg("--prompt").arg("Call me Ahab.").run().exits(0);
    assert_eq!(
        found
            .stdout
            .matches("no-swap controls 11/11 exactly 0")
            .count(),
        2
    );
    assert!(
        found
            .stdout
            .contains("the engine's modules in the reference's run")
    );

    let split = "attribute --reference bitnet-portable --case bitnet-portions";
    let split = Harness::new(split).run().exits(2);
    assert!(
        split.stdout.contains("takes 11 ubatches here"),
        "{}",
        split.stdout
    );
    let declines = "attribute --reference bitnet-portable --case b158-white-whale";
    let declines = Harness::new(declines).run().exits(3);
    assert!(
        declines.stdout.contains("unknown model architecture"),
        "{}",
        declines.stdout
    );
    assert!(declines.stderr.contains("skipped 1"));
}

fn two_builds_are_compared_with_each_other() {
    let both = "compare --reference bitnet --reference bitnet-portable --case bitnet-ishmael";
    let found = Harness::new(both).run().exits(0);
    let other_order = [
        "bitnet (ggml-avx512) against bitnet-portable (ggml-avx2)",
        "first node that differs: kq-0|MUL_MAT#0",
        "14 of them on their own",
        "no operation is blamed",
    ];
    let same_order = [
        "bitnet (ggml-avx2) against bitnet-portable (ggml-avx2)",
        "logits: 22528 of 22528 have equal bits",
        "nodes: 114 of 114 have equal bits",
        "no operation is blamed: all bits agree",
    ];
    let differ = native_is_avx512();
    for words in if differ { other_order } else { same_order } {
        assert!(found.stdout.contains(words), "{words}: {}", found.stdout);
    }
    let twice = "compare bitnet bitnet --case bitnet-ishmael";
    let refused = Harness::new(twice).run().exits(2);
    assert!(
        refused.stderr.contains("the same library"),
        "{}",
        refused.stderr
    );
    let other = "compare bitnet README.md";
    let refused = Harness::new(other).run().exits(2);
    assert!(
        refused.stderr.contains("there is no README.md"),
        "{}",
        refused.stderr
    );
}
