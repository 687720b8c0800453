//! Every example in every `--help`, typed into a shell as it stands there.
//!
//! An example ends with 0 unless a comment behind it says otherwise: `# exits 1`, or `# exits 1
//! with AVX-512`, without which two builds compute the same. It runs in a folder that holds what
//! its words name: `model.gguf`, `chapter.txt`, receipts of two days.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::{Failed, Trial};

use engine::bytes::ModelBytes;
use engine::encoding::float::Float;
use engine::gguf::{Gguf, Writer};

use crate::program::fixture;
use crate::{native_is_avx512, needs};

/// Examples that take minutes: they run where `HARNESS_LONG_EXAMPLES=1` is set, as at night.
const LONG: [&str; 8] = [
    "harness calibrate --reference",
    "harness fixtures big",
    "harness power --json",
    "harness shapes --reference bitnet --first",
    "harness shapes --reference bitnet-portable --profile",
    "harness shapes --reference bitnet --reference",
    "harness tokenizer --reference bitnet --reference llama",
    "harness weights --reference bitnet --reference bitnet-portable --record",
];

/// One example.
#[derive(Debug, Clone)]
struct Example {
    line: String,
    code: i32,
}

/// All of them, each a check of its own.
pub fn trials() -> Vec<Trial> {
    let words = commands();
    assert!(
        words.len() > 15,
        "the list of commands was not found: {words:?}"
    );
    let examples: Vec<Example> = words.iter().flat_map(|word| examples(word)).collect();
    assert!(
        examples.len() > 40,
        "only {} examples found",
        examples.len()
    );
    examples.into_iter().map(trial).collect()
}

fn trial(example: Example) -> Trial {
    let long = LONG.iter().any(|begin| example.line.starts_with(begin));
    let long = long || example.line == "harness power";
    // Without a file of its own it would write down the floors of this machine as ours.
    let writes = example.line.contains("calibrate") && example.line.contains("--write");
    assert!(
        !writes || example.line.contains("--tolerances"),
        "{example:?}"
    );
    let asked = std::env::var_os("HARNESS_LONG_EXAMPLES").is_some_and(|set| set == "1");
    let references = references(&example.line);
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    let name = format!("examples::{}", example.line);
    let trial = needs(&references, name, move || Desk::new().run(&example));
    if long && !asked {
        return trial.with_kind("takes minutes").with_ignored_flag(true);
    }
    trial
}

/// What `harness --help` lists.
fn commands() -> Vec<String> {
    let help = help(&[]);
    let list = help
        .split("Commands:")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next());
    let rows = list.unwrap_or_default().lines();
    let words = rows.filter_map(|row| row.strip_prefix("  ")?.split_whitespace().next());
    words
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect()
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(words)
        .arg("--help")
        .output()
        .expect("the program starts");
    String::from_utf8(output.stdout).expect("text")
}

/// The lines below `Examples:`; one that ends with a backslash goes on in the next.
fn examples(word: &str) -> Vec<Example> {
    let help = help(&[word]);
    let block = help
        .split("Examples:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next());
    let joined = block.unwrap_or_default().replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let example = |line: &str| {
        let (line, comment) = line.split_once(" # exits ").unwrap_or((line, "0"));
        let code = comment.split(|c: char| !c.is_ascii_digit()).next();
        let code = code.and_then(|code| code.parse().ok());
        let code = code.expect("a number behind `# exits`");
        let shows = native_is_avx512() || !comment.contains("with AVX-512");
        let words: Vec<&str> = line.split_whitespace().collect();
        Example {
            line: words.join(" "),
            code: if shows { code } else { 0 },
        }
    };
    lines.map(example).collect()
}

/// The references a line names.
fn references(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let named = words.windows(2).filter(|pair| pair[0] == "--reference");
    let mut named: Vec<String> = named.map(|pair| pair[1].to_owned()).collect();
    named.extend(
        words
            .get(2)
            .filter(|word| **word == "bitnet")
            .map(|word| (*word).to_owned()),
    );
    if let ["harness", "reference", "build" | "info", name] = words[..] {
        named.push(name.to_owned());
    }
    named
}

/// The folder one example is typed in, gone when it is dropped.
struct Desk(PathBuf);

/// What a line needs that another line makes.
const FIRST: &[(&str, &str)] = &[
    (
        "instruct.gguf",
        "harness fixtures instruct --model model.gguf -o instruct.gguf",
    ),
    (
        "--subject logits.npy",
        "harness eval --model model.gguf --prompt 'Call me Ishmael.' --logits logits.npy",
    ),
    (
        "--kl-base base.kld",
        "harness perplexity model.gguf --text chapter.txt --context 64 --write-kl-base base.kld",
    ),
    (
        "harness convert checkpoint",
        "harness fixtures checkpoint --model model.gguf -o checkpoint",
    ),
    (
        "--replay blamed/",
        "harness trace --profile ggml-avx2 --recording mar2026-b158-avx512 \
         --case b158-ishmael --bundle blamed/",
    ),
    (
        "--case edges --reference bitnet --record",
        "cp -r \"$CHECKOUT\"/fixtures .",
    ),
    (
        "--transcript text.json",
        "harness generate --model model.gguf --prompt 'The whale' -n 32 --receipt text.json",
    ),
    ("receipt show receipt.json", RECEIPT),
    ("receipt verify receipt.json", RECEIPT),
    ("--sign own.key", SIGNED),
    ("--signed-by own.key.pub", STATEMENT),
    ("harness report receipt.json", RECEIPT),
    ("harness review receipt.json", RECEIPT),
    ("harness accept receipt.json", RECEIPT),
    (
        "receipt merge share-1.json share-2.json",
        "for share in 1 2; do harness crossval --case b158-ishmael --case b158-november \
         --shard $share/2 --json share-$share.json; done",
    ),
    (
        "harness report receipts/",
        "mkdir receipts && harness crossval --case b158-ishmael --json receipts/today.json",
    ),
    (
        "compare logits.npy other.npy",
        "harness eval --model model.gguf --prompt 'Call me Ishmael.' --logits logits.npy && \
         harness eval --model model.gguf --prompt 'Call me Ishmael.' --profile ggml-avx2 \
         --logits other.npy",
    ),
    (
        "compare yesterday.json today.json",
        "harness crossval --case b158-ishmael --json today.json && cp today.json yesterday.json",
    ),
    (
        "receipt diff yesterday.json today.json",
        "harness crossval --case b158-ishmael --json today.json && cp today.json yesterday.json",
    ),
];
const SIGNED: &str = "harness crossval --case b158-ishmael --json receipt.json && \
                      harness receipt key own.key";
const STATEMENT: &str = "harness crossval --case b158-ishmael --json receipt.json && \
                         harness receipt key own.key && \
                         harness receipt export receipt.json --sign own.key -o statement.json";
const RECEIPT: &str = "harness crossval --case b158-ishmael --json receipt.json";

impl Desk {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("harness-examples-{}-{number}", std::process::id());
        let desk = Desk(std::env::temp_dir().join(name));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        std::fs::create_dir_all(desk.0.join("fixtures")).expect("a temporary folder");
        for (from, to) in [
            ("fixtures/moby-tiny/moby-tiny-bitnet.gguf", "model.gguf"),
            ("fixtures/moby-tiny/README.md", "chapter.txt"),
            ("fixtures/weights.json", "fixtures/weights.json"),
            ("README.md", "README.md"),
            ("harness/tolerances.toml", "tolerances.toml"),
            ("harness/adapters/subject.py", "subject.py"),
            ("harness/tests/live/my_engine.py", "my_engine.py"),
        ] {
            std::fs::copy(root.join(from), desk.0.join(to)).expect("it is committed");
        }
        std::fs::write(desk.0.join("importance.gguf"), importance()).expect("written");
        desk
    }

    fn run(&self, example: &Example) -> Result<(), Failed> {
        let needed = FIRST
            .iter()
            .filter(|(words, _)| example.line.contains(words));
        for (_, line) in needed {
            self.shell(line);
        }
        let output = self.shell(&example.line);
        if output.status.code() == Some(example.code) {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
        Err(format!(
            "{}, not {}: {}",
            output.status,
            example.code,
            said.join("\n")
        )
        .into())
    }

    fn shell(&self, line: &str) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_harness"));
        let folder = program.parent().expect("it lies in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("sh")
            .args(["-c", line])
            .current_dir(&self.0)
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("CHECKOUT", Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env_remove("BITNET_CPP_DIR")
            .output()
            .expect("there is a shell")
    }
}

/// As llama-imatrix would write it of one matrix of `model.gguf`.
fn importance() -> Vec<u8> {
    let name = "blk.0.ffn_up.weight";
    let bytes = std::fs::read(fixture("moby-tiny/moby-tiny-bitnet.gguf")).expect("a fixture");
    let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).expect("it is sound");
    let columns = gguf.tensors.get(name).expect("it has one").cols();
    let sums: Vec<f32> = (0..columns).map(|i| 1.0 / (1 + i) as f32).collect();
    let [sums, counts] = [&sums[..], &[1.0]].map(|values| Float::F32.encode(values));
    let writer = Writer::new(3).key("general.type", "imatrix");
    let writer = writer.tensor(&format!("{name}.in_sum2"), &[columns, 1], 0, sums);
    writer
        .tensor(&format!("{name}.counts"), &[1, 1], 0, counts)
        .finish()
}

impl Drop for Desk {
    fn drop(&mut self) {
        // A folder that cannot be removed is the temporary folder's problem, not the test's.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
