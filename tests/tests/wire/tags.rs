//! VLAN tags.

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FOE6, FRIEND4, Lab, STRANGER6},
    packet::ether_type::{SERVICE_VLAN, VLAN},
};

use crate::policy::{DATA, POLICY, datagram};

#[test]
fn tagged_frames_are_judged_by_what_is_inside_and_three_tags_are_too_many() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    for (source, tags, verdict) in [
        (FRIEND4, &[VLAN][..], "ipv4 pass accepted"),
        (FOE4, &[VLAN], "ipv4 drop denied"),
        (FOE6, &[VLAN], "ipv6 drop denied"),
        (FOE4, &[SERVICE_VLAN], "ipv4 drop denied"),
        (FRIEND4, &[SERVICE_VLAN, VLAN], "ipv4 pass accepted"),
        (FOE4, &[SERVICE_VLAN, VLAN], "ipv4 drop denied"),
        (FOE4, &[VLAN, VLAN], "ipv4 drop denied"),
        (STRANGER6, &[SERVICE_VLAN, VLAN], "ipv6 drop not_allowed"),
        (FRIEND4, &[SERVICE_VLAN, VLAN, VLAN], "other drop vlan_depth"),
        (FRIEND4, &[VLAN, VLAN, VLAN], "other drop vlan_depth"),
    ] {
        let frame = tags.iter().fold(datagram(source, DATA), |packet, tag| packet.tag(*tag)).build();
        assert_eq!(daemon.verdict_of(&frame)?, verdict, "{source} in {tags:x?}");
    }
    Ok(())
}
