//! `portcullis version`.

use std::{io::Read as _, os::unix::net::UnixListener, thread};

use serde_json::Value;

use crate::support::{Daemon, Fake, Folder, get, portcullis, seen, status};

fn fields(table: &str) -> Vec<(&str, &str)> {
    table.lines().map(|line| line.split_at(12)).map(|(name, value)| (name.trim(), value)).collect()
}

#[test]
fn version_names_what_the_binary_is_made_of_and_runs_without_a_daemon() {
    let command = portcullis(&["version", "--socket", "/nowhere"]).output().unwrap();
    let (code, table, stderr) = seen(&command);
    assert_eq!((code, &*stderr), (0, ""));
    let names: Vec<&str> = fields(&table).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["version", "revision", "compiler", "abi", "program", "kernel", "daemon"]);
    let value = |wanted| fields(&table).into_iter().find(|(name, _)| *name == wanted).unwrap().1.to_owned();
    assert!(value("compiler").starts_with("rustc 1."), "{table}");
    assert!(value("kernel").starts_with("Linux "), "{table}");
    assert_eq!(
        value("daemon"),
        "not known: cannot reach the daemon at /nowhere: No such file or directory (os error 2)",
    );
    let one_line = seen(&portcullis(&["--version"]).output().unwrap());
    assert_eq!(one_line, (0, format!("portcullis {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
fn version_as_json_has_what_the_table_has() {
    let (code, stdout, _) = Daemon::start(Fake::default()).run(&["version", "-o", "json"]);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &document["schema"]), (0, &"portcullis.version/v1".into()));
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["abi_version"], firewall_common::abi::ABI_VERSION);
    assert_eq!(document["daemon"]["revision"], "0123abc");
    // The object has its length in digits of SHA-256, where there is one.
    let program = &document["program"];
    assert!(program.is_null() || program["sha256"].as_str().is_some_and(|digest| digest.len() == 64), "{program}");
    assert!(document["kernel"].as_str().unwrap().starts_with("Linux "));
}

#[test]
fn a_daemon_of_another_version_is_told_with_what_to_do() {
    let mut other = status();
    other.version = "9.9.9".into();
    let (code, table, stderr) = Daemon::start(Fake { status: other, ..Fake::default() }).run(&["version"]);
    assert_eq!(code, 0);
    assert!(table.contains("\ndaemon      9.9.9, revision 0123abc\n"), "{table}");
    assert!(stderr.starts_with("note: the daemon is 9.9.9 (0123abc), this command is "), "{stderr}");
    assert!(stderr.contains("\nhint: restart the daemon"), "{stderr}");
}

#[test]
fn a_daemon_that_says_nothing_delays_version_for_its_time_only() {
    let folder = Folder::new();
    let socket = folder.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // It takes the connection and ends with it.
    let silent = thread::spawn(move || listener.accept().unwrap().0.read_to_end(&mut Vec::new()).unwrap());
    let (code, table, _) = seen(&portcullis(&["version", "--socket", socket.to_str().unwrap()]).output().unwrap());
    assert_eq!(code, 0);
    assert!(table.contains("did not answer: no answer within 2000 ms"), "{table}");
    silent.join().unwrap();
}

#[test]
fn the_metric_names_the_build() {
    let daemon = Daemon::start(Fake::default());
    let text = daemon.admin(get("/metrics")).body;
    let line = text.lines().find(|line| line.starts_with("portcullis_build_info{")).unwrap();
    let document: Value = serde_json::from_str(&daemon.run(&["version", "-o", "json"]).1).unwrap();
    for (label, member) in [("version", "version"), ("revision", "revision"), ("rustc", "rustc")] {
        let wanted = format!("{label}=\"{}\"", document[member].as_str().unwrap());
        assert!(line.contains(&wanted), "{line}");
    }
    assert!(line.contains("abi=\"2\"") && line.ends_with(" 1"), "{line}");
}
