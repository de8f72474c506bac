//! Signals, of which none that others send by habit ends a daemon, not even in the first moments of its start; and limits of the
//! process.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    frozen::FreezableDisk,
    lab::{FRIEND4, Lab},
    running::wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    policy::{DATA, POLICY},
    silenced::{lost, start},
};

#[test]
fn signals_that_mean_nothing_here_end_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    for signal in [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGSTKFLT,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        Signal::SIGPIPE,
    ] {
        daemon.signal(signal)?;
        if !matches!(signal, Signal::SIGPIPE | Signal::SIGXFSZ) {
            let noted = || Ok(daemon.log().contains(signal.as_str()).then_some(()));
            wait_until("a word on the signal", LIMIT, noted).with_context(|| signal.to_string())?;
        }
        assert_eq!(daemon.get("/readyz")?.status, 200, "{signal}");
    }
    daemon.must_run()?;
    daemon.stop()
}

#[test]
fn sigquit_stops_a_daemon_in_order() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.signal(Signal::SIGQUIT)?;
    assert!(daemon.wait()?.success(), "{}", daemon.log());
    assert!(daemon.log().contains("stopped; the last policy"), "{}", daemon.log());
    Ok(())
}

#[test]
fn a_stop_while_it_starts_ends_it_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    // A start waits for it for 5 s, and is refused then.
    let folder = fs::File::open(lab.trial.folder())?;
    folder.lock()?;
    let mut daemon = Daemon::launch(&lab, site)?;
    wait_until("a start that waits", LIMIT, || Ok(daemon.log().contains("read what was pushed").then_some(())))?;
    daemon.signal(Signal::SIGTERM)?;
    assert!(daemon.wait()?.success(), "{}", daemon.log());
    assert!(daemon.log().contains("ending at once"), "{}", daemon.log());
    Ok(())
}

#[test]
fn a_signal_in_the_first_moments_of_a_start_is_heard_and_ends_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let disk = FreezableDisk::mount(&lab.trial)?;
    let site = Site { state: disk.path().join("state"), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    let frozen = disk.freeze()?;
    // It waits for the disk from here on.
    let mut daemon = Daemon::launch(&lab, site)?;
    let catches_hangups = || catches(daemon.pid(), Signal::SIGHUP).map(|catches| catches.then_some(()));
    let heard =
        wait_until("a daemon that hears SIGHUP", LIMIT, catches_hangups).and_then(|()| daemon.signal(Signal::SIGHUP));
    // Before anything else: who waits for the disk cannot be ended.
    frozen.thaw()?;
    heard?;
    let reloaded = || {
        daemon.must_run()?;
        let metrics = daemon.metrics().ok();
        let loads = metrics.map(|metrics| metrics.count("portcullis_config_reloads_total", &[]));
        Ok((loads == Some(2)).then_some(()))
    };
    wait_until("a reload after the start", LIMIT, reloaded)?;
    daemon.stop()
}

#[test]
fn a_file_that_may_not_grow_refuses_a_push_and_loses_none() -> Result<()> {
    let lab = Lab::new()?;
    // 16 blocks of 512 octets (POSIX, ulimit).
    let mut daemon = start(&lab, "ulimit -f 16;", "")?;
    let mut answered = Vec::new();
    let refused = wait_until("a push that is refused", LIMIT, || {
        let prefix = format!("10.7.{}.0/24", answered.len());
        let said = daemon.cli(&["allow", "add", "friends", &prefix, "--comment", &"x".repeat(100)])?;
        if said.code == 0 {
            answered.push(prefix);
            return Ok(None);
        }
        Ok(Some(said))
    })?;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("File too large"), "{refused:?}");
    assert!(!answered.is_empty());
    // Its log is such a file too.
    assert!(lost(&daemon)? < 1000, "words on words that cannot be written");
    daemon.must_run()?;
    daemon.stop()?;
    let site = daemon.site().clone();
    let daemon = Daemon::start_at(&lab, site)?;
    let listed: Value = serde_json::from_str(&daemon.ok(&["allow", "list", "friends", "-o", "json"])?)?;
    let entries = listed["entries"].as_array().context("there is no list of entries")?;
    let pushed =
        entries.iter().filter(|entry| entry["layer"] == "runtime").filter_map(|entry| entry["prefix"].as_str());
    let mut pushed: Vec<_> = pushed.map(ToOwned::to_owned).collect();
    pushed.sort_unstable();
    answered.sort_unstable();
    assert_eq!(pushed, answered);
    Ok(())
}

#[test]
fn a_low_soft_limit_of_descriptors_is_raised() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = start(&lab, "ulimit -S -n 64;", "")?;
    let most = daemon.metrics()?.value("process_max_fds", &[]);
    assert!(most > Some(64.0), "{most:?}");
    daemon.ok(&["explain", FRIEND4, "--proto", "udp", "--dport", &DATA.to_string()])?;
    daemon.stop()?;

    let mut daemon = start(&lab, "ulimit -n 512;", "")?;
    wait_until("a word on few descriptors", LIMIT, || {
        Ok(daemon.log().contains("few file descriptors are allowed").then_some(()))
    })?;
    daemon.stop()
}

/// Whether a process has a handler for a signal (SigCgt of proc_pid_status(5)).
fn catches(pid: u32, signal: Signal) -> Result<bool> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).context("no SigCgt")?;
    let caught = u64::from_str_radix(caught.trim(), 16)?;
    // nsenter and setpriv run before the daemon.
    let is_daemon = status.lines().next().is_some_and(|line| line.contains("portcullis"));
    Ok(is_daemon && caught >> (signal as i32 - 1) & 1 == 1)
}
