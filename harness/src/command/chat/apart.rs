//! Rendering in a process of its own, whose memory and time are bounded: instructions can be
//! counted, but a template that doubles a text sixty times needs few of them.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};

use super::{Conversation, MAX_PROMPT};
use crate::exit::Failure;
use crate::io::process;

/// Address space of the process: what the program itself takes, and room for a long conversation.
const MEMORY: u64 = 512 << 20;
/// Processor time of the process. Real templates take milliseconds.
const SECONDS: u64 = 2;
/// The hidden command.
pub const COMMAND: &str = "render-chat";

/// As [`super::render`], but whatever the template does, this process survives it.
pub fn render(conversation: &Conversation) -> Result<String, Failure> {
    let answer = ask(conversation)
        .map_err(|e| Failure::environment(format!("a process for the chat template: {e}")))?;
    match serde_json::from_slice::<Result<String, String>>(&answer) {
        Ok(Ok(prompt)) => Ok(prompt),
        Ok(Err(message)) => Err(Failure::input(message)),
        Err(_) => Err(Failure::input(format!(
            "TEMPLATE_LIMIT: the chat template asked for more than {} MiB or {SECONDS} s",
            MEMORY >> 20
        ))),
    }
}

/// The other side: reads a request from standard input and answers on standard output.
pub fn answer() -> Result<(), Failure> {
    // Where the kernel knows no such bounds, the count of instructions is the only one.
    process::bound(MEMORY, SECONDS);
    let conversation = serde_json::from_reader(io::stdin().lock()).map_err(Failure::input)?;
    let answer = super::render(&conversation).map_err(|failure| failure.message);
    serde_json::to_writer(io::stdout().lock(), &answer).map_err(Failure::environment)
}

fn ask(conversation: &Conversation) -> io::Result<Vec<u8>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What a dying process says is worded better here.
        .stderr(Stdio::null())
        .spawn()?;
    let answer = converse(&mut child, conversation);
    if answer.is_err() {
        // It may have ended by itself, which is as good.
        let _ = child.kill();
    }
    child.wait()?;
    answer
}

fn converse(child: &mut Child, conversation: &Conversation) -> io::Result<Vec<u8>> {
    // The whole request is read before a byte is answered, so neither side waits for the other.
    let mut stdin = child.stdin.take().expect("piped");
    match stdin.write_all(&serde_json::to_vec(conversation)?) {
        // A process that is gone already answers with silence.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => return Err(e),
        _ => drop(stdin),
    }
    let mut answer = Vec::new();
    // JSON makes six bytes of one at worst.
    let most = 6 * MAX_PROMPT as u64 + 1024;
    let stdout = child.stdout.take().expect("piped");
    stdout.take(most).read_to_end(&mut answer)?;
    Ok(answer)
}
