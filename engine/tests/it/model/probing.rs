//! Looking at a pass changes nothing; writing into it changes what follows.

use engine::session::{EvalError, Model, OpenOptions, Wanted};
use engine::transformer::probe::{Node, Part, Probe, Step};

use crate::model::random::{Format, Recipe, file, tensors};
use crate::model::{first_difference, made, moby, prefill, session, tokens};

/// Notes what it is shown.
#[derive(Default)]
struct Notes(Vec<(String, Vec<usize>)>);

impl Probe for Notes {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{node}");
        self.0.push((node.to_string(), shape.to_vec()));
    }
}

/// Puts a value into the first element of one node.
struct Set(&'static str, f32);

impl Probe for Set {
    fn at(&mut self, node: Node, _shape: &[usize], values: &mut [f32]) {
        if node.to_string() == self.0 {
            values[0] = self.1;
        }
    }
}

/// Notes the steps that ran, and for how many tokens together.
#[derive(Default)]
struct Steps(Vec<(&'static str, usize)>);

impl Probe for Steps {
    fn at(&mut self, _node: Node, _shape: &[usize], _values: &mut [f32]) {}

    fn ran(&mut self, part: Part<'_>, tokens: usize) {
        if let Part::Step(step) = part {
            self.0.push((step.name(), tokens));
        }
    }
}

#[test]
fn every_step_that_a_model_has_is_told_when_it_ran_and_no_other() {
    let plain = [Step::RopeAdjacent, Step::Silu, Step::TiedHead];
    let with = |step| plain.iter().copied().chain([step]).collect();
    let llama = || Recipe::new("llama");
    let scaled = Recipe {
        scales: true,
        ..Recipe::new("bitnet")
    };
    let has = [
        Step::RopeHalves,
        Step::Silu,
        Step::SubNorms,
        Step::Scale,
        Step::TiedHead,
    ];
    let biases = Recipe {
        biases: true,
        ..llama()
    };
    let factors = Recipe {
        rope_factors: true,
        ..llama()
    };
    let all: [(Recipe, Vec<Step>); 4] = [
        (llama(), plain.to_vec()),
        (scaled, has.to_vec()),
        (biases, with(Step::Bias)),
        (factors, with(Step::RopeFactors)),
    ];
    for (recipe, expected) in all {
        let model = made(&recipe);
        let mut steps = Steps::default();
        let logits = session(&model).feed(&tokens(5), Wanted::All, &mut steps);
        assert_eq!(logits.expect("finite").len(), 5 * 64);
        let mut seen: Vec<_> = steps.0.iter().map(|(name, _)| *name).collect();
        seen.sort_unstable();
        seen.dedup();
        let mut expected: Vec<_> = expected.into_iter().map(Step::name).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected, "{recipe:?}");
        assert!(steps.0.iter().all(|(_, tokens)| *tokens == 5), "{recipe:?}");
    }
}

#[test]
fn looking_changes_nothing_and_sees_every_node_once() {
    let model = moby();
    let tokens = tokens(5);
    let mut notes = Notes::default();
    let observed = session(&model).feed(&tokens, Wanted::All, &mut notes);
    let observed = observed.expect("finite");
    assert_eq!(first_difference(&observed, &prefill(&model, &tokens)), None);

    let mut names: Vec<&String> = notes.0.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 118);
    assert_eq!(names[0], "inp_embd|GET_ROWS#0");
    assert_eq!(names[101], "node_137|GET_ROWS#0");
    assert_eq!(names[117], "result_output|MUL_MAT#0");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 118, "every name is unique");
}

#[test]
fn asking_for_the_last_position_narrows_the_end_of_the_pass() {
    let model = moby();
    let mut notes = Notes::default();
    let logits = session(&model).feed(&tokens(5), Wanted::Last, &mut notes);
    assert_eq!(logits.expect("finite").len(), 1024);
    let shape = |name: &str| {
        let found = notes.0.iter().find(|(known, _)| known == name);
        found.expect("seen").1.clone()
    };
    assert_eq!(shape("attn_o_out-3|MUL_MAT#0"), [5, 256]);
    assert_eq!(shape("ffn_inp-3|ADD#0"), [1, 256]);
    assert_eq!(shape("result_output|MUL_MAT#0"), [1, 1024]);
}

#[test]
fn what_a_probe_writes_is_what_the_pass_goes_on_with() {
    let model = moby();
    let tokens = tokens(5);
    let plain = prefill(&model, &tokens);
    // An early node of the first position reaches every position's logits.
    for (node, changed_rows) in [
        ("inp_embd|GET_ROWS#0", 5),
        ("Vcur-0|MUL_MAT#0", 5),
        ("kq-3|MUL_MAT#0", 0),
        ("l_out-3|ADD#0", 1),
    ] {
        let mut probe = Set(node, 4.0);
        let touched = session(&model).feed(&tokens, Wanted::All, &mut probe);
        let touched = touched.expect("finite");
        let rows = touched.chunks(1024).zip(plain.chunks(1024));
        let differing = rows
            .filter(|(a, b)| first_difference(a, b).is_some())
            .count();
        // The first position attends to itself alone, so its product with its own key is moot.
        assert_eq!(differing, changed_rows, "{node}");
    }
    let mut probe = Set("result_output|MUL_MAT#0", 123.0);
    let touched = session(&model).feed(&tokens, Wanted::All, &mut probe);
    let touched = touched.expect("finite");
    assert_eq!((touched[0], &touched[1..]), (123.0, &plain[1..]));
}

#[test]
fn a_value_that_is_no_number_is_an_error_naming_its_first_node() {
    let recipe = Recipe {
        linear: Format::F32,
        ..Recipe::new("llama")
    };
    for (tensor, node) in [
        ("blk.0.attn_q.weight", "Qcur-0|MUL_MAT#0"),
        ("blk.1.ffn_up.weight", "ffn_up-1|MUL_MAT#0"),
        ("output_norm.weight", "result_norm|MUL#0"),
    ] {
        for (bits, value) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            let mut all = tensors(&recipe);
            let poisoned = all.iter_mut().find(|t| t.name == tensor);
            let bytes = &mut poisoned.expect("the recipe has it").bytes;
            bytes[..4].copy_from_slice(&bits.to_le_bytes());
            let model = Model::from_bytes(file(&recipe, all), &OpenOptions::default());
            let model = model.expect("a valid model");
            let error = session(&model).feed(&tokens(3), Wanted::All, &mut ());
            let Err(EvalError::NotFinite {
                node: first,
                value: found,
                ..
            }) = error
            else {
                panic!("{tensor}: {error:?}");
            };
            assert_eq!(first, node, "{tensor}");
            // An infinite weight meets activations of either sign.
            assert!(found.trim_start_matches('-') == value, "{tensor}: {found}");
        }
    }
}

#[test]
fn a_failed_feed_leaves_the_session_as_it_was() {
    let model = made(&Recipe::new("bitnet-b1.58"));
    let tokens = tokens(20);
    let (before, after) = tokens.split_at(12);
    let mut session = session(&model);
    session.feed(before, Wanted::All, &mut ()).expect("finite");
    let mut expected = crate::model::session(&model);
    expected.feed(before, Wanted::All, &mut ()).expect("finite");

    let mut probe = Set("Kcur-1|ROPE#0", f32::NAN);
    let error = session.feed(after, Wanted::All, &mut probe);
    assert!(
        matches!(error, Err(EvalError::NotFinite { .. })),
        "{error:?}"
    );
    assert_eq!(session.len(), 12);
    let again = session.feed(&after[..2], Wanted::All, &mut ());
    let expected = expected.feed(&after[..2], Wanted::All, &mut ());
    assert_eq!(again, expected, "nothing of the failed feed is left");
}
