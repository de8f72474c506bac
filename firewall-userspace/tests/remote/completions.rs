//! Completion, asked in real shells.

use std::{fs, io::Read as _, os::unix::net::UnixListener, path::Path, process::Command, thread};

use firewall_userspace::control::ListStatus;

use crate::support::{
    Daemon, Fake, Folder,
    https::{Https, Plan},
    portcullis, seen, status,
};

/// What a shell needs to be there for.
const NEEDED: &str = "this shell is needed: `cargo xtask setup` installs it";

/// The script of a shell, in a folder with the program.
fn script(folder: &Path, shell: &str, name: &str) -> String {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let link = bin.join("portcullis");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portcullis"), link).unwrap();
    }
    let (code, text, stderr) = seen(&portcullis(&["completions", shell]).output().unwrap());
    assert_eq!((code, &*stderr), (0, ""));
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A shell that finds the program and the daemon, and is ended after 20 s.
fn shell(program: &str, folder: &Path, socket: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["20", program]);
    let path = format!("{}:/usr/bin:/bin", folder.join("bin").display());
    command.env_clear().env("PATH", path).env("HOME", folder).env("PORTCULLIS_SOCKET", socket).env("TERM", "dumb");
    command
}

/// What bash offers for the last of `words`.
fn bash(folder: &Path, socket: &Path, words: &[&str]) -> Vec<String> {
    bash_with(folder, socket, &[], words)
}

/// The same with more variables in the environment.
fn bash_with(folder: &Path, socket: &Path, variables: &[(&str, &str)], words: &[&str]) -> Vec<String> {
    let script = script(folder, "bash", "portcullis.bash");
    let asked = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; \
                 _clap_complete_portcullis \"$1\" \"${@: -1}\" x; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = shell("bash", folder, socket);
    command.envs(variables.iter().copied());
    command.args(["--norc", "--noprofile", "-c", asked, "bash", &script]).args(words);
    let (code, stdout, stderr) = seen(&command.output().expect(NEEDED));
    assert_eq!((code, &*stderr), (0, ""), "{words:?}");
    stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What fish offers at the end of `line`.
fn fish(daemon: &Daemon, line: &str) -> Vec<String> {
    let script = script(daemon.folder.path(), "fish", "portcullis.fish");
    let mut command = shell("fish", daemon.folder.path(), &daemon.socket);
    command.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]", &script, line]);
    let (code, stdout, stderr) = seen(&command.output().expect(NEEDED));
    assert_eq!((code, &*stderr), (0, ""), "{line}");
    stdout.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

/// Those of them that are no options.
fn names(offered: Vec<String>) -> Vec<String> {
    offered.into_iter().filter(|one| !one.starts_with('-')).collect()
}

/// What `ask` answers: `wanted`, or else its last answer of some. A busy machine may need more than the half second that the daemon
/// is given.
fn soon(wanted: &[&str], mut ask: impl FnMut() -> Vec<String>) {
    let mut last = Vec::new();
    for _ in 0..5 {
        last = ask();
        if last == wanted {
            return;
        }
    }
    assert_eq!(last, wanted);
}

#[test]
fn bash_offers_the_lists_of_the_daemon_for_each_verb() {
    let daemon = Daemon::start(Fake::default());
    for (words, wanted) in [
        (&["portcullis", "allow", "add", ""][..], &["partners"][..]),
        (&["portcullis", "deny", "add", ""], &["blocked"]),
        (&["portcullis", "deny", "remove", "b"], &["blocked"]),
        (&["portcullis", "deny", "remove", "x"], &[]),
        (&["portcullis", "undo", ""], &["7", "6", "5"]),
        (&["portcullis", "deny", "remove", "--owner", ""], &["root"]),
        (&["portcullis", "reload", "--force", "=", "sh"], &["shrink"]),
        (&["portcullis", "roll"], &["rollback"]),
    ] {
        soon(wanted, || names(bash(daemon.folder.path(), &daemon.socket, words)));
    }
    // The socket on the command line goes before that of the environment.
    let nowhere = Path::new("/nowhere");
    let socket = daemon.socket.to_str().unwrap();
    let named = ["portcullis", "--socket", socket, "allow", "list", ""];
    soon(&["partners"], || names(bash(daemon.folder.path(), nowhere, &named)));
    let cut = ["portcullis", "--socket", "=", socket, "allow", "list", ""];
    soon(&["partners"], || names(bash(daemon.folder.path(), nowhere, &cut)));
}

#[test]
fn bash_offers_the_lists_of_a_daemon_on_another_host() {
    let daemon = Daemon::start(Fake::default());
    let https = Https::before(&daemon.socket, Plan::default());
    let (folder, nowhere) = (daemon.folder.path(), Path::new("/nowhere"));
    let (url, token, ca) = (https.url(), https.file("token"), https.file("ca.pem"));
    let port = url.rsplit(':').next().unwrap();
    let files = ["--token-file", &token, "--ca", &ca];
    // As bash cuts it.
    let begin = ["portcullis", "--url", "https", ":", "//localhost", ":", port];
    let words: Vec<&str> = begin.into_iter().chain(files).chain(["allow", "add", ""]).collect();
    soon(&["partners"], || names(bash(folder, nowhere, &words)));
    let variables = [("PORTCULLIS_URL", &*url), ("PORTCULLIS_TOKEN_FILE", &token), ("PORTCULLIS_CA", &ca)];
    let words = ["portcullis", "--url", "https", ":", "//localhost", ":", port, "deny", "remove", ""];
    soon(&["blocked"], || names(bash_with(folder, nowhere, &variables, &words)));
    // The environment names two daemons.
    assert!(names(bash_with(folder, &daemon.socket, &variables, &["portcullis", "allow", "add", ""])).is_empty());
}

#[test]
fn a_list_whose_name_is_a_command_is_offered_to_no_shell() {
    let mut status = status();
    let mut list = status.lists[0].clone();
    list.allowed_by = vec!["api".into()];
    list.denied_by.clear();
    // The last one is plain, so that it is seen that the daemon was asked.
    let all = ["$(touch /tmp/portcullis-pwned)", "a b;c", "a:b", "plain"];
    status.lists = all.iter().map(|&name| ListStatus { name: name.into(), ..list.clone() }).collect();
    let daemon = Daemon::start(Fake { status, ..Fake::default() });
    let words = ["portcullis", "allow", "add", ""];
    soon(&["plain"], || names(bash(daemon.folder.path(), &daemon.socket, &words)));
    soon(&["plain"], || names(fish(&daemon, "portcullis allow add ")));
}

#[test]
fn a_daemon_that_is_away_or_says_nothing_is_one_without_names() {
    let folder = Folder::new();
    let words = ["portcullis", "allow", "add", ""];
    assert_eq!(names(bash(folder.path(), Path::new("/nowhere"), &words)), Vec::<String>::new());
    let socket = folder.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // It takes the connection and waits for its end.
    let silent = thread::spawn(move || listener.accept().unwrap().0.read_to_end(&mut Vec::new()).unwrap());
    assert_eq!(names(bash(folder.path(), &socket, &words)), Vec::<String>::new());
    silent.join().unwrap();
}

#[test]
fn fish_offers_the_lists_of_the_daemon() {
    let daemon = Daemon::start(Fake::default());
    soon(&["partners"], || names(fish(&daemon, "portcullis allow add ")));
    soon(&["blocked"], || names(fish(&daemon, "portcullis deny add ")));
    soon(&["7", "6", "5"], || names(fish(&daemon, "portcullis undo ")));
}

/// A zsh of its own in a terminal, which gets a line that is not finished and a TAB, and ends when the wanted word is there.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PS1='> '; unsetopt beep; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D; print re''ady"
zpty -r inner all '*ready*' || exit 3
zpty -w -n inner "$2"$'\t'
# Without a pattern it would wait for a line that ends.
zpty -r inner all "*$3*" || exit 4
zpty -d inner
print -r -- "$3"
"#;

#[test]
fn zsh_offers_the_lists_of_the_daemon_at_the_first_tab() {
    let daemon = Daemon::start(Fake::default());
    let functions = daemon.folder.path().join("functions");
    fs::create_dir(&functions).unwrap();
    script(daemon.folder.path(), "zsh", "functions/_portcullis");
    for (line, wanted) in [("portcullis allow add pa", "rtners"), ("portcullis deny add bl", "ocked")] {
        soon(&[wanted], || {
            let mut command = shell("zsh", daemon.folder.path(), &daemon.socket);
            command.args(["-f", "-c", ZSH, "zsh", functions.to_str().unwrap(), line, wanted]);
            let (code, stdout, stderr) = seen(&command.output().expect(NEEDED));
            vec![if code == 0 { stdout.trim().to_owned() } else { format!("{code}: {stderr}") }]
        });
    }
}

#[test]
fn every_shell_can_read_its_script() {
    let folder = Folder::new();
    for name in ["bash", "zsh", "fish"] {
        let script = script(folder.path(), name, name);
        let output = Command::new(name).args(["-n", &script]).output().expect(NEEDED);
        assert_eq!(seen(&output), (0, String::new(), String::new()), "{name}");
    }
}
