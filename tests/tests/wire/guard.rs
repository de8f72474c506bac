//! The lock-out guard: what would cut somebody off is refused, by name.

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FRIEND4, HOST4, Lab, MANAGER4, STRANGER4},
    session::Session,
};

use crate::policy::{POLICY, with_ssh};

#[test]
fn a_reload_that_would_cut_off_an_established_connection_is_refused_and_names_it() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    let program = lab.program_id()?;

    daemon.site().configure(&with_ssh())?;
    let ends = ssh.ends()?;
    let harm = format!("the established connection {ends} would be cut off: drop (not_allowed) by service `ssh`");
    for arguments in [&["reload"][..], &["reload", "--dry-run"]] {
        let refused = daemon.cli(arguments)?;
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.stderr.contains(&harm), "{refused:?}");
        assert!(refused.stderr.contains("hint: `--force` does it all the same"), "{refused:?}");
    }
    daemon.reload()?;
    assert!(daemon.log().contains(&harm), "{}", daemon.log());
    assert_eq!(lab.program_id()?, program);
    assert!(ssh.is_alive()?, "the old policy filters on");

    daemon.ok(&["reload", "--force"])?;
    assert!(ssh.is_cut_off()?, "the guard was right");
    daemon.ok(&["reload"])?;
    Ok(())
}

#[test]
fn a_push_that_would_cut_off_an_established_connection_is_refused_and_names_it() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let mut web = Session::open(&lab, FRIEND4, HOST4, 80)?;
    let generation = daemon.generation()?;

    let harm = format!("the established connection {} would be cut off: drop (denied) by service `web`", web.ends()?);
    for arguments in [&["deny", "add", "foes", "192.0.2.0/28"][..], &["deny", "add", "foes", FRIEND4, "--dry-run"]] {
        let refused = daemon.cli(arguments)?;
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.stderr.contains(&harm), "{refused:?}");
    }
    assert_eq!(daemon.generation()?, generation);
    assert!(!daemon.ok(&["deny", "list", "foes"])?.contains("192.0.2.0/28"));
    assert!(web.is_alive()?);

    // Neither a source without a connection, nor one that another prefix still admits, is in the way.
    daemon.ok(&["deny", "add", "foes", STRANGER4])?;
    daemon.ok(&["allow", "add", "friends", "192.0.2.0/30"])?;
    daemon.ok(&["allow", "remove", "friends", "192.0.2.0/30"])?;
    assert!(web.is_alive()?);

    daemon.ok(&["deny", "add", "foes", FRIEND4, "--force"])?;
    assert!(web.is_cut_off()?, "the guard was right");
    assert!(daemon.log().contains(&format!("forced: {harm}")), "{}", daemon.log());
    Ok(())
}

#[test]
fn removing_what_admits_an_established_connection_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    let mut web = Session::open(&lab, STRANGER4, HOST4, 80)?;
    let refused = daemon.cli(&["allow", "remove", "friends", STRANGER4])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains(&format!("{} would be cut off: drop (not_allowed)", web.ends()?)), "{refused:?}");
    assert!(web.is_alive()?);
    Ok(())
}

#[test]
fn the_callers_own_ssh_connection_is_guarded_and_named_as_such() -> Result<()> {
    let lab = Lab::new()?;
    // Connections to port 22 of others may be cut off.
    let unguarded = |policy: &str| format!("{policy}\n[guard]\nports = []\n");
    let daemon = Daemon::start(&lab, &unguarded(POLICY))?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    daemon.site().configure(&unguarded(&with_ssh()))?;
    let caller = ssh.ssh_connection()?;
    let refused = daemon.cli_over_ssh(&caller, &["reload"])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    let harm = format!("your own connection {} would be cut off: drop (not_allowed) by service `ssh`", ssh.ends()?);
    assert!(refused.stderr.contains(&harm), "{refused:?}");
    assert!(ssh.is_alive()?);
    daemon.ok(&["reload"])?;
    assert!(ssh.is_cut_off()?);
    Ok(())
}

#[test]
fn a_reload_that_takes_the_way_in_from_the_management_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    daemon.site().configure(&POLICY.replace(&format!("\"{MANAGER4}\", "), ""))?;
    let refused = daemon.cli(&["reload"])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    let harm = "management prefix 192.0.2.4/32 would be dropped by `data` (not_allowed), `web` (not_allowed)";
    assert!(refused.stderr.contains(harm), "{refused:?}");
    daemon.ok(&["reload", "--force"])?;
    Ok(())
}

#[test]
fn a_start_that_cuts_off_a_connection_says_so_and_goes_on() -> Result<()> {
    let lab = Lab::new()?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    let daemon = Daemon::start(&lab, &with_ssh())?;
    let log = daemon.log();
    assert!(log.contains("WARN") && log.contains(&format!("the established connection {}", ssh.ends()?)), "{log}");
    assert!(ssh.is_cut_off()?);
    Ok(())
}
