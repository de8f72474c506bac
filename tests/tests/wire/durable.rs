//! Pushed entries outlive the daemon.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    traffic::Probe,
};
use serde_json::Value;

use crate::{
    entries::wait_for_the_end,
    policy::{DATA, POLICY},
};

#[test]
fn a_restart_keeps_pushed_entries_as_they_were() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4, "--comment", "on call", "--ttl", "1h"])?;
    daemon.ok(&["deny", "add", "foes", "10.0.0.0/8", "10.0.0.0/9", "2001:db8:9::/48", FRIEND4])?;
    daemon.ok(&["deny", "remove", "foes", "10.0.0.0/9", FRIEND4])?;
    let before = pushed(&daemon)?;
    assert_eq!(before.len(), 3, "{before:?}");

    daemon.kill()?;
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(pushed(&daemon)?, before, "after a kill: list, prefix, owner, comment, created, expires");
    assert!(probe.arrives(STRANGER4)? && probe.arrives(FRIEND4)?);

    daemon.stop()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(pushed(&daemon)?, before, "after a stop");
    assert!(probe.arrives(STRANGER4)? && !probe.arrives(FOE4)?);
    Ok(())
}

#[test]
fn pushed_entries_wait_for_a_list_that_comes_back() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    daemon.kill()?;
    daemon
        .site()
        .configure("[lists.other]\n[services.data]\nprotocol = \"udp\"\nports = [9000]\ndeny = [\"other\"]\n")?;
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    daemon.ok(&["deny", "add", "other", FOE4])?;
    daemon.kill()?;
    daemon.site().configure(POLICY)?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(daemon.ok(&["allow", "list", "friends"])?.contains(STRANGER4));
    assert!(Probe::new(&lab, HOST4, DATA, FRIEND4)?.arrives(STRANGER4)?);
    Ok(())
}

#[test]
fn an_entry_ends_while_the_daemon_is_dead_and_is_gone_from_the_list_of_the_next() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let asked = Instant::now();
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--ttl", "20s"])?;
    daemon.ok(&["deny", "add", "foes", STRANGER4])?;
    let answered = Instant::now();
    daemon.kill()?;
    assert!(!probe.arrives(FRIEND4)?);
    wait_for_the_end(&probe, asked, answered, Duration::from_secs(20))?;

    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(probe.arrives(FRIEND4)?);
    let left = pushed(&daemon)?;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(daemon.log().contains("ended 1 entry whose time was over"), "{}", daemon.log());
    // It ends once.
    daemon.kill()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(pushed(&daemon)?, left);
    assert!(!daemon.log().contains("whose time was over"), "{}", daemon.log());
    Ok(())
}

#[test]
fn every_one_of_thousands_of_entries_is_listed_once_and_in_order() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let all: Vec<String> = (0..2500).map(|number| format!("10.0.{}.{}/32", number / 250, number % 250)).collect();
    let file = lab.trial.write("all.txt", &all.join("\n"))?;
    daemon.ok(&["allow", "add", "friends", "--file", file.to_str().context("the path is text")?])?;
    let prefixes = |daemon: &Daemon<'_>| -> Result<Vec<String>> {
        Ok(pushed(daemon)?.iter().map(|entry| entry["prefix"].as_str().unwrap_or_default().to_owned()).collect())
    };
    assert_eq!(prefixes(&daemon)?, all);
    daemon.kill()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(prefixes(&daemon)?, all);
    Ok(())
}

/// Entries of the runtime layer.
fn pushed(daemon: &Daemon<'_>) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for arguments in [["allow", "list", "friends"], ["deny", "list", "foes"]] {
        let listed: Value = serde_json::from_str(&daemon.ok(&[&arguments[..], &["-o", "json"]].concat())?)?;
        let entries = listed["entries"].as_array().context("there is no list of entries")?;
        all.extend(entries.iter().filter(|entry| entry["layer"] == "runtime").cloned());
    }
    Ok(all)
}
