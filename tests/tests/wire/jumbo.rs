//! Frames that fill more than one buffer of the driver.

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FOE6, FRIEND4, FRIEND6, HOST4, HOST6, Lab, Plan},
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
