//! Which model and which text: typed as words or behind flags, the same in every command.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// One model file: its name alone is enough to type.
#[derive(clap::Args, Debug, Clone)]
pub struct OneModel {
    /// The model, a GGUF file
    #[arg(id = "model_file", value_name = "FILE")]
    file: Option<PathBuf>,

    /// The same by name
    #[arg(short, long, value_name = "FILE", conflicts_with = "model_file")]
    model: Option<PathBuf>,
}

impl OneModel {
    /// As if it had been typed.
    pub fn of(model: Option<PathBuf>) -> Self {
        let file = None;
        OneModel { file, model }
    }

    /// The file, if one was typed.
    pub fn typed(&self) -> Option<&Path> {
        self.file.as_deref().or(self.model.as_deref())
    }

    /// The file.
    pub fn path(&self) -> Result<&Path, Failure> {
        let missing = || Failure::input("which model? Type FILE or --model FILE; see --help");
        self.typed().ok_or_else(missing)
    }
}

/// Any number of model files.
#[derive(clap::Args, Debug, Clone)]
pub struct Models {
    /// The models, GGUF files [default: those of the fixtures]
    #[arg(id = "model_file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The same by name; may be given several times
    #[arg(short, long, value_name = "FILE", conflicts_with = "model_file")]
    model: Vec<PathBuf>,
}

impl Models {
    /// The files that were typed, each once.
    pub fn typed(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = Vec::new();
        for path in self.files.iter().chain(&self.model) {
            if !all.contains(path) {
                all.push(path.clone());
            }
        }
        all
    }
}

/// A text as it was typed: itself; the content of a file behind `@`; standard input for `-`. `@@`
/// begins a text that begins with `@`. The line end that closes a file is no part of it.
pub fn text(typed: &str) -> Result<String, String> {
    let closed = |text: String| {
        let open = text
            .strip_suffix('\n')
            .map(|t| t.strip_suffix('\r').unwrap_or(t).to_owned());
        open.unwrap_or(text)
    };
    match typed.strip_prefix('@') {
        Some(rest) if rest.starts_with('@') => Ok(rest.to_owned()),
        Some(file) => {
            let read = std::fs::read_to_string(file);
            read.map(closed).map_err(|e| format!("{file}: {e}"))
        }
        None if typed == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map(|_| closed(text))
                .map_err(|e| format!("standard input: {e}"))
        }
        None => Ok(typed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_itself_or_a_file_without_its_last_line_end() {
        assert_eq!(text("Call me"), Ok("Call me".into()));
        assert_eq!(text("@@home"), Ok("@home".into()));
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "two\nlines\r\n").expect("writable");
        let typed = format!("@{}", file.path().display());
        assert_eq!(text(&typed), Ok("two\nlines".into()));
        assert!(
            text("@no/such/file")
                .expect_err("none")
                .contains("no/such/file")
        );
    }
}
