//! `portcullis allow list` and `deny list`.

use serde_json::Value;

use crate::support::{Daemon, Fake, get, timeless, words};

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
