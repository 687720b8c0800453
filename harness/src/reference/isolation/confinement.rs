//! What a worker does to itself before it touches anything foreign.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, setrlimit, setsid};

use super::limits::Limits;

/// Moves the channel from standard input to a private place that no other program inherits, and
/// leaves nothing to read there.
pub fn take_channel() -> io::Result<UnixStream> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails where standard input is no connected socket: somebody typed the hidden command.
    channel.peer_addr()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(channel)
}

/// A session of its own, so that it can be ended with everything it started, and an end together
/// with the process that started it.
pub fn start_new_session() -> io::Result<()> {
    setsid()?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    Ok(())
}

/// Limits that hold for this process and all it starts, and cannot be lifted again.
pub fn confine(limits: &Limits) -> io::Result<()> {
    // Beyond the softer limit on time comes a signal that says so, beyond the harder one the end.
    let seconds = limits.cpu_seconds;
    for (resource, most, end) in [
        (Resource::Core, 0, 0),
        (Resource::Fsize, limits.file_size, limits.file_size),
        (Resource::Cpu, seconds, seconds.saturating_add(2)),
        (Resource::As, limits.memory, limits.memory),
    ] {
        let (current, maximum) = (Some(most), Some(end));
        setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}
