//! The table: frames and what the contract says about each. Every verdict was written from docs/policy.md,
//! from "Order of judgement" to "Observe", which names the case of each sentence.
//!
//! The same table runs on the host (`tests/host`) and through the kernel program (`tests/kernel`).
//!
//! - In: nothing. The rows are written by hand, one file for each stage or protocol.
//! - Out: scenarios: a policy with its lists, and what becomes of each frame under it.
//! - Owner: whoever runs the table; a row knows neither the model nor the kernel.

mod essentials;
mod fragments;
mod impossible;
mod ipv4;
mod ipv6;
mod limits;
mod link;
mod lists;
mod looped;
mod merged;
mod modes;
mod services;
mod transport;
mod world;

use firewall_common::{Family, Verdict};
use firewall_userspace::policy::{Policy, Prefix};

use crate::packet::Packet;

/// A policy, a host, and cases for them.
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// The policy.
    pub policy: Policy,
    /// Addresses of the host, and broadcast addresses of its subnets.
    pub own: Vec<Prefix>,
    /// `host_default = "drop"`, which no configuration may ask for yet.
    pub host_default_drop: bool,
    /// Whether cases would disturb each other: each needs rate state of its own.
    pub alone: bool,
    /// The cases. Without `alone` their order does not matter.
    pub cases: Vec<Case>,
}

/// One frame and what is said about it.
pub struct Case {
    /// The fact that it shows.
    pub fact: &'static str,
    /// Frames that went before.
    pub before: Vec<Vec<u8>>,
    /// The frame.
    pub frame: Vec<u8>,
    /// What is said about it.
    pub wanted: Wanted<'static>,
}

/// What is said about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its family.
    pub family: Family,
    /// Name of the service it is counted for.
    pub service: Option<&'a str>,
    /// Name of the limit it is counted for.
    pub limit: Option<&'a str>,
}

/// The policy of most cases, and the addresses of its host.
pub fn standard() -> (Policy, Vec<Prefix>) {
    (world::policy(), world::own())
}

/// Every scenario.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = vec![
        link::scenario(),
        ipv4::scenario(),
        ipv6::scenario(),
        transport::scenario(),
        merged::scenario(),
        looped::scenario(),
        impossible::scenario(),
        services::scenario(),
        lists::scenario(),
        limits::scenario(),
    ];
    all.extend(fragments::scenarios());
    all.extend(essentials::scenarios());
    all.extend(modes::scenarios());
    all.extend(lists::wide_scenarios());
    all
}

impl Scenario {
    fn new(name: &'static str, policy: Policy, cases: Vec<Case>) -> Self {
        Self { name, policy, own: world::own(), host_default_drop: false, alone: false, cases }
    }
}

impl Case {
    /// The service and, with it, the verdict that its records lead to.
    fn service(mut self, name: &'static str) -> Self {
        self.wanted.service = Some(name);
        self
    }

    fn limit(mut self, name: &'static str) -> Self {
        self.wanted.limit = Some(name);
        self
    }

    /// Adds frames that went before: `times` times the same.
    fn after(mut self, times: usize, packet: &Packet) -> Self {
        self.before.extend(std::iter::repeat_n(packet.build(), times));
        self
    }
}

/// A case of a frame that counts as IPv4.
fn v4(fact: &'static str, packet: Packet, verdict: Verdict) -> Case {
    case(fact, packet, verdict, Family::Ipv4)
}

/// A case of a frame that counts as IPv6.
fn v6(fact: &'static str, packet: Packet, verdict: Verdict) -> Case {
    case(fact, packet, verdict, Family::Ipv6)
}

/// A case of a frame of neither family.
fn other(fact: &'static str, packet: Packet, verdict: Verdict) -> Case {
    case(fact, packet, verdict, Family::Other)
}

fn case(fact: &'static str, packet: Packet, verdict: Verdict, family: Family) -> Case {
    let wanted = Wanted { verdict, family, service: None, limit: None };
    Case { fact, before: Vec::new(), frame: packet.build(), wanted }
}
