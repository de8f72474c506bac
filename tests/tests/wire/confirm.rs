//! Changes that are undone unless they are confirmed, and generations that come back.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    lab::{FRIEND4, HOST4, Lab, STRANGER4},
    running::wait_until,
    session::Session,
    traffic::Probe,
};
use serde_json::Value;

use crate::policy::{DATA, POLICY, with_ssh};

/// Writes a whole configuration of this policy beside that of the daemon.
fn write(lab: &Lab, site: &Site, name: &str, policy: &str) -> Result<String> {
    let other = Site { config: lab.trial.folder().join(name), ..site.clone() };
    other.configure(policy)?;
    Ok(other.config.to_str().context("the path is text")?.to_owned())
}

/// How, standing and number of the generations, the newest first.
fn history(daemon: &Daemon<'_>) -> Result<Vec<String>> {
    let history: Value = serde_json::from_str(&daemon.ok(&["history", "-o", "json"])?)?;
    let generations = history["generations"].as_array().context("there is no list of generations")?;
    let text = |one: &Value| format!("{} {} {}", one["number"], one["how"], one["standing"]).replace('"', "");
    Ok(generations.iter().rev().map(text).collect())
}

fn sleep_until(then: Instant) {
    thread::sleep(then.saturating_duration_since(Instant::now()));
}

#[test]
fn a_caller_who_was_cut_off_is_back_when_nobody_confirms() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    let caller = ssh.ssh_connection()?;
    let file = write(&lab, daemon.site(), "new.toml", &with_ssh())?;

    let refused = daemon.cli_over_ssh(&caller, &["apply", &file, "--confirm", "20s"])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("your own connection"), "{refused:?}");
    let applied = daemon.cli_over_ssh(&caller, &["apply", &file, "--confirm", "20s", "--force"])?;
    assert_eq!(applied.code, 0, "{applied:?}");
    assert!(applied.stdout.starts_with("generation 2: applied: "), "{applied:?}");
    assert!(applied.stdout.contains("\ngeneration 1 comes back in 20 s; `portcullis confirm` keeps it"), "{applied:?}");
    assert!(ssh.is_cut_off()?, "the caller is cut off");
    assert_eq!(daemon.metrics()?.value("portcullis_confirmation_pending", &[("change", "policy")]), Some(1.0));
    let status = daemon.status()?;
    assert_eq!(status["pending"]["change"], "policy");
    assert!(status["pending"]["seconds_left"].as_u64().is_some_and(|left| left <= 20), "{status}");

    ssh.recovers()?;
    assert_eq!(history(&daemon)?, ["3 automatic_rollback confirmed", "2 apply rolled_back", "1 start confirmed"]);
    assert!(daemon.log().contains("nobody confirmed generation 2 in time: generation 1 is back"), "{}", daemon.log());
    let metrics = daemon.metrics()?;
    assert_eq!(metrics.value("portcullis_automatic_rollbacks_total", &[]), Some(1.0));
    assert_eq!(metrics.value("portcullis_confirmation_pending", &[("change", "policy")]), Some(0.0));
    let late = daemon.cli(&["confirm"])?;
    assert_eq!(late.code, 6, "{late:?}");
    assert!(
        late.stderr.contains("nothing waits for a confirmation: nobody confirmed the last one in time"),
        "{late:?}"
    );
    Ok(())
}

#[test]
fn a_caller_who_was_cut_off_is_back_after_a_daemon_that_was_killed_meanwhile() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    // The configuration file itself is what was changed: a start must not load it again.
    daemon.site().configure(&with_ssh())?;
    let file = daemon.site().config.to_str().context("the path is text")?.to_owned();
    daemon.ok(&["apply", &file, "--confirm", "20s", "--force"])?;
    let applied = Instant::now();
    assert!(ssh.is_cut_off()?);
    daemon.kill()?;
    assert!(ssh.is_cut_off()?, "the policy goes on without a daemon");
    sleep_until(applied + Duration::from_secs(21));
    assert!(ssh.is_cut_off()?, "nobody was there to bring the other one back");

    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    ssh.recovers()?;
    let log = daemon.log();
    assert!(log.contains("starting with generation 1: nobody confirmed generation 2 in time"), "{log}");
    assert!(log.contains("hint: correct it before `portcullis reload`"), "{log}");
    let kept = ["3 automatic_rollback confirmed", "2 apply rolled_back", "1 start confirmed"];
    assert_eq!(history(&daemon)?, kept);

    // Nor does the next one; a file that is changed again is what its operator wants.
    daemon.stop()?;
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(daemon.log().contains("starting with generation 3 (automatic rollback) and not with"), "{}", daemon.log());
    assert_eq!(history(&daemon)?, kept);
    assert!(daemon.ok(&["status"])?.contains("the configuration file says something else"));
    daemon.stop()?;
    daemon.site().configure(&format!("{}\n[lists.more]\n", with_ssh()))?;
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    let log = daemon.log();
    assert!(log.contains("the configuration file has changed since it was last read"), "{log}");
    // Nobody is cut off by a start either.
    assert!(log.contains("THE CONFIGURATION FILE IS NOT IN FORCE") && log.contains(FRIEND4), "{log}");
    assert_eq!(history(&daemon)?, kept);
    assert!(ssh.is_alive()?);
    drop(ssh);
    daemon.ok(&["reload", "--force"])?;
    assert_eq!(history(&daemon)?[0], "4 reload confirmed");
    daemon.stop()
}

#[test]
fn the_next_daemon_waits_for_the_rest_of_the_time() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    let file = write(&lab, daemon.site(), "new.toml", &with_ssh())?;
    daemon.ok(&["apply", &file, "--confirm", "45s", "--force"])?;
    daemon.kill()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(
        daemon.log().contains("starting with generation 2 (apply), which waits for a confirmation"),
        "{}",
        daemon.log()
    );
    assert!(ssh.is_cut_off()?);
    ssh.recovers()?;
    assert_eq!(history(&daemon)?[0], "3 automatic_rollback confirmed");
    Ok(())
}

#[test]
fn what_is_confirmed_stays_and_only_one_change_waits_at_a_time() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let file = write(&lab, daemon.site(), "new.toml", &with_ssh())?;
    let dry = daemon.ok(&["apply", &file, "--dry-run", "--confirm", "5s"])?;
    assert!(dry.contains("+ lists.office") && dry.contains("dry run: nothing was changed"), "{dry}");
    assert_eq!(history(&daemon)?, ["1 start confirmed"]);

    daemon.ok(&["apply", &file, "--confirm", "60s"])?;
    for arguments in [&["apply", &file][..], &["reload"], &["mode", "observe"], &["rollback", "1", "--confirm", "9s"]] {
        let refused = daemon.cli(arguments)?;
        assert_eq!(refused.code, 6, "{refused:?}");
        assert!(refused.stderr.contains("generation 2 waits for a confirmation for "), "{refused:?}");
        assert!(refused.stderr.contains("hint: `portcullis confirm` keeps it, `portcullis rollback` undoes it"));
    }
    assert!(daemon.ok(&["confirm", "--dry-run"])?.contains("generation 2 would be confirmed"));
    assert_eq!(daemon.ok(&["confirm"])?, "confirmed generation 2\n");
    assert!(daemon.ok(&["history"])?.contains("apply, confirmed by root"));
    assert!(daemon.log().contains("generation 2 was confirmed owner=\"root\" way=\"socket\""), "{}", daemon.log());
    assert_eq!(daemon.cli(&["confirm"])?.code, 6);
    daemon.kill()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(history(&daemon)?, ["2 apply confirmed", "1 start confirmed"]);
    assert!(daemon.log().contains("starting with generation 2 (apply) and not with"), "{}", daemon.log());

    // Given up by hand, and once more by number.
    let friends = write(&lab, daemon.site(), "friends.toml", &POLICY.replace(FRIEND4, STRANGER4))?;
    daemon.ok(&["apply", &friends, "--confirm", "60s", "--force"])?;
    let first_line = |said: String| said.lines().next().map(str::to_owned);
    let back = first_line(daemon.ok(&["rollback"])?);
    let wanted = "generation 4: rolled back to generation 2: 5 settings added; 1 entry added, 1 removed";
    assert_eq!(back.as_deref(), Some(wanted));
    let back = first_line(daemon.ok(&["rollback"])?);
    assert_eq!(back.as_deref(), Some("generation 5: rolled back to generation 1: 5 settings removed"));
    let wrong = daemon.cli(&["rollback", "77"])?;
    assert_eq!(wrong.code, 5, "{wrong:?}");
    assert!(wrong.stderr.contains("there is no generation 77; kept are 1, 2, 3, 4, 5"), "{wrong:?}");
    assert_eq!(daemon.cli(&["apply", &file, "--confirm", "5x"])?.code, 5);
    Ok(())
}

#[test]
fn an_applied_policy_brings_its_list_files_and_needs_them_no_more() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(!probe.arrives(STRANGER4)?);
    let with_file = POLICY.replacen("[lists.friends]", "[lists.friends]\nfile = \"lists/friends.txt\"", 1);
    ensure!(with_file != POLICY, "the policy has a list of friends");
    let folder = lab.trial.folder().join("other");
    fs::create_dir_all(folder.join("lists"))?;
    fs::write(folder.join("lists/friends.txt"), format!("{STRANGER4} # on call\n"))?;
    let file = write(&lab, daemon.site(), "other/new.toml", &with_file)?;
    daemon.ok(&["apply", &file])?;
    assert!(probe.arrives(STRANGER4)?);
    fs::remove_dir_all(&folder)?;
    daemon.kill()?;
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(probe.arrives(STRANGER4)?, "{}", daemon.log());
    daemon.reload()?;
    assert!(!probe.arrives(STRANGER4)?, "the configuration file");
    daemon.ok(&["rollback"])?;
    assert!(probe.arrives(STRANGER4)?);
    Ok(())
}

#[test]
fn a_mode_that_was_set_outlives_the_daemon_and_a_change_that_nobody_confirmed() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!(daemon.ok(&["mode"])?, "enforce\n");
    assert!(!probe.arrives(STRANGER4)?);
    daemon.ok(&["mode", "observe"])?;
    assert!(probe.arrives(STRANGER4)?);
    assert_eq!(daemon.metrics()?.value("portcullis_enforcing", &[]), Some(0.0));
    daemon.kill()?;
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(daemon.ok(&["mode"])?, "observe\n");
    assert!(probe.arrives(STRANGER4)?);
    daemon.ok(&["mode", "enforce", "--confirm", "20s", "--force"])?;
    assert_eq!(daemon.ok(&["mode"])?, "enforce\n");
    wait_until("observing again", 2 * LIMIT, || Ok((daemon.ok(&["mode"])? == "observe\n").then_some(())))?;
    daemon.stop()
}

#[test]
fn a_push_that_nobody_confirms_is_undone_and_no_later_one_with_it() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["allow", "add", "friends", "10.0.0.1", "10.0.0.2", "--comment", "old"])?;
    let before = daemon.ok(&["allow", "list", "friends", "-o", "json"])?;
    let entries = |listed: &str| -> Result<Value> { Ok(serde_json::from_str::<Value>(listed)?["entries"].clone()) };

    let said = daemon.ok(&["deny", "add", "foes", FRIEND4, "--confirm", "20s"])?;
    assert!(said.contains("1 added") && said.contains("1 entry becomes what it was in 20 s"), "{said}");
    assert!(!probe.arrives(FRIEND4)?);
    let second = daemon.cli(&["allow", "add", "friends", STRANGER4, "--confirm", "20s"])?;
    assert_eq!(second.code, 6, "{second:?}");
    assert!(second.stderr.contains("the push of revision 3 waits for a confirmation"), "{second:?}");
    wait_until("the friend is back", 2 * LIMIT, || Ok(probe.arrives(FRIEND4)?.then_some(())))?;
    let words = "nobody confirmed the push of revision 3 in time";
    wait_until("its line in the log", LIMIT, || Ok(daemon.log().contains(words).then_some(())))?;

    // What the later push has touched stays as it made it.
    daemon.ok(&["allow", "remove", "friends", "10.0.0.1", "10.0.0.2", "--confirm", "60s"])?;
    daemon.ok(&["allow", "add", "friends", "10.0.0.2", STRANGER4, "--comment", "new"])?;
    assert!(daemon.ok(&["rollback"])?.contains("undid the push that waited for a confirmation"));
    let listed = entries(&daemon.ok(&["allow", "list", "friends", "-o", "json"])?)?;
    let comment = |prefix: &str| {
        let found = listed.as_array().into_iter().flatten().find(|entry| entry["prefix"] == prefix);
        found.map(|entry| entry["comment"].clone()).unwrap_or_default()
    };
    assert_eq!(comment("10.0.0.1/32"), "old");
    assert_eq!(comment("10.0.0.2/32"), "new");
    assert_eq!(comment(&format!("{STRANGER4}/32")), "new");
    daemon.ok(&["allow", "remove", "friends", "10.0.0.2", STRANGER4])?;
    daemon.ok(&["allow", "add", "friends", "10.0.0.3", "--confirm", "60s"])?;
    assert!(daemon.ok(&["confirm"])?.contains("confirmed the push of revision"));
    assert_eq!(daemon.cli(&["confirm"])?.code, 6);
    assert_ne!(entries(&before)?, entries(&daemon.ok(&["allow", "list", "friends", "-o", "json"])?)?);
    Ok(())
}

#[test]
fn a_push_that_nobody_confirms_is_undone_after_a_daemon_that_was_killed_meanwhile() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["deny", "add", "foes", "10.0.0.0/8", "--ttl", "1h", "--comment", "as it was"])?;
    // Entries of the configuration are as old as the daemon.
    let pushed = |daemon: &Daemon<'_>| -> Result<Vec<Value>> {
        let listed: Value = serde_json::from_str(&daemon.ok(&["deny", "list", "foes", "-o", "json"])?)?;
        let entries = listed["entries"].as_array().context("there is no list of entries")?;
        Ok(entries.iter().filter(|entry| entry["layer"] == "runtime").cloned().collect())
    };
    let before = pushed(&daemon)?;
    daemon.ok(&["deny", "add", "foes", "10.0.0.0/8", FRIEND4, "--confirm", "20s"])?;
    let answered = Instant::now();
    daemon.kill()?;
    assert!(!probe.arrives(FRIEND4)?);
    sleep_until(answered + Duration::from_secs(21));
    assert!(!probe.arrives(FRIEND4)?, "nobody was there to undo it");
    let mut daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(probe.arrives(FRIEND4)?);
    let log = daemon.log();
    assert!(log.contains("nobody confirmed the last push that waited for it: 2 entries as before it"), "{log}");
    assert_eq!(pushed(&daemon)?, before);

    // One that has time left is waited for by the next daemon.
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--confirm", "30s"])?;
    daemon.kill()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!(daemon.status()?["pending"]["change"], "push");
    assert!(!probe.arrives(FRIEND4)?);
    wait_until("the friend is back", 2 * LIMIT, || Ok(probe.arrives(FRIEND4)?.then_some(())))?;
    // The tables are written before readers are told.
    wait_until("the entries as before", LIMIT, || Ok((pushed(&daemon)? == before).then_some(())))?;
    Ok(())
}
