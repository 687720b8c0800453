//! Handles: their order, their reuse, and panics that must not cross the C++ frames.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use ffi::{Error, Node, Observe, SessionOptions, Status, Step, Wanted};

use crate::bench::{Bench, Check, Keeper, PROMPT, bits, small};

pub const CHECKS: &[Check] = &[
    Check::bitnet("lifecycle::models_and_sessions_come_and_go", come_and_go),
    Check::bitnet("lifecycle::clearing_forgets", clearing),
    Check::bitnet("lifecycle::a_split_is_the_partition_of_the_graph", split),
    Check::bitnet("lifecycle::threads_do_not_change_a_bit", threads),
    Check::bitnet("lifecycle::a_panic_of_the_observer_comes_back", panic),
    Check::bitnet("lifecycle::an_observer_stops_the_graph", stop),
    Check::bitnet("lifecycle::a_replaced_node_changes_what_follows", replace),
    Check::bitnet("lifecycle::sources_name_earlier_nodes", sources),
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

fn clearing(bench: &Bench) {
    let model = bench.moby();
    let mut session = model.session(&small()).unwrap();
    let first = bits(&session.decode(&PROMPT, 0, Wanted::All).unwrap());
    session.clear().unwrap();
    let again = bits(&session.decode(&PROMPT, 0, Wanted::All).unwrap());
    assert!(first == again);
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
    let parts = session.decode_split(&PROMPT, 0, &[4, 4, 3]).unwrap();
    assert!(
        bits(&whole) == bits(&parts),
        "n_ubatch 4 and calls of 4 are the same partition"
    );
    session.clear().unwrap();
    let ones = session.decode_split(&PROMPT, 0, &[1; 11]).unwrap();
    assert!(
        bits(&whole) != bits(&ones),
        "a single-token graph takes other kernels"
    );
    let refusal = session.decode_split(&PROMPT, 0, &[4, 4]).unwrap_err();
    assert!(matches!(refusal, Error::Argument { .. }), "{refusal}");
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

/// Panics at the n-th node, or answers `step` there.
struct At {
    n: u32,
    step: Option<Step>,
    asked_after: u32,
}

impl Observe for At {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        self.asked_after += u32::from(node.index > self.n);
        node.index == self.n
    }

    fn sees(&mut self, _: &Node<'_>, values: &mut [f32]) -> Step {
        values.iter_mut().for_each(|value| *value += 1.0);
        self.step.expect("this observer panics")
    }
}

fn panic(bench: &Bench) {
    std::panic::set_hook(Box::new(|_| {}));
    let model = bench.moby();
    let mut observer = At {
        n: 3,
        step: None,
        asked_after: 0,
    };
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
    let mut observer = At {
        n: 3,
        step: Some(Step::Stop),
        asked_after: 0,
    };
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
    assert_eq!(
        observer.asked_after, 0,
        "no node is computed, or even announced, after the stop"
    );
}

fn replace(bench: &Bench) {
    let model = bench.moby();
    let run = |step| {
        let mut observer = At {
            n: 1,
            step: Some(step),
            asked_after: 0,
        };
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
    let norm = nodes
        .iter()
        .find(|node| node.key == "attn_norm-0|MUL#0")
        .unwrap();
    let made = norm.sources[0].expect("a norm is a node");
    assert_eq!(nodes[made as usize].name, "norm-0");
    assert_eq!(norm.sources[1], None, "a weight is not");
}
