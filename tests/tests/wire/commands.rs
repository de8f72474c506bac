//! The command line against a real daemon.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use firewall_tests::{
    daemon::{Daemon, Said, Site, command_line, said},
    lab::Lab,
    trial::binary,
};

use crate::policy::POLICY;

#[test]
fn the_status_tells_interface_mode_and_generation() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let status = daemon.status()?;
    assert_eq!(status["schema"], "portcullis.status/v1");
    assert_eq!(status["mode"], "enforce");
    assert_eq!(status["generation"], 1);
    let interface = &status["interfaces"][0];
    assert_eq!((&interface["name"], &interface["mode"]), (&"eth0".into(), &"native".into()), "{status}");
    daemon.ok(&["allow", "add", "friends", "203.0.113.0/24"])?;
    assert_eq!(daemon.status()?["generation"], 2);
    let table = daemon.ok(&["status"])?;
    for words in ["eth0", "native", "friends", "data"] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
    Ok(())
}

#[test]
fn no_daemon_is_exit_code_3() -> Result<()> {
    let lab = Lab::new()?;
    let socket = Site::of(&lab.trial).socket;
    let said = command_line(&socket, &["status"])?;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stderr.contains("cannot reach the daemon at") && said.stderr.contains("hint: "), "{said:?}");

    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.kill()?;
    assert!(socket.exists(), "a killed daemon leaves its socket");
    assert_eq!(command_line(&socket, &["allow", "add", "friends", "203.0.113.7"])?.code, 3);
    Ok(())
}

#[test]
fn a_user_who_may_not_is_exit_code_4() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let generation = daemon.generation()?;
    let program = program_for_others(&lab)?;
    let socket = daemon.site().socket.clone();
    let as_nobody = |arguments: &[&str]| as_another(&["--regid=65534", "--clear-groups"], &program, &socket, arguments);
    let push = ["allow", "add", "friends", "203.0.113.7"];
    for arguments in [&["status"][..], &push] {
        let said = as_nobody(arguments)?;
        assert_eq!(said.code, 4, "{said:?}");
        assert!(
            said.stderr.contains("cannot open the socket") && said.stderr.contains("run the command as root"),
            "{said:?}"
        );
    }
    // Also when the file system would let everybody in: the daemon looks who it is.
    fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
    for arguments in [&["status"][..], &push] {
        let said = as_nobody(arguments)?;
        assert_eq!(said.code, 4, "{said:?}");
        assert!(said.stderr.contains("may not use this API"), "{said:?}");
    }
    assert_eq!(daemon.generation()?, generation);
    assert!(daemon.log().contains("refused a request: not permitted"), "{}", daemon.log());
    Ok(())
}

/// The binary, where another user may look: where it was built they may not.
pub fn program_for_others(lab: &Lab) -> Result<PathBuf> {
    let program = lab.trial.folder().join("portcullis");
    fs::copy(binary()?, &program)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    Ok(program)
}

/// What `program` says to a user who is in these groups (setpriv(1)).
fn as_another(groups: &[&str], program: &Path, socket: &Path, arguments: &[&str]) -> Result<Said> {
    let mut command = Command::new("setpriv");
    command.arg("--reuid=65534").args(groups).arg("--").arg(program).arg("--socket").arg(socket);
    said(command.args(arguments))
}

#[test]
fn members_of_the_group_look_and_change_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("{POLICY}\n[api]\ngroup = \"64999\"\n"))?;
    let program = program_for_others(&lab)?;
    let socket = daemon.site().socket.clone();
    let file = fs::metadata(&socket)?;
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (0, 64999, 0o660));
    // By a supplementary group, by one of more than are asked for at first, and by the first one.
    let many = (64_900..65_000).map(|group| group.to_string()).collect::<Vec<_>>().join(",");
    let many = format!("--groups={many}");
    for groups in
        [["--regid=65534", "--groups=64998,64999"], ["--regid=65534", &*many], ["--regid=64999", "--clear-groups"]]
    {
        let say = |arguments: &[&str]| as_another(&groups, &program, &socket, arguments);
        // `explain` of a source that is dropped: exit code 1.
        let looks =
            [(&["status"][..], 0), (&["allow", "list"], 0), (&["explain", "203.0.113.7"], 1), (&["history"], 0)];
        for (arguments, code) in looks {
            let said = say(arguments)?;
            assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        }
        for arguments in [&["allow", "add", "friends", "203.0.113.7"][..], &["reload"], &["mode", "observe"]] {
            let said = say(arguments)?;
            assert_eq!(said.code, 4, "{arguments:?}: {said:?}");
            assert!(said.stderr.contains("lacks the right to change"), "{said:?}");
        }
    }
    assert_eq!(daemon.generation()?, 1);
    // Another group is taken by a start, and the answer says so.
    let config = fs::read_to_string(&daemon.site().config)?;
    fs::write(&daemon.site().config, config.replace("\"64999\"", "\"64998\""))?;
    let listens = daemon.status()?["admin_listen"].clone();
    let other = "[admin]\nlisten = \"127.0.0.1:9292\"\n[api]\n";
    let config = fs::read_to_string(&daemon.site().config)?.replace("[api]\n", other);
    fs::write(&daemon.site().config, config)?;
    let reloaded = daemon.cli(&["reload"])?;
    let words = "warning: admin.listen, api.group takes effect at the next start of the daemon only";
    assert!(reloaded.code == 0 && reloaded.stderr.contains(words), "{reloaded:?}");
    let status = daemon.status()?;
    assert_eq!(status["conditions"][0]["code"], "restart", "{status:#}");
    assert_eq!(status["admin_listen"], listens, "metrics are still served there");
    let stranger = as_another(&["--regid=65534", "--groups=64998"], &program, &socket, &["status"])?;
    stranger.assert_refused(&["cannot open the socket"]);
    assert_eq!(status["mode"], "enforce");
    Ok(())
}

#[test]
fn what_makes_no_sense_is_exit_code_5_and_changes_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let generation = daemon.generation()?;
    for (arguments, words) in [
        (&["allow", "add", "friends", "203.0.113.7/24"][..], "has host bits set"),
        (&["allow", "add", "friends", "203.0.113.7", "192.0.2.300"], "192.0.2.300"),
        (&["allow", "add", "fiends", "203.0.113.7"], "fiends"),
        (&["allow", "add", "friends", "203.0.113.7", "--ttl", "soon"], "--ttl"),
    ] {
        let said = daemon.cli(arguments)?;
        assert_eq!(said.code, 5, "{said:?}");
        assert!(said.stderr.contains(words), "{words:?} is not in {said:?}");
    }
    let said = daemon.cli(&["deny", "add", "friends", "203.0.113.7"])?;
    assert_eq!(said.code, 4, "to deny in a list that services allow is refused: {said:?}");
    assert_eq!(daemon.generation()?, generation);
    Ok(())
}

#[test]
fn a_configuration_with_mistakes_does_not_start_where_that_is_asked_for() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(&POLICY.replace("192.0.2.66", "192.0.2.66/24"))?;
    let said = site.attempt_with(&lab, &["--strict"])?;
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("lists.foes.entries[0]") && said.stderr.contains("has host bits set"), "{said:?}");
    assert_eq!(lab.attached()?, None);
    assert!(site.is_gone());
    Ok(())
}

#[test]
fn a_push_makes_a_revision_and_a_policy_a_generation() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let numbers = || {
        let status = daemon.status()?;
        anyhow::Ok(["generation", "revision", "policy_generation"].map(|key| status[key].as_u64()))
    };
    assert_eq!(numbers()?, [Some(1); 3]);
    assert_eq!(
        daemon.ok(&["allow", "add", "friends", "203.0.113.0/24"])?,
        "revision 2: 1 added, 0 removed, 0 unchanged\n"
    );
    assert_eq!(numbers()?, [Some(2), Some(2), Some(1)]);
    assert_eq!(daemon.ok(&["mode", "observe"])?, "generation 3: drops are only counted\n");
    assert_eq!(numbers()?, [Some(3); 3]);
    let entries: serde_json::Value = serde_json::from_str(&daemon.ok(&["allow", "list", "-o", "json"])?)?;
    assert_eq!(["generation", "revision", "policy_generation"].map(|key| entries[key].as_u64()), [Some(3); 3]);
    let table = daemon.ok(&["status"])?;
    assert!(table.contains("revision    3\n") && table.contains("generation 3, mode from"), "{table}");
    Ok(())
}
