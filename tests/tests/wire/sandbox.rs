//! The daemon in the bounds that it gives itself: what the kernel tells of them, and what is refused.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, thread};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{
    bpf::{Constant, XdpAction},
    daemon::{Daemon, LIMIT, Site},
    lab::{FOE4, FRIEND4, Lab, STRANGER4},
    running::wait_until,
    trial::Trial,
};
use firewall_userspace::{
    control::{LandlockForce, SandboxStatus},
    daemon::sandbox::{DaemonPlaces, confine, refused_calls},
    host::confinement::{Confinement, LandlockSupport},
};
use libc::c_long;
use nix::errno::Errno;

use crate::policy::POLICY;

/// What the kernel tells of each thread of a process.
fn threads(process: u32) -> Result<Vec<Confinement>> {
    let folder = Path::new("/proc").join(process.to_string()).join("task");
    let mut threads = Vec::new();
    for thread in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let name = status.lines().next().unwrap_or_default().to_owned();
        let confinement = Confinement::read(&status);
        println!(
            "{name}: user {:?}, filter {:?}, no new privileges {}, {} capabilities",
            confinement.user,
            confinement.has_filter,
            confinement.has_no_new_privileges,
            confinement.capabilities.len()
        );
        threads.push(confinement);
    }
    Ok(threads)
}

/// Whether the kernel has all of Landlock that a daemon asks for.
fn has_all_of_landlock() -> bool {
    matches!(LandlockSupport::of_this_kernel(), LandlockSupport::Version(6..))
}

#[test]
fn every_thread_of_a_daemon_is_confined_and_status_metrics_and_log_say_so() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    // Threads that come later: one that explains, one that writes a snapshot, those that scrape.
    daemon.ok(&["explain", FRIEND4, "--dport", "80", "--syn"])?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.ok(&["reload"])?;
    let metrics = daemon.metrics()?;
    for thread in threads(daemon.pid())? {
        ensure!(thread.has_filter == Some(true) && thread.has_no_new_privileges, "{thread:?}");
    }
    let status = daemon.status()?;
    let sandbox: SandboxStatus = serde_json::from_value(status["sandbox"].clone())?;
    println!("{sandbox:?}");
    let own = Confinement::of_this_thread();
    ensure!((sandbox.user, &sandbox.capabilities) == (own.user, &own.capabilities), "{sandbox:?}");
    ensure!(sandbox.seccomp && sandbox.no_new_privileges, "{sandbox:?}");
    let part = |part| metrics.value("portcullis_sandbox", &[("part", part)]);
    ensure!([part("seccomp"), part("no_new_privileges")] == [Some(1.0); 2]);
    if has_all_of_landlock() {
        ensure!(sandbox.landlock.state == LandlockForce::Full && sandbox.why.is_none(), "{sandbox:?}");
        ensure!(part("landlock") == Some(1.0) && daemon.log().contains(" confined "), "{}", daemon.log());
        ensure!(daemon.ok(&["status"])?.contains("sandbox     Landlock, seccomp; user 0, "));
    }
    Ok(())
}

#[test]
fn a_daemon_without_its_sandbox_says_so_everywhere() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let mut command = site.command(&lab.host)?;
    command.arg("--no-sandbox");
    let daemon = Daemon::start_by(&lab, site, command)?;
    let own = Confinement::of_this_thread();
    ensure!(threads(daemon.pid())?.iter().all(|thread| *thread == own));
    let words = "it was started with --no-sandbox";
    let told = daemon.ok(&["status"])?;
    ensure!(told.contains("SANDBOX     NO Landlock, NO seccomp; user 0, ") && told.contains(words), "{told}");
    ensure!(daemon.log().contains(&format!("CONFINED LESS THAN IT COULD BE: {words}")), "{}", daemon.log());
    let metrics = daemon.metrics()?;
    ensure!(metrics.value("portcullis_sandbox", &[("part", "landlock")]) == Some(0.0));
    Ok(())
}

/// Somebody leads the daemon out of its folders: it follows, and the kernel refuses.
#[test]
fn a_daemon_that_is_led_elsewhere_by_a_link_writes_nothing_there_and_filters_on() -> Result<()> {
    ensure!(has_all_of_landlock(), "this test needs Landlock ABI 6");
    let (lab, elsewhere) = (Lab::new()?, Trial::begin()?);
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    let state = daemon.site().state.clone();
    fs::rename(&state, state.with_extension("aside"))?;
    symlink(elsewhere.folder(), &state)?;
    let refused = daemon.cli(&["allow", "add", "friends", "10.0.0.1"])?;
    ensure!(refused.code != 0, "{refused:?}");
    wait_until("a write that is refused", LIMIT, || {
        Ok(daemon.log().contains("Permission denied (os error 13)").then_some(()))
    })
    .with_context(|| daemon.log())?;
    ensure!(fs::read_dir(elsewhere.folder())?.next().is_none(), "it wrote there");
    ensure!(daemon.cli(&["explain", FOE4, "--dport", "80", "--syn"])?.code == 1, "it filters on");
    daemon.stop()
}

/// Calls that are judged by their arguments. Without a filter the kernel has another answer to each.
const JUDGED: [(c_long, [i32; 3], i32); 11] = [
    (libc::SYS_clone3, [0; 3], libc::ENOSYS),
    // Of a process or a namespace, and with flags that nobody can have together (kernel/fork.c `copy_process`).
    (libc::SYS_clone, [libc::CLONE_SIGHAND, 0, 0], libc::EPERM),
    (libc::SYS_clone, [libc::CLONE_THREAD | libc::CLONE_NEWUSER, 0, 0], libc::EPERM),
    // `BPF_PROG_ATTACH`, `BPF_ITER_CREATE`, and a command that no kernel has.
    (libc::SYS_bpf, [8, 0, 0], libc::EPERM),
    (libc::SYS_bpf, [33, 0, 0], libc::EPERM),
    (libc::SYS_bpf, [i32::MAX, 0, 0], libc::EPERM),
    // `SOCK_PACKET`, and frames of all kinds (`ETH_P_ALL`).
    (libc::SYS_socket, [libc::AF_INET, 10 | libc::SOCK_CLOEXEC, 0x300], libc::EPERM),
    (libc::SYS_socketpair, [libc::AF_TIPC, libc::SOCK_STREAM, 0], libc::EPERM),
    // No such process, no such file.
    (libc::SYS_tgkill, [i32::MAX, 1, 0], libc::EPERM),
    (libc::SYS_prlimit64, [i32::MAX, 0, 0], libc::EPERM),
    (libc::SYS_ioctl, [-1, 0x5412, 0], libc::EPERM),
];

/// What the kernel answers to a call, and its error.
fn answer(call: c_long, [first, second, third]: [c_long; 3]) -> (c_long, i32) {
    // SAFETY: no argument is an address but 0, at which nothing is, so that no call reads or writes memory of this process.
    let result = unsafe { libc::syscall(call, first, second, third, 0, 0, 0) };
    (result, Errno::last_raw())
}

#[test]
fn every_call_of_the_list_is_refused_and_programs_are_loaded_and_pinned_all_the_same() -> Result<()> {
    let (trial, elsewhere) = (Trial::begin()?, Trial::begin()?);
    fs::create_dir(trial.pins())?;
    let places = DaemonPlaces {
        peers: BTreeSet::new(),
        state: trial.folder().join("a/state"),
        sockets: BTreeSet::from([trial.folder().join("api.sock")]),
        ports: BTreeSet::from([0]),
        pins: trial.pins().to_owned(),
    };
    thread::scope(|scope| {
        let confined = scope.spawn(|| -> Result<()> {
            println!("{:?}", confine(&places));
            for call in refused_calls() {
                ensure!(answer(call, [0; 3]) == (-1, libc::EPERM), "call {call}: {:?}", answer(call, [0; 3]));
            }
            for (call, arguments, error) in JUDGED {
                let answer = answer(call, arguments.map(c_long::from));
                ensure!(answer == (-1, error), "call {call} {arguments:?}: {answer:?} and not {error}");
            }
            let program = Constant::load(XdpAction::Pass)?;
            program.pin(&trial.pins().join("program"))?;
            fs::remove_file(trial.pins().join("program"))?;
            fs::remove_dir(trial.pins())?;
            fs::create_dir(trial.pins())?;
            program.pin(&trial.pins().join("program"))?;
            if has_all_of_landlock() {
                ensure!(fs::write(elsewhere.folder().join("file"), "").is_err(), "it is outside");
            }
            Ok(())
        });
        confined.join().expect("no panic")
    })
}
