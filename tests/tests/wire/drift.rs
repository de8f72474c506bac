//! What somebody else changes in the kernel is found and put right.

use anyhow::{Context, Result, ensure};
use aya::{
    Pod,
    maps::{Array, Map, MapData, MapInfo},
    programs::loaded_programs,
};
use firewall_common::abi::{ServiceRecord, maps};
use firewall_tests::{
    bpf::{Constant, XdpAction},
    daemon::{Daemon, LIMIT},
    lab::{FOE4, FRIEND4, HOST4, INTERFACE, Lab, STRANGER4},
    netns::output,
    running::wait_until,
    traffic::Probe,
};
use nix::net::if_::if_nametoindex;
use std::{fs, process::Command};

use crate::policy::{DATA, POLICY};

/// Looks at everything each second.
fn watched() -> String {
    format!("{POLICY}[drift]\ninterval = \"1s\"\n")
}

#[test]
fn maps_that_are_edited_by_hand_are_named_and_put_right() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &watched())?;
    // One entry each: what was added to a live table, and what was there from the start.
    daemon.ok(&["allow", "add", "friends", STRANGER4, "203.0.113.128/25", "2001:db8:77::/48"])?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let fates = || anyhow::Ok([probe.arrives(FRIEND4)?, probe.arrives(STRANGER4)?, probe.arrives(FOE4)?]);
    assert_eq!(fates()?, [true, true, false]);
    assert_eq!(repaired(&daemon, None)?, 0, "{}", daemon.log());

    // Every class says that its addresses are in no list.
    let mut edited = 0;
    edit::<[u64; 3]>(&lab, maps::CLASSES, |class| {
        let was = *class;
        class[0] = 0;
        edited += u64::from(*class != was);
    })?;
    assert!(edited >= 2);
    wait_for_repairs(&daemon, maps::CLASSES, edited)?;
    assert_eq!(fates()?, [true, true, false]);

    // Nobody has a place any more; then lines, of which one leads somewhere else.
    for name in [maps::PLACES, maps::LINES] {
        let mut edited = 0;
        edit::<[u64; 8]>(&lab, name, |line| {
            for word in line.iter_mut().filter(|word| **word != 0) {
                *word ^= 1 << 7;
                edited += 1;
            }
        })?;
        assert!(edited > 0, "{name}");
        wait_for_repairs(&daemon, name, edited)?;
        assert_eq!(fates()?, [true, true, false]);
    }

    // Services that admit everyone, as `bpftool` would write them.
    let id = map_id(&lab, maps::SERVICES)?.to_string();
    let zeroes = "0 ".repeat(size_of::<ServiceRecord>());
    let words = format!("map update id {id} key 1 0 0 0 value {zeroes}");
    output(Command::new("bpftool").args(words.split_whitespace()))?;
    wait_for_repairs(&daemon, maps::SERVICES, 1)?;
    assert_eq!(fates()?, [true, true, false]);
    let log = daemon.log();
    assert!(log.contains("was changed by somebody else") && log.contains("table=\"SERVICES\" count=1"), "{log}");
    let found = || Ok((daemon.metrics()?.value("portcullis_drift_entries", &[]) == Some(0.0)).then_some(()));
    wait_until("a check that finds nothing", LIMIT, found)?;
    assert_eq!(daemon.metrics()?.count("portcullis_drift_failures_total", &[]), 0);
    Ok(())
}

#[test]
fn a_program_that_is_detached_or_replaced_by_hand_is_put_back() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &watched())?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let program = lab.program_id()?.context("nothing is attached")?;
    let link = daemon.site().link();
    let shown = output(Command::new("bpftool").args(["--json", "link", "show", "pinned"]).arg(&link))?;
    let id = serde_json::from_str::<serde_json::Value>(&shown)?["id"].to_string();

    output(Command::new("bpftool").args(["link", "detach", "id", &id]))?;
    wait_for_repairs(&daemon, "link", 1)?;
    assert_eq!(lab.program_id()?, Some(program));
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    assert!(daemon.log().contains("somebody has detached the program; it is attached again"), "{}", daemon.log());

    // The pin is taken away, and the daemon holds the link.
    fs::remove_file(&link)?;
    wait_for_repairs(&daemon, "pin", 1)?;
    assert!(link.exists());
    assert_eq!((repaired(&daemon, Some("link"))?, lab.program_id()?), (1, Some(program)));
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));

    // Somebody was faster with a program of their own: it is named, and stays until it is taken off.
    let foreign = Constant::load(XdpAction::Pass)?;
    let theirs = take_the_place(&lab, &foreign, &link)?;
    let is_told = || Ok(daemon.log().contains("is not filtered: cannot attach to eth0").then_some(()));
    wait_until("a word about the other program", LIMIT, is_told)?;
    let attached = || anyhow::Ok(daemon.metrics()?.value("portcullis_interface_attached", &[("interface", "eth0")]));
    // The thread that follows interfaces says it; the controller tells readers after that.
    wait_until("what readers are told", LIMIT, || Ok((attached()? == Some(0.0)).then_some(())))?;
    drop(theirs);
    wait_until("our program", LIMIT, || Ok((attached()? == Some(1.0)).then_some(())))?;
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    Ok(())
}

/// Detaches our link and attaches another program before the daemon looks.
fn take_the_place(lab: &Lab, foreign: &Constant, link: &std::path::Path) -> Result<firewall_tests::bpf::Link> {
    for _ in 0..10 {
        let shown = output(Command::new("bpftool").args(["--json", "link", "show", "pinned"]).arg(link))?;
        let id = serde_json::from_str::<serde_json::Value>(&shown)?["id"].to_string();
        output(Command::new("bpftool").args(["link", "detach", "id", &id]))?;
        let attached = lab.host.enter(|| anyhow::Ok(foreign.attach(if_nametoindex(INTERFACE)?)))??;
        if let Ok(theirs) = attached {
            return Ok(theirs);
        }
    }
    anyhow::bail!("the daemon was always faster")
}

/// Identifier of a map of the program on the host's interface.
fn map_id(lab: &Lab, name: &str) -> Result<u32> {
    let id = lab.program_id()?.context("nothing is attached")?;
    let program = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id).context("no program")?;
    let maps = program.map_ids()?.context("no maps")?;
    let of = |id: &u32| MapInfo::from_id(*id).is_ok_and(|info| info.name() == name.as_bytes());
    maps.into_iter().find(of).with_context(|| format!("no map {name}"))
}

/// Changes every entry of an array that is not zero.
fn edit<T: Pod + Default + PartialEq>(lab: &Lab, name: &str, mut change: impl FnMut(&mut T)) -> Result<()> {
    let map = Map::from_map_data(MapData::from_id(map_id(lab, name)?)?)?;
    let mut array: Array<_, T> = map.try_into()?;
    for index in 0..array.len().min(1 << 16) {
        let mut value = array.get(&index, 0)?;
        if value != T::default() {
            change(&mut value);
            array.set(index, value, 0)?;
        }
    }
    Ok(())
}

/// What was put right in one table, or in all, as the metrics count it.
pub fn repaired(daemon: &Daemon, table: Option<&str>) -> Result<u64> {
    let labels: Vec<(&str, &str)> = table.into_iter().map(|table| ("table", table)).collect();
    Ok(daemon.metrics()?.count("portcullis_drift_repairs_total", &labels))
}

fn wait_for_repairs(daemon: &Daemon, table: &str, wanted: u64) -> Result<()> {
    let is_done = || Ok((repaired(daemon, Some(table))? >= wanted).then_some(()));
    wait_until(&format!("{wanted} repairs of {table}"), LIMIT, is_done).with_context(|| daemon.log())?;
    let count = repaired(daemon, Some(table))?;
    ensure!(count == wanted, "{count} repairs of {table}, not {wanted}");
    Ok(())
}
