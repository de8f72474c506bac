//! Standard output and standard error that cannot be written: exit codes stay what they are, and nothing panics.

use std::{
    fs::OpenOptions,
    io::pipe,
    process::{Command, Stdio},
};

use crate::support::{CONFIG, Daemon, Fake, Folder, portcullis, seen};

/// Commands that succeed and print data.
fn commands(daemon: &Daemon) -> Vec<(&'static str, Command)> {
    vec![
        ("status", daemon.command(&["status"])),
        ("status as JSON", daemon.command(&["status", "-o", "json"])),
        ("list", daemon.command(&["allow", "list"])),
        ("list as JSON", daemon.command(&["allow", "list", "-o", "json"])),
        ("explain", daemon.command(&["explain", "192.0.2.1"])),
        ("explain as JSON", daemon.command(&["explain", "192.0.2.1", "-o", "json"])),
        ("push", daemon.command(&["allow", "add", "partners", "192.0.2.1"])),
        ("reload", daemon.command(&["reload"])),
        ("history", daemon.command(&["history"])),
        ("check", portcullis(&["check", CONFIG])),
        ("check as JSON", portcullis(&["check", CONFIG, "-o", "json"])),
        ("help", portcullis(&["--help"])),
        ("help of a command", portcullis(&["allow", "add", "--help"])),
        ("version", portcullis(&["--version"])),
    ]
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads any more.
fn unread() -> Stdio {
    pipe().unwrap().1.into()
}

/// The same, ended after a minute: a start that is not refused goes on.
fn within_a_minute(command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.arg("60").arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (variable, _) in command.get_envs() {
        limited.env_remove(variable);
    }
    limited
}

#[test]
fn data_that_cannot_be_written_is_exit_1_with_words() {
    let daemon = Daemon::start(Fake::default());
    for (what, mut command) in commands(&daemon) {
        let (code, _, stderr) = seen(&command.stdout(full()).output().unwrap());
        assert_eq!(code, 1, "{what}: {stderr}");
        assert!(stderr.contains("No space left on device") && !stderr.contains("panicked"), "{what}: {stderr}");
    }
}

#[test]
fn data_that_nobody_reads_to_the_end_changes_no_exit_code() {
    let daemon = Daemon::start(Fake::default());
    for (what, mut command) in commands(&daemon) {
        let (code, _, stderr) = seen(&command.stdout(unread()).output().unwrap());
        assert_eq!(code, 0, "{what}: {stderr}");
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    }
}

#[test]
fn words_that_cannot_be_written_change_no_exit_code() {
    let daemon = Daemon::start(Fake::default());
    let folder = Folder::new();
    let (state, config) = (folder.path().join("state"), folder.path().join("portcullis.toml"));
    // What cannot be used ends no daemon: a start is refused for its pins, or since it is strict.
    let text = format!("[[interface]]\nname = \"eth0\"\n[state]\ndirectory = \"{}\"\n", state.display());
    std::fs::write(&config, text).unwrap();
    let (state, config) = (state.to_str().unwrap(), config.to_str().unwrap());
    let failing: [(i32, &[&str]); 5] = [
        (5, &["allow", "add", "partners", "bad"]),
        (2, &["allow", "frobnicate"]),
        (3, &["status", "--socket", "/nowhere"]),
        (4, &["run", "--config", config, "--pin-directory", "/proc/self"]),
        (5, &["run", "--strict", "--state-directory", state, "--config", "/nowhere"]),
    ];
    for (wanted, arguments) in failing {
        let command = || match arguments {
            ["run", ..] => within_a_minute(&portcullis(arguments)),
            [.., "/nowhere"] => portcullis(arguments),
            _ => daemon.command(arguments),
        };
        for stderr in [full(), unread()] {
            let output = command().stderr(stderr).output().unwrap();
            assert_eq!(output.status.code(), Some(wanted), "{arguments:?}");
        }
        let mut closed = Command::new("sh");
        closed.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"]).arg(command().get_program()).args(command().get_args());
        assert_eq!(closed.output().unwrap().status.code(), Some(wanted), "{arguments:?}");
    }
}
