//! Workers that do everything a worker must not: each misdeed becomes its outcome, within its
//! limit.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use harness::reference::isolation::{
    Death, Done, Kind, Limits, ModelFile, Reply, Request, Worker, WorkerExit,
};

use crate::program::processes::until;
use crate::rogue::launch;

/// Limits that nobody reaches by being slow, only by being a rogue.
pub fn limits() -> Limits {
    Limits {
        patience: Duration::from_secs(60),
        cpu_seconds: 30,
        memory: 1 << 30,
        file_size: 0,
    }
}

fn ask(misdeed: &str, limits: Limits) -> Result<Done, WorkerExit> {
    let (mut worker, _) = Worker::start(launch(misdeed), limits)?;
    let model = ModelFile {
        path: "m".into(),
        sha256: String::new(),
    };
    worker.ask(&Request::Open { model }, |reply| match reply {
        Reply::Answer(answer) => Ok(Some(answer.done)),
        other => Err(format!("{other:?} was not expected")),
    })
}

#[track_caller]
fn death(misdeed: &str, limits: Limits) -> Death {
    match ask(misdeed, limits) {
        Err(WorkerExit::Died(death)) => *death,
        other => panic!("{misdeed}: {other:?}"),
    }
}

#[track_caller]
fn crash(misdeed: &str) -> Death {
    crash_in(misdeed, "decoding the prompt")
}

#[track_caller]
fn crash_in(misdeed: &str, phase: &str) -> Death {
    let death = death(misdeed, limits());
    assert_eq!(death.kind, Kind::Crashed, "{death}");
    assert!(death.phase.starts_with(phase), "{death}");
    death
}

#[test]
fn who_does_nothing_wrong_answers_and_noise_is_no_answer() {
    for harmless in ["nothing", "chatter"] {
        let answer = ask(harmless, limits()).expect(harmless);
        assert_eq!(answer, Done::Opened);
    }
}

#[test]
fn an_abort_is_a_crash_with_the_assertion_that_failed() {
    let death = crash("abort");
    assert_eq!((death.signal, death.exit_code), (Some(6), None));
    let assertion = death.assertion.as_deref().expect("found");
    assert_eq!(
        assertion,
        "/src/ggml.c:6057: GGML_ASSERT(k >= 8*QK_IQ1BN) failed"
    );
    assert!(
        death.last_words.contains("a backtrace"),
        "{}",
        death.last_words
    );
    assert!(death.memory_seen > 0 || !cfg!(target_os = "linux"));
}

#[test]
fn a_segmentation_fault_is_a_crash_with_its_signal() {
    assert_eq!(crash("segfault").signal, Some(11));
}

#[test]
fn a_panic_and_an_exit_without_an_answer_are_crashes() {
    let death = crash("panic");
    assert!(death.last_words.contains("a rogue's panic"), "{death}");
    assert_eq!(crash("exit").exit_code, Some(17));
}

/// The rogue would answer after ten minutes, so it was not waited for.
#[test]
fn silence_is_a_timeout_within_its_limit() {
    let patience = Duration::from_secs(2);
    let death = death(
        "sleep",
        Limits {
            patience,
            ..limits()
        },
    );
    assert_eq!(death.kind, Kind::Timeout, "{death}");
    assert_eq!(death.phase, "decoding the prompt");
    assert!(u128::from(death.milliseconds) >= patience.as_millis());
}

#[test]
fn an_endless_loop_is_a_timeout_by_processor_time() {
    let cpu_seconds = 1;
    let death = death(
        "spin",
        Limits {
            cpu_seconds,
            ..limits()
        },
    );
    assert_eq!(death.kind, Kind::Timeout, "{death}");
    assert!(death.to_string().contains("processor time"), "{death}");
}

#[test]
fn runaway_memory_is_a_crash_below_the_limit() {
    let death = crash("eat");
    assert!(
        death.memory_seen <= limits().memory,
        "{}",
        death.memory_seen
    );
}

#[test]
fn a_file_nobody_allowed_is_a_crash() {
    assert_eq!(crash("program: write a file").signal, Some(25));
}

#[test]
fn words_outside_the_protocol_are_garbage() {
    for (misdeed, complaint) in [
        ("garbage", "begins no frame"),
        ("truncated", "ended within a frame"),
        ("closes", "closed its channel"),
    ] {
        let death = death(misdeed, limits());
        assert_eq!(death.kind, Kind::ProtocolError, "{misdeed}: {death}");
        assert!(death.to_string().contains(complaint), "{misdeed}: {death}");
    }
    let death = death("old protocol", limits());
    assert_eq!(
        (death.kind, &death.phase[..]),
        (Kind::ProtocolError, "opening the library")
    );
}

#[test]
fn a_refusal_is_no_death() {
    for (misdeed, words) in [
        ("refuse", "unknown model architecture: 'rogue'"),
        ("no hello", "there is no such library"),
    ] {
        assert_eq!(
            ask(misdeed, limits()),
            Err(WorkerExit::Refused(words.into()))
        );
    }
}

/// They would stand on the receipt, and in its table.
#[test]
fn endless_words_are_cut_off_and_an_endless_hello_is_none() {
    let words = crash_in("endless words", "xxx");
    assert!(words.phase.ends_with("(15728640 bytes in all)"), "{words}");
    assert!(words.to_string().len() < 4000, "{words}");
    match ask("endless refusal", limits()) {
        Err(WorkerExit::Refused(why)) => assert!(why.len() < 2000, "{why}"),
        other => panic!("{other:?}"),
    }
    let hello = death("endless hello", limits());
    assert_eq!(hello.kind, Kind::ProtocolError);
    assert!(hello.to_string().contains("is too long"), "{hello}");
}

/// As in a container or a job of a cluster.
#[test]
fn limits_that_are_in_force_and_lower_kill_no_worker() {
    let rogue = launch("nothing");
    let mut command = Command::new("/bin/sh");
    let lowered = "ulimit -v 900000 && ulimit -t 20 && ulimit -f 0 && exec \"$0\" \"$@\"";
    command
        .args(["-c", lowered])
        .arg(rogue.get_program())
        .args(rogue.get_args());
    let set = rogue
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command.envs(set);
    let started = Worker::start(command, limits());
    assert!(started.is_ok(), "{:?}", started.map(|(_, hello)| hello));
}

/// Also what has left its session and its family, and keeps the channel open.
#[test]
#[cfg(target_os = "linux")]
fn what_a_worker_started_ends_with_it() {
    let aborted = crash("program: child");
    let deserted = crash("program: daemon");
    assert_eq!(deserted.exit_code, Some(9), "{deserted}");
    let patience = u128::from(deserted.milliseconds);
    assert!(patience < limits().patience.as_millis(), "{deserted}");
    for death in [aborted, deserted] {
        let mut words = death.last_words.lines();
        let child = words.find_map(|line| line.strip_prefix("child "));
        let status = format!("/proc/{}/stat", child.expect("said"));
        let gone = || std::fs::read_to_string(&status).map_or(true, |stat| stat.contains(") Z "));
        until("the worker's own child ends with it", gone);
    }
}

#[test]
fn a_program_that_cannot_be_started_is_a_death_too() {
    let command = Command::new("/there/is/no/such/program");
    let Err(WorkerExit::Died(death)) = Worker::start(command, limits()) else {
        panic!("it started");
    };
    assert_eq!((death.kind, &death.phase[..]), (Kind::Crashed, "starting"));
}
