//! The lock-out guard: what would cut somebody off is refused, by name.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::{ADMIN, Daemon, Site},
    lab::{FRIEND4, HOST4, Lab, MANAGER4, STRANGER4},
    session::Session,
    trial::binary,
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

/// `../shared/field/all-ports.toml`: a service over all ports judges the replies to what this host asks.
#[test]
fn a_connection_that_this_host_opened_is_not_cut_off_by_a_service_over_all_ports_unless_it_is_forced() -> Result<()> {
    let lab = Lab::new()?;
    // A reload does not change the mode of an interface, and that of the file is automatic.
    let daemon = Daemon::start(&lab, &format!("[[interface]]\nname = \"eth0\"\nmode = \"auto\"\n{POLICY}"))?;
    let mut partner = Session::open_outgoing(&lab, FRIEND4, 5432)?;
    let mut stranger = Session::open_outgoing(&lab, STRANGER4, 443)?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../firewall-userspace/tests/data/all-ports.toml");
    let refused = daemon.cli(&["apply", file])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    let harm = format!(
        "a connection that this host opened to {STRANGER4}:443 would be cut off: its replies come to port {}, \
         drop (not_allowed) by service `everything_tcp` (guard `cut-off`)",
        stranger.port_here()?
    );
    assert!(refused.stderr.contains(&harm), "{refused:?}");
    assert_eq!(refused.stderr.matches("a connection that this host opened").count(), 1, "{refused:?}");
    assert!(stranger.is_alive()?);
    daemon.ok(&["apply", file, "--force"])?;
    assert!(partner.is_alive()? && stranger.is_cut_off()?);
    Ok(())
}

#[test]
fn a_push_that_would_cut_off_an_established_connection_is_refused_and_names_it() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("{POLICY}\n[guard]\nports = [80]\n"))?;
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
fn a_ban_of_somebody_who_is_connected_is_carried_out_and_says_whom_it_cuts() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let mut web = Session::open(&lab, FRIEND4, HOST4, 80)?;
    let note = format!("note: cuts off {}: drop (denied) by service `web`", web.ends()?);
    let asked = daemon.cli(&["deny", "add", "foes", FRIEND4, "--dry-run"])?;
    assert!(asked.code == 0 && asked.stderr.contains(&note), "{asked:?}");
    assert!(web.is_alive()?);
    let banned = daemon.cli(&["deny", "add", "foes", FRIEND4])?;
    assert!(banned.code == 0 && banned.stderr.contains(&note), "{banned:?}");
    assert!(web.is_cut_off()?);
    Ok(())
}

/// Sshd is whoever is called so and listens: here it is the daemon itself, at its admin port.
#[test]
fn a_ban_does_not_cut_off_who_is_connected_to_the_port_of_sshd() -> Result<()> {
    let lab = Lab::new()?;
    let sshd = lab.trial.folder().join("sshd");
    symlink(binary()?, &sshd)?;
    let port = ADMIN.1;
    let site = Site::of(&lab.trial);
    site.configure(&format!(
        "{POLICY}\n[services.ssh]\nprotocol = \"tcp\"\nports = [22, {port}]\ndeny = [\"foes\"]\n"
    ))?;
    let mut command = lab.host.command(&sshd);
    command.arg("run").arg("--config").arg(&site.config).arg("--pin-directory").arg(&site.pins);
    let daemon = Daemon::start_by(&lab, site, command)?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, port)?;
    let other = Session::open(&lab, STRANGER4, HOST4, 22)?;
    let refused = daemon.cli(&["deny", "add", "foes", FRIEND4])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    let harm = format!("{} would be cut off: drop (denied) by service `ssh` (guard `cut-off`)", ssh.ends()?);
    assert!(refused.stderr.contains(&harm) && refused.stderr.contains("--force=cut-off"), "{refused:?}");
    assert!(ssh.is_alive()?);
    // Port 22 is sshd's only where no sshd is found.
    let cut = daemon.cli(&["deny", "add", "foes", STRANGER4])?;
    assert!(cut.code == 0 && cut.stderr.contains(&format!("note: cuts off {}", other.ends()?)), "{cut:?}");
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--force=cut-off"])?;
    assert!(ssh.is_cut_off()?);
    Ok(())
}

#[test]
fn where_no_sshd_is_found_a_ban_does_not_cut_off_who_is_connected_to_port_22() -> Result<()> {
    let lab = Lab::new()?;
    let denied = format!("{POLICY}\n[services.ssh]\nprotocol = \"tcp\"\nports = [22]\ndeny = [\"foes\"]\n");
    let daemon = Daemon::start(&lab, &denied)?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    let refused = daemon.cli(&["deny", "add", "foes", FRIEND4])?;
    assert!(refused.code == 4 && refused.stderr.contains("(guard `cut-off`)"), "{refused:?}");
    assert!(ssh.is_alive()?);
    Ok(())
}

/// `../shared/field/firehol_level1-form.netset` covers the network of the lab.
#[test]
fn a_list_that_denies_what_this_host_needs_is_refused_by_name_for_each_of_it() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("route add default via 192.0.2.9")?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let bogons = "# bogons\n0.0.0.0/8\n127.0.0.0/8\n172.16.0.0/12\n192.0.2.0/24\n224.0.0.0/3\n";
    let file = lab.trial.write("bogons.txt", bogons)?;
    let file = file.to_str().context("the path is text")?;
    let sync = ["deny", "replace", "foes", "--file", file, "--layer", "feed"];
    let refused = daemon.cli(&sync)?;
    assert_eq!(refused.code, 4, "{refused:?}");
    for harm in [
        "entry 192.0.2.0/24 of list `foes`, which is denied, covers 192.0.2.0/24, a network of this host (guard `own-network`)",
        "entry 192.0.2.0/24 of list `foes`, which is denied, covers 192.0.2.9, a gateway of this host (guard `gateway`)",
    ] {
        assert!(refused.stderr.contains(harm), "{refused:?}");
    }
    let some = [&sync[..], &["--force=gateway"]].concat();
    let refused = daemon.cli(&some)?;
    assert!(refused.code == 4 && refused.stderr.contains("`own-network`"), "{refused:?}");
    assert!(!refused.stderr.contains("`gateway`"), "{refused:?}");
    let refused = daemon.cli(&["deny", "add", "foes", "::/0"])?;
    assert!(refused.code == 4 && refused.stderr.contains("(guard `everything`)"), "{refused:?}");
    assert_eq!(daemon.cli(&["deny", "add", "foes", "192.0.2.77"])?.code, 0);
    daemon.ok(&[&sync[..], &["--force=gateway,own-network"]].concat())?;

    daemon.site().configure(&POLICY.replace("\"192.0.2.66\"", "\"0.0.0.0/0\", \"192.0.2.66\""))?;
    let refused = daemon.cli(&["reload"])?;
    assert!(refused.code == 4 && refused.stderr.contains("(guard `everything`)"), "{refused:?}");
    daemon.ok(&["reload", "--force=everything,cut-off"])?;
    Ok(())
}

#[test]
fn what_is_forced_is_in_the_log_only_when_it_is_done() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let policy = POLICY.replace(&format!("\"{MANAGER4}\", "), "");
    daemon.site().configure(&format!("[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"eth7\"\n{policy}"))?;
    let refused = daemon.cli(&["reload", "--force=interface"])?;
    assert!(refused.code == 4 && refused.stderr.contains("(guard `management`)"), "{refused:?}");
    daemon.ok(&["reload", "--dry-run", "--force=interface,management"])?;
    daemon.ok(&["deny", "add", "foes", "::/0", "--dry-run", "--force"])?;
    assert!(!daemon.log().contains("forced:"), "{}", daemon.log());
    daemon.ok(&["reload", "--force=interface,management"])?;
    let log = daemon.log();
    for words in ["forced: cannot attach to eth7: there is no such interface", "forced: management prefix 192.0.2.4/32"]
    {
        assert!(log.contains(words), "{words:?} is not in {log}");
    }
    Ok(())
}

/// Of a full table of the internet the default route of IPv6 is the last, and all of a table with a lower number comes before it.
#[test]
fn the_next_hop_of_a_default_route_is_guarded_however_many_other_routes_there_are() -> Result<()> {
    let lab = Lab::new()?;
    let mut routes = "route add 0.0.0.0/0 via 192.0.2.9\nroute add ::/0 via 2001:db8:1::9\n".to_owned();
    for number in 0..=10_000 {
        let (high, low) = (number >> 8, number & 255);
        routes += &format!("route add 198.18.{high}.{low} via 192.0.2.8 table 100\n");
        routes += &format!("route add 2001:db8:2:{number:x}::/64 via 2001:db8:1::8\n");
    }
    let file = lab.trial.write("routes", &routes)?;
    lab.host.ip(&format!("-batch {}", file.display()))?;
    let daemon = Daemon::start(&lab, POLICY)?;
    for next_hop in ["192.0.2.9/32", "2001:db8:1::9/128"] {
        let refused = daemon.cli(&["deny", "add", "foes", next_hop])?;
        assert_eq!(refused.code, 4, "{refused:?}");
        let address = next_hop.split('/').next().context("a prefix has an address")?;
        let harm = format!("covers {address}, a gateway of this host (guard `gateway`)");
        assert!(refused.stderr.contains(&harm), "{refused:?}");
    }
    Ok(())
}

/// The form of `../shared/field/cdn.toml`: an allow list of 16 whose file comes empty.
#[test]
fn a_list_that_admits_and_comes_empty_is_refused_whatever_its_size() -> Result<()> {
    let lab = Lab::new()?;
    let entries: Vec<String> = (0..16).map(|last| format!("198.51.100.{last}")).collect();
    lab.trial.write("cdn.txt", &entries.join("\n"))?;
    let policy = "[policy]\nmanagement = [\"192.0.2.4\"]\n[lists.cdn]\nfile = \"cdn.txt\"\n\
                  [services.api]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"cdn\"]\n";
    let daemon = Daemon::start(&lab, policy)?;
    lab.trial.write("cdn.txt", "# nothing\n")?;
    let refused = daemon.cli(&["reload"])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    let harm = "list `cdn` would lose all of its 16 entries and admit nobody (guard `empty`)";
    assert!(refused.stderr.contains(harm) && refused.stderr.contains("--force=empty"), "{refused:?}");
    assert_eq!(daemon.cli(&["reload", "--force=shrink"])?.code, 4);
    daemon.ok(&["reload", "--force=empty"])?;
    daemon.ok(&["allow", "add", "cdn", "198.51.100.7", "--ttl", "1s"])?;
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
