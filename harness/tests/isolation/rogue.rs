//! The rogues: this test program, started again to be a worker, with [`MISDEED`] set.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use harness::file::provenance::sha256;
use harness::reference::isolation::{
    Answer, Channel, Done, Hello, PROTOCOL, Request, Rights, Serve, Stop, serve,
};

use crate::tale::Teller;
use crate::{client, spelling};

/// Names what the worker does wrong.
const MISDEED: &str = "HARNESS_TEST_MISDEED";
/// The case in which it does it, where it answers the others.
pub const CASE: &str = "bitnet-white-whale";
/// What it repeats where it answers.
pub const RECORDING: &str = "dec2024-bitnet-avx512";

/// How a rogue is started.
pub fn launch(misdeed: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its own file"));
    command.args(["rogue::entry", "--exact", "--nocapture"]);
    command.env(MISDEED, misdeed);
    command
}

/// The worker's entry: does nothing unless this program was started as one.
#[test]
fn entry() {
    if let Ok(misdeed) = std::env::var(MISDEED) {
        let (rights, misdeed) = match misdeed.strip_prefix("program: ") {
            Some(misdeed) => (Rights::Programs, misdeed.to_owned()),
            None => (Rights::Compute, misdeed),
        };
        let ended = serve(rights, move |channel| greet(channel, misdeed));
        std::process::exit(ended.map_or(101, |exit| exit as i32));
    }
}

fn greet(channel: &mut Channel, misdeed: String) -> Result<(Rogue, Hello), Stop> {
    channel.phase("opening the library")?;
    let protocol = match &misdeed[..] {
        "no hello" => return Err(Stop::Refused("there is no such library".into())),
        "old protocol" => PROTOCOL - 1,
        _ => PROTOCOL,
    };
    // The same library, whatever it does, unless a tale says which build it is.
    let library = misdeed.split_once(", build").map_or("", |(_, build)| build);
    let hello = Hello {
        protocol,
        api: "rogue".into(),
        system_info: "AVX512 = 1 | ".into(),
        sha256: vec![sha256(library.as_bytes())],
        knows_i2_s: true,
        details: Default::default(),
        control_word: [0; 2],
        ..Hello::default()
    };
    let mut hello = hello;
    if misdeed == "endless hello" {
        let endless = "x".repeat(2 << 20);
        hello.details.insert("about".into(), endless);
    }
    let rogue = match misdeed.strip_prefix("tell: ") {
        Some(tale) => Rogue::Teller(Box::new(Teller::new(tale))),
        None => Rogue::Misdeed(misdeed),
    };
    Ok((rogue, hello))
}

enum Rogue {
    /// Does one thing wrong, whatever it is asked.
    Misdeed(String),
    /// Repeats a recording, except for what a tale is about.
    Teller(Box<Teller>),
}

impl Serve for Rogue {
    fn answer(&mut self, request: Request, channel: &mut Channel) -> Result<Answer, Stop> {
        channel.phase("decoding the prompt")?;
        let misdeed = match self {
            Rogue::Teller(teller) => return teller.answer(request, channel),
            Rogue::Misdeed(misdeed) => &misdeed[..],
        };
        if let Some(misdeed) = misdeed.strip_prefix("client: ") {
            return client::answer(misdeed, request, channel);
        }
        if !matches!(request, Request::Open { .. }) {
            return spelling::answer(misdeed, request);
        }
        match misdeed {
            "abort" => {
                eprintln!("/src/ggml.c:6057: GGML_ASSERT(k >= 8*QK_IQ1BN) failed");
                eprintln!("a backtrace");
                std::process::abort();
            }
            "segfault" => {
                let nowhere = std::hint::black_box(64) as *mut u8;
                // SAFETY: none. The page is not mapped, and the death is what is wanted.
                unsafe { nowhere.write_volatile(1) };
            }
            "panic" => panic!("a rogue's panic"),
            "exit" => std::process::exit(17),
            "sleep" => std::thread::sleep(Duration::from_secs(600)),
            "spin" => spin(),
            "eat" => eat(),
            "write a file" => {
                let path = std::env::temp_dir().join(format!("rogue-{}", std::process::id()));
                let mut file = std::fs::File::create(&path)?;
                let _ = std::fs::remove_file(path);
                file.write_all(b"something")?;
            }
            "garbage" => channel
                .raw()
                .write_all(b"llama_new_context_with_model: n_ctx = 512")?,
            "truncated" => {
                channel.raw().write_all(b"hrn2\x40\0\0\0\x81\xa6answer")?;
                std::process::exit(0);
            }
            "closes" => {
                channel.raw().shutdown(std::net::Shutdown::Both)?;
                std::thread::sleep(Duration::from_secs(600));
            }
            "endless words" => {
                channel.phase(&"x".repeat(15 << 20))?;
                eprintln!("GGML_ASSERT({}) failed", "y".repeat(15 << 10));
                std::process::abort();
            }
            "endless refusal" => return Err(Stop::Refused("z".repeat(15 << 20))),
            "refuse" => return Err(Stop::Refused("unknown model architecture: 'rogue'".into())),
            "chatter" => println!("{}", "noise on standard output\n".repeat(10_000)),
            "child" => {
                let child = Command::new("sleep").arg("600").spawn()?;
                eprintln!("child {}", child.id());
                std::process::abort();
            }
            "daemon" => match daemon(channel)? {},
            other => assert_eq!(other, "nothing"),
        }
        Ok(Answer {
            model_sha256: Some("0".repeat(64)),
            done: Done::Opened,
        })
    }
}

/// Leaves a process in a session of its own, without a parent and with the channel in its hands,
/// and ends without an answer.
fn daemon(channel: &mut Channel) -> Result<std::convert::Infallible, Stop> {
    let held = std::os::fd::OwnedFd::from(channel.raw().try_clone()?);
    let mut setsid = Command::new("setsid");
    setsid.args(["--fork", "sh", "-c", "echo child $$ >&2; exec sleep 600"]);
    setsid.stdin(held).status()?;
    std::thread::sleep(Duration::from_millis(300)); // so that it has said who it is
    std::process::exit(9);
}

fn spin() -> ! {
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

fn eat() -> ! {
    let mut eaten = Vec::new();
    loop {
        eaten.push(std::hint::black_box(vec![1_u8; 16 << 20]));
    }
}
