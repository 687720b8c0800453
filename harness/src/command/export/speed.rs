//! How fast a file was written, and beside it a reference's own quantiser on the same file.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::format::Format;
use serde::Serialize;

use crate::exit::Failure;
use crate::io::process::{Resident, resident};
use crate::io::threads;
use crate::reference::isolation::Limits;
use crate::reference::{Scratch, open};
use crate::runner::reference::rewritten::requantize;

/// One writer of the file.
#[derive(Serialize)]
pub struct Speed {
    /// Who.
    pub writer: String,
    /// Threads that worked on it.
    pub threads: usize,
    /// Seconds from the first byte read to the last one written.
    pub seconds: f64,
    /// Megabytes of the file that was read, a second.
    pub mb_per_second: f64,
    /// The most bytes in memory, pages of the mapped file among them.
    pub peak_resident_bytes: Option<u64>,
}

impl Speed {
    /// Of this program.
    pub fn ours(read: u64, took: Duration) -> Self {
        let threads = threads::cores();
        Speed {
            peak_resident_bytes: resident(std::process::id(), Resident::Peak),
            ..Speed::of("harness", threads, read, took)
        }
    }

    fn of(writer: &str, threads: usize, read: u64, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        Speed {
            writer: writer.to_owned(),
            threads,
            seconds,
            mb_per_second: read as f64 / 1e6 / seconds.max(1e-9),
            peak_resident_bytes: None,
        }
    }

    /// One line.
    pub fn line(&self) -> String {
        let Speed {
            writer,
            threads,
            seconds,
            mb_per_second,
            ..
        } = self;
        let memory = self.peak_resident_bytes.map_or_else(String::new, |bytes| {
            format!(", at most {:.0} MB in memory", bytes as f64 / 1e6)
        });
        format!(
            "{writer}: {seconds:.2} s on {threads} threads, {mb_per_second:.0} MB/s of what was \
             read{memory}\n"
        )
    }
}

/// Of the quantiser of each reference, which writes a file that is gone afterwards.
pub fn beside(names: &[String], from: &Path, format: &Format) -> Result<Vec<Speed>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let Some(file_type) = format.file_type else {
        let message = format!("--beside: no type of file is one of {}", format.name);
        return Err(Failure::input(message));
    };
    // Two-bit weights under one scale are written wrongly by more than one.
    let cores = threads::cores();
    let threads = if format.flavor.is_some() { 1 } else { cores };
    let read = std::fs::metadata(from).map_err(Failure::environment)?.len();
    let references = open(names, Limits::with_cpu_seconds(3600))?;
    let timed = references.iter().map(|reference| {
        let name = &reference.facts().name;
        let scratch = Scratch::reserve().map_err(Failure::environment)?;
        let started = Instant::now();
        let file_type = file_type as i32;
        // No type takes more than F32, and no file less than half of that.
        let room = 4 * read;
        requantize(reference, from, &scratch.path, room, file_type, threads)?;
        Ok(Speed::of(name, threads, read, started.elapsed()))
    });
    timed.collect()
}
