//! The audit log of a daemon that runs: what is in it, on a full disk, and after somebody has moved it away.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::{Daemon, Site},
    lab::{FRIEND4, Lab, STRANGER4},
    mounted::Disk,
    running::wait_until,
    trial::binary,
};

use crate::policy::POLICY;

/// How long the log may take to be tried again.
const LIMIT: Duration = Duration::from_secs(10);

/// What `audit verify` says of the state folder of a daemon, and its exit code.
fn verified(daemon: &Daemon<'_>) -> Result<(i32, String)> {
    let state = daemon.site().state.clone();
    let mut command = std::process::Command::new(binary()?);
    let output = command.args(["audit", "verify", "--state-directory"]).arg(state).output()?;
    Ok((output.status.code().context("an exit code")?, String::from_utf8(output.stdout)?))
}

/// Whether changes are refused because they cannot be recorded.
fn is_refusing(daemon: &Daemon<'_>) -> Result<bool> {
    Ok(daemon.metrics()?.value("portcullis_audit_refusing", &[]) == Some(1.0))
}

#[test]
fn changes_are_recorded_over_restarts_and_a_touched_line_is_found() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.cli(&["allow", "add", "nobody", STRANGER4])?;
    daemon.reload()?;
    let listed = daemon.ok(&["audit", "list"])?;
    for words in ["root", "push", "ok", "invalid", "+1 -0 ~0 in friends", "SIGHUP", "reload"] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    daemon.kill()?;
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(verified(&daemon)?.0, 0);
    daemon.stop()?;
    let file = daemon.site().state.join("audit/audit-00000000000000000001.jsonl");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replacen("in friends", "in foes", 1))?;
    let (code, said) = verified(&daemon)?;
    assert!(code == 1 && said.starts_with("changed: audit-00000000000000000001.jsonl, line "), "{code} {said}");
    Ok(())
}

#[test]
fn a_full_disk_is_told_and_recorded_from_as_soon_as_there_is_room() -> Result<()> {
    let lab = Lab::new()?;
    let disk = Disk::mount(&lab.trial, "3m")?;
    let site = Site { state: disk.path().to_owned(), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    // What is refused while the disk is full is recorded: there is room that was set aside.
    let filler = disk.fill()?;
    daemon.cli(&["allow", "add", "nobody", FRIEND4])?;
    assert!(daemon.ok(&["audit", "list"])?.contains("invalid"));
    // A daemon that is stopped gives it back; the next one finds none.
    daemon.stop()?;
    let filled = disk.fill()?;
    assert_eq!(filler, filled);
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    wait_until("it is told", LIMIT, || Ok(is_refusing(&daemon)?.then_some(())))?;
    let status = daemon.ok(&["status"])?;
    assert!(status.contains("cannot be recorded") && status.contains("No space left on device"), "{status}");
    fs::remove_file(filler)?;
    wait_until("changes are recorded again", LIMIT, || Ok((!is_refusing(&daemon)?).then_some(())))?;
    daemon.ok(&["allow", "add", "friends", FRIEND4])?;
    let (code, said) = verified(&daemon)?;
    assert_eq!(code, 0, "{said}");
    daemon.stop()
}

#[test]
fn a_log_that_is_moved_away_goes_on_and_is_missed_until_it_is_brought_back() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    let folder = daemon.site().state.join("audit");
    let (file, moved) = (folder.join("audit-00000000000000000001.jsonl"), daemon.site().state.join("moved"));
    fs::rename(&file, &moved)?;
    daemon.ok(&["allow", "add", "friends", FRIEND4])?;
    assert!(daemon.ok(&["audit", "list"])?.contains("goes on in another file"), "{}", daemon.log());
    let (code, said) = verified(&daemon)?;
    assert!(code == 1 && said.starts_with("removed: "), "{code} {said}");
    fs::rename(&moved, &file)?;
    assert_eq!(verified(&daemon)?.0, 0);
    // The folder, too: the sandbox lets it be made anew.
    let aside = daemon.site().state.join("audit.aside");
    fs::rename(&folder, &aside)?;
    wait_until("a folder is there", LIMIT, || Ok(folder.join("head").exists().then_some(())))?;
    daemon.ok(&["allow", "remove", "friends", FRIEND4])?;
    assert!(!is_refusing(&daemon)?, "{}", daemon.log());
    daemon.stop()
}
