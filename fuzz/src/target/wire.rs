//! What other processes say: the frames of a worker, the lines of an engine.

use harness::case::observation::TracedNode;
use harness::reference::isolation::frame::{self, Broken};
use harness::reference::isolation::{Answer, Done, Hello, Part, Reply, Request, Shown, Terms};
use harness::runner::subject::worker::protocol::Said;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn framed(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, message).expect("memory takes all");
    bytes
}

/// Reads frames until one is none.
fn all<T: Serialize + DeserializeOwned>(mut bytes: &[u8]) {
    loop {
        match frame::read::<T>(&mut bytes) {
            Ok(message) => {
                let once = framed(&message);
                let again: T = frame::read(&mut &once[..]).expect("as it was written");
                assert_eq!(
                    framed(&again),
                    once,
                    "another message when it is said again"
                );
            }
            Err(Broken::End) => return,
            Err(Broken::Malformed(why)) => return assert!(!why.is_empty()),
            Err(Broken::Io(why)) => panic!("memory does not fail: {why}"),
        }
    }
}

/// The first byte says who reads.
pub fn frames(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 3 {
        0 => all::<Reply>(bytes),
        1 => all::<Request>(bytes),
        _ => all::<Terms>(bytes),
    }
}

/// One of each kind that a worker says.
pub fn some_frames() -> Vec<Vec<u8>> {
    let node = TracedNode {
        key: "attn_out-0".into(),
        shape: vec![2, 1],
        values: vec![1.0, f32::NAN],
    };
    let done = |done| {
        Reply::Answer(Answer {
            model_sha256: Some("ab".into()),
            done,
        })
    };
    let replies = [
        Reply::Hello(Hello::default()),
        Reply::Phase {
            name: "loading".into(),
        },
        Reply::Part(Part::Node(node)),
        Reply::Part(Part::Rows(vec![1.0, -0.0])),
        Reply::Refused {
            message: "no".into(),
        },
        done(Done::Opened),
        done(Done::Followed { vocab_size: 2 }),
        done(Done::Computed(Default::default())),
    ];
    let framed = replies
        .iter()
        .map(|reply| [vec![0], framed(reply)].concat());
    framed.collect()
}

/// The first two bytes say how many rows of how many tokens were asked for.
pub fn answers(data: &[u8]) {
    let Some(([rows, vocab], line)) = data.split_first_chunk() else {
        return;
    };
    let (rows, vocab) = (usize::from(*rows), usize::from(*vocab));
    let said = match Said::read(line) {
        Ok(said) => said,
        Err(why) => return assert!(!why.is_empty() && !why.contains('\u{1b}'), "{why:?}"),
    };
    if let Ok(logits) = said.logits(rows, vocab) {
        assert_eq!(logits.len(), rows * vocab);
    }
    for node in said.nodes(&Shown::Every).into_iter().flatten() {
        assert_eq!(node.values.len(), node.shape.iter().product::<usize>());
    }
}

/// A hello, a feed and an error.
pub fn some_answers() -> Vec<Vec<u8>> {
    let lines = [
        r#"{"ok":true,"protocol":1,"name":"x","profile":"ggml-avx2","offers":["replace"]}"#,
        concat!(
            r#"{"ok":true,"logits":"AACAPwAAAEA=","#,
            r#""nodes":[{"key":"k","shape":[1],"data":"AACAPw=="}]}"#,
        ),
        r#"{"ok":false,"error":"no such model"}"#,
    ];
    let with = |line: &str| [&[1, 2], line.as_bytes()].concat();
    lines.map(with).to_vec()
}
