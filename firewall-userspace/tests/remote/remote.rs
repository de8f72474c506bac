//! The command line against a daemon on another host, which says what one on this host says.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    sync::atomic::Ordering,
    thread,
};

use firewall_userspace::control::{Pushed, Refusal, SyncEvent};

use crate::support::{
    CONFIG, Fake, Folder,
    https::{Https, Plan, both},
    portcullis, seen, timeless,
};

/// What does not depend on the moment: how long something takes or took.
fn steady(text: &str) -> String {
    let mut text = timeless(text);
    for member in ["\"age_ms\":", "\"interval_ms\":"] {
        if let Some(begin) = text.find(member).map(|begin| begin + member.len()) {
            let end = text[begin..].find([',', '}']).map_or(text.len(), |length| begin + length);
            text.replace_range(begin..end, "~");
        }
    }
    text
}

#[test]
fn every_command_says_the_same_over_https_as_over_the_socket() {
    let commands: [&[&str]; 31] = [
        &["status"],
        &["diff", CONFIG],
        &["history"],
        &["history", "show", "3"],
        &["history", "show", "99"],
        &["history", "diff", "3", "4"],
        &["allow", "list"],
        &["allow", "list", "nowhere"],
        &["allow", "list", "--export"],
        &["deny", "list", "blocked", "--owner", "a b&c=ä"],
        &["allow", "add", "partners", "192.0.2.1", "2001:db8::/32", "--comment", "ticket 7"],
        &["allow", "add", "partners", "bad1", "bad2", "--ttl", "1x"],
        &["allow", "add", "nowhere", "192.0.2.1"],
        &["allow", "remove", "partners", "192.0.2.1"],
        &["deny", "remove", "blocked", "192.0.2.1", "--all"],
        &["allow", "replace", "partners", "192.0.2.1", "--dry-run"],
        &["undo", "7"],
        &["undo", "6"],
        &["undo", "5"],
        &["undo", "--list"],
        &["reload"],
        &["reload", "--dry-run"],
        &["apply", CONFIG],
        &["apply", "/nonexistent"],
        &["rollback"],
        &["rollback", "3", "--dry-run"],
        &["mode"],
        &["confirm"],
        &["explain", "192.0.2.1", "--dport", "443"],
        &["explain", "192.0.2.1"],
        &["explain", "192.0.2.1", "--lists"],
    ];
    let (daemon, https) = both(Fake::default(), Plan::default());
    for command in commands {
        for form in ["table", "json"] {
            let arguments: Vec<&str> = command.iter().copied().chain(["-o", form]).collect();
            let [socket, remote] = [daemon.run(&arguments), https.run(&arguments)]
                .map(|(code, stdout, stderr)| (code, steady(&stdout), steady(&stderr)));
            assert_eq!(remote, socket, "{arguments:?}");
            assert!(!remote.1.is_empty() || !remote.2.is_empty(), "{arguments:?}");
        }
    }
}

#[test]
fn a_refusal_says_the_same_over_https_as_over_the_socket() {
    for refusal in [
        Refusal::Stopping,
        Refusal::Full { wanted: 9, capacity: 7 },
        Refusal::NoPolicy { why: "gone".into() },
        Refusal::NotKept { message: "no space left".into() },
    ] {
        let (daemon, https) = both(Fake::refusing(refusal.clone()), Plan::default());
        for command in [&["reload"][..], &["allow", "add", "partners", "192.0.2.1", "-o", "json"]] {
            assert_eq!(https.run(command), daemon.run(command), "{refusal:?} {command:?}");
        }
    }
}

#[test]
fn a_push_that_is_streamed_is_streamed_over_https_too() {
    let folder = Folder::new();
    let (socket, file) = (folder.path().join("api.sock"), folder.path().join("list.txt"));
    let lines: String = (0..10_000).map(|one| format!("10.{}.{}.1\n", one / 256, one % 256)).collect();
    fs::write(&file, lines).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let daemon = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        while !request.ends_with(b"\r\n0\r\n\r\n") {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the request ended early");
            request.extend_from_slice(&piece[..count]);
        }
        let pushed = SyncEvent::<()>::Pushed(Box::new(Pushed { revision: 8, added: 10_000, ..Pushed::default() }));
        let body = serde_json::to_string(&pushed).unwrap() + "\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        // Each line is an object, and nothing else has braces; words may be cut by the ends of chunks.
        request.iter().filter(|octet| **octet == b'}').count()
    });
    let https = Https::before(&socket, Plan::default());
    let (code, stdout, stderr) = https.run(&["deny", "add", "blocked", "--file", file.to_str().unwrap()]);
    assert_eq!((code, &*stdout, &*stderr), (0, "revision 8: 10000 added, 0 removed, 0 unchanged\n", ""));
    assert_eq!(daemon.join().unwrap(), 10_001, "the head and the entries");
}

#[test]
fn what_concerns_this_host_is_not_sent_to_another_one() {
    let (daemon, https) = both(Fake::default(), Plan::default());
    let push = ["allow", "add", "partners", "192.0.2.1"];
    for mut command in [daemon.command(&push), https.command(&push)] {
        command.env("SSH_CONNECTION", "203.0.113.7 50412 192.0.2.10 22");
        assert_eq!(seen(&command.output().unwrap()).0, 0);
    }
    let pushes = daemon.pushes.lock().unwrap();
    assert_eq!([0, 1].map(|index: usize| pushes[index].caller.is_some()), [true, false]);
}

#[test]
fn the_environment_names_the_daemon_and_who_asks_too() {
    let (daemon, https) = both(Fake::default(), Plan::default());
    let with = |arguments: &[&str], more: &[(&str, &str)]| {
        let mut command = portcullis(arguments);
        command.env("PORTCULLIS_URL", https.url()).env("PORTCULLIS_CA", https.file("ca.pem"));
        command.env("PORTCULLIS_TOKEN_FILE", https.file("token")).envs(more.iter().copied());
        seen(&command.output().unwrap())
    };
    let before = https.connections.load(Ordering::SeqCst);
    let mode = with(&["mode"], &[]);
    assert_eq!((mode.0, &*mode.2), (0, ""), "{mode:?}");
    assert_eq!(https.connections.load(Ordering::SeqCst), before + 1);
    // What is written is nearer than what the environment has.
    let socket = daemon.socket.to_str().unwrap();
    assert_eq!(with(&["mode", "--socket", socket], &[]), mode);
    assert_eq!(https.connections.load(Ordering::SeqCst), before + 1);
    assert_eq!(with(&["mode", "--url", &https.url()], &[("PORTCULLIS_SOCKET", "/nowhere")]), mode);
    let (code, _, stderr) = with(&["mode"], &[("PORTCULLIS_SOCKET", socket)]);
    assert!(code == 2 && stderr.contains("name two daemons"), "{stderr}");
    // A command about this host does not mind it, whatever it says.
    for more in [&[][..], &[("PORTCULLIS_URL", "nonsense")]] {
        let (code, _, stderr) = with(&["check", CONFIG], more);
        assert_eq!((code, &*stderr), (0, ""));
    }
    let (code, _, stderr) = with(&["mode"], &[("PORTCULLIS_URL", "nonsense")]);
    assert!(code == 2 && stderr.starts_with("error: PORTCULLIS_URL: "), "{stderr}");
    assert_eq!(with(&["mode", "--socket", socket], &[("PORTCULLIS_URL", "")]), mode);
}

#[test]
fn options_that_contradict_each_other_are_exit_2_with_words() {
    let local = |command: &[&str]| portcullis(command).output().unwrap();
    let url = ["--url", "https://fw1:8443"];
    for (command, said) in [
        (&["status", "--socket", "/s"][..], "--socket and --url name two daemons"),
        (&["check", CONFIG], "--url does nothing here: `check` does not talk to the daemon"),
        (&["run"], "--url does nothing here: "),
        (&["init"], "--url does nothing here: "),
        (&["doctor"], "--url does nothing here: "),
        (&["detach"], "--url does nothing here: "),
        (&["schema"], "--url does nothing here: "),
        (&["support"], "--url does nothing here: `support` looks at this host"),
        (&["state", "repair", "/x"], "--url does nothing here: "),
        (&["completions", "bash"], "--url does nothing here: "),
        (&["status", "--pin-directory", "/x"], "--pin-directory is of this host"),
        (&["status", "--client-cert", "/x"], "--client-key names it"),
        (&["status", "--client-key", "/x"], "--client-cert names it"),
    ] {
        let arguments: Vec<&str> = command.iter().copied().chain(url).collect();
        let (code, stdout, stderr) = seen(&local(&arguments));
        assert!(code == 2 && stdout.is_empty() && stderr.contains(said), "{command:?} {stderr}");
    }
    for (command, said) in [
        (&["status", "--token-file", "/x"][..], "--token-file does nothing here: it is for the daemon of a --url"),
        (&["status", "--socket", "/s", "--ca", "/x"], "--ca does nothing here: "),
        (&["check", "--ca", "/x", CONFIG], "--ca does nothing here: "),
        (&["status", "--url", "http://fw1:80"], "without TLS anybody on the way could read the token"),
        (&["status", "--url", "http://localhost:80", "--ca", "/x"], "certificates are of HTTPS"),
        (&["status", "--url", "https://ada:hunter2@fw1"], "a URL with a user or a password is refused"),
        (&["status", "--url", ""], "--url: "),
        (&["reload", "--confirm", "auto"], "--confirm auto is for the daemon of a --url"),
        (&["allow", "add", "x", "192.0.2.1", "--confirm", "auto"], "--confirm auto is for the daemon of a --url"),
        (&["undo", "7", "--confirm", "auto"], "--confirm auto is for the daemon of a --url"),
        (&["status", "--token", "hunter2"], "unexpected argument '--token'"),
    ] {
        let (code, stdout, stderr) = seen(&local(command));
        assert!(code == 2 && stdout.is_empty() && stderr.contains(said), "{command:?} {stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}
