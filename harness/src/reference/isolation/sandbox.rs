//! What the kernel keeps a worker from, whatever the code in it tries.
//!
//! Landlock guards files, ports and other processes, seccomp the calls that Landlock does not know;
//! what root may do more than others is given up. What a kernel lacks is told, so that it stands on
//! the receipt.

use std::path::Path;

use super::limits::Rights;

/// What holds, and what does not.
#[derive(Debug, Default)]
pub struct Sandbox {
    /// By what the worker is confined.
    pub held_by: Vec<String>,
    /// What this kernel does not offer, and what the worker could therefore do.
    pub missing: Vec<String>,
}

/// Where a hello has it.
pub const HELD_BY: &str = "confined by";
/// Where a hello has what is missing.
pub const MISSING: &str = "not confined";

impl Sandbox {
    /// As details of a hello.
    pub fn details(&self) -> impl Iterator<Item = (String, String)> {
        let details = [(HELD_BY, &self.held_by), (MISSING, &self.missing)];
        let told = details.into_iter().filter(|(_, words)| !words.is_empty());
        told.map(|(key, words)| (key.to_owned(), words.join("; ")))
    }
}

/// Confines the calling thread and all threads and processes it starts, for good. `writes` is the
/// one file that may be written.
pub fn enter(rights: Rights, writes: Option<&Path>) -> Sandbox {
    let mut sandbox = Sandbox::default();
    match landlock::enter(rights, writes) {
        Ok(words) => sandbox.held_by.push(words),
        Err(why) => {
            let open = "files can be written and other processes be meddled with";
            sandbox.missing.push(format!("landlock ({why}): {open}"));
        }
    }
    // Programs that are meant to be started make such calls for good reasons.
    if rights != Rights::Programs {
        match capabilities::drop() {
            Ok(()) => sandbox.held_by.push("no capabilities".into()),
            Err(why) => sandbox.missing.push(format!("capabilities ({why})")),
        }
        match seccomp::enter(rights) {
            Ok(()) => sandbox.held_by.push("seccomp".into()),
            Err(why) => {
                let open = "connections can be opened and programs be started";
                sandbox.missing.push(format!("seccomp ({why}): {open}"));
            }
        }
    }
    sandbox
}

#[cfg(target_os = "linux")]
mod landlock {
    use std::error::Error;
    use std::path::Path;

    use landlock::{
        ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, Ruleset,
        RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
    };

    use super::Rights;

    /// All that is known of it; of that, a kernel does what it can.
    const NEWEST: ABI = ABI::V8;

    /// In words, what holds from now on.
    pub fn enter(rights: Rights, writes: Option<&Path>) -> Result<String, Box<dyn Error>> {
        let mut rules = Ruleset::default().scope(Scope::from_all(NEWEST))?;
        if rights != Rights::Programs {
            rules = rules.handle_access(AccessFs::from_write(NEWEST))?;
        }
        if rights == Rights::Compute {
            rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
        }
        let mut rules = rules.create()?;
        if rights != Rights::Programs {
            let nowhere = PathFd::new("/dev/null")?;
            rules = rules.add_rule(PathBeneath::new(nowhere, AccessFs::WriteFile))?;
            if let Some(file) = writes {
                let written = AccessFs::WriteFile | AccessFs::Truncate;
                rules = rules.add_rule(PathBeneath::new(PathFd::new(file)?, written))?;
            }
        }
        let status = rules.restrict_self()?;
        match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, other) => Err(format!("{other:?}").into()),
            (_, LandlockStatus::Available { effective_abi, .. }) => {
                Ok(format!("landlock {}", effective_abi as i32))
            }
            (_, other) => Err(format!("{other:?}").into()),
        }
    }
}

#[cfg(target_os = "linux")]
mod capabilities {
    use rustix::io;
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

    /// What root may do and others may not, but for reading: then files are what they were.
    pub fn drop() -> io::Result<()> {
        let kept = capabilities(None)?.permitted & CapabilitySet::DAC_READ_SEARCH;
        let sets = CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets)
    }
}

#[cfg(target_os = "linux")]
mod seccomp {
    use std::collections::BTreeMap;

    use libc::c_long;
    use rustix::process::getpid;
    use seccompiler::{
        BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
        SeccompFilter, SeccompRule, apply_filter,
    };

    use super::Rights;

    /// No worker has a use for them: programs, other processes' memory, kernel objects that
    /// outlive it, rights and times of files, the machine itself. `io_uring` does what others are
    /// refused.
    const NEVER: &[c_long] = &[
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_kcmp,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_mq_open,
        libc::SYS_shmget,
        libc::SYS_semget,
        libc::SYS_msgget,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_utimensat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_sethostname,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_reboot,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_setrlimit,
    ];
    /// The same under names that only the oldest architecture has.
    #[cfg(target_arch = "x86_64")]
    const NEVER_HERE: &[c_long] = &[
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const NEVER_HERE: &[c_long] = &[];
    /// Calls by these numbers are the same calls, where the kernel has the interface called x32.
    #[cfg(target_arch = "x86_64")]
    const OTHER_NUMBERS: &[c_long] = &[0, 0x4000_0000];
    #[cfg(not(target_arch = "x86_64"))]
    const OTHER_NUMBERS: &[c_long] = &[0];

    type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

    pub fn enter(rights: Rights) -> Result<(), Error> {
        // The C library takes this answer for an older kernel's, and asks with `clone`, whose
        // flags can be seen.
        let newer = Rules::from([(libc::SYS_clone3, Vec::new())]);
        apply(newer, libc::ENOSYS)?;
        apply(refused(rights)?, libc::EPERM)
    }

    fn apply(rules: Rules, error: i32) -> Result<(), Error> {
        let all = rules.into_iter().flat_map(|(call, rule)| {
            let numbers = OTHER_NUMBERS.iter();
            numbers.map(move |more| (call + more, rule.clone()))
        });
        let filter = SeccompFilter::new(
            all.collect(),
            SeccompAction::Allow,
            SeccompAction::Errno(error as u32),
            std::env::consts::ARCH.try_into()?,
        )?;
        apply_filter(&BpfProgram::try_from(filter)?)
    }

    fn refused(rights: Rights) -> Result<Rules, Error> {
        use SeccompCmpArgLen::{Dword, Qword};
        use SeccompCmpOp::{Eq, MaskedEq, Ne};
        let always = NEVER.iter().chain(NEVER_HERE);
        let mut rules: Rules = always.map(|call| (*call, Vec::new())).collect();
        if rights == Rights::Compute {
            rules.insert(libc::SYS_socket, Vec::new());
        }
        let mut when = |call, argument, length, compared, value| -> Result<(), Error> {
            let condition = SeccompCondition::new(argument, length, compared, value)?;
            let rule = SeccompRule::new(vec![condition])?;
            rules.entry(call).or_default().push(rule);
            Ok(())
        };
        // Threads, but no processes.
        let thread = libc::CLONE_THREAD as u64;
        when(libc::SYS_clone, 0, Qword, MaskedEq(thread), 0)?;
        // Signals to itself: how `abort` and `raise` end it.
        let own = getpid().as_raw_nonzero().get() as u64;
        for call in [
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_tgkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
        ] {
            when(call, 0, Dword, Ne, own)?;
        }
        // Looking at its own limits: neither changing them nor those of others.
        when(libc::SYS_prlimit64, 0, Dword, Ne, 0)?;
        when(libc::SYS_prlimit64, 2, Qword, Ne, 0)?;
        // It ends with the process that asks it.
        let end = libc::PR_SET_PDEATHSIG as u64;
        when(libc::SYS_prctl, 0, Dword, Eq, end)?;
        Ok(rules)
    }
}

/// Elsewhere a worker is held by its limits and its session alone.
#[cfg(not(target_os = "linux"))]
mod landlock {
    use std::path::Path;

    pub fn enter(_: super::Rights, _: Option<&Path>) -> Result<String, &'static str> {
        Err("Linux has it")
    }
}

#[cfg(not(target_os = "linux"))]
mod capabilities {
    pub fn drop() -> Result<(), &'static str> {
        Err("Linux has them")
    }
}

#[cfg(not(target_os = "linux"))]
mod seccomp {
    pub fn enter(_: super::Rights) -> Result<(), &'static str> {
        Err("Linux has it")
    }
}
