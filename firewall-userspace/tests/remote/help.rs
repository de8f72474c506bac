//! The help of every command, kept as text files: a change of them is a change of what users see.
//!
//! `PORTCULLIS_BLESS=1 cargo test -p firewall-userspace --test remote help` writes them anew.

use std::{env, fs, path::Path};

use crate::support::{portcullis, seen};

#[test]
fn help_is_what_it_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/help");
    let commands: [&[&str]; 44] = [
        &[],
        &["init"],
        &["run"],
        &["check"],
        &["schema"],
        &["diff"],
        &["allow"],
        &["allow", "add"],
        &["allow", "remove"],
        &["allow", "replace"],
        &["allow", "list"],
        &["deny"],
        &["deny", "add"],
        &["deny", "remove"],
        &["deny", "replace"],
        &["deny", "list"],
        &["restore"],
        &["undo"],
        &["status"],
        &["explain"],
        &["reload"],
        &["apply"],
        &["confirm"],
        &["history"],
        &["history", "show"],
        &["history", "diff"],
        &["rollback"],
        &["mode"],
        &["audit"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "posture"],
        &["token"],
        &["token", "create"],
        &["token", "list"],
        &["token", "rotate"],
        &["token", "revoke"],
        &["state"],
        &["state", "repair"],
        &["doctor"],
        &["detach"],
        &["version"],
        &["support"],
        &["completions"],
    ];
    let mut changed = Vec::new();
    for command in commands {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let (code, help, stderr) = seen(&portcullis(&arguments).output().unwrap());
        assert_eq!((code, &*stderr), (0, ""), "{command:?}");
        let name = if command.is_empty() { "portcullis".to_owned() } else { command.join("-") };
        let file = folder.join(format!("{name}.txt"));
        if env::var_os("PORTCULLIS_BLESS").is_some() {
            fs::write(&file, &help).unwrap();
        }
        if fs::read_to_string(&file).unwrap_or_default() != help {
            changed.push(format!("{} is not:\n{help}", file.display()));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}
