//! What a process has started, and what that has started, as far as the kernel lists it.
#![forbid(unsafe_code)]

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// A process that is listed.
struct Listed {
    id: Pid,
    /// 0 as the session: it was begun outside the container that this process sees.
    parent: i32,
    session: i32,
}

/// All there are; none where the system does not list them as Linux does.
fn listed() -> Vec<Listed> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let entry = |entry: std::fs::DirEntry| {
        let id = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let status = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name before it is in brackets and may contain anything.
        let (_, fields) = status.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(1).map(|field| field.parse().ok());
        Some(Listed {
            id,
            parent: fields.next()??,
            session: fields.nth(1)??,
        })
    };
    entries.filter_map(entry).collect()
}

/// Everything that a process has started and that has not left its family.
pub fn descendants(of: Pid) -> Vec<Pid> {
    let all = listed();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        let children = all.iter().filter(|one| one.parent == parent.as_raw_pid());
        found.extend(children.map(|child| child.id));
        at += 1;
    }
    found.split_off(1)
}

/// Makes this process the parent of whatever its descendants leave behind.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    // An older kernel gives them to the first process instead.
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

/// Ends the children of this process that live in a session of their own, except `known` ones, and
/// what these leave behind in turn. This program starts none but workers that way.
pub fn end_orphans(known: impl Fn(Pid) -> bool) {
    loop {
        let all = listed();
        let Some(own) = all.iter().find(|one| one.id == getpid()) else {
            return;
        };
        let strange = all.iter().filter(|one| {
            one.parent == own.id.as_raw_pid() && one.session != own.session && !known(one.id)
        });
        let orphans: Vec<Pid> = strange.map(|one| one.id).collect();
        if orphans.is_empty() {
            return;
        }
        for orphan in orphans {
            let _ = kill_process(orphan, Signal::KILL);
            let _ = waitpid(Some(orphan), WaitOptions::empty());
        }
    }
}
