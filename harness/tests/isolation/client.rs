//! What every user of a worker is spared, because its one client sees to it: a death in the middle
//! of an answer, replies that are not to the question, answers about another model.

use std::rc::Rc;

use harness::case::observation::TracedNode;
use harness::case::schedule::{Schedule, Step};
use harness::reference::Reference;
use harness::reference::client::Client;
use harness::reference::isolation::{
    Answer, Channel, Computed, Death, Done, Hello, Kind, Limits, ModelFile, Part, Reply, Request,
    Shown, Stop, WorkerExit,
};

use crate::rogue::launch;
use crate::workers::limits;

const SHA256: &str = "the model's";
/// Threads that mean something to the rogue.
const DEADLY: usize = 13;
const UNLUCKY: usize = 7;

/// The rogue's side. The length of a row is the number of the process.
pub fn answer(misdeed: &str, request: Request, channel: &mut Channel) -> Result<Answer, Stop> {
    let mut model_sha256 = Some(SHA256.to_owned());
    if let Request::Follow { schedule, .. } = &request {
        if schedule.threads == UNLUCKY {
            return Err(Stop::Refused("no luck".into()));
        }
        channel.part(Part::Node(TracedNode {
            key: "kq-0|MUL_MAT#0".into(),
            shape: vec![1],
            values: vec![1.0],
        }))?;
        if schedule.threads == DEADLY {
            std::process::abort();
        }
    }
    let mut done = match request {
        Request::Open { .. } => Done::Opened,
        _ => Done::Followed {
            vocab_size: std::process::id() as usize,
        },
    };
    match misdeed {
        "rows" => channel.part(Part::Rows(vec![1.0]))?,
        "hangs" => std::thread::sleep(std::time::Duration::from_secs(600)),
        "greets again" => channel.say(&Reply::Hello(Hello::default()))?,
        "computes" => done = Done::Computed(Computed::default()),
        "another model" => model_sha256 = Some("another's".into()),
        "no model" => model_sha256 = None,
        other => assert_eq!(other, "nothing"),
    }
    Ok(Answer { model_sha256, done })
}

fn client(misdeed: &'static str) -> Client {
    let launch = Rc::new(move || launch(&format!("client: {misdeed}")));
    let reference = Reference::open("rogue", limits(), launch).expect("it says hello");
    Client::new(&reference)
}

fn model() -> ModelFile {
    ModelFile {
        path: "m".into(),
        sha256: SHA256.into(),
    }
}

/// Which process answered, and how many nodes came before.
fn follow(client: &mut Client, threads: usize) -> (Result<usize, WorkerExit>, usize) {
    let request = Request::Follow {
        model: model(),
        schedule: Schedule {
            threads,
            ..Schedule::of(vec![Step::Feed(vec![1])])
        },
        shown: Shown::Every,
        replaced: Vec::new(),
    };
    let mut nodes = 0;
    let each = |part| {
        assert!(matches!(part, Part::Node(node) if node.values == [1.0]));
        nodes += 1;
        Ok(())
    };
    let process = client.stream(&request, each, |done| match done {
        Done::Followed { vocab_size } => Some(vocab_size),
        _ => None,
    });
    (process, nodes)
}

fn open(client: &mut Client) -> Result<(), WorkerExit> {
    let request = Request::Open { model: model() };
    client.ask(&request, |done| matches!(done, Done::Opened).then_some(()))
}

#[track_caller]
fn died<T: std::fmt::Debug>(result: Result<T, WorkerExit>) -> Death {
    match result {
        Err(WorkerExit::Died(death)) => *death,
        other => panic!("{other:?}"),
    }
}

/// Whatever a command asks, and through however many clients: a run waits once.
#[test]
fn who_has_used_up_its_patience_once_is_not_asked_again() {
    let patience = std::time::Duration::from_secs(2);
    let limits = Limits {
        patience,
        ..limits()
    };
    let launch = Rc::new(|| launch("client: hangs"));
    let reference = Reference::open("rogue", limits, launch).expect("it says hello");
    let began = std::time::Instant::now();
    let deaths: Vec<Death> = (0..20)
        .map(|_| died(open(&mut Client::new(&reference))))
        .collect();
    for (number, death) in deaths.iter().enumerate() {
        assert_eq!(death.kind, Kind::Timeout, "{death}");
        let told = death.to_string().contains("it was not asked again");
        assert_eq!(told, number > 0, "{death}");
    }
    assert!(began.elapsed() < 5 * patience, "{:?}", began.elapsed());
}

#[test]
fn after_a_death_within_an_answer_a_new_process_answers_the_next_question() {
    let mut client = client("nothing");
    let first = follow(&mut client, 1).0.expect("alive");
    assert_eq!(follow(&mut client, 1), (Ok(first), 1), "the same process");
    let (result, nodes) = follow(&mut client, DEADLY);
    let death = died(result);
    assert_eq!(
        (death.kind, death.signal, nodes),
        (Kind::Crashed, Some(6), 1)
    );
    let (second, _) = follow(&mut client, 1);
    let second = second.expect("a new process");
    assert_ne!(first, second);
    // A refusal is no reason for another one.
    let (refused, _) = follow(&mut client, UNLUCKY);
    assert_eq!(refused, Err(WorkerExit::Refused("no luck".into())));
    assert_eq!(follow(&mut client, 1), (Ok(second), 1));
}

#[test]
fn a_reply_that_is_not_to_the_question_ends_the_process() {
    for misdeed in ["rows", "greets again", "computes"] {
        let death = died(open(&mut client(misdeed)));
        assert_eq!(death.kind, Kind::ProtocolError, "{misdeed}");
        let words = death.to_string();
        assert!(words.contains("unexpected reply: "), "{misdeed}: {words}");
    }
    // What belongs to another kind of question is no answer to this one.
    let death = died(follow(&mut client("computes"), 1).0);
    assert!(death.to_string().contains("unexpected reply: Computed"));
}

#[test]
fn an_answer_about_another_model_or_none_ends_the_process() {
    for (misdeed, theirs) in [("another model", "another's"), ("no model", "none")] {
        let complaint = format!("it answers for a model with sha256 {theirs}, not {SHA256}");
        let mut client = client(misdeed);
        for death in [died(open(&mut client)), died(follow(&mut client, 1).0)] {
            assert_eq!(death.kind, Kind::ProtocolError);
            assert!(death.to_string().contains(&complaint), "{death}");
        }
    }
}

#[test]
fn who_gave_an_answer_that_was_rejected_is_not_asked_again() {
    let mut client = client("nothing");
    let first = follow(&mut client, 1).0.expect("alive");
    let death = died::<()>(Err(client.reject("too few answers".into())));
    assert_eq!(death.kind, Kind::ProtocolError);
    assert!(death.to_string().contains("too few answers"), "{death}");
    assert_ne!(follow(&mut client, 1).0.expect("a new process"), first);
}
