//! Attaching, and leaving without a trace.

use anyhow::{Context, Result};
use firewall_common::abi::{ABI_VERSION, maps};
use firewall_tests::{
    daemon::{Daemon, Site},
    lab::{FOE4, FRIEND4, HOST4, INTERFACE, Lab},
    scrape::packets,
    traffic::Probe,
};

use crate::{
    names::rows,
    policy::{DATA, POLICY, datagram},
};

#[test]
fn native_on_veth_is_native_and_is_reported_so() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    assert_eq!(modes(&daemon)?, [("eth0".into(), "native".into(), "native".into())]);
    let labels = [("interface", "eth0"), ("mode", "native")];
    assert_eq!(daemon.metrics()?.value("portcullis_interface_attached", &labels), Some(1.0));
    assert!(daemon.log().contains("mode=\"native\""), "{}", daemon.log());
    Ok(())
}

#[test]
fn auto_tells_what_it_got() -> Result<()> {
    let lab = Lab::new()?;
    // A bridge has no XDP in its driver.
    lab.host.ip("link add name br0 type bridge")?;
    lab.host.ip("link set dev br0 up")?;
    let interfaces =
        "[[interface]]\nname = \"eth0\"\nmode = \"auto\"\n[[interface]]\nname = \"br0\"\nmode = \"auto\"\n";
    let daemon = Daemon::start(&lab, &format!("{interfaces}{POLICY}"))?;
    let told = modes(&daemon)?;
    assert_eq!(
        told,
        [("br0".into(), "generic".into(), "auto".into()), ("eth0".into(), "native".into(), "auto".into())]
    );
    let metrics = daemon.metrics()?;
    for (interface, mode) in [("br0", "generic"), ("eth0", "native")] {
        let labels = [("interface", interface), ("mode", mode)];
        assert_eq!(metrics.value("portcullis_interface_attached", &labels), Some(1.0), "{interface}");
    }
    assert_eq!(lab.attached_to("br0")?.as_deref(), Some("xdpgeneric"));
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    assert_eq!(daemon.verdict_of(&datagram(FOE4, DATA).build())?, "ipv4 drop denied");
    let labels = [("interface", "eth0"), ("reason", "denied")];
    assert_eq!(daemon.metrics()?.count("portcullis_packets_total", &labels), 1, "it came in on eth0");
    Ok(())
}

#[test]
fn native_where_the_driver_has_none_is_refused_with_advice() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link add name br0 type bridge")?;
    let site = Site::of(&lab.trial);
    let bridge = "[[interface]]\nname = \"br0\"\nmode = \"native\"\n";
    site.configure(&format!("{bridge}{POLICY}"))?;
    let said = site.attempt(&lab)?;
    assert_eq!(said.code, 4, "{said:?}");
    let advice = ["cannot attach to br0 in native mode", "hint: ", "mode = \"generic\""];
    for words in advice {
        assert!(said.stderr.contains(words), "{words} is not in {said:?}");
    }
    assert!(site.is_gone(), "pins or a socket are left: {:?}", std::fs::read_dir(&site.pins).map(Iterator::count));

    // Where there is another interface, that one is filtered.
    site.configure(&format!("[[interface]]\nname = \"eth0\"\n{bridge}{POLICY}"))?;
    let daemon = Daemon::start_at(&lab, site)?;
    for words in advice {
        assert!(daemon.log().contains(words), "{words} is not in {}", daemon.log());
    }
    assert_eq!(daemon.interface_states()?, rows([("br0", "refused"), ("eth0", "attached")]));
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    // Neither does a reload wait for it.
    daemon.ok(&["reload"])?;
    Ok(())
}

#[test]
fn generic_filters_too() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("[[interface]]\nname = \"eth0\"\nmode = \"generic\"\n{POLICY}"))?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdpgeneric"));
    assert_eq!(modes(&daemon)?, [("eth0".into(), "generic".into(), "generic".into())]);
    let before = daemon.metrics()?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(!probe.arrives(FOE4)?);
    assert!(probe.arrives(FRIEND4)?);
    let expected = [("ipv4 pass no_service", 2), ("ipv4 drop denied", 1), ("ipv4 pass accepted", 1)];
    assert_eq!(daemon.judged(&before, 4)?, packets(expected));
    Ok(())
}

#[test]
fn a_stopped_daemon_leaves_its_filter_until_detach_ends_it() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(!probe.arrives(FOE4)?);
    assert!(daemon.site().pins.exists() && daemon.site().socket.exists());
    let program = lab.program_id()?;
    daemon.stop()?;
    assert!(!daemon.site().socket.exists());
    assert_eq!(lab.program_id()?, program);
    assert!(daemon.log().contains("the last policy goes on filtering until `portcullis detach`"), "{}", daemon.log());
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));

    let told = daemon.site().detach(&["--output", "json"])?;
    assert_eq!(told.code, 0, "{told:?}");
    let told: serde_json::Value = serde_json::from_str(&told.stdout)?;
    assert_eq!((&told["schema"], &told["interfaces"]), (&"portcullis.detach/v1".into(), &serde_json::json!(["eth0"])));
    let removed = &told["removed"][0];
    assert_eq!(removed["abi_version"], ABI_VERSION);
    assert_eq!(removed["links"], serde_json::json!([{ "interface": "eth0", "mode": "native" }]));
    let maps = removed["maps"].as_array().context("no maps")?;
    for name in [maps::COUNTERS, maps::STRANGERS, maps::RATE_BASE, maps::NAMES] {
        assert!(maps.contains(&name.into()), "{name} is not in {maps:?}");
    }
    lab.wait_until_detached(INTERFACE)?;
    assert!(daemon.site().is_gone());
    assert!(probe.arrives(FOE4)?, "nothing is filtered any more");
    Ok(())
}

/// Name, mode and configured mode of every interface, as the status tells.
fn modes(daemon: &Daemon) -> Result<Vec<(String, String, String)>> {
    let status = daemon.status()?;
    let interfaces = status["interfaces"].as_array().context("the status has no interfaces")?.iter();
    let word = |interface: &serde_json::Value, key: &str| interface[key].as_str().unwrap_or_default().to_owned();
    Ok(interfaces.map(|one| (word(one, "name"), word(one, "mode"), word(one, "configured"))).collect())
}
