//! `--confirm auto`: a change is kept if a new connection works after it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use serde_json::Value;

use crate::support::{
    CONFIG, Daemon, Fake, Waits,
    https::{Fault, Https, Plan},
};

/// A daemon whose changes wait for `seconds`, with HTTPS before it.
fn waiting(seconds: u64, fault: Fault) -> (Daemon, Https) {
    let daemon = Daemon::start(Fake { waits: Arc::new(Waits::of(seconds)), ..Fake::default() });
    let https = Https::before(&daemon.socket, Plan { fault, ..Plan::default() });
    (daemon, https)
}

const CHANGES: [&[&str]; 8] = [
    &["reload"],
    &["apply", CONFIG],
    &["rollback"],
    &["mode", "enforce"],
    &["undo", "7"],
    &["allow", "add", "partners", "192.0.2.1"],
    &["allow", "replace", "partners", "192.0.2.1"],
    &["deny", "remove", "blocked", "192.0.2.1"],
];

#[test]
fn every_change_is_confirmed_by_a_new_connection() {
    for change in CHANGES {
        let (daemon, https) = waiting(60, Fault::Nothing);
        let arguments: Vec<&str> = change.iter().copied().chain(["--confirm", "auto"]).collect();
        let (code, stdout, stderr) = https.run(&arguments);
        assert_eq!(code, 0, "{change:?} {stderr}");
        assert!(stdout.ends_with("\nconfirmed by a new connection\n") && !stdout.contains("comes back"), "{stdout}");
        assert_eq!(https.connections.load(Ordering::SeqCst), 2, "{change:?}");
        assert_eq!(*daemon.waits.asked.lock().unwrap(), ["60s"], "{change:?}");
        assert_eq!(daemon.waits.confirmed.lock().unwrap().len(), 1, "{change:?}");
        // As data it is one document: what the change has said, and what was confirmed.
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let (code, stdout, _) = https.run(&arguments);
        let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
        assert_eq!((code, &document["pending"]), (0, &Value::Null), "{document}");
        assert!(document["confirmed"]["generation"].is_u64() && document["revision"].is_u64(), "{document}");
    }
}

#[test]
fn a_dry_run_and_a_change_that_waits_for_nothing_are_confirmed_by_nobody() {
    let (daemon, https) = waiting(60, Fault::Nothing);
    let (code, stdout, _) = https.run(&["reload", "--dry-run", "--confirm", "auto"]);
    assert!(code == 0 && stdout.ends_with("nothing was changed\n"), "{stdout}");
    let quiet = Daemon::start(Fake::default());
    let before = Https::before(&quiet.socket, Plan::default());
    let (code, stdout, stderr) = before.run(&["reload", "--confirm", "auto"]);
    assert!(code == 0 && !stdout.contains("confirmed"), "{stdout} {stderr}");
    assert!(daemon.waits.confirmed.lock().unwrap().is_empty() && quiet.waits.confirmed.lock().unwrap().is_empty());
}

#[test]
fn a_change_that_cuts_the_way_off_is_left_to_the_daemon_to_undo() {
    let (daemon, https) = waiting(6, Fault::DeafAfter("/v1/reload"));
    let begun = Instant::now();
    let (code, stdout, stderr) = https.run(&["reload", "--confirm", "auto"]);
    assert_eq!(code, 6, "{stdout} {stderr}");
    assert_eq!(stdout, "generation 9: configuration loaded\n");
    let url = https.url();
    let begin = format!(
        "error: generation 9 was not confirmed by a new connection to {url}: cannot reach the daemon at {url}: "
    );
    let error = stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.starts_with(&begin), "{stderr}");
    assert!(error.ends_with("; the daemon undoes it at 2026-11-21T10:00:06Z, by its own clock"), "{stderr}");
    assert!(stderr.contains("\nnote: not confirmed yet, trying for ") && stderr.contains("\nhint: "), "{stderr}");
    assert!(https.connections.load(Ordering::SeqCst) >= 3, "it is tried more than once");
    assert!(begun.elapsed().as_secs() < 6, "it ends before the daemon undoes it");
    assert!(daemon.waits.confirmed.lock().unwrap().is_empty());
    let (daemon, https) = waiting(4, Fault::DeafAfter("/v1/entries"));
    let push = ["allow", "add", "partners", "192.0.2.1", "--confirm", "auto", "-o", "json"];
    let (code, stdout, _) = https.run(&push);
    let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    assert_eq!((code, &document["schema"]), (6, &"portcullis.error/v1".into()));
    assert_eq!((&document["code"], &document["exit_code"]), (&"not_confirmed".into(), &6.into()));
    assert_eq!(document["change"]["pending"]["deadline"], "2026-11-21T10:00:04.123456789Z", "{document}");
    assert!(daemon.waits.confirmed.lock().unwrap().is_empty());
}

#[test]
fn a_way_that_opens_again_in_time_is_enough() {
    let (daemon, https) = waiting(60, Fault::DeafForAWhileAfter("/v1/reload", 2));
    let (code, stdout, stderr) = https.run(&["reload", "--confirm", "auto"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.ends_with("\nconfirmed by a new connection\n"), "{stdout}");
    assert_eq!(https.connections.load(Ordering::SeqCst), 4);
    assert_eq!(daemon.waits.confirmed.lock().unwrap().len(), 1);
}

#[test]
fn a_change_that_takes_the_right_away_is_not_confirmed() {
    let (daemon, https) = waiting(60, Fault::LockedAfter("/v1/apply"));
    let (code, _, stderr) = https.run(&["apply", CONFIG, "--confirm", "auto"]);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("who asks is not known") && stderr.contains("taken the right from who asks"), "{stderr}");
    assert!(stderr.contains("the daemon undoes it at "), "{stderr}");
    assert!(daemon.waits.confirmed.lock().unwrap().is_empty());
}

#[test]
fn a_confirmation_whose_answer_is_lost_is_found_to_hold() {
    let (daemon, https) = waiting(60, Fault::CutOnceAt("/v1/confirm"));
    let (code, stdout, stderr) = https.run(&["undo", "7", "--confirm", "auto"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.ends_with("\nconfirmed by a new connection\n"), "{stdout}");
    assert_eq!(daemon.waits.confirmed.lock().unwrap().len(), 1);
}

#[test]
fn only_the_change_itself_is_confirmed_and_not_what_waits_in_its_place() {
    let daemon =
        Daemon::start(Fake { waits: Arc::new(Waits { is_replaced: true, ..Waits::of(60) }), ..Fake::default() });
    let https = Https::before(&daemon.socket, Plan::default());
    let (code, _, stderr) = https.run(&["reload", "--confirm", "auto"]);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("nothing waits for a confirmation: number 9 does not, generation 10 does"), "{stderr}");
    assert!(!stderr.contains("the daemon undoes it at"), "{stderr}");
    assert!(daemon.waits.confirmed.lock().unwrap().is_empty());
}
