//! What others do to the state folder: before a start, while the daemon runs, and after a stop.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
};

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    lab::{FRIEND4, HOST4, Lab, STRANGER4},
    mounted::Disk,
    running::wait_until,
    traffic::Probe,
};
use nix::{
    mount::{MntFlags, umount2},
    sys::stat::Mode,
    unistd::mkfifo,
};

use crate::policy::{DATA, POLICY};

/// A user that is not root.
const SOMEBODY: u32 = 12_345;

/// A start on these files says so, whether it goes on or not, and in good time.
fn says(lab: &Lab, site: &Site, words: &[&str]) -> Result<()> {
    let daemon = Daemon::launch(lab, site.clone())?;
    wait_until("words", LIMIT, || Ok(words.iter().all(|words| daemon.log().contains(words)).then_some(())))
        .with_context(|| daemon.log())
}

#[test]
fn a_pipe_in_the_state_folder_is_named_and_keeps_nobody_waiting() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.stop()?;
    let site = daemon.site().clone();
    for name in ["journal-0000000001", "history", "policy-0000000001"] {
        let (file, aside) = (site.state.join(name), site.state.join("aside"));
        fs::rename(&file, &aside)?;
        mkfifo(&file, Mode::S_IRWXU)?;
        says(&lab, &site, &[&format!("{name}: it is a named pipe and no regular file")])?;
        fs::rename(&aside, &file)?;
    }
    let daemon = Daemon::start_at(&lab, site)?;
    assert!(daemon.ok(&["allow", "list", "friends"])?.contains(STRANGER4));
    Ok(())
}

#[test]
fn a_state_folder_of_others_is_refused_by_name() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    fs::create_dir(&site.state)?;
    fs::set_permissions(&site.state, Permissions::from_mode(0o777))?;
    says(
        &lab,
        &site,
        &["state: others may write to it: its mode is 0777", "hint: look at what is in it, then `chmod"],
    )?;
    fs::set_permissions(&site.state, Permissions::from_mode(0o700))?;
    chown(&site.state, Some(SOMEBODY), None)?;
    says(&lab, &site, &["state: it belongs to user 12345, and this runs as user 0", "hint: `chown -R 0 "])?;
    chown(&site.state, Some(0), None)?;
    Daemon::start_at(&lab, site)?.stop()
}

/// Does something to the state folder of a running daemon: pushes are taken again when everything is written anew, and a daemon
/// that starts after a kill knows all of them.
fn outlives(lab: &Lab, site: Site, mishap: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    site.configure(POLICY)?;
    let mut daemon = Daemon::start_at(lab, site)?;
    let probe = Probe::new(lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    mishap(&daemon.site().state)?;
    let refused = daemon.cli(&["allow", "add", "friends", "10.0.0.1"])?;
    if refused.code != 0 {
        assert!(refused.stderr.contains("hint: everything is written anew by itself"), "{refused:?}");
    }
    wait_until("pushes that are taken again", LIMIT, || {
        Ok((daemon.cli(&["allow", "add", "friends", "10.0.0.2"])?.code == 0).then_some(()))
    })?;
    let rewrites = daemon.metrics()?.value("portcullis_state_rewrites_total", &[]);
    assert_eq!(rewrites, Some(1.0), "{}", daemon.log());
    // The generations are written by the next look.
    let history = daemon.site().state.join("history");
    wait_until("a history", LIMIT, || Ok(history.exists().then_some(())))?;
    daemon.kill()?;
    let daemon = Daemon::start_at(lab, daemon.site().clone())?;
    let listed = daemon.ok(&["allow", "list", "friends"])?;
    assert!(listed.contains(STRANGER4) && listed.contains("10.0.0.2/32"), "{listed}");
    assert!(probe.arrives(STRANGER4)?);
    assert!(!daemon.log().contains("no generation is kept"), "the history went on: {}", daemon.log());
    Ok(())
}

#[test]
fn a_journal_that_is_removed_or_cut_under_the_daemon_is_written_anew() -> Result<()> {
    let lab = Lab::new()?;
    outlives(&lab, Site::of(&lab.trial), |state| Ok(fs::remove_file(state.join("journal-0000000001"))?))?;
    let other = Site { state: lab.trial.folder().join("other"), ..Site::of(&lab.trial) };
    outlives(&lab, other, |state| {
        Ok(OpenOptions::new().write(true).open(state.join("journal-0000000001"))?.set_len(50)?)
    })
}

#[test]
fn a_state_folder_that_is_removed_renamed_or_unmounted_under_the_daemon_is_written_anew() -> Result<()> {
    let lab = Lab::new()?;
    outlives(&lab, Site::of(&lab.trial), |state| Ok(fs::remove_dir_all(state)?))?;
    let renamed = Site { state: lab.trial.folder().join("renamed"), ..Site::of(&lab.trial) };
    outlives(&lab, renamed, |state| Ok(fs::rename(state, state.with_extension("aside"))?))?;
    let disk = Disk::mount(&lab.trial, "1m")?;
    let mounted = Site { state: disk.path().join("state"), ..Site::of(&lab.trial) };
    outlives(&lab, mounted, |_| Ok(umount2(disk.path(), MntFlags::MNT_DETACH)?))
}

#[test]
fn a_journal_that_was_cut_after_a_stop_is_told_at_the_next_start() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.ok(&["allow", "add", "friends", "10.0.0.1"])?;
    daemon.stop()?;
    let site = daemon.site().clone();
    let journal = site.state.join("journal-0000000001");
    let octets = fs::read(&journal)?;
    fs::write(&journal, &octets[..octets.len() / 2])?;
    let stopped = format!("it had {} when its daemon stopped", octets.len());
    says(&lab, &site, &[&stopped, "`portcullis state repair /"])?;
    fs::write(&journal, &octets)?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    daemon.ok(&["allow", "add", "friends", "10.0.0.2"])?;
    daemon.kill()?;
    // As a loss of power leaves it.
    let octets = fs::read(&journal)?;
    fs::write(&journal, &octets[..octets.len() - 3])?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(daemon.log().contains("a write that was never finished"), "{}", daemon.log());
    Ok(())
}
