//! The rogues: this test program, started again to be a worker, with [`MISDEED`] set.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::case::Case;
use harness::case::observation::Lane;
use harness::file::provenance::Input;
use harness::reference::isolation::{
    Answer, Channel, Hello, Observed, PROTOCOL, Reply, Request, Serve, Stop, serve,
};
use harness::runner::suite::Suite;
use harness::runner::{Runner, Task};

use crate::spelling;

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
        let ended = serve(move |channel| greet(channel, misdeed));
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
    let hello = Hello {
        protocol,
        api: "rogue".into(),
        system_info: "AVX512 = 1 | ".into(),
        sha256: vec!["0".repeat(64)],
        knows_i2_s: true,
        details: Default::default(),
        control_word: [0; 2],
    };
    Ok((Rogue(misdeed), hello))
}

struct Rogue(String);

impl Serve for Rogue {
    fn answer(
        &mut self,
        request: Request,
        _: Vec<f32>,
        channel: &mut Channel,
    ) -> Result<Answer, Stop> {
        channel.phase("decoding the prompt")?;
        let (case, model, threads) = match request {
            Request::Observe {
                case,
                model,
                threads,
            } => (case, model, threads),
            other => return spelling::answer(&self.0, other),
        };
        if let Some(tale) = self.0.strip_prefix("tell: ") {
            return tell(tale, &case, &model, threads, channel);
        }
        match &self.0[..] {
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
                channel
                    .raw()
                    .write_all(b"hrn1\x40\0\0\0\0\0\0\0{\"reply\":")?;
                std::process::exit(0);
            }
            "closes" => {
                channel.raw().shutdown(std::net::Shutdown::Both)?;
                std::thread::sleep(Duration::from_secs(600));
            }
            "refuse" => return Err(Stop::Refused("unknown model architecture: 'rogue'".into())),
            "chatter" => println!("{}", "noise on standard output\n".repeat(10_000)),
            "child" => {
                let child = Command::new("sleep").arg("600").spawn()?;
                eprintln!("child {}", child.id());
                std::process::abort();
            }
            other => assert_eq!(other, "nothing"),
        }
        Ok(Answer::Observed(Observed {
            model_sha256: "0".repeat(64),
            tokens: vec![1, 2],
            vocab_size: 3,
            greedy: Vec::new(),
            greedy_text: String::new(),
        }))
    }
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

/// Repeats a recording, except for what the tale is about.
fn tell(
    tale: &str,
    case: &Case,
    model: &Path,
    threads: usize,
    channel: &mut Channel,
) -> Result<Answer, Stop> {
    let here = case.name == CASE;
    match tale {
        "death" if here => {
            eprintln!("/src/ggml.c:6057: GGML_ASSERT(k >= 8*QK_IQ1BN) failed");
            std::process::abort();
        }
        "no" => return Err(Stop::Refused("unknown model architecture: 'bitnet'".into())),
        _ => {}
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let mut suite = Suite::open(&folder).expect("the committed fixtures are sound");
    let (input, _) = Input::read(model).expect("a fixture");
    let task = Task {
        case,
        model: &input,
    };
    let recording = suite
        .recordings
        .get_mut(RECORDING)
        .expect("among the fixtures");
    let mut seen = recording.observe(task).expect("recorded");
    let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("recorded");
    match tale {
        "lie" if here => prefill.values[700] += 10.0,
        "moods" if case.nodes > 0 && threads == 2 => prefill.values[0] += 1e-7,
        _ => {}
    }
    let vocab_size = prefill.vocab_size;
    for (lane, logits) in seen.lanes {
        let positions = logits.positions;
        channel.say(&Reply::Logits { lane, positions }, &logits.values)?;
    }
    for node in seen.trace {
        let (key, shape) = (node.key, node.shape);
        channel.say(&Reply::Node { key, shape }, &node.values)?;
    }
    let another = "0".repeat(64);
    Ok(Answer::Observed(Observed {
        model_sha256: if tale == "another model" && here {
            another
        } else {
            input.sha256
        },
        tokens: seen.tokens,
        vocab_size,
        greedy: seen.greedy.tokens,
        greedy_text: seen.greedy.text,
    }))
}
