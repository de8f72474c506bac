//! The command line against a daemon on another host: HTTPS, who asks, and what can go wrong.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::net::UnixListener,
    path::Path,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use firewall_userspace::control::{Pushed, Refusal, SyncEvent};
use serde_json::Value;

use crate::support::{
    CONFIG, Daemon, Fake, Folder,
    https::{Fault, Https, Plan, TOKEN},
    portcullis, seen, timeless, words,
};

/// A daemon with HTTPS before it.
fn both(fake: Fake, plan: Plan) -> (Daemon, Https) {
    let daemon = Daemon::start(fake);
    let https = Https::before(&daemon.socket, plan);
    (daemon, https)
}

fn failing(fault: Fault) -> (Daemon, Https) {
    both(Fake::default(), Plan { fault, ..Plan::default() })
}

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

/// Asserts that a command cannot reach the daemon: exit code 3, these words, a hint, and the same as data.
fn unreached(https: &Https, url: Option<&str>, ca: Option<&str>, why: &str) {
    let (url, ca) =
        (url.map_or_else(|| https.url(), str::to_owned), ca.map_or_else(|| https.file("ca.pem"), str::to_owned));
    let arguments = ["reload", "--url", &url, "--ca", &ca, "--token-file", &https.file("token")];
    let (code, stdout, stderr) = seen(&portcullis(&arguments).output().unwrap());
    assert_eq!((code, &*stdout), (3, ""), "{stderr}");
    assert!(stderr.starts_with(&format!("error: cannot reach the daemon at {url}: ")), "{stderr}");
    assert!(stderr.contains(why) && stderr.contains("\nhint: "), "{stderr}");
    let (code, stdout, _) = seen(&portcullis(&arguments).args(["-o", "json"]).output().unwrap());
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &document["code"], &document["exit_code"]), (3, &"unreachable".into(), &3.into()), "{document}");
    assert!(document["hint"].is_string() && document["detail"].as_str().unwrap().contains(why), "{document}");
    assert!(!stderr.contains(TOKEN) && !stdout.contains(TOKEN));
}

#[test]
fn a_server_that_cannot_be_trusted_is_not_asked() {
    let (daemon, https) = both(Fake::default(), Plan::default());
    unreached(
        &https,
        None,
        Some(&https.file("other-ca.pem")),
        "its certificate is of an authority that this host does not trust",
    );
    drop(https);
    let named = |names: &[&str]| Plan { names: names.iter().map(|&name| name.to_owned()).collect(), ..Plan::default() };
    let https = Https::before(&daemon.socket, named(&["fw1.example.com"]));
    unreached(&https, None, None, "its certificate is not for `localhost`, and is for ");
    unreached(&https, Some(&format!("https://{}", https.address())), None, "its certificate is not for `127.0.0.1`");
    let https = Https::before(&daemon.socket, Plan { is_expired: true, ..Plan::default() });
    unreached(&https, None, None, "the time of its certificate is over since 2021-01-01");
    assert!(daemon.callers.lock().unwrap().is_empty());
    let https = Https::before(&daemon.socket, named(&["127.0.0.1"]));
    let url = format!("https://{}", https.address());
    let arguments = ["mode", "--url", &url, "--ca", &https.file("ca.pem"), "--token-file", &https.file("token")];
    assert_eq!(seen(&portcullis(&arguments).output().unwrap()).0, 0, "an address in the certificate");
}

#[test]
fn a_daemon_that_cannot_be_reached_is_told_with_why_and_what_to_do() {
    let (_daemon, https) = both(Fake::default(), Plan::default());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    unreached(&https, Some(&format!("https://{closed}")), None, "Connection refused (os error 111)");
    unreached(
        &https,
        Some("https://no-such-host.invalid"),
        None,
        "the address of `no-such-host.invalid` is not found: ",
    );
    // What stands behind the port speaks something else.
    for (greeting, why) in
        [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "does not speak TLS"), (b"", "before TLS was there")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                stream.write_all(greeting).unwrap();
            }
        });
        unreached(&https, Some(&url), None, why);
        server.join().unwrap();
    }
}

#[test]
fn status_and_version_do_not_look_at_this_host_when_another_one_is_silent() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://{closed}");
    let (code, stdout, stderr) = seen(&portcullis(&["status", "--url", &url]).output().unwrap());
    assert_eq!((code, &*stdout), (3, ""));
    assert!(!stderr.contains("filter") && !stderr.contains("pin"), "{stderr}");
    let (_, stdout, _) = seen(&portcullis(&["status", "--url", &url, "-o", "json"]).output().unwrap());
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&document["filter"], &document["pin_directory"]), (&Value::Null, &Value::Null));
    let (code, stdout, stderr) = seen(&portcullis(&["version", "--url", &url]).output().unwrap());
    assert_eq!((code, &*stderr), (0, ""));
    assert!(stdout.contains(&format!("daemon      not known: cannot reach the daemon at {url}: ")), "{stdout}");
}

#[test]
fn a_server_that_says_nothing_is_waited_for_in_bounds() {
    let (_daemon, https) = failing(Fault::Mute);
    let begun = Instant::now();
    let (code, stdout, _) = https.run(&["version"]);
    assert!(code == 0 && stdout.contains("not known: ") && stdout.contains("2000 ms"), "{stdout}");
    unreached(&https, None, None, "there is a connection, and no TLS within 10 s");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn who_is_not_let_in_is_exit_4_and_told_what_to_show() {
    let (daemon, https) = both(Fake::default(), Plan::default());
    let push = ["allow", "add", "partners", "192.0.2.1"];
    let refusal = "error: who asks is not known: no credential is good";
    let nobody = seen(&https.nobody(&push).output().unwrap());
    let hint = "hint: say who you are: `--token-file FILE`, or `--client-cert PEM` and `--client-key PEM`";
    assert_eq!(nobody, (4, String::new(), words(&[refusal, hint])));
    let wrong = https.write("wrong", "prt_wrong", 0o600);
    let wrong = seen(&https.nobody(&push).args(["--token-file", &wrong]).output().unwrap());
    assert!(
        wrong.0 == 4 && wrong.2.contains("is the token or the certificate still good") && !wrong.2.contains("prt_")
    );
    let (code, stdout, _) = seen(&https.nobody(&push).args(["-o", "json"]).output().unwrap());
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &document["status"], &document["code"]), (4, &401.into(), &"unauthenticated".into()));
    assert!(daemon.pushes.lock().unwrap().is_empty());
}

#[test]
fn a_token_file_that_others_can_read_is_refused_before_anybody_is_asked() {
    let (_daemon, https) = both(Fake::default(), Plan::default());
    let run = |file: &str| seen(&https.nobody(&["mode"]).args(["--token-file", file]).output().unwrap());
    for mode in [0o640, 0o604, 0o660] {
        let file = https.write("shared", TOKEN, mode);
        let (code, _, stderr) = run(&file);
        let wanted = words(&[
            &format!("error: cannot use the token file {file}: others can read it: its mode is {mode:04o}"),
            &format!("hint: `chmod 600 {file}`"),
        ]);
        assert_eq!((code, stderr), (4, wanted));
    }
    for (name, text) in [("empty", ""), ("two", "prt_a\nprt_b\n"), ("odd", "prt_\u{1b}[2J")] {
        let (code, _, stderr) = run(&https.write(name, text, 0o600));
        assert!(code == 5 && stderr.contains("\nhint: ") && !stderr.contains("prt_"), "{stderr}");
    }
    let (code, _, stderr) = run(&https.file("missing"));
    assert!(code == 5 && stderr.contains("No such file or directory"), "{stderr}");
    let (code, stdout, _) = seen(&https.nobody(&["mode", "-o", "json"]).args(["--token-file", "/"]).output().unwrap());
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &document["code"], &document["exit_code"]), (5, &"credential".into(), &5.into()), "{document}");
    assert_eq!(https.connections.load(Ordering::SeqCst), 0);
    std::os::unix::fs::symlink(https.file("token"), https.file("link")).unwrap();
    assert_eq!(run(&https.file("link")).0, 0, "a link is followed");
}

#[test]
fn a_credential_of_systemd_is_found_by_its_name() {
    let (_daemon, https) = both(Fake::default(), Plan::default());
    // systemd lets the user of the unit read by an ACL, which looks like this.
    let file = https.write("fw1", TOKEN, 0o440);
    let run = |folder: Option<&Path>| {
        let mut command = https.nobody(&["mode"]);
        command.args(["--token-file", "credential:fw1"]).env_remove("CREDENTIALS_DIRECTORY");
        if let Some(folder) = folder {
            command.env("CREDENTIALS_DIRECTORY", folder);
        }
        seen(&command.output().unwrap())
    };
    assert_eq!(run(Path::new(&file).parent()).0, 0);
    let (code, _, stderr) = run(None);
    assert!(code == 5 && stderr.contains("systemd has not started this with any"), "{stderr}");
}

#[test]
fn a_client_certificate_says_who_asks() {
    let plan = Plan { wants_certificate: true, token: None, ..Plan::default() };
    let (daemon, https) = both(Fake::default(), plan);
    let push = ["allow", "add", "partners", "192.0.2.1"];
    let run = |certificate: &str, key: &str| {
        let mut command = https.nobody(&push);
        seen(
            &command
                .args(["--client-cert", &https.file(certificate), "--client-key", &https.file(key)])
                .output()
                .unwrap(),
        )
    };
    assert_eq!(run("client.pem", "client.key").0, 0);
    assert_eq!(daemon.pushes.lock().unwrap().len(), 1);
    // A refused certificate is told after the request was sent, of which nothing was read: no change is in doubt.
    let (code, _, stderr) = run("other-client.pem", "other-client.key");
    assert!(code == 3 && stderr.contains("it refuses the client certificate"), "{stderr}");
    let (code, _, stderr) = seen(&https.nobody(&push).output().unwrap());
    assert!(code == 3 && stderr.contains("it asks for a client certificate, and none was shown"), "{stderr}");
    let (code, _, stderr) = run("client.pem", "other-client.key");
    assert!(code == 5 && stderr.contains("`--client-key` names the key that belongs to `--client-cert`"), "{stderr}");
    let (code, _, stderr) = run("client.key", "client.key");
    assert!(code == 5 && stderr.contains("there is no certificate in it"), "{stderr}");
    let (code, _, stderr) = run("client.pem", "client.pem");
    assert!(code == 4 && stderr.contains("others can read it"), "{stderr}");
    let key = https.write("shared.key", &fs::read_to_string(https.file("client.key")).unwrap(), 0o644);
    assert_eq!(run("client.pem", key.rsplit('/').next().unwrap()).0, 4);
    assert_eq!(daemon.pushes.lock().unwrap().len(), 1);
}

#[test]
fn what_is_no_answer_of_a_daemon_is_told_by_what_it_is() {
    let redirect = &[("location", "https://elsewhere.example.com/v1/reload")];
    let problem = r#"{"type":"about:blank","title":"x","status":429,"detail":"too many requests","code":"throttled"}"#;
    let unready = r#"{"type":"about:blank","title":"x","status":503,"detail":"not now","code":"waiting"}"#;
    let stale =
        r#"{"type":"about:blank","title":"x","status":412,"detail":"generation 9 is in force","code":"precondition"}"#;
    let right = r#"{"type":"about:blank","title":"x","status":403,"detail":"no","code":"not_permitted"}"#;
    for (status, headers, body, code, said) in [
        (
            308,
            &redirect[..],
            "",
            3,
            "it points to https://elsewhere.example.com/v1/reload (status 308 Permanent Redirect), which is not followed",
        ),
        (401, &[], "no", 4, "hint: is the token or the certificate still good"),
        (403, &[], right, 4, "hint: use a token or a certificate that has this right"),
        (412, &[], stale, 6, "error: generation 9 is in force"),
        (429, &[("retry-after", "7")], problem, 6, "error: too many requests\nhint: try again in 7 s"),
        (429, &[("retry-after", "7")], "<html>", 6, "hint: try again in 7 s"),
        (503, &[("retry-after", "7")], unready, 3, "error: not now\nhint: try again in 7 s"),
        (503, &[("retry-after", "Fri, 01 Jan 2027 00:00:00 GMT")], unready, 3, "error: not now\n"),
        (503, &[], "<html>", 3, "something in between answers with status 503"),
        (502, &[], "<html>", 6, "did not confirm the change, which may have happened"),
        (418, &[], "", 1, "status 418"),
    ] {
        let (_daemon, https) = failing(Fault::Answers(status, headers, body));
        let (seen_code, stdout, stderr) = https.run(&["reload"]);
        assert_eq!((seen_code, &*stdout), (code, ""), "{status} {stderr}");
        assert!(stderr.contains(said), "{status} {stderr}");
        assert_eq!(https.connections.load(Ordering::SeqCst), 1, "{status}");
        let (json_code, stdout, _) = https.run(&["reload", "-o", "json"]);
        let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{status} {stdout}"));
        assert_eq!((json_code, document["code"].is_string()), (code, true), "{document}");
    }
}

#[test]
fn a_change_whose_connection_ends_before_the_answer_is_in_doubt() {
    let (daemon, https) = failing(Fault::CutAt("/v1/entries"));
    let push = ["allow", "add", "partners", "192.0.2.1"];
    let (code, stdout, stderr) = https.run(&push);
    assert_eq!((code, &*stdout), (6, ""));
    let begin = format!("error: the daemon at {} did not confirm the change, which may have happened: ", https.url());
    assert!(stderr.starts_with(&begin) && stderr.contains("\nhint: "), "{stderr}");
    assert_eq!(daemon.pushes.lock().unwrap().len(), 1, "it did");
    let (code, _, stderr) = https.run(&["allow", "add", "partners", "192.0.2.1", "--confirm", "auto"]);
    assert!(code == 6 && stderr.contains("if it has, the daemon undoes it by itself within a minute"), "{stderr}");
    let (code, _, _) = https.run(&["allow", "add", "partners", "192.0.2.1", "--dry-run"]);
    assert_eq!(code, 3, "a question is only lost");
}

#[test]
fn plain_http_is_for_this_host() {
    let daemon = Daemon::start(Fake::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    let https = Https::before(&daemon.socket, Plan::default());
    let url = format!("http://localhost:{port}");
    let mut command = portcullis(&["mode", "--url", &url, "--token-file", &https.file("token")]);
    assert_eq!(seen(&command.output().unwrap()).0, 1);
    let request = server.join().unwrap();
    assert!(request.contains(&format!("\r\nhost: localhost:{port}\r\n")), "{request}");
    assert!(request.contains(&format!("\r\nauthorization: Bearer {TOKEN}\r\n")), "{request}");
}
