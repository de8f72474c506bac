//! Interfaces that come, go and change while the daemon runs, or does not.

use std::{fs, thread};

use anyhow::{Context, Result, anyhow, ensure};
use firewall_tests::{
    api,
    daemon::{Daemon, LIMIT, Site},
    frozen::FreezableDisk,
    lab::{FOE4, FRIEND4, HOST4, INTERFACE, Lab, STRANGER4},
    running::wait_until,
    scrape::packets,
    traffic::Probe,
};
use serde_json::json;

use crate::{
    flood,
    names::rows,
    policy::{DATA, POLICY, addresses},
};

#[test]
fn an_interface_that_is_made_anew_is_filtered_again_and_told() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link add name br0 type bridge")?;
    // `br0` comes first: the program has to learn the new index of `eth0`.
    let both = format!("[[interface]]\nname = \"br0\"\nmode = \"generic\"\n[[interface]]\nname = \"eth0\"\n{POLICY}");
    let daemon = Daemon::start(&lab, &both)?;
    lab.cut_cable()?;
    wait_for(&daemon, "missing")?;
    assert_eq!(attached(&daemon)?, Some(0.0));
    assert!(daemon.log().contains("is gone; it is filtered again as soon as it is back"), "{}", daemon.log());
    // What would have been a mistake at the start is none now.
    daemon.ok(&["reload"])?;

    lab.lay_cable()?;
    wait_for(&daemon, "attached")?;
    assert_eq!(attached(&daemon)?, Some(1.0));
    assert!(daemon.log().contains("was made anew, and is filtered again"), "{}", daemon.log());
    let again = daemon.metrics()?.count("portcullis_interface_reattachments_total", &[("interface", "eth0")]);
    assert_eq!(again, 1);
    let before = daemon.metrics()?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!((probe.arrives(FOE4)?, probe.arrives(FRIEND4)?), (false, true));
    let expected = [("ipv4 pass no_service", 2), ("ipv4 drop denied", 1), ("ipv4 pass accepted", 1)];
    assert_eq!(daemon.judged(&before, 4)?, packets(expected));
    let labels = [("interface", "eth0"), ("reason", "denied")];
    assert_eq!(daemon.metrics()?.count("portcullis_packets_total", &labels), 1, "it came in on eth0");
    Ok(())
}

#[test]
fn an_interface_that_goes_while_no_daemon_runs_is_waited_for() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    daemon.kill()?;
    lab.cut_cable()?;
    let next = Daemon::start_at(&lab, daemon.site().clone())?;
    wait_for(&next, "missing")?;
    lab.lay_cable()?;
    wait_for(&next, "attached")?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!((probe.arrives(FOE4)?, probe.arrives(FRIEND4)?), (false, true));
    Ok(())
}

#[test]
fn an_interface_that_is_renamed_is_filtered_on_and_told() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let program = lab.program_id()?;
    let rename = |from: &str, to: &str| {
        lab.host.ip(&format!("link set dev {from} down"))?;
        lab.host.ip(&format!("link set dev {from} name {to}"))?;
        lab.host.ip(&format!("link set dev {to} up"))
    };
    rename("eth0", "wan0")?;
    wait_for(&daemon, "renamed")?;
    assert_eq!(attached(&daemon)?, Some(1.0));
    assert!(daemon.log().contains("name=\"wan0\""), "{}", daemon.log());
    assert_eq!(lab.attached_to("wan0")?.as_deref(), Some("xdp"));
    rename("wan0", "eth0")?;
    wait_for(&daemon, "attached")?;
    assert_eq!(lab.program_id()?, program, "nothing was done to it");

    // Under another name while nobody looks: it is not the interface that is meant.
    daemon.kill()?;
    rename("eth0", "wan0")?;
    let next = Daemon::start_at(&lab, daemon.site().clone())?;
    wait_for(&next, "renamed")?;
    assert_eq!(lab.attached_to("wan0")?.as_deref(), Some("xdp"), "it is filtered on");
    Ok(())
}

/// As `two-interfaces.toml` of those to whom it happened, over UDP so that packets are counted.
pub const TWO: &str = r#"
[[interface]]
name = "eth0"
mode = "auto"
[[interface]]
name = "eth1"
mode = "auto"
[lists.blocked]
entries = ["192.0.2.66"]
[services.api]
protocol = "udp"
ports = [9000]
deny = ["blocked"]
"#;

#[test]
fn an_interface_that_is_late_leaves_no_other_open_at_the_first_start_and_after_a_reboot() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(TWO)?;
    for start in ["the first", "after a reboot"] {
        let mut daemon = Daemon::start_at(&lab, site.clone())?;
        let (leaked, sent) = flood::leaked_while(&lab, |_| {
            assert_eq!(daemon.interface_states()?, rows([("eth0", "attached"), ("eth1", "missing")]), "{start}");
            assert!(daemon.log().contains("is not there; it is filtered as soon as it is"), "{}", daemon.log());
            let labels = [("interface", "eth1")];
            assert_eq!(daemon.metrics()?.value("portcullis_interface_attached", &labels), Some(0.0), "{start}");
            daemon.ok(&["reload"])?;
            lab.host.ip("link add name eth1 type bridge")?;
            wait_until("eth1", LIMIT, || {
                Ok((daemon.interface_state("eth1")?.as_deref() == Some("attached")).then_some(()))
            })
        })?;
        assert_eq!(lab.attached_to("eth1")?.as_deref(), Some("xdpgeneric"));
        assert!(leaked.is_empty(), "{start}: of {sent} packets leaked {leaked:?}");
        // The state folder is there, the pins are gone.
        daemon.kill()?;
        fs::remove_dir_all(&site.pins)?;
        lab.host.ip("link delete dev eth1")?;
        lab.wait_until_detached(INTERFACE)?;
    }
    Ok(())
}

#[test]
fn an_interface_that_is_made_anew_is_filtered_while_the_controller_waits_for_the_disk() -> Result<()> {
    let lab = Lab::new()?;
    let disk = FreezableDisk::mount(&lab.trial)?;
    let site = Site { state: disk.path().join("state"), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    let daemon = Daemon::start_at(&lab, site)?;
    daemon.wait_until_kept()?;
    let push = json!({"add": [{"list": "friends", "prefix": STRANGER4}]}).to_string();
    thread::scope(|scope| {
        let frozen = disk.freeze()?;
        let push = scope.spawn(|| api::ask(&daemon.site().socket, "/v1/entries", Some(&push)));
        daemon.wait_until_doing("push")?;
        remake_under_a_flood(&lab, || {
            ensure!(daemon.is_doing("push")? && !push.is_finished(), "the controller waits no more");
            Ok(())
        })?;
        frozen.thaw()?;
        push.join().map_err(|_| anyhow!("the push panicked"))?.map(drop)
    })?;
    // The controller was told.
    let again = || Ok((reattachments(&daemon)? == 1).then_some(()));
    wait_until("a count", LIMIT, again).with_context(|| daemon.log())
}

/// Prefixes of the list that is loaded meanwhile.
const MILLION: usize = 1_000_000;

/// How often the interface may be slower than the reload.
const TURNS: u64 = 5;

#[test]
fn an_interface_that_is_made_anew_is_filtered_while_a_million_prefixes_are_loaded() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    lab.trial.write("many.txt", &addresses(MILLION))?;
    let mut remakes = 0;
    for turn in 1..=TURNS {
        daemon.site().configure(&format!("{POLICY}[lists.many]\nfile = \"many.txt\"\n"))?;
        let is_inside = thread::scope(|scope| {
            let reload = scope.spawn(|| daemon.ok(&["reload"]));
            let is_seen = || Ok((daemon.is_doing("reload")? || reload.is_finished()).then_some(()));
            wait_until("a reload", LIMIT, is_seen)?;
            let mut is_inside = false;
            remake_under_a_flood(&lab, || {
                is_inside = daemon.is_doing("reload")?;
                Ok(())
            })?;
            remakes += 1;
            reload.join().map_err(|_| anyhow!("the reload panicked"))??;
            anyhow::Ok(is_inside)
        })?;
        if is_inside {
            break;
        }
        ensure!(turn < TURNS, "the reload was faster than this test, {TURNS} times");
        daemon.site().configure(POLICY)?;
        daemon.ok(&["reload"])?;
    }
    let again = || Ok((reattachments(&daemon)? == remakes).then_some(()));
    wait_until("a count", LIMIT, again).with_context(|| daemon.log())?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!((probe.arrives(FOE4)?, probe.arrives(FRIEND4)?), (false, true));
    Ok(())
}

/// Removes and makes the cable while the foe sends all the time: nothing arrives. Calls `then` once a program is there.
fn remake_under_a_flood(lab: &Lab, then: impl FnOnce() -> Result<()>) -> Result<()> {
    let (leaked, sent) = flood::leaked_while(lab, |_| {
        lab.cut_cable()?;
        lab.lay_cable()?;
        wait_until("a program", LIMIT, || Ok(lab.program_id()?.map(drop)))?;
        then()
    })?;
    ensure!(leaked.is_empty(), "of {sent} packets leaked {leaked:?}");
    Ok(())
}

fn reattachments(daemon: &Daemon) -> Result<u64> {
    Ok(daemon.metrics()?.count("portcullis_interface_reattachments_total", &[("interface", "eth0")]))
}

fn wait_for(daemon: &Daemon, state: &str) -> Result<()> {
    let is_so = || Ok((daemon.interface_state(INTERFACE)?.as_deref() == Some(state)).then_some(()));
    wait_until(&format!("{INTERFACE} that is {state}"), LIMIT, is_so).with_context(|| daemon.log())
}

fn attached(daemon: &Daemon) -> Result<Option<f64>> {
    Ok(daemon.metrics()?.value("portcullis_interface_attached", &[("interface", "eth0")]))
}
