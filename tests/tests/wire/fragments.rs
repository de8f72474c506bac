//! Datagrams larger than the MTU, fragmented by a real stack.

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FOE6, FRIEND4, FRIEND6, HOST4, HOST6, Lab, STRANGER4, STRANGER6},
    scrape::{Packets, packets},
    traffic::Probe,
};

use crate::policy::{DATA, POLICY};

/// A verdict and how many packets get it.
type Counted = (&'static str, u64);

/// Three fragments in either family.
const LARGE: usize = 4000;

#[test]
fn fragments_are_dropped_by_default_and_whole_packets_are_not() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    for (host, family, friend) in [(HOST4, "ipv4", FRIEND4), (HOST6, "ipv6", FRIEND6)] {
        let probe = Probe::new(&lab, host, DATA, friend)?;
        assert!(probe.arrives(friend)?);
        let before = daemon.metrics()?;
        assert!(!probe.arrives_with(friend, LARGE)?);
        let [accepted, fragment, marker] =
            ["pass accepted", "drop fragment", "pass no_service"].map(|verdict| format!("{family} {verdict}"));
        let expected = packets([(&*accepted, 1), (&*fragment, 2), (&*marker, 1)]);
        assert_eq!(daemon.judged(&before, 4)?, expected, "the first fragment is a packet, the others are not");
    }
    Ok(())
}

#[test]
fn fragments_are_judged_by_their_source_when_the_policy_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &POLICY.replace("[policy]\n", "[policy]\nfragments = \"source\"\n"))?;
    for (host, family, [friend, stranger, foe]) in
        [(HOST4, "ipv4", [FRIEND4, STRANGER4, FOE4]), (HOST6, "ipv6", [FRIEND6, STRANGER6, FOE6])]
    {
        let probe = Probe::new(&lab, host, DATA, friend)?;
        let cases: [(&str, bool, &[Counted]); 3] = [
            (friend, true, &[("pass accepted", 1), ("pass fragment_admitted", 2), ("pass no_service", 1)]),
            (stranger, false, &[("drop not_allowed", 3), ("pass no_service", 1)]),
            (foe, false, &[("drop denied", 3), ("pass no_service", 1)]),
        ];
        for (source, arrives, verdicts) in cases {
            let before = daemon.metrics()?;
            assert_eq!(probe.arrives_with(source, LARGE)?, arrives, "{source}");
            let expected: Packets =
                verdicts.iter().map(|(verdict, count)| (format!("{family} {verdict}"), *count)).collect();
            assert_eq!(daemon.judged(&before, 4)?, expected, "{source}");
        }
    }
    Ok(())
}
