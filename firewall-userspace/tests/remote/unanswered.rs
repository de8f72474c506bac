//! The command line against a daemon that does not answer, or not to the end.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    thread,
};

use serde_json::Value;

use crate::support::{CONFIG, Folder, portcullis, seen, status, words};

#[test]
fn a_daemon_that_is_not_there_is_exit_3() {
    let folder = Folder::new();
    let missing = folder.path().join("missing");
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    for (socket, why) in
        [(missing, "No such file or directory (os error 2)"), (stale, "Connection refused (os error 111)")]
    {
        let output = portcullis(&["status", "--socket", socket.to_str().unwrap()]).output().unwrap();
        let wanted = words(&[
            &format!("error: cannot reach the daemon at {}: {why}", socket.display()),
            "hint: is it running? `--socket` names the socket of another one",
            "note: nothing filters: no daemon answers, and no filter is pinned here",
            "hint: `--pin-directory` names the pins of another daemon",
        ]);
        assert_eq!(seen(&output), (3, String::new(), wanted));
    }
}

#[test]
fn every_verb_says_as_data_that_no_daemon_is_there() {
    let folder = Folder::new();
    let socket = folder.path().join("missing");
    let socket = socket.to_str().unwrap();
    let commands: [&[&str]; 18] = [
        &["status"],
        &["reload"],
        &["diff", CONFIG],
        &["apply", CONFIG],
        &["confirm"],
        &["history"],
        &["history", "show", "1"],
        &["history", "diff", "1", "2"],
        &["rollback"],
        &["undo", "7"],
        &["undo", "--list"],
        &["mode"],
        &["mode", "observe"],
        &["allow", "add", "partners", "192.0.2.1"],
        &["allow", "list"],
        &["deny", "list", "blocked"],
        &["deny", "remove", "blocked", "192.0.2.1"],
        &["explain", "192.0.2.1", "--dport", "443"],
    ];
    for command in commands {
        let (code, stdout, stderr) =
            seen(&portcullis(command).args(["--socket", socket, "-o", "json"]).output().unwrap());
        let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{command:?} {stdout}"));
        let facts = ["schema", "code", "exit_code"].map(|name| &document[name]);
        assert_eq!(code, 3, "{command:?} {stderr}");
        assert_eq!(facts, [&Value::from("portcullis.error/v1"), &"unreachable".into(), &3.into()], "{command:?}");
        let detail = format!("cannot reach the daemon at {socket}: No such file or directory (os error 2)");
        assert_eq!((&document["detail"], stderr.starts_with(&format!("error: {detail}\n"))), (&detail.into(), true));
        assert!(document["hint"].is_string(), "{document}");
    }
}

#[test]
fn failures_without_a_daemon_are_data_too() {
    let folder = Folder::new();
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    for (command, code, kind) in [
        (&["apply", missing][..], 5, "invalid_config"),
        (&["diff", missing], 5, "invalid_config"),
        (&["allow", "add", "partners", "--file", missing], 5, "input"),
        (&["explain", "--frame", missing], 5, "capture"),
        (&["state", "repair", missing], 4, "refused"),
        (&["allow", "frobnicate"], 2, "usage"),
        (&["mode", "--force"], 2, "usage"),
        (&["check", "--socket", "/s"], 2, "usage"),
        (&[], 2, "usage"),
        (&["run", "--strict", "--config", missing, "--state-directory", missing], 5, "not_running"),
    ] {
        let output = portcullis(&["-o", "json"]).args(command).output().unwrap();
        let (seen_code, stdout, stderr) = seen(&output);
        let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{command:?} {stdout} {stderr}"));
        assert_eq!((seen_code, &document["code"]), (code, &kind.into()), "{command:?} {document}");
        assert_eq!((&document["exit_code"], &document["schema"]), (&code.into(), &"portcullis.error/v1".into()));
        let detail = document["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.starts_with("error: "), "{command:?} {document}");
    }
    let (_, stdout, _) = seen(&portcullis(&["apply", missing, "-o", "json"]).output().unwrap());
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["check"]["schema"], "portcullis.check/v1");
    assert_eq!(document["check"]["errors"].as_array().map(Vec::len), Some(1), "{document}");
}

#[test]
fn a_change_without_an_answer_is_not_confirmed() {
    for (answer, command, code) in [
        (&b""[..], &["allow", "add", "partners", "::1"][..], 6),
        (b"", &["reload"], 6),
        (b"", &["status"], 3),
        (b"", &["explain", "192.0.2.1", "--dport", "443"], 3),
        (b"", &["explain", "192.0.2.1"], 3),
        (b"", &["allow", "add", "partners", "::1", "--dry-run"], 3),
        (b"", &["reload", "--dry-run"], 3),
        (b"", &["undo", "7", "--dry-run"], 3),
        (b"", &["undo", "7"], 6),
        (b"", &["confirm"], 6),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{", &["reload"], 6),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", &["reload"], 1),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno", &["status"], 1),
    ] {
        let folder = Folder::new();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // One read is enough to have the request end before the connection does.
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        let output = portcullis(command).arg("--socket").arg(&socket).output().unwrap();
        let (seen_code, stdout, stderr) = seen(&output);
        assert_eq!((seen_code, &*stdout), (code, ""), "{command:?} {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        server.join().unwrap();
    }
}

#[test]
fn a_list_that_breaks_off_is_an_error_and_not_a_short_list() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let begin = r#"{"schema":"portcullis.entries/v1","generation":7,"entries":["#;
    let piece = format!("{:x}\r\n{begin}\r\n", begin.len());
    let cases = [
        (format!("{head}{piece}"), 3),
        (format!("{head}{piece}0\r\n\r\n"), 3),
        (format!("{head}{piece}2\r\n5]\r\n0\r\n\r\n"), 1),
    ];
    for (answer, code) in &cases {
        for form in ["table", "json"] {
            let folder = Folder::new();
            let socket = folder.path().join("s");
            let listener = UnixListener::bind(&socket).unwrap();
            let status = serde_json::to_string(&status()).unwrap();
            let status = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{status}", status.len());
            let answers = [status, answer.clone()];
            let server = thread::spawn(move || {
                for answer in answers {
                    let (mut stream, _) = listener.accept().unwrap();
                    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
            let output = portcullis(&["allow", "list", "-o", form]).arg("--socket").arg(&socket).output().unwrap();
            let (seen_code, stdout, stderr) = seen(&output);
            assert_eq!(seen_code, *code, "{answer:?} {stderr}");
            let document = serde_json::from_str::<Value>(&stdout).ok().filter(|_| form == "json");
            let kind = if *code == 3 { "lost" } else { "strange_answer" };
            assert_eq!(document.map(|document| document["code"].clone()), (form == "json").then(|| kind.into()));
            assert!(stderr.starts_with("error: "), "{stderr}");
            server.join().unwrap();
        }
    }
}
