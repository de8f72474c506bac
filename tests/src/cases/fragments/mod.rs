//! Fragments, by protocol and by source.
//!
//! - In: the policy of most cases, and those that differ in what has a service.
//! - Out: the scenarios of fragments.
//! - Owner: the table; a file here has the cases of one kind of fragment, or of one way to judge them.

mod by_source;
mod first;
mod later;
mod malformed;

use super::{Scenario, world::*};
use crate::{
    draft::{Draft, ServiceDraft},
    packet::Packet,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut dropped = malformed::malformed();
    dropped.extend(first::first());
    dropped.extend(later::later());
    let only_tcp = Draft::new().service(ServiceDraft::tcp("far", &[443]).at(&[BEHIND4])).policy();
    vec![
        Scenario::new("fragments dropped", policy(), dropped),
        Scenario::new("fragments dropped where only TCP has a service", only_tcp, later::without_udp()),
        Scenario::new(
            "fragments dropped where nothing has a service",
            Draft::new().policy(),
            later::without_services(),
        ),
        Scenario::new("fragments by source", by_source::by_source_draft().policy(), by_source::by_source()),
    ]
}

fn ip4() -> Packet {
    Packet::v4(STRANGER4, HOST4)
}

fn ip6() -> Packet {
    Packet::v6(STRANGER6, HOST6)
}

/// The last fragment of a packet, 1480 octets in.
fn last4(source: &str, destination: &str, protocol: u8) -> Packet {
    Packet::v4(source, destination).ip_fragment(185, false).other(protocol, 100)
}

fn last6(source: &str, destination: &str, next: u8) -> Packet {
    Packet::v6(source, destination).fragment(185, false).other(next, 100)
}
