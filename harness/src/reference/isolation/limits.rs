//! How much a worker may use.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Everything a worker is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// From asking to the end of the answer, by the clock on the wall.
    pub patience: Duration,
    /// Processor time of the whole worker, over all threads, in seconds.
    pub cpu_seconds: u64,
    /// Address space in bytes.
    pub memory: u64,
    /// Longest file it may write, in bytes.
    pub file_size: u64,
}

/// What a worker is told first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// How much it may use.
    pub limits: Limits,
    /// The one file it may write, which is there already.
    pub writes: Option<PathBuf>,
}

impl From<Limits> for Terms {
    fn from(limits: Limits) -> Self {
        let writes = None;
        Terms { limits, writes }
    }
}

/// What a worker may do beside computing and reading files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Nothing: a library is loaded, a template rendered.
    Compute,
    /// Ask a server.
    Network,
    /// Start programs, which do what programs do.
    Programs,
}

/// The stack of the thread that runs foreign code: trees of the family keep arrays of variable
/// length there, which overflow the usual 2 MiB.
pub const STACK: usize = 64 << 20;

impl Limits {
    /// When patience ends that begins now. What no clock reaches is a year from now.
    pub fn deadline(&self) -> Instant {
        let year = Duration::from_secs(365 * 24 * 3600);
        Instant::now() + self.patience.min(year)
    }

    /// The usual ones, but so many seconds of processor time: for a worker that answers many
    /// questions, each in its own time.
    pub fn with_cpu_seconds(cpu_seconds: u64) -> Self {
        Limits {
            cpu_seconds,
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    /// Room for a model of a few billion parameters on a busy machine, and for no file at all.
    fn default() -> Self {
        Limits {
            patience: Duration::from_secs(120),
            cpu_seconds: 240,
            memory: 16 << 30,
            file_size: 0,
        }
    }
}
