//! Handles: their order, their reuse, and panics that must not cross the C++ frames.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use ffi::{Error, ModelOptions, Node, Observe, SessionOptions, Status, Step, Wanted};

use crate::bench::{Bench, Check, Keeper, MOBY, PROMPT, bits, decode_in_parts, fixture, small};

pub const CHECKS: &[Check] = &[
    Check::any("lifecycle::models_and_sessions_come_and_go", come_and_go),
    Check::bitnet("lifecycle::a_vocabulary_is_enough_to_tokenize", vocabulary),
    Check::any("lifecycle::clearing_forgets", clearing),
    Check::any(
        "lifecycle::truncating_forgets_the_end_and_nothing_else",
        truncating,
    ),
    Check::any("lifecycle::a_split_is_the_partition_of_the_graph", split),
    Check::bitnet(
        "lifecycle::a_single_token_graph_takes_other_kernels",
        single,
    ),
    Check::any("lifecycle::threads_do_not_change_a_bit", threads),
    Check::any("lifecycle::a_panic_of_the_observer_comes_back", panic),
    Check::any("lifecycle::an_observer_stops_the_graph", stop),
    Check::any("lifecycle::a_replaced_node_changes_what_follows", replace),
    Check::any("lifecycle::sources_name_earlier_nodes", sources),
    Check::bitnet(
        "lifecycle::a_permuted_view_is_gathered_by_its_strides",
        permuted,
    ),
];

fn come_and_go(bench: &Bench) {
    let models = [bench.moby(), bench.moby()];
    let mut all = Vec::new();
    for model in &models {
        let mut sessions = [
            model.session(&small()).unwrap(),
            model.session(&small()).unwrap(),
        ];
        for session in &mut sessions {
            all.push(bits(&session.decode(&PROMPT, 0, Wanted::Last).unwrap()));
        }
        let [first, second] = sessions;
        drop(first);
        drop(second);
    }
    let [first, second] = models;
    drop(first);
    let mut session = second.session(&small()).unwrap();
    all.push(bits(&session.decode(&PROMPT, 0, Wanted::Last).unwrap()));
    assert!(
        all.iter()
            .all(|logits| *logits == all[0] && logits.len() == 1024)
    );
}

/// A model of which only the vocabulary was read has no layers to describe.
fn vocabulary(bench: &Bench) {
    let options = ModelOptions {
        vocab_only: true,
        ..ModelOptions::default()
    };
    let whole = bench.moby();
    let model = bench.library.model(&fixture(MOBY), &options).unwrap();
    assert_eq!(model.facts().n_vocab, 1024);
    assert_eq!(model.facts().n_head, None);
    assert_eq!(model.facts().bos, whole.facts().bos);
    let ids = |model: &ffi::Model| model.tokenize(b"Call me Ishmael.", true, true).unwrap();
    assert_eq!(ids(&model), PROMPT);
    assert_eq!(ids(&whole), PROMPT);
}

fn clearing(bench: &Bench) {
    let model = bench.moby();
    let mut session = model.session(&small()).unwrap();
    let first = bits(&session.decode(&PROMPT, 0, Wanted::All).unwrap());
    session.clear().unwrap();
    let again = bits(&session.decode(&PROMPT, 0, Wanted::All).unwrap());
    assert!(first == again);
}

/// Other tokens are fed behind a beginning and forgotten; left in the cache, they show.
fn truncating(bench: &Bench) {
    let model = bench.moby();
    let (first, second) = PROMPT.split_at(6);
    let reversed: Vec<u32> = first.iter().rev().copied().collect();
    let second_after = |other_tokens: bool, forget: bool| {
        let mut session = model.session(&small()).unwrap();
        session.decode(first, 0, Wanted::All).unwrap();
        if other_tokens {
            session.decode(&reversed, 6, Wanted::All).unwrap();
        }
        if forget {
            session.truncate(6).unwrap();
        }
        let at = if other_tokens && !forget { 12 } else { 6 };
        bits(&session.decode(second, at, Wanted::All).unwrap())
    };
    let straight = second_after(false, false);
    assert!(straight == second_after(true, true));
    assert!(straight == second_after(false, true), "nothing to forget");
    assert!(straight != second_after(true, false));
    let mut session = model.session(&small()).unwrap();
    assert!(session.truncate(usize::MAX).is_err());
}

fn split(bench: &Bench) {
    let model = bench.moby();
    let with = |ubatch| SessionOptions { ubatch, ..small() };
    let whole = model
        .session(&with(4))
        .unwrap()
        .decode(&PROMPT, 0, Wanted::All)
        .unwrap();
    let mut session = model.session(&with(64)).unwrap();
    let parts = decode_in_parts(&mut session, &PROMPT, &[4, 4, 3]);
    assert!(
        bits(&whole) == bits(&parts),
        "n_ubatch 4 and calls of 4 are the same partition"
    );
}

/// What makes the partition a part of the input.
fn single(bench: &Bench) {
    let model = bench.moby();
    let mut session = model.session(&small()).unwrap();
    let whole = session.decode(&PROMPT, 0, Wanted::All).unwrap();
    session.clear().unwrap();
    let ones = decode_in_parts(&mut session, &PROMPT, &[1; 11]);
    assert!(bits(&whole) != bits(&ones));
}

fn threads(bench: &Bench) {
    let model = bench.moby();
    let with = |threads| {
        let mut session = model
            .session(&SessionOptions { threads, ..small() })
            .unwrap();
        bits(&session.decode(&PROMPT, 0, Wanted::All).unwrap())
    };
    assert!(with(1) == with(2));
}

/// A node that every generation has, and that everything after it depends on.
const WATCHED: &str = "Qcur-0|MUL_MAT#0";

/// Changes the watched node's values and answers `step`, or panics if there is none.
struct NodeEditor {
    step: Option<Step>,
    was_shown: bool,
    asked_later: usize,
}

impl NodeEditor {
    fn answering(step: Option<Step>) -> Self {
        NodeEditor {
            step,
            was_shown: false,
            asked_later: 0,
        }
    }
}

impl Observe for NodeEditor {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        self.asked_later += usize::from(self.was_shown);
        node.key() == WATCHED
    }

    fn sees(&mut self, _: &Node<'_>, values: &mut [f32]) -> Step {
        self.was_shown = true;
        values.iter_mut().for_each(|value| *value += 1.0);
        self.step.expect("this observer panics")
    }
}

fn panic(bench: &Bench) {
    std::panic::set_hook(Box::new(|_| {}));
    let model = bench.moby();
    let mut observer = NodeEditor::answering(None);
    let mut session = model.observed_session(&small(), &mut observer).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        session.decode(&PROMPT, 0, Wanted::Last)
    }));
    drop(session);
    let _ = std::panic::take_hook();
    let message = caught.expect_err("the panic comes back");
    assert_eq!(
        message.downcast_ref::<&str>(),
        None,
        "it is the observer's own payload"
    );
    assert_eq!(
        message.downcast_ref::<String>().unwrap(),
        "this observer panics"
    );
}

fn stop(bench: &Bench) {
    let model = bench.moby();
    let mut observer = NodeEditor::answering(Some(Step::Stop));
    let mut session = model.observed_session(&small(), &mut observer).unwrap();
    let stopped = session.decode(&PROMPT, 0, Wanted::Last).unwrap_err();
    assert!(
        matches!(
            stopped,
            Error::Refused {
                status: Status::Stopped,
                ..
            }
        ),
        "{stopped}"
    );
    drop(session);
    assert!(observer.was_shown);
    assert_eq!(
        observer.asked_later, 0,
        "nothing is computed, or even announced, after the stop"
    );
}

fn replace(bench: &Bench) {
    let model = bench.moby();
    let run = |step| {
        let mut observer = NodeEditor::answering(Some(step));
        let mut session = model.observed_session(&small(), &mut observer).unwrap();
        bits(&session.decode(&PROMPT, 0, Wanted::All).unwrap())
    };
    let plain = model
        .session(&small())
        .unwrap()
        .decode(&PROMPT, 0, Wanted::All)
        .unwrap();
    assert!(
        run(Step::Continue) == bits(&plain),
        "changed values are dropped without Replace"
    );
    assert!(run(Step::Replace) != bits(&plain));
}

fn sources(bench: &Bench) {
    let model = bench.moby();
    let mut keeper = Keeper::default();
    let mut session = model.observed_session(&small(), &mut keeper).unwrap();
    session.decode(&PROMPT, 0, Wanted::All).unwrap();
    drop(session);
    let nodes = &keeper.nodes;
    for (index, node) in nodes.iter().enumerate() {
        assert!(
            node.sources
                .iter()
                .flatten()
                .all(|&made| (made as usize) < index),
            "{}",
            node.key
        );
    }
    let product = nodes
        .iter()
        .find(|node| node.key.contains("|MUL_MAT#"))
        .expect("a projection");
    assert_eq!(product.sources[0], None, "a weight is not a node");
    assert!(product.sources[1].is_some(), "an activation is");
}

fn permuted(bench: &Bench) {
    let model = bench.moby();
    let mut keeper = Keeper::default();
    let mut session = model.observed_session(&small(), &mut keeper).unwrap();
    session.decode(&PROMPT, 0, Wanted::All).unwrap();
    drop(session);
    let find = |key: &str| {
        keeper
            .nodes
            .iter()
            .find(|node| node.key == key)
            .expect("it is there")
    };
    let (rope, view) = (find("Qcur-0|ROPE#0"), find("q-0|PERMUTE#0"));
    let (tokens, heads, width) = (PROMPT.len(), 4, 64);
    assert_eq!(
        (&rope.shape[..], rope.is_plain),
        (&[tokens, heads, width][..], true)
    );
    assert_eq!(
        (&view.shape[..], view.is_plain),
        (&[heads, tokens, width][..], false)
    );
    for (token, head) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
        let row = |at: usize| at * width..(at + 1) * width;
        let (dense, gathered) = (row(token * heads + head), row(head * tokens + token));
        assert!(
            bits(&rope.values[dense]) == bits(&view.values[gathered]),
            "{token} {head}"
        );
    }
}
