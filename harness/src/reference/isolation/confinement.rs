//! What a worker does to itself before it touches anything foreign.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};

use super::limits::Limits;
use crate::io::descendants::adopt_orphans;
use crate::io::process::close_inherited;
use crate::reference::WRAPPER;

/// Bytes of a file that what stands in front of a worker may need for itself.
const WRAPPED: u64 = 1 << 20;

/// The way between the two processes.
pub type Stream = UnixStream;

/// Moves the channel from standard input to a private place that no other program inherits, leaves
/// nothing to read there, and closes whatever else was open.
pub fn take_channel() -> io::Result<Stream> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails where standard input is no connected socket: somebody typed the hidden command.
    channel.peer_addr()?;
    close_inherited(channel.as_raw_fd());
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(channel)
}

/// A session of its own, so that it can be ended with everything it started, sessions of their own
/// or not, and an end together with the process that started it.
pub fn start_new_session() -> io::Result<()> {
    setsid()?;
    adopt_orphans();
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    Ok(())
}

/// The smaller of what is wanted and what is in force, softer and harder limit.
fn within(in_force: Rlimit, softer: u64, harder: u64) -> (Option<u64>, Option<u64>) {
    let least = |wanted: u64, bound: Option<u64>| Some(bound.map_or(wanted, |b| b.min(wanted)));
    let maximum = least(harder, in_force.maximum);
    let current = least(softer, in_force.current.or(in_force.maximum));
    (current.min(maximum), maximum)
}

/// Limits that hold for this process and all it starts, and cannot be lifted again. Where memory
/// runs out for all, it is the first to go.
pub fn confine(limits: &Limits) -> io::Result<()> {
    // Only Linux knows this file, and not in every container.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // Beyond the softer limit on time comes a signal that says so, beyond the harder one the end.
    let seconds = limits.cpu_seconds;
    // An emulator writes files of its own: what it makes of /proc/self/maps, for one.
    let wrapped = std::env::var_os(WRAPPER).is_some_and(|words| !words.is_empty());
    let file_size = limits.file_size.max(if wrapped { WRAPPED } else { 0 });
    for (resource, most, end) in [
        (Resource::Core, 0, 0),
        (Resource::Fsize, file_size, file_size),
        (Resource::Cpu, seconds, seconds.saturating_add(2)),
        (Resource::As, limits.memory, limits.memory),
    ] {
        let (current, maximum) = within(getrlimit(resource), most, end);
        setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_in_force_is_never_exceeded() {
        let in_force = |current, maximum| Rlimit { current, maximum };
        for (bound, expected) in [
            (in_force(None, None), (Some(8), Some(10))),
            (in_force(Some(5), None), (Some(5), Some(10))),
            (in_force(None, Some(9)), (Some(8), Some(9))),
            (in_force(Some(5), Some(7)), (Some(5), Some(7))),
            (in_force(Some(99), Some(99)), (Some(8), Some(10))),
        ] {
            assert_eq!(within(bound, 8, 10), expected);
        }
    }
}
