//! A daemon that is killed, and the one that takes over.

use std::fs;

use anyhow::Result;
use firewall_common::abi::ABI_VERSION;
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FRIEND4, HOST4, INTERFACE, Lab},
    traffic::Probe,
};

use crate::{
    flood,
    policy::{DATA, POLICY},
};

#[test]
fn a_killed_daemon_leaves_its_filter_and_the_next_one_adopts_it_without_a_gap() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let (leaked, sent) = flood::leaked_while(&lab, |sent| {
        let first = lab.program_id()?;
        daemon.kill()?;
        assert_eq!(lab.program_id()?, first, "the link is pinned");
        sent.more()?;
        daemon = Daemon::start_at(&lab, daemon.site().clone())?;
        assert_ne!(lab.program_id()?, first, "the next daemon has a program of its own");
        let before = daemon.metrics()?.reason("denied");
        sent.more()?;
        let dropped = daemon.metrics()?.reason("denied");
        assert!(dropped > before, "the next daemon counts {dropped} drops after {before}");
        assert_eq!(daemon.metrics()?.reason("internal"), 0);
        Ok(())
    })?;
    println!("{sent} packets of the foe sent");
    assert!(leaked.is_empty(), "leaked: {leaked:?}");
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(probe.arrives(FRIEND4)?, "the friend is let through all the same");
    daemon.stop()?;
    assert_eq!(daemon.site().detach(&[])?.code, 0);
    lab.wait_until_detached(INTERFACE)?;
    assert!(daemon.site().is_gone());
    Ok(())
}

#[test]
fn detach_stops_the_filter_that_a_killed_daemon_left() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let said = daemon.site().detach(&[])?;
    assert_eq!(said.code, 4, "a daemon that lives keeps its filter: {said:?}");
    assert!(said.stderr.contains("another process holds it"), "{said:?}");
    assert!(!probe.arrives(FOE4)?);

    daemon.kill()?;
    assert!(!probe.arrives(FOE4)?, "the filter is still there");
    let said = daemon.site().detach(&[])?;
    assert_eq!(said.code, 0, "{said:?}");
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[0], "detached from eth0");
    let removed = format!("removed of ABI version {ABI_VERSION} 1 link: eth0 (native); 11 maps: COUNTERS, ");
    assert!(lines[1].starts_with(&removed) && lines.len() == 2, "{lines:?}");
    lab.wait_until_detached(INTERFACE)?;
    assert!(!daemon.site().pins.exists());
    assert!(probe.arrives(FOE4)?);
    Ok(())
}

#[test]
fn a_refused_start_leaves_closed_what_a_killed_daemon_left_closed() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.kill()?;
    // A bridge has no XDP in its driver; the policy of the refused start would let the foe in.
    lab.host.ip("link add name br0 type bridge")?;
    let interface = "[[interface]]\nname = \"br0\"\nmode = \"native\"\n";
    let open = POLICY.replace("192.0.2.2", "192.0.2.66").replace("deny", "#deny");
    daemon.site().configure(&format!("{interface}{open}"))?;
    let mut fallen = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(fallen.log().contains("THE CONFIGURATION FILE IS NOT IN FORCE"), "{}", fallen.log());
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    fallen.kill()?;
    let program = lab.program_id()?;

    // Without a state folder there is nothing to go on with but what is attached.
    fs::remove_dir_all(&daemon.site().state)?;
    let said = daemon.site().attempt(&lab)?;
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(lab.program_id()?, program, "the old program is still there");
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));

    daemon.site().configure(POLICY)?;
    let next = Daemon::start_at(&lab, daemon.site().clone())?;
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    drop(next);
    Ok(())
}

#[test]
fn the_next_daemon_releases_an_interface_that_left_the_configuration() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link add name br0 type bridge")?;
    let both = format!("[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"br0\"\nmode = \"generic\"\n{POLICY}");
    let mut daemon = Daemon::start(&lab, &both)?;
    daemon.kill()?;
    assert_eq!(lab.attached_to("br0")?.as_deref(), Some("xdpgeneric"));
    daemon.site().configure(POLICY)?;
    let mut next = Daemon::start_at(&lab, daemon.site().clone())?;
    lab.wait_until_detached("br0")?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));

    // A reload does the same.
    next.site().configure(&both)?;
    next.reload()?;
    assert_eq!((lab.attached()?.as_deref(), lab.attached_to("br0")?.as_deref()), (Some("xdp"), Some("xdpgeneric")));
    next.site().configure(POLICY)?;
    next.reload()?;
    lab.wait_until_detached("br0")?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    Ok(())
}
