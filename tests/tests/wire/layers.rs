//! Layers of entries: each is changed by its own source only.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use firewall_tests::{
    daemon::{Daemon, Site},
    lab::{HOST4, Lab, STRANGER4},
    traffic::Probe,
};
use serde_json::Value;

use crate::policy::{DATA, POLICY};

/// Prefix and layer of everything in `friends`.
fn friends(daemon: &Daemon<'_>) -> Result<BTreeSet<(String, String)>> {
    let listed: Value = serde_json::from_str(&daemon.ok(&["allow", "list", "friends", "-o", "json"])?)?;
    let entries = listed["entries"].as_array().context("entries")?;
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    Ok(entries.iter().map(|entry| (text(entry, "prefix"), text(entry, "layer"))).collect())
}

/// These, and what the configuration has.
fn set(wanted: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let own = [("192.0.2.2/32", "config"), ("2001:db8:1::2/128", "config")];
    own.iter().chain(wanted).map(|(prefix, layer)| ((*prefix).into(), (*layer).into())).collect()
}

#[test]
fn a_sync_replaces_its_own_layer_and_no_other_and_restarts_keep_all() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, "192.0.2.2")?;
    daemon.ok(&["allow", "add", "friends", STRANGER4, "10.0.0.1"])?;
    daemon.ok(&["allow", "replace", "friends", STRANGER4, "10.0.1.0/24", "--layer", "feed"])?;
    daemon.ok(&["allow", "add", "friends", "10.0.2.1", "--layer", "fleet"])?;
    let all = [
        ("192.0.2.3/32", "runtime"),
        ("10.0.0.1/32", "runtime"),
        ("192.0.2.3/32", "feed"),
        ("10.0.1.0/24", "feed"),
        ("10.0.2.1/32", "fleet"),
    ];
    assert_eq!(friends(&daemon)?, set(&all));

    // The feed does not have the stranger any more: another layer still holds it.
    let said = daemon.ok(&["allow", "replace", "friends", "10.0.1.0/24", "10.0.3.0/24", "--layer", "feed"])?;
    assert!(said.contains("1 added, 1 removed, 1 unchanged"), "{said}");
    let synced = [
        ("192.0.2.3/32", "runtime"),
        ("10.0.0.1/32", "runtime"),
        ("10.0.1.0/24", "feed"),
        ("10.0.3.0/24", "feed"),
        ("10.0.2.1/32", "fleet"),
    ];
    assert_eq!(friends(&daemon)?, set(&synced));
    assert!(probe.arrives(STRANGER4)?);

    daemon.reload()?;
    assert_eq!(friends(&daemon)?, set(&synced));
    daemon.kill()?;
    drop(daemon);
    let daemon = Daemon::start_at(&lab, Site::of(&lab.trial))?;
    assert_eq!(friends(&daemon)?, set(&synced));

    daemon.ok(&["allow", "remove", "friends", STRANGER4])?;
    assert!(!probe.arrives(STRANGER4)?);
    Ok(())
}

#[test]
fn a_sync_that_would_lose_most_of_its_layer_is_refused_unless_it_is_forced() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let prefixes: Vec<String> = (0..100).map(|number| format!("10.0.{number}.0/24")).collect();
    let file = lab.trial.write("feed.txt", &prefixes.join("\n"))?;
    let file = file.to_str().context("the path is text")?;
    daemon.ok(&["deny", "replace", "foes", "--file", file, "--layer", "feed"])?;
    let cut_off = ["deny", "replace", "foes", "10.0.0.0/24", "--layer", "feed"];
    let said = daemon.cli(&cut_off)?;
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stderr.contains("99") && said.stderr.contains("`foes`"), "{said:?}");
    let forced = [&cut_off[..], &["--force"]].concat();
    assert!(daemon.ok(&forced)?.contains("0 added, 99 removed, 1 unchanged"));
    let said = daemon.cli(&["deny", "add", "foes", "10.0.0.1", "--layer", "config"])?;
    assert_eq!(said.code, 2, "{said:?}");
    Ok(())
}
