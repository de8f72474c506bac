//! `portcullis undo`: what reaches the daemon, and what is said of it.

use crate::support::{Daemon, Fake, get, json_request, timeless, words};

#[test]
fn an_undo_says_what_it_took_back_and_what_stays() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["undo", "7"]);
    let wanted =
        "revision 9: undid revision 7 (14 added by root (ada\\u{1b}), 2026-11-21T10:00:00Z ~): 2 removed, 12 kept\n";
    assert_eq!((code, &*timeless(&stdout)), (0, wanted), "{stderr}");
    let told: Vec<&str> = stderr.lines().collect();
    assert_eq!(told.len(), 11, "{stderr}");
    assert_eq!(told[0], "note: 0.0.0.0/0 in `blocked` (ban of guard) stays: \\u{1b}[2J");
    assert_eq!(told[10], "note: 2 more that stay");
    let (code, stdout, _) = daemon.run(&["undo", "7", "--dry-run"]);
    assert!(
        code == 0 && stdout.starts_with("- blocked 0.0.0.0/0\nand 1 more to remove\ndry run: would undo revision 7"),
        "{stdout}"
    );
    let (code, stdout, _) = daemon.run(&["undo", "7", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["undone"]["revision"], &json["kept_count"]), (0, &7.into(), &12.into()));
}

#[test]
fn a_push_that_cannot_be_undone_is_refused_with_a_hint() {
    let daemon = Daemon::start(Fake::default());
    let wanted = "error: cannot undo revision 6: it was undone already, by revision 8\nhint: `portcullis undo 8` takes that back\n";
    assert_eq!(daemon.run(&["undo", "6"]), (6, String::new(), wanted.into()));
    let (code, _, stderr) = daemon.run(&["undo", "70"]);
    assert!(code == 5 && stderr.contains("\nhint: `portcullis undo --list` shows"), "{stderr}");
    let answer = daemon.api(json_request("POST", "/v1/undo", r#"{"revision":70}"#));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some("not_undoable")));
    for wrong in
        [&["undo"][..], &["undo", "7", "--list"], &["undo", "--list", "--force"], &["undo", "7", "--limit", "3"]]
    {
        assert_eq!(daemon.run(wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn the_last_pushes_are_told_with_who_and_what() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["undo", "--list", "--limit", "2"]);
    let wanted = words(&[
        "REVISION  WHEN  BY  LISTS  CHANGES",
        "7  2026-11-21T10:00:00Z ~  root (ada\\u{1b})  blocked  14 added",
        "6  2026-11-21T10:00:00Z ~  root (ada\\u{1b})  blocked  14 added (undid 4)",
    ]);
    assert_eq!((code, timeless(&stdout)), (0, wanted));
    assert_eq!(stderr, "note: 1 older ones; `--limit` shows more\n");
    let (code, stdout, _) = daemon.run(&["undo", "--list", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, json["schema"].as_str(), json["pushes"].as_array().map(Vec::len)),
        (0, Some("portcullis.pushes/v1"), Some(3))
    );
    for limit in ["0", "1001", "x"] {
        assert_eq!(daemon.api(get(&format!("/v1/pushes?limit={limit}"))).status, 422, "{limit}");
    }
    let (code, _, stderr) = daemon.run(&["undo", "--list", "--limit", "0"]);
    assert!(code == 5 && stderr.starts_with("error: --limit: from 1 to 1000 pushes are told, not 0\n"), "{stderr}");
}
