//! `portcullis allow` and `deny` that change something: what reaches the daemon, and what is said of it.

use std::{fs, io::Write, process::Stdio};

use firewall_userspace::{
    control::{Force, Refusal, Verb},
    preview::guard::{GuardName, Harm},
};

use crate::support::{Daemon, Fake, seen, words};

#[test]
fn added_prefixes_are_one_push_and_one_line() {
    let daemon = Daemon::start(Fake::default());
    let command = ["allow", "add", "partners", "192.0.2.1", "2001:db8::/32", "--ttl", "1h", "--comment", "ticket 7"];
    assert_eq!(daemon.run(&command), (0, words(&["revision 8: 2 added, 0 removed, 0 unchanged"]), String::new()));
    let pushes = daemon.pushes.lock().unwrap();
    let [push] = &pushes[..] else { panic!("{pushes:?}") };
    assert_eq!((push.verb, push.add.len(), push.remove.len()), (Some(Verb::Allow), 2, 0));
    for addition in &push.add {
        assert_eq!((&*addition.list, addition.ttl.as_deref()), ("partners", Some("1h")));
        assert_eq!(addition.comment.as_deref(), Some("ticket 7"));
    }
}

#[test]
fn notes_of_a_removal_go_to_standard_error() {
    let daemon = Daemon::start(Fake::default());
    let seen = daemon.run(&["deny", "remove", "blocked", "192.0.2.1"]);
    let notes = words(&["note: the configuration still has 192.0.2.1"]);
    assert_eq!(seen, (0, words(&["revision 8: 0 added, 1 removed, 0 unchanged"]), notes));
    assert_eq!(daemon.pushes.lock().unwrap()[0].verb, Some(Verb::Deny));
}

#[test]
fn whose_entries_are_removed_and_what_addresses_meet_is_passed_on() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["deny", "remove", "blocked", "192.0.2.1", "--all"]);
    assert_eq!((code, stdout), (0, words(&["revision 8: 0 added, 1 removed, 0 unchanged"])));
    let wanted = ["note: 0.0.0.0/0 stays in `blocked`: \\u{1b}[2J", "note: 2 more of these"];
    assert!(stderr.ends_with(&words(&wanted)), "{stderr}");
    daemon.run(&["deny", "remove", "blocked", "192.0.2.1", "--owner", "ben"]);
    let mut by_sudo = daemon.command(&["deny", "add", "blocked", "192.0.2.1"]);
    assert_eq!(seen(&by_sudo.env("SUDO_USER", "ada").output().unwrap()).0, 0);
    let pushes = daemon.pushes.lock().unwrap();
    let asked: Vec<_> = pushes.iter().map(|push| (push.remove_all, push.remove_of.as_deref())).collect();
    assert_eq!(asked, [(true, None), (false, Some("ben")), (false, None)]);
    let persons: Vec<_> = pushes.iter().map(|push| push.person.as_deref()).collect();
    assert_eq!(persons, [None, None, Some("ada")]);
    drop(pushes);
    for wrong in
        [&["--all", "--owner", "ben"][..], &["--all", "--layer", "feed"], &["--owner", "ben", "--layer", "ban"]]
    {
        let command = [&["deny", "remove", "blocked", "192.0.2.1"], wrong].concat();
        assert_eq!(daemon.run(&command).0, 2, "{command:?}");
    }
}

#[test]
fn prefixes_come_from_arguments_files_and_standard_input_at_once() {
    let daemon = Daemon::start(Fake::default());
    let file = daemon.folder.path().join("list.txt");
    fs::write(&file, "192.0.2.2 # two\n").unwrap();
    let mut child = daemon
        .command(&["allow", "add", "partners", "192.0.2.1", "--file", file.to_str().unwrap(), "--file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"# three\n\n192.0.2.3\n").unwrap();
    assert!(child.wait().unwrap().success());
    let pushes = daemon.pushes.lock().unwrap();
    let prefixes: Vec<_> = pushes[0].add.iter().map(|addition| &*addition.prefix).collect();
    assert_eq!(prefixes, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn nine_thousand_prefixes_are_one_push() {
    let daemon = Daemon::start(Fake::default());
    let prefixes: Vec<String> = (0..9_000).map(|n| format!("10.0.{}.{}", n >> 8, n & 255)).collect();
    let file = daemon.folder.path().join("list.txt");
    fs::write(&file, prefixes.join("\n")).unwrap();
    let arguments: Vec<&str> = ["allow", "add", "partners"].into_iter().chain(prefixes.iter().map(|p| &**p)).collect();
    for command in [&arguments[..], &["allow", "add", "partners", "--file", file.to_str().unwrap()]] {
        let seen = daemon.run(command);
        assert_eq!(seen, (0, words(&["revision 8: 9000 added, 0 removed, 0 unchanged"]), String::new()));
    }
    let pushes: Vec<usize> = daemon.pushes.lock().unwrap().iter().map(|push| push.add.len()).collect();
    assert_eq!(pushes, [9_000, 9_000]);
}

#[test]
fn every_bad_prefix_is_named_where_it_was_written() {
    let daemon = Daemon::start(Fake::default());
    let file = daemon.folder.path().join("list.txt");
    fs::write(&file, "192.0.2.1\n\nbad2 # x\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, stdout, stderr) =
        daemon.run(&["allow", "add", "partners", "bad1", "192.0.2.9", "--ttl", "1x", "--file", file]);
    let wanted = words(&[
        "error: bad1: is not a prefix",
        "error: --ttl: `1x` has an unknown unit",
        &format!("error: {file}:3: `bad2` is not a prefix"),
        "error: 6 things in the request are wrong",
        "hint: nothing was changed; correct the batch and push all of it again",
    ]);
    assert_eq!((code, stdout, stderr), (5, String::new(), wanted));
}

#[test]
fn an_unknown_list_is_invalid_input_and_said_once() {
    let (code, _, stderr) = Daemon::start(Fake::default()).run(&["allow", "add", "partnrs", "192.0.2.1", "192.0.2.2"]);
    let said = stderr.matches("there is no list `partnrs`; there are `blocked`, `partners`").count();
    assert_eq!((code, said), (5, 1), "{stderr}");
}

#[test]
fn a_batch_that_is_too_large_is_invalid_input_and_says_what_to_do() {
    let daemon = Daemon::start(Fake::default());
    let file = daemon.folder.path().join("list.txt");
    fs::write(&file, "2001:db8::/32\n".repeat(400_000)).unwrap();
    let wanted = words(&["error: the body is larger than 16 MiB", "hint: without `--confirm` it can have any size"]);
    for command in [["allow", "add", "partners"], ["deny", "replace", "blocked"]] {
        let options = ["--file", file.to_str().unwrap(), "--confirm", "60s"];
        let seen = daemon.run(&command.into_iter().chain(options).collect::<Vec<_>>());
        assert_eq!(seen, (5, String::new(), wanted.clone()));
    }
}

/// crowdsec-blocklist-import#21.
#[test]
fn what_is_wrong_in_a_batch_of_any_size_is_named_where_it_was_written_and_nothing_is_asked_of_the_controller() {
    let daemon = Daemon::start(Fake::default());
    let file = daemon.folder.path().join("list.txt");
    fs::write(&file, "2001:db8::/32\n".repeat(400_000) + "192.0.2.1/33\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, stdout, stderr) = daemon.run(&["deny", "replace", "blocked", "--file", file]);
    assert_eq!((code, stdout), (5, String::new()));
    assert!(stderr.starts_with(&format!("error: {file}:400001: `192.0.2.1/33`")), "{stderr}");
    let other = daemon.folder.path().join("b.txt");
    fs::write(&other, "10.0.0.0/8\n".repeat(20_000)).unwrap();
    let (code, _, stderr) = daemon.run(&["deny", "add", "blocked", "--ttl", "soon", "--file", other.to_str().unwrap()]);
    assert!(code == 5 && stderr.contains("error: --ttl: `soon`"), "{stderr}");
    assert!(stderr.lines().count() < 20, "{stderr}");
    assert_eq!(daemon.pushes.lock().unwrap().len(), 0);
}

#[test]
fn a_file_that_cannot_be_read_is_invalid_input() {
    let daemon = Daemon::start(Fake::default());
    let latin1 = daemon.folder.path().join("latin1.txt");
    fs::write(&latin1, b"192.0.2.1 # \xe4\n").unwrap();
    for file in ["/nowhere/list.txt", "/", latin1.to_str().unwrap()] {
        let (code, _, stderr) = daemon.run(&["allow", "add", "partners", "--file", file]);
        assert_eq!(code, 5, "{stderr}");
        assert!(stderr.starts_with(&format!("error: cannot read prefixes from {file}: ")), "{stderr}");
    }
    assert!(daemon.pushes.lock().unwrap().is_empty());
}

#[test]
fn a_dry_run_is_asked_for_and_told() {
    let daemon = Daemon::start(Fake::default());
    let wanted =
        words(&["+ partners 192.0.2.1/32", "dry run: 1 to add, 0 to remove, 0 unchanged; nothing was changed"]);
    assert_eq!(daemon.run(&["allow", "add", "partners", "192.0.2.1", "--dry-run"]), (0, wanted, String::new()));
    daemon.run(&["deny", "remove", "blocked", "192.0.2.1", "--dry-run", "--force"]);
    let asked: Vec<_> = daemon.pushes.lock().unwrap().iter().map(|push| (push.dry_run, push.force.clone())).collect();
    assert_eq!(asked, [(true, Force::Nothing), (true, Force::All)]);
    let wanted = words(&["no difference from generation 8", "dry run: nothing was changed"]);
    assert_eq!(daemon.run(&["reload", "--dry-run"]), (0, wanted, String::new()));
}

#[test]
fn harm_is_refused_with_the_way_to_insist() {
    let harm = Harm::Shrink { list: "partners".into(), removed: 60, live: 100, percent: 50 };
    let daemon = Daemon::start(Fake::refusing(Refusal::Guarded(vec![harm])));
    let said = words(&[
        "error: list `partners` would lose 60 of its 100 entries, more than the 50 % of `guard.shrink_percent` (guard `shrink`)",
        "error: the change would do harm; nothing was changed",
        "hint: `--force` does it all the same, `--force=shrink` past this guard alone",
    ]);
    for command in [&["reload"][..], &["deny", "remove", "blocked", "192.0.2.1"]] {
        assert_eq!(daemon.run(command), (4, String::new(), said.clone()));
    }
}

#[test]
fn force_lifts_the_guards_that_it_names_and_without_names_all() {
    let daemon = Daemon::start(Fake::default());
    for force in ["--force=empty,cut-off", "--force=all", "--force"] {
        let (code, _, said) = daemon.run(&["deny", "add", "blocked", force, "192.0.2.1"]);
        assert_eq!((code, &*said), (0, ""), "{force}");
    }
    let asked: Vec<_> = daemon.pushes.lock().unwrap().iter().map(|push| push.force.clone()).collect();
    let named: Force = [GuardName::CutOff, GuardName::Empty].into_iter().collect();
    assert_eq!(asked, [named, Force::All, Force::All]);
    for wrong in ["--force=emty", "--force="] {
        let (code, _, said) = daemon.run(&["reload", wrong]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("there is no guard `") && said.contains("there are `shrink`, `empty`"), "{said}");
    }
}
