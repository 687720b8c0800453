//! Runs the built program in a temporary folder of its own and catches what it says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use harness::file::document::Document;

/// The program with its arguments, ready to run.
pub struct Harness(Command);

/// What it answered.
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Harness {
    /// `harness` with arguments separated by spaces, without any variable that steers it.
    pub fn new(arguments: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.args(arguments.split_whitespace());
        let steering = std::env::vars_os().map(|(name, _)| name);
        for name in steering.filter(|name| name.to_string_lossy().starts_with("BITNET_")) {
            command.env_remove(name);
        }
        Harness(command)
    }

    /// More arguments, separated by spaces.
    pub fn args(mut self, arguments: &str) -> Self {
        self.0.args(arguments.split_whitespace());
        self
    }

    /// One more argument, with its spaces.
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// In that folder.
    pub fn within(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Answer {
        self.feed("")
    }

    /// Starts it, standard output and error piped.
    pub fn spawn(mut self) -> Child {
        let piped = self.0.stdin(Stdio::null()).stdout(Stdio::piped());
        piped.stderr(Stdio::piped()).spawn().expect("starts")
    }

    /// Runs it to its end with that on standard input.
    pub fn feed(mut self, input: &str) -> Answer {
        let piped = self.0.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_owned();
        let feeder = std::thread::spawn(move || {
            // A program that refuses its input closes the pipe early, which is its right.
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().expect("ends");
        feeder.join().expect("feeds");
        Answer::from(output)
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Answer {
    /// The answer, if the exit code is the expected one.
    pub fn exits(self, code: i32) -> Self {
        let (stdout, stderr) = (&self.stdout, &self.stderr);
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{stdout}\nstderr:\n{stderr}"
        );
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).expect("JSON on standard output")
    }
}

/// A temporary folder that disappears when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("harness-commands-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("temporary folder");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it with that content.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("temporary file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed is the temporary folder's problem, not the test's.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file below `fixtures/`.
pub fn fixture(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the workspace").join("fixtures").join(path)
}

/// A model below `fixtures/`, to be changed and written elsewhere.
pub fn document(path: &str) -> Document {
    let bytes = std::fs::read(fixture(path)).expect("committed");
    let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).expect("sound");
    Document::read(&gguf).expect("it can be edited")
}
