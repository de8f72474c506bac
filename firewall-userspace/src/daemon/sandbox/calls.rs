//! System calls that a daemon never makes, refused by seccomp (seccomp(2)).
//!
//! A list of what is refused, and not of what is allowed: the C library makes other calls in each version, and a firewall that dies of
//! that is worse than one that could make a harmless call. Refused is what leads out of the process or into the kernel's rarer corners.

use std::{collections::BTreeMap, env, io, process};

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, sock_filter,
};

use crate::host::confinement::Confinement;

/// Refused whatever their arguments are.
const NEVER: &[c_long] = &[
    // Other programs, and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Another kernel, or more of it.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // File systems and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    // Files by other ways than their names, of other kinds, of other owners.
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_fchown,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_fanotify_init,
    // Other users and rights.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    // The host. That the clock is set by adjtimex(2), which only asks here, cannot be told from its arguments.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_personality,
    // Where most ways into a kernel were found.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_perf_event_open,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// The same, of calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[c_long] = &[];

#[cfg(target_arch = "x86_64")]
const MAKES_PROCESS: &[c_long] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const MAKES_PROCESS: &[c_long] = &[];

/// Commands of bpf(2) that the daemon has a use for (include/uapi/linux/bpf.h): maps, programs and links that it makes, and what it looks
/// at of others. Attaching by other ways than links, iterators and tokens are not among them.
const BPF_COMMANDS: [u64; 29] = [
    // Entries of maps, and programs: MAP_CREATE to PROG_LOAD, OBJ_PIN, OBJ_GET.
    0, 1, 2, 3, 4, 5, 6, 7,
    // PROG_TEST_RUN; identifiers and descriptors, up to OBJ_GET_INFO_BY_FD and PROG_QUERY.
    10, 11, 12, 13, 14, 15, 16,
    // BTF_LOAD, BTF_GET_FD_BY_ID; MAP_LOOKUP_AND_DELETE_ELEM, MAP_FREEZE, BTF_GET_NEXT_ID, and batches of entries.
    18, 19, 21, 22, 23, 24, 26, 27,
    // LINK_CREATE, LINK_UPDATE, LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID; LINK_DETACH, PROG_BIND_MAP.
    28, 29, 30, 31, 34, 35,
];

/// Families of sockets: the API, the admin port, and netlink.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Types of Internet sockets that see more than what is sent to their port. The second is `SOCK_PACKET` (include/linux/net.h): of
/// `AF_INET` it is a packet socket (net/socket.c `__sock_create`).
const RAW: [i32; 2] = [libc::SOCK_RAW, 10];

/// The bits of the second argument of socket(2) that are its type (`SOCK_TYPE_MASK`, include/linux/net.h).
const SOCKET_TYPE: u64 = 0xf;

/// Writing to a terminal as if somebody typed (`TIOCSTI`, `TIOCLINUX` of include/uapi/asm-generic/ioctls.h).
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// What makes a namespace (clone(2)).
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// From this number on, calls of x86-64 are those of its 32-bit form x32, by other numbers (`__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;

/// Refuses them from now on to the thread that calls, and to those that it starts. Nothing that is executed gets more rights.
///
/// # Errors
/// When there is no such filter to be had, in words.
pub(super) fn refuse() -> Result<(), String> {
    let error = |error: &dyn std::fmt::Display| format!("cannot refuse system calls by seccomp: {error}");
    let not_permitted = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    // The C library starts threads by clone(2) then, whose flags can be seen.
    let no_such_call = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let new_clone = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let rules = rules().map_err(|broken| error(&broken))?;
    for (rules, action) in [(new_clone, no_such_call), (rules, not_permitted)] {
        let program = program(rules, action).map_err(|broken| error(&broken))?;
        apply_filter(&program).map_err(|refused| error(&refused))?;
    }
    if cfg!(target_arch = "x86_64") {
        apply_filter(&no_other_form()).map_err(|refused| error(&refused))?;
    }
    // The kernel is believed, and not who asked it.
    match Confinement::of_this_thread().has_filter {
        Some(true) => Ok(()),
        _ => Err(error(&io::Error::from(io::ErrorKind::Unsupported))),
    }
}

/// Calls that are refused whatever their arguments are. Those that would make a process of this one are left out: where nothing refuses
/// them, whoever tries them is there twice.
pub fn refused_calls() -> impl Iterator<Item = c_long> {
    let here = NEVER_HERE.iter().filter(|call| !MAKES_PROCESS.contains(call));
    NEVER.iter().chain(here).copied()
}

/// A filter that answers calls that match a rule by `action`. A call of another architecture, such as one of 32 bits, ends the process.
fn program(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    action: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(rules, SeccompAction::Allow, action, env::consts::ARCH.try_into()?)?.try_into()
}

fn rules() -> Result<BTreeMap<c_long, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<_, _> = NEVER.iter().chain(NEVER_HERE).map(|call| (*call, Vec::new())).collect();
    let is = |argument, operator, value| SeccompCondition::new(argument, Dword, operator, value);
    let is_none_of = |values: &mut dyn Iterator<Item = u64>| {
        SeccompRule::new(values.map(|value| is(0, SeccompCmpOp::Ne, value)).collect::<Result<_, _>>()?)
    };
    rules.insert(libc::SYS_bpf, vec![is_none_of(&mut BPF_COMMANDS.into_iter())?]);
    let family = |family: i32| u64::from(family.cast_unsigned());
    let mut sockets = vec![is_none_of(&mut FAMILIES.into_iter().map(family))?];
    for one in [libc::AF_INET, libc::AF_INET6] {
        for raw in RAW.map(family) {
            let raw = is(1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), raw)?;
            sockets.push(SeccompRule::new(vec![is(0, SeccompCmpOp::Eq, family(one))?, raw])?);
        }
    }
    rules.insert(libc::SYS_socketpair, sockets.clone());
    rules.insert(libc::SYS_socket, sockets);
    let typing = TYPING.map(|request| SeccompRule::new(vec![is(1, SeccompCmpOp::Eq, request)?]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    // Threads, and no processes.
    let thread = family(libc::CLONE_THREAD);
    let mut clones = vec![SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(thread), 0)?])?];
    for flag in NAMESPACES.map(family) {
        clones.push(SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(flag), flag)?])?);
    }
    rules.insert(libc::SYS_clone, clones);
    // A file gets another group, such as the socket of the API, and no other owner.
    let gives_away = SeccompRule::new(vec![is(2, SeccompCmpOp::Ne, u64::from(u32::MAX))?])?;
    rules.insert(libc::SYS_fchownat, vec![gives_away]);
    // Limits and threads of this process only. A thread is signalled by abort(3).
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Ne, 0)?])?]);
    let own = u64::from(process::id());
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Ne, own)?])?]);
    Ok(rules)
}

/// Refuses every call of the form x32, which would have other numbers than those above.
fn no_other_form() -> BpfProgram {
    // Load the number (offset 0 of `struct seccomp_data`); from X32 on go to the next instruction, otherwise one further.
    let load = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let is_other = sock_filter { code: 0x35, jt: 0, jf: 1, k: X32 };
    let answer = |action: SeccompAction| sock_filter { code: 0x06, jt: 0, jf: 0, k: action.into() };
    let not_permitted = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    vec![load, is_other, answer(not_permitted), answer(SeccompAction::Allow)]
}
