//! How far a sync is: shown on a terminal, and nowhere else.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
};

use firewall_userspace::control::{Pushed, SyncEvent, SyncProgress, SyncStage};

use crate::support::{Folder, portcullis, seen};

/// A daemon that takes one sync, and says how far it is.
fn daemon(socket: &Path) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        // The last chunk of a body is empty (RFC 9112 section 7.1).
        while !request.ends_with(b"\r\n0\r\n\r\n") {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the request ended early");
            request.extend_from_slice(&piece[..count]);
        }
        let at = |stage, done, total| SyncEvent::<()>::Progress(SyncProgress { sync: 7, stage, done, total });
        let pushed = Pushed { revision: 8, added: 10_000, ..Pushed::default() };
        let events = [
            at(SyncStage::Receiving, 10_000, None),
            at(SyncStage::Enforcing, 5_000, Some(10_000)),
            SyncEvent::Pushed(Box::new(pushed)),
        ];
        let body: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    })
}

/// A folder with a list of so many prefixes that they are streamed, and the arguments that push it.
fn pushing(folder: &Folder) -> (PathBuf, [String; 7]) {
    let (file, socket) = (folder.path().join("list.txt"), folder.path().join("api.sock"));
    let lines: String = (0..10_000).map(|one| format!("10.{}.{}.1\n", one / 256, one % 256)).collect();
    fs::write(&file, lines).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let [deny, add, list, from, to] = ["deny", "add", "blocked", "--file", "--socket"].map(str::to_owned);
    let arguments = [deny, add, list, from, path(&file), to, path(&socket)];
    (socket, arguments)
}

#[test]
fn progress_is_not_written_where_standard_error_is_a_pipe() {
    let folder = Folder::new();
    let (socket, arguments) = pushing(&folder);
    let daemon = daemon(&socket);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, stdout, stderr) = seen(&portcullis(&arguments).output().unwrap());
    daemon.join().unwrap();
    assert_eq!((code, &*stderr), (0, ""));
    assert!(stdout.starts_with("revision 8: 10000 added"), "{stdout}");
}

#[test]
fn progress_is_a_line_on_a_terminal_that_goes_away() {
    let folder = Folder::new();
    let (socket, arguments) = pushing(&folder);
    let daemon = daemon(&socket);
    // script(1) gives it a terminal.
    let line = format!("{} {}", env!("CARGO_BIN_EXE_portcullis"), arguments.join(" "));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    let (code, seen, _) = seen(&command.output().expect("script(1) of bsdutils is needed"));
    daemon.join().unwrap();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("sent: 10,000 entries"), "{seen:?}");
    let (before, after) = seen.split_once("revision 8: ").unwrap();
    // Erased before the answer (ECMA-48, EL), and never drawn again.
    assert!(before.trim_end_matches(['\r', '\n']).ends_with("\u{1b}[2K"), "{before:?}");
    assert!(!after.contains("entries"), "{after:?}");
}
