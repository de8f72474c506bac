//! Frames that fill more than one buffer of the driver, and packets longer than any that a wire carries.

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FOE6, FRIEND4, FRIEND6, HOST4, HOST6, Lab, Plan},
    merging,
    scrape::packets,
    traffic::Probe,
};

use crate::policy::{DATA, POLICY};

#[test]
fn large_packets_on_a_large_mtu_are_judged_whole() -> Result<()> {
    let lab = Lab::with(Plan { mtu: 9000, ..Plan::default() })?;
    let daemon = Daemon::start(&lab, POLICY)?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    for (host, family, friend, foe, headers) in [(HOST4, "ipv4", FRIEND4, FOE4, 42), (HOST6, "ipv6", FRIEND6, FOE6, 62)]
    {
        let probe = Probe::new(&lab, host, DATA, friend)?;
        // Resolves the neighbours.
        assert!(probe.arrives(friend)?);
        let before = daemon.metrics()?;
        for octets in [2000, 3500, 5000, 8900] {
            assert!(probe.arrives_with(friend, octets)?, "{octets} octets of a friend");
            assert!(!probe.arrives_with(foe, octets)?, "{octets} octets of a foe");
        }
        let [accepted, denied, marker] =
            ["pass accepted", "drop denied", "pass no_service"].map(|verdict| format!("{family} {verdict}"));
        assert_eq!(daemon.judged(&before, 16)?, packets([(&*accepted, 4), (&*denied, 4), (&*marker, 8)]));
        let bytes = daemon.metrics()?.bytes_since(&before);
        let large = 2000 + 3500 + 5000 + 8900 + 4 * headers;
        let markers = 8 * (b"marker".len() as u64 + headers);
        assert_eq!(
            bytes,
            packets([(&*accepted, large), (&*denied, large), (&*marker, markers)]),
            "octets of whole frames"
        );
    }
    Ok(())
}

/// What is sent over TCP.
const OCTETS: usize = 64 << 20;

#[test]
fn packets_that_the_kernel_merged_beyond_65535_octets_are_judged_and_counted_in_generic_mode() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("[[interface]]\nname = \"eth0\"\nmode = \"generic\"\n{POLICY}"))?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdpgeneric"));
    merging::allow(&lab)?;
    for (host, family, friend, foe) in [(HOST4, "ipv4", FRIEND4, FOE4), (HOST6, "ipv6", FRIEND6, FOE6)] {
        let before = daemon.metrics()?;
        let tap = merging::tap(&lab.host)?;
        merging::transfer(&lab, friend, host, 80, OCTETS)?;
        let longest = tap.finish()?;
        assert!(longest > 65_549, "{family}: the longest frame had {longest} octets");
        let after = daemon.metrics()?;
        let judged = after.packets_since(&before);
        let accepted = format!("{family} pass accepted");
        assert_eq!(judged.keys().collect::<Vec<_>>(), [&accepted], "{family}: {judged:?}");
        let octets = after.bytes_since(&before)[&accepted];
        // Besides headers, TCP sends some segments again on a busy machine.
        let again = judged[&accepted] * 100 + OCTETS as u64 / 20;
        let sent = OCTETS as u64;
        assert!((sent..sent + again).contains(&octets), "{family}: {octets} octets in {judged:?}");
        println!("{family}: {judged:?}, {octets} octets, the longest {longest}");
        // The lists hold for whoever may not.
        let probe = Probe::new(&lab, host, DATA, friend)?;
        assert!(!probe.arrives(foe)?);
    }
    Ok(())
}

#[test]
fn native_mode_sees_no_packets_beyond_65535_octets() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    merging::allow(&lab)?;
    for (host, family, friend) in [(HOST4, "ipv4", FRIEND4), (HOST6, "ipv6", FRIEND6)] {
        let before = daemon.metrics()?;
        merging::transfer(&lab, friend, host, 80, OCTETS / 8)?;
        let after = daemon.metrics()?;
        let (judged, octets) = (after.packets_since(&before), after.bytes_since(&before));
        let accepted = format!("{family} pass accepted");
        assert_eq!(judged.keys().collect::<Vec<_>>(), [&accepted], "{family}: {judged:?}");
        assert!(octets[&accepted] / judged[&accepted] <= 65_549, "{family}: {octets:?} octets in {judged:?}");
    }
    Ok(())
}
