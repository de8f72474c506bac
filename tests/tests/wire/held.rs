//! Links and maps whose pins are taken away under a daemon that runs: nothing is open, and the pins are made anew.

use std::fs;

use anyhow::{Context, Result, ensure};
use firewall_common::abi::maps;
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    lab::{FOE4, FRIEND4, HOST4, Lab},
    mounted::PinMount,
    running::wait_until,
    traffic::Probe,
};

use crate::{
    drift::repaired,
    flood,
    policy::{DATA, POLICY},
};

/// Of a second daemon.
const ELSEWHERE: &str = "[admin]\nlisten = \"127.0.0.1:9292\"\n";

fn wait_for_pins(daemon: &Daemon, site: &Site) -> Result<()> {
    let map = site.shared_map(maps::STRANGERS);
    let is_pinned = || anyhow::Ok(daemon.status()?["interfaces"][0]["pinned"] == true);
    let are_there = || Ok((site.link().exists() && map.exists() && is_pinned()?).then_some(()));
    wait_until("pins that are made anew", LIMIT, are_there).with_context(|| daemon.log())
}

#[test]
fn pins_that_somebody_removes_open_nothing_and_are_made_anew() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let (site, program) = (daemon.site().clone(), lab.program_id()?);
    let (leaked, sent) = flood::leaked_while(&lab, |_| {
        fs::remove_file(site.link())?;
        wait_for_pins(&daemon, &site)?;
        ensure!(lab.program_id()? == program, "nothing was attached anew");
        wait_until("a count", LIMIT, || Ok((repaired(&daemon, Some("pin"))? == 1).then_some(())))?;
        fs::remove_dir_all(&site.pins)?;
        // One that starts meanwhile finds the folder free, and the interface taken.
        let folder = lab.trial.folder();
        let socket = folder.join("other.sock");
        let other = Site { config: folder.join("other.toml"), socket, state: folder.join("other"), ..site.clone() };
        other.configure(&format!("{ELSEWHERE}{POLICY}"))?;
        let said = other.attempt(&lab)?;
        ensure!(said.code == 4, "{said:?}");
        wait_for_pins(&daemon, &site)?;
        ensure!(daemon.log().contains("somebody has removed pins; they are there again"), "{}", daemon.log());
        ensure!(lab.program_id()? == program, "nothing was attached anew");
        // A program that is loaded now counts where the one before did.
        let counted = daemon.metrics()?.reason("denied");
        daemon.ok(&["reload"])?;
        let loaded = daemon.metrics()?.reason("denied");
        ensure!(loaded >= counted, "the counters go on: {loaded} after {counted}");
        let more = || Ok(Some(daemon.metrics()?.reason("denied")).filter(|denied| *denied > loaded));
        let before = wait_until("drops of the next program", LIMIT, more)?;
        daemon.kill()?;
        let next = Daemon::start_at(&lab, site.clone())?;
        ensure!(next.metrics()?.reason("denied") >= before, "the counters go on");
        ensure!(next.metrics()?.count("portcullis_interface_pinned", &[("interface", "eth0")]) == 1);
        daemon = next;
        Ok(())
    })?;
    assert!(leaked.is_empty(), "of {sent} packets leaked {leaked:?}");
    Ok(())
}

#[test]
fn a_bpf_file_system_that_somebody_unmounts_opens_nothing_and_is_pinned_in_again() -> Result<()> {
    let lab = Lab::new()?;
    let bpffs = PinMount::mount(&lab.trial, "700")?;
    let site = Site { pins: bpffs.path().join("daemon"), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    let (leaked, sent) = flood::leaked_while(&lab, |_| {
        bpffs.unmount()?;
        let is_told = || Ok((daemon.status()?["interfaces"][0]["pinned"] == false).then_some(()));
        wait_until("a word about pins", LIMIT, is_told)?;
        let status = daemon.status()?;
        let cause = status["pin_failure"].as_str().context("no cause")?;
        ensure!(cause.contains("it is not on a BPF file system"), "{cause}");
        ensure!(status["interfaces"][0]["state"] == "attached", "{status}");
        ensure!(daemon.ok(&["status"])?.contains("attached, NOT PINNED"));
        ensure!(daemon.log().contains("filters on without pins"), "{}", daemon.log());
        ensure!(daemon.metrics()?.value("portcullis_interface_pinned", &[("interface", "eth0")]) == Some(0.0));
        // A change of the policy does not need them.
        let before = daemon.metrics()?.reason("denied");
        daemon.ok(&["reload"])?;
        ensure!(daemon.metrics()?.reason("denied") >= before, "the counters go on");

        // Whoever pins elsewhere finds the interface taken, by a daemon that lives.
        let folder = lab.trial.folder();
        let (socket, pins) = (folder.join("other.sock"), lab.trial.pins().join("other"));
        let other = Site { config: folder.join("other.toml"), socket, pins, state: folder.join("other") };
        other.configure(&format!(
            "[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"eth1\"\n{ELSEWHERE}{POLICY}"
        ))?;
        let said = other.attempt(&lab)?;
        let words = "cannot attach to eth0 in native mode: a program of Portcullis is there: `firewall` (program ";
        ensure!(said.code == 4 && said.stderr.contains(words), "{said:?}");

        bpffs.mount_again()?;
        wait_for_pins(&daemon, &site)?;
        ensure!(daemon.status()?["pin_failure"].is_null());
        daemon.kill()?;
        let next = Daemon::start_at(&lab, site.clone())?;
        ensure!(next.metrics()?.reason("denied") >= before, "the counters go on");
        daemon = next;
        Ok(())
    })?;
    assert!(leaked.is_empty(), "of {sent} packets leaked {leaked:?}");
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    daemon.stop()
}
