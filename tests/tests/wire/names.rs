//! Interfaces that get other names: a device that is filtered stays filtered, and so is who takes its name.

use std::fs;

use anyhow::{Context, Result, ensure};
use firewall_common::abi::ABI_VERSION;
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    lab::{FOE4, Lab},
    running::wait_until,
};

use crate::{flood, interfaces::TWO};

type Rows = Vec<(String, String)>;

/// Interfaces with their states.
pub fn rows<const N: usize>(rows: [(&str, &str); N]) -> Rows {
    rows.into_iter().map(|(name, state)| (name.to_owned(), state.to_owned())).collect()
}

fn wait_for(daemon: &Daemon, wanted: &Rows) -> Result<()> {
    let are_so = || Ok((daemon.interface_states()? == *wanted).then_some(()));
    wait_until(&format!("interfaces as {wanted:?}"), LIMIT, are_so)
        .with_context(|| format!("{:?}\n{}", daemon.interface_states(), daemon.log()))
}

fn rename(lab: &Lab, from: &str, to: &str) -> Result<()> {
    // While it is up: when a veth is set up, its driver passes packets to the stack for a moment.
    lab.host.ip(&format!("link set dev {from} name {to}")).map(drop)
}

fn links(site: &Site) -> Result<Vec<String>> {
    let links = fs::read_dir(site.pins.join(format!("v{ABI_VERSION}/links")))?;
    let mut names: Vec<String> =
        links.map(|link| Ok(link?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn wait_for_links(site: &Site, wanted: &[&str]) -> Result<()> {
    wait_until("pins by these names", LIMIT, || Ok((links(site)? == wanted).then_some(())))
        .with_context(|| format!("{:?}, not {wanted:?}", links(site)))
}

#[test]
fn interfaces_that_swap_their_names_stay_filtered_by_the_names_they_have() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link add name eth1 type bridge")?;
    let site = Site::of(&lab.trial);
    site.configure(TWO)?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    let both = rows([("eth0", "attached"), ("eth1", "attached")]);
    let (leaked, sent) = flood::leaked_while(&lab, |_| {
        for (from, to) in [("eth0", "old"), ("eth1", "eth0"), ("old", "eth1")] {
            rename(&lab, from, to)?;
        }
        wait_for_links(&site, &["eth0@generic", "eth1@native"])?;
        wait_for(&daemon, &both)?;
        ensure!(!daemon.log().contains("another XDP program"), "{}", daemon.log());
        // Packets are counted for the name that their interface has now.
        let denied = |daemon: &Daemon, name| {
            anyhow::Ok(
                daemon.metrics()?.count("portcullis_packets_total", &[("interface", name), ("reason", "denied")]),
            )
        };
        let before = denied(&daemon, "eth1")?;
        wait_until("packets of eth1", LIMIT, || Ok((denied(&daemon, "eth1")? > before).then_some(())))?;
        daemon.kill()?;
        daemon = Daemon::start_at(&lab, site.clone())?;
        wait_for(&daemon, &both)
    })?;
    assert!(leaked.is_empty(), "of {sent} packets of {FOE4} leaked {leaked:?}");
    assert_eq!(lab.attached_to("eth1")?.as_deref(), Some("xdp"));
    assert_eq!(lab.attached_to("eth0")?.as_deref(), Some("xdpgeneric"));
    Ok(())
}

#[test]
fn a_device_whose_name_another_takes_is_filtered_on_and_so_is_the_other() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link add name eth1 type bridge")?;
    let site = Site::of(&lab.trial);
    site.configure(TWO)?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    let all = rows([("eth0", "attached"), ("eth1", "attached"), ("wan0", "renamed")]);
    let (leaked, sent) = flood::leaked_while(&lab, |_| {
        let index = lab.host.ip("-oneline link show dev eth0")?;
        let index = index.split(':').next().context("no index")?.to_owned();
        rename(&lab, "eth0", "wan0")?;
        lab.host.ip("link add name eth0 type bridge")?;
        wait_for(&daemon, &all)?;
        let status = daemon.status()?;
        ensure!(status["interfaces"][2]["was"] == "eth0" && status["interfaces"][2]["pinned"] == true, "{status}");
        ensure!(daemon.log().contains("has another name than before and is filtered on"), "{}", daemon.log());
        let names = [format!("eth0:{index}@native"), "eth0@generic".into(), "eth1@generic".into()];
        wait_for_links(&site, &names.each_ref().map(|name| &**name))?;
        daemon.ok(&["reload"])?;
        ensure!(daemon.interface_states()? == all, "{:?}", daemon.interface_states());
        // Whoever comes next knows it too.
        daemon.kill()?;
        daemon = Daemon::start_at(&lab, site.clone())?;
        ensure!(daemon.interface_states()? == all, "{:?}", daemon.interface_states());
        // The operator means the device.
        site.configure(&TWO.replace("eth0", "wan0"))?;
        daemon.ok(&["reload"])?;
        ensure!(
            daemon.interface_states()? == rows([("eth1", "attached"), ("wan0", "attached")]),
            "{:?}",
            daemon.interface_states()
        );
        ensure!(daemon.log().contains("is not in the configuration any more, and not filtered any more"));
        ensure!(lab.attached_to("eth0")?.is_none());
        wait_for_links(&site, &["eth1@generic", "wan0@native"])
    })?;
    assert!(leaked.is_empty(), "of {sent} packets of {FOE4} leaked {leaked:?}");
    Ok(())
}
