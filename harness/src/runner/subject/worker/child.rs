//! A user's command as a process of this worker's, which ends as it ends.

use std::process::{Command, ExitStatus};

/// A command line as a shell reads it.
pub fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("exec {line}"));
    command
}

/// Ends this process as the child ended, so that one record tells the death of either.
pub fn end_like(status: ExitStatus) -> ! {
    #[cfg(unix)]
    die_of_signal(status);
    std::process::exit(status.code().unwrap_or(1));
}

/// Returns if it was none.
#[cfg(unix)]
fn die_of_signal(status: ExitStatus) {
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    if let Some(signal) = status.signal().and_then(Signal::from_named_raw) {
        // More than once, because the first of some is caught to look for a stack that overflowed,
        // on whichever thread.
        for _ in 0..20 {
            let _ = kill_process(getpid(), signal);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
