//! A daemon on another host that cannot be reached, is not trusted or does not answer, and credentials that cannot be used.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    Daemon, Fake,
    https::{Fault, Https, Plan, TOKEN, both, failing},
    portcullis, seen, words,
};

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
