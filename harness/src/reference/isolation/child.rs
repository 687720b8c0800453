//! The near side of the channel: starts a worker, waits no longer than it may, and finds out how it
//! ended.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use super::deadline::DeadlineReader;
use super::death::{Death, Kind, WorkerExit, assertion_in, shortened};
use super::frame::{self, Broken};
use super::limits::{Limits, Terms};
use super::message::{Hello, PROTOCOL, Reply, Request};
use super::stderr_tail::StderrTail;
use crate::io::descendants::{adopt_orphans, descendants, end_orphans};
use crate::io::process::{Resident, resident};

/// How long a worker whose channel is closed may take to end by itself, so that the signal that
/// ended it is its own and not ours.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of the longest hello, all of which stands on the receipt.
const HELLO_MAX: u32 = 1 << 20;

/// A worker that has not been seen to end. Dropping it ends its whole session.
pub struct Worker {
    child: Child,
    stream: UnixStream,
    printed: StderrTail,
    phase: String,
    memory_seen: u64,
    began: Instant,
    limits: Limits,
    /// How it ended, once it was reaped. From then on its number may be another process's.
    status: Option<ExitStatus>,
}

impl Worker {
    /// Starts one and waits for its hello.
    pub fn start(command: Command, terms: impl Into<Terms>) -> Result<(Self, Hello), WorkerExit> {
        let mut worker = Self::spawn(command, &terms.into()).map_err(spawn_failed)?;
        let until = worker.limits.deadline();
        match worker.next_within(until, HELLO_MAX)? {
            Reply::Hello(hello) if hello.protocol == PROTOCOL => Ok((worker, hello)),
            Reply::Hello(hello) => {
                let theirs = hello.protocol;
                Err(worker.reject(format!("it speaks protocol {theirs}, not {PROTOCOL}")))
            }
            reply => Err(worker.reject(format!("it began with {reply:?}"))),
        }
    }

    /// Asks. `take` is handed every reply until one of them is the last; it complains about those
    /// it cannot accept.
    pub fn ask<T>(
        &mut self,
        request: &Request,
        mut take: impl FnMut(Reply) -> Result<Option<T>, String>,
    ) -> Result<T, WorkerExit> {
        let until = self.limits.deadline();
        // A worker that does not read is found out when nothing comes back.
        let _ = frame::write(&mut self.stream, request);
        loop {
            match take(self.next(until)?) {
                Ok(None) => {}
                Ok(Some(done)) => return Ok(done),
                Err(complaint) => return Err(self.reject(complaint)),
            }
        }
    }

    /// The most memory it was seen to hold, in bytes.
    pub fn memory_seen(&self) -> u64 {
        self.memory_seen
    }

    fn spawn(mut command: Command, terms: &Terms) -> io::Result<Self> {
        let limits = terms.limits;
        let (mut stream, theirs) = UnixStream::pair()?;
        let (heard, said) = io::pipe()?;
        command.stdin(OwnedFd::from(theirs));
        command.stdout(said.try_clone()?).stderr(said);
        command.env("RUST_BACKTRACE", "0");
        adopt_orphans();
        let child = {
            let mut alive = alive();
            let child = command.spawn()?;
            alive.push(Pid::from_child(&child));
            child
        };
        // It holds the other ends as well; open here, they would hide the death.
        drop(command);
        stream.set_write_timeout(Some(limits.patience.max(Duration::from_millis(1))))?;
        let mut worker = Worker {
            child,
            printed: StderrTail::of(heard),
            phase: "starting".into(),
            memory_seen: 0,
            began: Instant::now(),
            limits,
            status: None,
            stream: stream.try_clone()?,
        };
        // A child that is dead already is found out when nothing comes back.
        let _ = frame::write(&mut stream, terms);
        worker.memory_seen = resident(worker.child.id(), Resident::Peak).unwrap_or(0);
        Ok(worker)
    }

    /// The next thing it says that is not a phase.
    fn next(&mut self, until: Instant) -> Result<Reply, WorkerExit> {
        self.next_within(until, frame::LENGTH_MAX)
    }

    /// The same, of a length that is not everything's.
    fn next_within(&mut self, until: Instant, most: u32) -> Result<Reply, WorkerExit> {
        loop {
            let (child, seen) = (&self.child, &mut self.memory_seen);
            let mut poll = || {
                *seen = (*seen).max(resident(child.id(), Resident::Peak).unwrap_or(0));
                has_ended(child)
            };
            let mut reader = DeadlineReader {
                stream: &self.stream,
                until,
                poll: &mut poll,
            };
            match frame::read_within(&mut reader, most) {
                Ok(Reply::Phase { name }) => self.phase = name,
                Ok(Reply::Refused { message }) => return Err(WorkerExit::Refused(message)),
                Ok(reply) => return Ok(reply),
                Err(Broken::End) => return Err(self.reap(Kind::Crashed, None)),
                Err(Broken::Malformed(what)) => return Err(self.reject(what)),
                Err(Broken::Io(e)) if e.kind() == io::ErrorKind::TimedOut => {
                    let waited = format!("no answer within {:?}", self.limits.patience);
                    return Err(self.reap(Kind::Timeout, Some(waited)));
                }
                Err(Broken::Io(e)) => return Err(self.reject(e.to_string())),
            }
        }
    }

    /// Ends it for saying what it must not say.
    pub fn reject(&mut self, complaint: String) -> WorkerExit {
        self.reap(Kind::ProtocolError, Some(complaint))
    }

    /// Ends it, if it has not ended, and writes down what it died of. It cannot be asked again.
    fn reap(&mut self, kind: Kind, complaint: Option<String>) -> WorkerExit {
        let by_itself = kind != Kind::Timeout && self.ends_by_itself();
        let status = self.end().filter(|_| by_itself);
        let signal = status.and_then(|status| status.signal());
        let well = status.is_some_and(|status| status.success());
        let (kind, complaint) = match kind {
            _ if signal == Some(Signal::XCPU.as_raw()) => {
                let most = self.limits.cpu_seconds;
                let used = format!("it used its {most} s of processor time");
                (Kind::Timeout, Some(used))
            }
            // Half a frame is what a crash leaves behind.
            Kind::ProtocolError if by_itself && !well => (Kind::Crashed, None),
            Kind::Crashed if !by_itself => {
                let complaint = "it closed its channel and went on".to_owned();
                (Kind::ProtocolError, Some(complaint))
            }
            _ => (kind, complaint),
        };
        let last_words = self.printed.text();
        let told = assertion_in(&last_words).or_else(|| {
            let by_exit = by_itself && signal.is_none() && !well;
            last_words
                .lines()
                .rfind(|line| by_exit && !line.is_empty())
                .map(str::to_owned)
        });
        WorkerExit::Died(Box::new(Death {
            kind,
            phase: self.phase.clone(),
            signal,
            exit_code: status.and_then(|status| status.code()),
            complaint: complaint.as_deref().map(shortened),
            assertion: told.as_deref().map(shortened),
            last_words,
            memory_seen: self.memory_seen,
            milliseconds: self.began.elapsed().as_millis() as u64,
        }))
    }

    /// Waits a little for its end, without reaping it: as long as it is not reaped, its number
    /// stands for its session and for no other process.
    fn ends_by_itself(&self) -> bool {
        let until = Instant::now() + GRACE;
        while !has_ended(&self.child) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Ends the worker, its whole session and what has left that, and reaps it.
    fn end(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            let id = Pid::from_child(&self.child);
            for process in descendants(id) {
                let _ = kill_process(process, Signal::KILL);
            }
            // Both fail only where no process is left; a worker that has not yet started its
            // session is alone.
            let _ = kill_process_group(id, Signal::KILL);
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
            let mut alive = alive();
            alive.retain(|other| *other != id);
            end_orphans(|orphan| alive.contains(&orphan));
        }
        self.status
    }
}

/// The workers of this process that were not reaped, which are no orphans.
fn alive() -> MutexGuard<'static, Vec<Pid>> {
    static ALIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
    // Each change is one step, so a panic elsewhere leaves it sound.
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it has, without reaping it.
fn has_ended(child: &Child) -> bool {
    let only_look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(
        waitid(WaitId::Pid(Pid::from_child(child)), only_look),
        Ok(None)
    )
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn_failed(error: io::Error) -> WorkerExit {
    WorkerExit::Died(Box::new(Death {
        phase: "starting".into(),
        complaint: Some(error.to_string()),
        ..Death::default()
    }))
}
