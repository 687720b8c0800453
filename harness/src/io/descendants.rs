//! What a process has started, and what that has started, as far as the kernel lists it.
#![forbid(unsafe_code)]

use rustix::process::{Pid, Signal, WaitOptions, getpid, getsid, kill_process, waitpid};

/// A process that is listed.
struct Listed {
    id: Pid,
    parent: Pid,
    session: Pid,
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
        let parent = Pid::from_raw(fields.next()??)?;
        let session = Pid::from_raw(fields.nth(1)??)?;
        Some(Listed {
            id,
            parent,
            session,
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
        let children = all.iter().filter(|one| one.parent == parent);
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
    let Ok(own) = getsid(None) else { return };
    loop {
        let all = listed().into_iter();
        let strange = all.filter(|one| one.parent == getpid() && one.session != own);
        let orphans: Vec<Pid> = strange.map(|one| one.id).filter(|id| !known(*id)).collect();
        if orphans.is_empty() {
            return;
        }
        for orphan in orphans {
            let _ = kill_process(orphan, Signal::KILL);
            let _ = waitpid(Some(orphan), WaitOptions::empty());
        }
    }
}
