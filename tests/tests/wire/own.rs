//! Addresses of the host cannot come from outside, also those that it gets later.

use std::time::{Duration, Instant};

use anyhow::Result;
use firewall_tests::{
    daemon::{Daemon, timed},
    lab::{HOST_MAC, HOST4, HOST6, INTERFACE, Lab, PEER_MAC},
    packet::Packet,
    running::wait_until,
};

use crate::policy::POLICY;

/// How soon the daemon has to know, on a machine that does nothing else; here it may take ten times as long.
const SOON: Duration = Duration::from_secs(1);

const IMPOSSIBLE4: &str = "ipv4 drop impossible_source";

#[test]
fn a_packet_from_an_address_of_the_host_is_impossible() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip(&format!("address add 203.0.113.10/24 dev {INTERFACE}"))?;
    let daemon = Daemon::start(&lab, POLICY)?;
    for (source, verdict) in [
        (HOST4, IMPOSSIBLE4),
        ("203.0.113.10", IMPOSSIBLE4),
        ("203.0.113.255", IMPOSSIBLE4),
        ("127.0.0.1", IMPOSSIBLE4),
        ("203.0.113.11", "ipv4 pass no_service"),
        (HOST6, "ipv6 drop impossible_source"),
        ("::1", "ipv6 drop impossible_source"),
    ] {
        let to = if source == HOST4 { "203.0.113.10" } else { HOST4 };
        let to = if source.contains(':') { "2001:db8:1::ff" } else { to };
        assert_eq!(daemon.verdict_of(&frame(source, to))?, verdict, "from {source} to {to}");
    }
    Ok(())
}

#[test]
fn an_address_added_at_run_time_is_impossible_within_a_second_and_possible_after_its_removal() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    for (address, sources, impossible, possible) in [
        ("198.51.100.10/24", ["198.51.100.10", "198.51.100.255"], IMPOSSIBLE4, "ipv4 pass no_service"),
        (
            "2001:db8:2::10/64 nodad",
            ["2001:db8:2::10", "2001:db8:2::10"],
            "ipv6 drop impossible_source",
            "ipv6 pass no_service",
        ),
    ] {
        let to = if address.contains(':') { HOST6 } else { HOST4 };
        for (change, wanted) in [("add", impossible), ("delete", possible)] {
            let before = if change == "add" { possible } else { impossible };
            for source in sources {
                assert_eq!(daemon.verdict_of(&frame(source, to))?, before, "{source} before {change}");
            }
            lab.host.ip(&format!("address {change} {address} dev {INTERFACE}").replace("delete", "del"))?;
            let start = Instant::now();
            for source in sources {
                let known = || Ok((daemon.verdict_of(&frame(source, to))? == wanted).then_some(()));
                let (known, time) = timed(|| wait_until("a daemon that knows", 10 * SOON, known));
                known?;
                println!("{change} {source}: known after {time:?}");
            }
            assert!(start.elapsed() < 10 * SOON, "{change} {address} was known after {:?}", start.elapsed());
        }
    }
    Ok(())
}

fn frame(source: &str, to: &str) -> Vec<u8> {
    let packet = if source.contains(':') { Packet::v6(source, to) } else { Packet::v4(source, to) };
    packet.macs(HOST_MAC, PEER_MAC).udp(40_000, 9).payload(32).build()
}
