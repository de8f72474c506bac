//! What users of this host may do by the socket, against a real daemon.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use anyhow::Result;
use firewall_tests::{
    daemon::{Daemon, LIMIT, Said, said},
    lab::Lab,
    running::wait_until,
};

use crate::{commands::program_for_others, policy::POLICY};

/// Runs the command line as a user without a name here.
struct Other {
    program: PathBuf,
    socket: PathBuf,
}

impl Other {
    fn of(lab: &Lab, daemon: &Daemon) -> Result<Self> {
        // Whoever may connect is asked who they are.
        fs::set_permissions(&daemon.site().socket, fs::Permissions::from_mode(0o666))?;
        Ok(Self { program: program_for_others(lab)?, socket: daemon.site().socket.clone() })
    }

    /// What is said to the user `uid` who is in `groups`.
    fn says(&self, uid: u32, groups: &str, arguments: &[&str]) -> Result<Said> {
        let mut command = Command::new("setpriv");
        let groups = if groups.is_empty() { "--clear-groups".to_owned() } else { format!("--groups={groups}") };
        command.arg(format!("--reuid={uid}")).arg("--regid=65534").arg(groups).arg("--").arg(&self.program);
        said(command.arg("--socket").arg(&self.socket).args(arguments))
    }

    fn codes(&self, uid: u32, groups: &str, all: &[&[&str]]) -> Result<Vec<i32>> {
        all.iter().map(|arguments| Ok(self.says(uid, groups, arguments)?.code)).collect()
    }
}

const ROLES: &str = "[api.roles]\n\"64001\" = \"viewer\"\n\"64002\" = \"admin\"\n\"%64100\" = \"operator\"\n\
                     \"%64200\" = { role = \"operator\", lists = [\"friends\"], prefixes = [\"203.0.113.0/24\"], max_ttl = \"1h\" }\n";

const LOOK: &[&str] = &["status"];
const PUSH: &[&str] = &["allow", "add", "friends", "203.0.113.7", "--ttl", "30m"];
const RELOAD: &[&str] = &["reload"];

#[test]
fn each_role_may_do_what_it_is_for() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("{POLICY}\n{ROLES}"))?;
    let other = Other::of(&lab, &daemon)?;
    let all = [LOOK, PUSH, RELOAD];
    for (uid, groups, codes) in [
        (64_001, "", [0, 4, 4]),
        (64_002, "", [0, 0, 0]),
        (64_003, "64100", [0, 0, 4]),
        (64_003, "64200", [0, 0, 4]),
        (64_003, "64300", [4, 4, 4]),
        // A user has the role of its own, whatever its groups have.
        (64_001, "64100", [0, 4, 4]),
    ] {
        assert_eq!(other.codes(uid, groups, &all)?, codes, "{uid} in {groups}: look, push, reload");
    }
    let said = other.says(64_001, "", RELOAD)?;
    let words = "`uid:64001` lacks the right to change the policy: it takes the role admin";
    assert!(said.stderr.contains(words), "{said:?}");
    let entries = daemon.ok(&["allow", "list", "-o", "json"])?;
    assert!(entries.contains("uid:64003") && !entries.contains("uid:64001"), "{entries}");
    Ok(())
}

#[test]
fn an_operator_with_a_scope_is_told_which_right_is_missing() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("{POLICY}\n{ROLES}"))?;
    let other = Other::of(&lab, &daemon)?;
    let before = daemon.generation()?;
    for (arguments, right) in [
        (&["allow", "add", "friends", "198.51.100.7", "--ttl", "30m"][..], "touch this prefix"),
        (&["allow", "add", "friends", "203.0.113.7"], "entries without an end"),
        (&["deny", "add", "no-such-list", "203.0.113.7", "--ttl", "30m"], "change this list"),
    ] {
        let said = other.says(64_003, "64200", arguments)?;
        assert_eq!(said.code, 4, "{said:?}");
        assert!(said.stderr.contains(right) && said.stderr.contains("missing"), "{arguments:?}: {said:?}");
    }
    assert_eq!(daemon.generation()?, before);
    Ok(())
}

#[test]
fn a_reload_gives_and_takes_roles_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("{POLICY}\n{ROLES}"))?;
    let other = Other::of(&lab, &daemon)?;
    assert_eq!(other.codes(64_002, "", &[PUSH])?, [0]);
    let config = &daemon.site().config;
    let other_roles = "[api.roles]\n\"64002\" = \"viewer\"\n\"64004\" = \"operator\"\n";
    fs::write(config, fs::read_to_string(config)?.replace(ROLES, other_roles))?;
    daemon.ok(RELOAD)?;
    let is_taken = || Ok((other.codes(64_002, "", &[LOOK, PUSH])? == [0, 4]).then_some(()));
    wait_until("the role is taken", LIMIT, is_taken)?;
    assert_eq!(other.codes(64_004, "", &[LOOK, PUSH, RELOAD])?, [0, 0, 4]);
    assert_eq!(other.codes(64_003, "64100", &[LOOK])?, [4]);
    Ok(())
}
