//! The worker's side: confine yourself, say who you are, answer until the channel is closed.

use std::io;

use super::confinement::{Stream, confine, start_new_session, take_channel};
use super::frame::{self, Broken};
use super::limits::{Rights, STACK, Terms};
use super::message::{Answer, Hello, Part, Reply, Request};
use super::sandbox::{self, Sandbox};
use crate::exit::{Exit, Failure};

/// The way to the process that asks.
pub struct Channel(Stream);

/// Why a worker does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// It does not accept what it was asked.
    #[error("{0}")]
    Refused(String),
    /// The other side has closed the channel.
    #[error(transparent)]
    PeerClosed(#[from] io::Error),
}

/// Something that answers requests.
pub trait Serve {
    /// Answers a request; parts and phases go to the channel meanwhile.
    fn answer(&mut self, request: Request, channel: &mut Channel) -> Result<Answer, Stop>;
}

impl Channel {
    /// Says what comes next, before anything that may be the last act.
    pub fn phase(&mut self, name: &str) -> io::Result<()> {
        let name = name.to_owned();
        self.say(&Reply::Phase { name })
    }

    /// Sends a part of an answer.
    pub fn part(&mut self, part: Part) -> io::Result<()> {
        self.say(&Reply::Part(part))
    }

    /// Says something.
    pub fn say(&mut self, reply: &Reply) -> io::Result<()> {
        frame::write(&mut self.0, reply)
    }

    /// The socket itself, for those who mean to break the rules.
    pub fn raw(&mut self) -> &mut Stream {
        &mut self.0
    }
}

/// Runs a worker to its end. `start` makes what answers, after the confinement and on a thread
/// with a large stack.
pub fn serve<S: Serve>(
    rights: Rights,
    start: impl FnOnce(&mut Channel) -> Result<(S, Hello), Stop> + Send + 'static,
) -> Result<Exit, Failure> {
    let misplaced = |e: io::Error| {
        Failure::input(format!(
            "a worker is started by this program itself, never by hand: {e}"
        ))
    };
    let mut stream = take_channel().map_err(misplaced)?;
    start_new_session().map_err(Failure::environment)?;
    let terms: Terms = match frame::read(&mut stream) {
        Ok(terms) => terms,
        Err(Broken::End) => return Ok(Exit::Agrees),
        Err(broken) => return Err(Failure::environment(format!("{broken:?}"))),
    };
    confine(&terms.limits).map_err(Failure::environment)?;
    let sandbox = sandbox::enter(rights, terms.writes.as_deref());
    let roomy = std::thread::Builder::new().stack_size(STACK);
    let served = roomy
        .spawn(move || answer_all(start, sandbox, Channel(stream)))
        .map_err(Failure::environment)?;
    match served.join() {
        Ok(Ok(())) => Ok(Exit::Agrees),
        Ok(Err(gone)) => Err(Failure::environment(gone)),
        // It has said so on standard error.
        Err(_) => Ok(Exit::ReferenceDied),
    }
}

fn answer_all<S: Serve>(
    start: impl FnOnce(&mut Channel) -> Result<(S, Hello), Stop>,
    sandbox: Sandbox,
    mut channel: Channel,
) -> io::Result<()> {
    let mut server = match start(&mut channel) {
        Ok((server, mut hello)) => {
            hello.details.extend(sandbox.details());
            channel.say(&Reply::Hello(hello))?;
            server
        }
        Err(stop) => return refuse(&mut channel, stop),
    };
    loop {
        let request = match frame::read(&mut channel.0) {
            Ok(asked) => asked,
            Err(Broken::End) => return Ok(()),
            Err(Broken::Io(e)) => return Err(e),
            Err(Broken::Malformed(what)) => return Err(io::Error::other(what)),
        };
        match server.answer(request, &mut channel) {
            Ok(answer) => channel.say(&Reply::Answer(answer))?,
            Err(stop) => refuse(&mut channel, stop)?,
        }
    }
}

fn refuse(channel: &mut Channel, stop: Stop) -> io::Result<()> {
    match stop {
        Stop::Refused(message) => channel.say(&Reply::Refused { message }),
        Stop::PeerClosed(e) => Err(e),
    }
}
