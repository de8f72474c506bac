//! The command line against a daemon that does not answer, or not to the end.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    thread,
};

use crate::{
    cli::words,
    support::{Folder, portcullis, seen, status},
};

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
        ]);
        assert_eq!(seen(&output), (3, String::new(), wanted));
    }
}

#[test]
fn a_change_without_an_answer_is_not_confirmed() {
    for (answer, command, code) in [
        (&b""[..], &["allow", "add", "partners", "::1"][..], 6),
        (b"", &["reload"], 6),
        (b"", &["status"], 3),
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
            assert_eq!((seen_code, &*stdout), (*code, ""), "{answer:?} {stderr}");
            assert!(stderr.starts_with("error: "), "{stderr}");
            server.join().unwrap();
        }
    }
}
