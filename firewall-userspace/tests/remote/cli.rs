//! The command line against a daemon: its options, forms and exit codes.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Stdio,
};

use firewall_userspace::control::{Refusal, Verb};
use nix::unistd::geteuid;
use serde_json::Value;

use crate::support::{Daemon, Fake, portcullis, seen, words};

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
        (Refusal::Stopping, &allow, 3, &["error: the daemon is stopping", "hint: try again in 5 s"]),
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
