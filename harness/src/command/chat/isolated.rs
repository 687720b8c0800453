//! Rendering in a process of its own, whose memory and time are bounded: instructions can be
//! counted, but a template that doubles a text sixty times needs few of them.

use std::process::Command;
use std::time::Duration;

use engine::template::Conversation;

use crate::exit::{Exit, Failure};
use crate::reference::isolation::{
    Answer, Channel, Done, Hello, Limits, PROTOCOL, Reply, Request, Rights, Serve, Stop, Worker,
    WorkerExit, serve,
};

/// Room for what the program itself takes and a long conversation, and many times the milliseconds
/// that real templates need.
const LIMITS: Limits = Limits {
    patience: Duration::from_secs(60),
    cpu_seconds: 2,
    memory: 512 << 20,
    file_size: 0,
};
/// The hidden command.
pub const COMMAND: &str = "render-chat";

/// As [`super::render`], but whatever the template does, this process survives it.
pub fn render(conversation: Conversation) -> Result<String, Failure> {
    if !cfg!(unix) {
        return super::render(&conversation); // the count of instructions is the only bound there
    }
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let mut command = Command::new(program);
    command.arg(COMMAND);
    let rendered = |reply| match reply {
        Reply::Answer(Answer {
            done: Done::Rendered { prompt },
            ..
        }) => Ok(Some(prompt)),
        other => Err(format!("unexpected reply: {other:?}")),
    };
    let (mut worker, _) = Worker::start(command, LIMITS)
        .map_err(|exit| Failure::environment(format!("a process for the chat template: {exit}")))?;
    let asked = worker.ask(&Request::Render(conversation), rendered);
    asked.map_err(|exit| match exit {
        WorkerExit::Refused(message) => Failure::input(message),
        WorkerExit::Died(_) => Failure::input(format!(
            "TEMPLATE_LIMIT: the chat template asked for more than {} MiB or {} s",
            LIMITS.memory >> 20,
            LIMITS.cpu_seconds
        )),
    })
}

/// The other side.
pub fn answer() -> Result<Exit, Failure> {
    let hello = Hello {
        protocol: PROTOCOL,
        ..Hello::default()
    };
    serve(Rights::Compute, move |_| Ok((Templates, hello)))
}

struct Templates;

impl Serve for Templates {
    fn answer(&mut self, request: Request, _: &mut Channel) -> Result<Answer, Stop> {
        let Request::Render(conversation) = request else {
            let message = "only chat templates are rendered here";
            return Err(Stop::Refused(message.into()));
        };
        let prompt = super::render(&conversation);
        let prompt = prompt.map_err(|failure| Stop::Refused(failure.message))?;
        Ok(Answer {
            model_sha256: None,
            done: Done::Rendered { prompt },
        })
    }
}
