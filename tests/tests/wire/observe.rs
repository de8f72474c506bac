//! Observing: everything passes, and is counted as it would have been judged.

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    scrape::packets,
    traffic::Probe,
};

use crate::policy::{DATA, POLICY, datagram};

#[test]
fn a_service_that_observes_drops_nothing_and_its_neighbour_does() -> Result<()> {
    let lab = Lab::new()?;
    let observing = POLICY.replace("ports = [9000]\n", "ports = [9000]\nmode = \"observe\"\n");
    let mut daemon = Daemon::start(&lab, &observing)?;
    let metrics = daemon.metrics()?;
    assert_eq!(metrics.value("portcullis_enforcing", &[]), Some(1.0));
    assert_eq!(metrics.value("portcullis_service_enforcing", &[("service", "data")]), Some(0.0));
    assert_eq!(metrics.value("portcullis_service_enforcing", &[("service", "web")]), Some(1.0));
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    for source in [FRIEND4, STRANGER4, FOE4] {
        assert!(probe.arrives(source)?, "{source}");
    }
    let service = [("service", "data"), ("verdict", "drop")];
    assert_eq!(daemon.metrics()?.value("portcullis_service_packets_total", &service), Some(2.0));
    let said = daemon.cli(&["explain", FOE4, "--dport", "9000", "--proto", "udp"])?;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.starts_with("verdict     drop (denied), but it passes"), "{said:?}");
    assert_eq!(daemon.cli(&["explain", FOE4, "--dport", "80"])?.code, 1);

    daemon.site().configure(POLICY)?;
    daemon.reload()?;
    assert!(probe.arrives(FRIEND4)?);
    assert!(!probe.arrives(FOE4)?);
    Ok(())
}

#[test]
fn observe_passes_everything_and_counts_what_enforce_would_have_dropped() -> Result<()> {
    let lab = Lab::new()?;
    let observing = POLICY.replace("[policy]\n", "[policy]\nmode = \"observe\"\n");
    let mut daemon = Daemon::start(&lab, &observing)?;
    assert_eq!(daemon.metrics()?.value("portcullis_enforcing", &[]), Some(0.0));
    assert_eq!(daemon.status()?["mode"], "observe");
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let before = daemon.metrics()?;
    for source in [FRIEND4, STRANGER4, FOE4] {
        assert!(probe.arrives(source)?, "{source}");
    }
    // Fragments of a service too.
    assert!(probe.arrives_with(FRIEND4, 4000)?);
    let expected = packets([
        ("ipv4 pass accepted", 2),
        ("ipv4 drop not_allowed", 1),
        ("ipv4 drop denied", 1),
        ("ipv4 drop fragment", 2),
        ("ipv4 pass no_service", 4),
    ]);
    assert_eq!(daemon.judged(&before, 10)?, expected);
    assert_eq!(daemon.verdict_of(&datagram(FRIEND4, DATA).claims_length(9000).build())?, "ipv4 drop bad_ip_length");

    daemon.site().configure(POLICY)?;
    daemon.reload()?;
    assert_eq!(daemon.metrics()?.value("portcullis_enforcing", &[]), Some(1.0));
    assert!(probe.arrives(FRIEND4)?);
    assert!(!probe.arrives(FOE4)?);
    Ok(())
}
