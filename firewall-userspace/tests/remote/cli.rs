//! The command line against a daemon: what it prints, and its exit codes.

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Stdio,
};

use firewall_userspace::{
    control::{Force, Refusal, Verb},
    preview::guard::{GuardName, Harm},
};
use nix::unistd::geteuid;
use serde_json::Value;

use crate::support::{CONFIG, Daemon, Fake, get, portcullis, seen, status};

/// `text` with every distance from now, such as `(6d ago)`, as `(~)`, and blanks between columns as two: both depend on the day.
fn timeless(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut rest = line.to_owned();
        while let Some((before, after)) = rest.split_once("Z (") {
            let (_, after) = after.split_once(')').unwrap();
            rest = format!("{before}Z ~{after}");
        }
        let columns: Vec<&str> = rest.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        lines.push_str(&columns.join("  "));
        lines.push('\n');
    }
    lines
}

/// These lines.
pub fn words(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

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
fn ten_thousand_prefixes_are_one_push() {
    let daemon = Daemon::start(Fake::default());
    let prefixes: Vec<String> = (0..10_000).map(|n| format!("10.0.{}.{}", n >> 8, n & 255)).collect();
    let file = daemon.folder.path().join("list.txt");
    fs::write(&file, prefixes.join("\n")).unwrap();
    let arguments: Vec<&str> = ["allow", "add", "partners"].into_iter().chain(prefixes.iter().map(|p| &**p)).collect();
    for command in [&arguments[..], &["allow", "add", "partners", "--file", file.to_str().unwrap()]] {
        let seen = daemon.run(command);
        assert_eq!(seen, (0, words(&["revision 8: 10000 added, 0 removed, 0 unchanged"]), String::new()));
    }
    let pushes: Vec<usize> = daemon.pushes.lock().unwrap().iter().map(|push| push.add.len()).collect();
    assert_eq!(pushes, [10_000, 10_000]);
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
fn json_is_the_answer_of_the_daemon_also_when_it_refuses() {
    let daemon = Daemon::start(Fake::default());
    for command in
        [["-o", "json", "allow", "add", "partners", "::1"], ["allow", "add", "partners", "::1", "-o", "json"]]
    {
        let (code, stdout, _) = daemon.run(&command);
        assert_eq!(
            (code, &*stdout),
            (
                0,
                "{\"generation\":8,\"revision\":8,\"policy_generation\":3,\"added\":1,\"refreshed\":0,\"removed\":0,\"unchanged\":0,\"differing\":0}\n"
            )
        );
    }
    let (code, stdout, stderr) = daemon.run(&["-o", "json", "allow", "add", "partners", "bad"]);
    let problem: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &problem["code"]), (5, &"invalid".into()));
    assert!(stderr.starts_with("error: bad: "), "{stderr}");
}

#[test]
fn a_batch_that_is_too_large_is_invalid_input_and_says_what_to_do() {
    let daemon = Daemon::start(Fake::default());
    let file = daemon.folder.path().join("list.txt");
    fs::write(&file, "2001:db8::/32\n".repeat(400_000)).unwrap();
    let wanted = words(&["error: the body is larger than 16 MiB", "hint: push in parts; each part is all or nothing"]);
    let seen = daemon.run(&["allow", "add", "partners", "--file", file.to_str().unwrap()]);
    assert_eq!(seen, (5, String::new(), wanted));
    // Parts that replace each other would leave the last one alone (crowdsec-blocklist-import#21).
    let (code, _, stderr) = daemon.run(&["deny", "replace", "blocked", "--file", file.to_str().unwrap()]);
    assert!(
        code == 5 && stderr.contains("hint: add the prefixes in parts, then remove those that are to go"),
        "{stderr}"
    );
}

#[test]
fn the_environment_names_socket_and_form() {
    let daemon = Daemon::start(Fake::default());
    let output = portcullis(&["status"])
        .env("PORTCULLIS_SOCKET", &daemon.socket)
        .env("PORTCULLIS_OUTPUT", "json")
        .output()
        .unwrap();
    let (code, stdout, _) = seen(&output);
    assert_eq!((code, &serde_json::from_str::<Value>(&stdout).unwrap()["generation"]), (0, &7.into()));
}

#[test]
fn status_fits_one_screen() {
    let (code, stdout, stderr) = Daemon::start(Fake::default()).run(&["status"]);
    let wanted = "\
mode  enforce
revision  7
daemon  0.1.0, started 2026-11-21T10:00:00Z ~
config  /etc/portcullis/portcullis.toml
loaded 2026-11-21T10:00:00Z ~
metrics  http://127.0.0.1:9191/metrics
traffic  3 packets passed, 2 dropped; 0/s and 0/s in the last INTERVAL s

INTERFACE  STATE  MODE  CONFIGURED
eth0  attached  native  auto

LIST  IPV4  IPV6  LAYERS  ALLOWED BY  DENIED BY
blocked  1  0  1 runtime  api
partners  1  1  1 config, 1 runtime  api

SERVICE  PROTOCOL  PORTS  MODE  PASSED  PER SECOND  DROPPED  PER SECOND
api  tcp  443, 8443-8445  enforce  3  0  2  0

REASON  VERDICT  PACKETS  PER SECOND
accepted  pass  3  0
denied  drop  2  0
";
    let told = timeless(&stdout);
    let (before, after) = told.split_once("in the last ").unwrap();
    let (seconds, after) = after.split_once(" s\n").unwrap();
    // It asks twice, half a second apart; the machine may be busy.
    assert!(seconds.parse::<f64>().unwrap() >= 0.5, "{stdout}");
    let told = format!("{before}in the last INTERVAL s\n{after}");
    assert_eq!((code, &*told, &*stderr), (0, wanted, ""));
}

#[test]
fn status_as_json_has_numbers_and_says_over_which_interval_rates_are() {
    let (code, stdout, _) = Daemon::start(Fake::default()).run(&["status", "-o", "json"]);
    let traffic = &serde_json::from_str::<Value>(&stdout).unwrap()["traffic"];
    assert_eq!(code, 0);
    assert!(traffic["interval_ms"].as_u64().unwrap() >= 500, "{traffic}");
    let denied = traffic["reasons"].as_array().unwrap().iter().find(|one| one["reason"] == "denied").unwrap();
    let wanted = serde_json::json!({
        "reason": "denied", "verdict": "drop", "packets": 2, "bytes": 200, "packets_per_second": 0.0,
        "bytes_per_second": 0.0,
    });
    assert_eq!(denied, &wanted);
    assert_eq!(
        (&traffic["services"][0]["service"], &traffic["services"][0]["dropped"]["packets"]),
        (&"api".into(), &2.into())
    );
}

#[test]
fn counters_that_cannot_be_read_are_told_and_the_rest_is_shown() {
    let (code, stdout, _) = Daemon::start(Fake { counters: None, ..Fake::default() }).run(&["status"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("TRAFFIC     its counters cannot be read: cannot read map COUNTERS: gone\n"), "{stdout}");
    assert!(stdout.contains("SERVICE  PROTOCOL  PORTS           MODE\n"), "{stdout}");
}

#[test]
fn the_mode_of_a_service_is_the_one_by_which_it_is_judged() {
    let mut status = status();
    status.mode = "observe".into();
    status.services[0].effective_mode = "observe".into();
    let seen = |status: &firewall_userspace::control::Status| {
        let fake = Fake { status: status.clone(), ..Fake::default() };
        Daemon::start(fake).run(&["status"]).1
    };
    let wanted = "443, 8443-8445  observe (the host observes)  3";
    assert!(seen(&status).contains(wanted), "{}", seen(&status));
    assert!(seen(&status).contains("2 would have been dropped and passed too"), "{}", seen(&status));
    // An older daemon does not tell.
    status.services[0].effective_mode.clear();
    assert!(seen(&status).contains(wanted), "{}", seen(&status));
}

#[test]
fn status_shouts_when_the_last_reload_was_refused() {
    let mut status = status();
    status.reload.successful = false;
    status.reload.error = Some("3 errors\nerror: one".into());
    let (code, stdout, _) = Daemon::start(Fake { status, ..Fake::default() }).run(&["status"]);
    assert_eq!(code, 0);
    let told = timeless(&stdout);
    assert!(told.contains("loaded 2026-11-21T10:00:00Z ~; THE LAST RELOAD WAS REFUSED: 3 errors\n"), "{stdout}");
}

#[test]
fn list_shows_the_lists_of_its_verb() {
    let daemon = Daemon::start(Fake::default());
    let told = |arguments: &[&str]| {
        let (code, stdout, stderr) = daemon.run(arguments);
        (code, timeless(&stdout), stderr)
    };
    let allowed = "\
LIST  PREFIX  LAYER  OWNER  CREATED  EXPIRES  COMMENT
partners  203.0.113.0/24  config  root  2026-11-21T10:00:00Z ~  never
partners  2001:db8:7::/48  runtime  root  2026-11-21T10:00:00Z ~  never  ticket 7
";
    assert_eq!(told(&["allow", "list"]), (0, allowed.into(), String::new()));
    assert_eq!(told(&["allow", "list", "partners"]), (0, allowed.into(), String::new()));
    let denied = "\
LIST  PREFIX  LAYER  OWNER  CREATED  EXPIRES  COMMENT
blocked  198.51.100.7/32  runtime  root  2026-11-21T10:00:00Z ~  2026-11-21T10:00:00Z ~  scans \\u{1b}[2J
";
    assert_eq!(told(&["deny", "list"]), (0, denied.into(), String::new()));
    let (code, json, _) = daemon.run(&["deny", "list", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &json["schema"], json["entries"].as_array().map(Vec::len)),
        (0, &"portcullis.entries/v1".into(), Some(1))
    );
}

#[test]
fn a_list_is_filtered_by_the_daemon() {
    let daemon = Daemon::start(Fake::default());
    let shown = |verb: &str, filter: &[&str]| {
        let (code, stdout, stderr) = daemon.run(&[&[verb, "list"][..], filter].concat());
        assert_eq!(code, 0, "{filter:?} {stderr}");
        stdout.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(shown("allow", &["--covers", "203.0.113.77"]), ["203.0.113.0/24"]);
    assert_eq!(shown("allow", &["--covers", "203.0.112.0/20"]), none);
    assert_eq!(shown("allow", &["--inside", "2001:db8::/32"]), ["2001:db8:7::/48"]);
    assert_eq!(shown("allow", &["partners", "--layer", "config"]), ["203.0.113.0/24"]);
    assert_eq!(shown("allow", &["--owner", "nobody"]), none);
    assert_eq!(shown("deny", &["--owner", "root", "--expires-before", "2026-11-21T10:00:01Z"]), ["198.51.100.7/32"]);
    assert_eq!(shown("deny", &["--expires-before", "2026-11-21T10:00:00Z"]), none);
    assert_eq!(shown("allow", &["--expires-before", "52w"]), none, "they never end");
    for form in ["covers=203.0.113.0/24", "inside=::/0&layer=runtime", "owner=nobody"] {
        let answer = daemon.api(get(&format!("/v1/entries?{form}"))).json();
        assert!(answer["entries"].as_array().is_some(), "{form}: {answer}");
    }
}

#[test]
fn every_filter_that_cannot_be_read_is_named() {
    let daemon = Daemon::start(Fake::default());
    let filters = ["--covers", "10.0.0.1/8", "--inside", "x", "--expires-before", "soon"];
    let (code, stdout, stderr) = daemon.run(&[&["deny", "list"][..], &filters].concat());
    assert_eq!((code, &*stdout), (5, ""), "{stderr}");
    for wanted in [
        "error: --covers: `10.0.0.1/8`",
        "error: --inside: `x`",
        "error: --expires-before: `soon` is neither a time, such as `2026-12-01T00:00:00Z`, nor a length of time, such as `7d`",
    ] {
        assert!(stderr.contains(wanted), "{wanted}: {stderr}");
    }
    assert_eq!(daemon.run(&["deny", "list", "--layer", "moon"]).0, 2);
}

#[test]
fn a_list_of_the_other_verb_is_not_shown() {
    let daemon = Daemon::start(Fake::default());
    let wanted = words(&[
        "error: no service uses `blocked` as a list to allow; services deny what is in it",
        "hint: use `portcullis deny list blocked`",
    ]);
    assert_eq!(daemon.run(&["allow", "list", "blocked"]), (4, String::new(), wanted.clone()));
    let (code, json, stderr) = daemon.run(&["-o", "json", "allow", "list", "blocked"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, stderr, &json["code"], &json["exit_code"]), (4, wanted, &"wrong_verb".into(), &4.into()));
    let (code, _, stderr) = daemon.run(&["allow", "list", "nowhere"]);
    assert!(code == 5 && stderr.starts_with("error: there is no list `nowhere`; there are"), "{code} {stderr}");
}

#[test]
fn refusals_have_their_exit_codes_and_hints() {
    let datapath = Refusal::Datapath { message: "cannot write map LISTS_V4: no memory\nhint: raise the limit".into() };
    let config = Refusal::Config { errors: 2, report: "error: a\nerror: b\n".into() };
    let wrong_verb = Refusal::WrongVerb { list: "blocked".into(), verb: Verb::Allow };
    let allow = ["allow", "add", "blocked", "192.0.2.1"];
    for (refusal, command, code, stderr) in [
        (
            wrong_verb,
            &allow[..],
            4,
            &[
                "error: `blocked` is a list that services deny, so its entries are kept out",
                "hint: use `portcullis deny add`",
            ][..],
        ),
        (
            Refusal::Full { wanted: 3, capacity: 2 },
            &allow,
            4,
            &["error: there would be 3 prefixes of one family; the tables hold 2"],
        ),
        (datapath, &allow, 4, &["error: cannot write map LISTS_V4: no memory", "hint: raise the limit"]),
        (Refusal::Stopping, &allow, 3, &["error: the daemon is stopping"]),
        (
            config,
            &["reload"],
            5,
            &["error: a", "error: b", "error: the configuration has 2 errors; the old policy goes on"],
        ),
    ] {
        let daemon = Daemon::start(Fake::refusing(refusal));
        assert_eq!(daemon.run(command), (code, String::new(), words(stderr)));
    }
}

#[test]
fn a_reload_prints_its_generation_and_its_warnings() {
    let seen = Daemon::start(Fake::default()).run(&["reload"]);
    let warnings = words(&["warning: the list `blocked` is empty"]);
    assert_eq!(seen, (0, words(&["generation 9: configuration loaded"]), warnings));
}

#[test]
fn a_reload_says_what_changed() {
    let changes = vec!["~ services.api.ports: [\"443\"] -> [\"8443\"]".to_owned(), "12 more: entries added".into()];
    let daemon = Daemon::start(Fake { changes, ..Fake::default() });
    let (code, stdout, _) = daemon.run(&["reload"]);
    let wanted = words(&[
        "generation 9: configuration loaded: 2 things changed",
        "~ services.api.ports: [\"443\"] -> [\"8443\"]",
        "12 more: entries added",
    ]);
    assert_eq!((code, stdout), (0, wanted));
}

#[test]
fn the_dry_run_of_a_rollback_names_its_target() {
    let (code, stdout, _) = Daemon::start(Fake::default()).run(&["rollback", "--dry-run"]);
    let wanted = "no difference from generation 8
dry run: would roll back to generation 3 (apply by root, 2026-11-21T10:00:00Z ~, from /root/new.toml); nothing was changed
";
    assert_eq!((code, &*timeless(&stdout)), (0, wanted));
}

#[test]
fn a_generation_is_shown_with_its_facts_and_is_toml() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["history", "show", "4"]);
    let facts = "\
# generation 4, in force
# since  2026-11-21T10:00:00Z ~
# by  root
# how  apply
# changes  1 setting changed
# from  /root/new.toml

# Ours
[[interface]]
name = \"eth0\"
";
    assert_eq!((code, &*stderr), (0, ""));
    assert!(timeless(&stdout).starts_with(facts), "{stdout}");
    assert!(stdout.contains("\n# list file /root/list.txt: 12 lines\n#   192.0.2.1\n"), "{stdout}");
    assert!(stdout.ends_with("#   192.0.2.10\n#   2 more lines; `-o json` has all of them\n"), "{stdout}");
    let file = daemon.folder.path().join("shown.toml");
    fs::write(&file, &stdout).unwrap();
    let (code, _, stderr) = seen(&portcullis(&["check", file.to_str().unwrap()]).output().unwrap());
    assert_eq!(code, 0, "{stderr}");

    let (code, json, _) = daemon.run(&["history", "show", "3", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["schema"], &json["active"]), (0, &"portcullis.generation/v1".into(), &false.into()));
    assert_eq!(json["policy"]["settings"]["services.api.ports"], serde_json::json!(["443"]));
    assert_eq!(json["bundle"]["files"][0]["path"], "/root/list.txt");
}

#[test]
fn two_generations_are_compared_as_a_file_is() {
    let daemon = Daemon::start(Fake::default());
    let wanted =
        words(&["~ services.api.ports: [\"443\"] -> [\"8443\"]", "differs from generation 3: 1 setting changed"]);
    assert_eq!(daemon.run(&["history", "diff", "3", "4"]), (1, wanted, String::new()));
    let same = words(&["no difference from generation 4"]);
    assert_eq!(daemon.run(&["history", "diff", "4", "4"]), (0, same, String::new()));
    let (code, json, _) = daemon.run(&["history", "diff", "4", "3", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["schema"], &json["policy_generation"]), (1, &"portcullis.diff/v1".into(), &4.into()));
    let gone = words(&[
        "error: there is no generation 77 to go back to; kept are 3, 4, 5",
        "hint: `portcullis history` shows what is kept",
    ]);
    assert_eq!(daemon.run(&["history", "diff", "3", "77"]), (5, String::new(), gone.clone()));
    assert_eq!(daemon.run(&["history", "show", "77"]), (5, String::new(), gone));
    let (code, stdout, stderr) = daemon.run(&["history", "diff", "3", "5"]);
    assert_eq!((code, &*stdout), (5, ""));
    assert!(stderr.ends_with("error: this daemon cannot use the configuration of generation 5\n"), "{stderr}");
    let (code, stdout, stderr) = daemon.run(&["history", "show", "5"]);
    assert!(
        code == 0 && stdout.ends_with("more lines; `-o json` has all of them\n") && stderr.contains("mode"),
        "{stderr}"
    );
    assert_eq!(daemon.run(&["history", "show", "seven"]).0, 2);
}

#[test]
fn usage_errors_are_exit_2() {
    for command in [
        &["frobnicate"][..],
        &[],
        &["allow", "add", "partners"],
        &["allow", "add"],
        &["allow", "remove", "partners", "::1", "--ttl", "1h"],
        &["-o", "yaml", "status"],
        &["check", "--socket", "/s", "x.toml"],
        &["--socket", "/s", "run"],
    ] {
        let (code, stdout, stderr) = seen(&portcullis(command).output().unwrap());
        assert_eq!((code, &*stdout), (2, ""), "{command:?} {stderr}");
    }
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
fn a_reader_that_stops_reading_is_no_panic() {
    let daemon = Daemon::start(Fake::default());
    for command in [&["status"][..], &["allow", "list"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = daemon.command(command).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let (code, _, stderr) = seen(&output);
        assert_eq!((code, &*stderr), (0, ""), "{command:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_exit_1() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Daemon::start(Fake::default()).command(&["status"]).stdout(full).output().unwrap();
    let wanted = words(&["error: cannot write to standard output: No space left on device (os error 28)"]);
    assert_eq!(seen(&output), (1, String::new(), wanted));
}

#[test]
fn other_users_are_exit_4_at_the_file_and_in_the_daemon() {
    if !geteuid().is_root() {
        assert!(std::env::var_os("PORTCULLIS_CI").is_none(), "this test must run as root");
        eprintln!("SKIPPED: only root can run a command as another user");
        return;
    }
    const NOBODY: u32 = 65534;
    let daemon = Daemon::start(Fake::default());
    // The command is where nobody may not go, so it gets its own copy.
    let program = daemon.folder.path().join("portcullis");
    fs::copy(env!("CARGO_BIN_EXE_portcullis"), &program).unwrap();
    let open = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let run = || {
        let mut command = std::process::Command::new(&program);
        command.arg("status").arg("--socket").arg(&daemon.socket).uid(NOBODY).gid(NOBODY).current_dir("/");
        seen(&command.output().unwrap())
    };
    open(daemon.folder.path(), 0o755);
    open(daemon.socket.parent().unwrap(), 0o755);
    let (code, _, stderr) = run();
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("cannot open the socket") && stderr.contains("Permission denied"), "{stderr}");
    open(&daemon.socket, 0o666);
    let wanted = words(&[
        "error: uid:65534 may not use this API; root and the user that the daemon runs as may",
        "hint: run the command as root",
    ]);
    assert_eq!(run(), (4, String::new(), wanted));
}

#[test]
fn a_configuration_that_is_live_differs_in_nothing() {
    let daemon = Daemon::start(Fake::default());
    let same = words(&["no difference from generation 7"]);
    assert_eq!(daemon.run(&["diff", CONFIG]), (0, same, String::new()));
}

#[test]
fn a_difference_is_told_entry_by_entry_and_is_exit_code_1() {
    let daemon = Daemon::start(Fake::default());
    let text = fs::read_to_string(CONFIG).unwrap();
    let text = text.replace("\"203.0.113.0/24\"", "\"192.0.2.1\"").replace("deny = [\"blocked\"]\n", "");
    let lists = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lists/");
    let file = daemon.folder.path().join("new.toml");
    fs::write(&file, text.replace("lists/", lists)).unwrap();
    let file = file.to_str().unwrap();
    let wanted = words(&[
        "- services.api.deny = [\"blocked\"]",
        "- lists.partners 203.0.113.0/24",
        "+ lists.partners 192.0.2.1/32",
        "differs from generation 7: 1 setting removed; 1 entry added, 1 removed",
    ]);
    assert_eq!(daemon.run(&["diff", file]), (1, wanted, String::new()));

    let (code, json, stderr) = daemon.run(&["diff", file, "-o", "json"]);
    assert_eq!((code, &*stderr), (1, ""));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["same"]), (&"portcullis.diff/v1".into(), &false.into()));
    assert_eq!(json["lists"]["partners"]["removed"], serde_json::json!(["203.0.113.0/24"]));
}

#[test]
fn a_comparison_that_cannot_be_made_is_an_exit_code_above_1() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["diff", "/nowhere.toml"]);
    assert_eq!((code, &*stdout), (5, ""));
    assert!(stderr.ends_with("error: /nowhere.toml cannot be used: 1 error\n"), "{stderr}");
    let (code, ..) = seen(&portcullis(&["diff", CONFIG, "--socket", "/nowhere.sock"]).output().unwrap());
    assert_eq!(code, 3);
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
