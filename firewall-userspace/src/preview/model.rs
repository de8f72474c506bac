//! A policy on the host: what the kernel would say about a packet, without a kernel.
//!
//! The stages are those of the XDP program ([`firewall_common::judge`]), the records are those that are loaded
//! ([`compile`]). Every source is as if it had been idle: nobody is over a limit.

use std::{cell::Cell, collections::BTreeSet, net::IpAddr};

use firewall_common::{
    Action, Address, Bucket, Essential, FragmentPolicy, HostDefault, Membership, Quantity, Quota, Tables, Transport,
    Verdict,
    abi::{self, AddressKey, BucketKey, FragmentRule, LimitRecord, ServiceRecord},
    judge,
    rate::TatCell,
};

use crate::{
    lists::{
        layers,
        members::{Member, Members},
    },
    policy::{
        Mode, Name, Policy, Prefix,
        compile::{Compiled, Identities, compile},
        packet::Packet,
    },
};

/// A compiled policy.
pub struct HostModel {
    compiled: Compiled,
    services: Vec<(u16, Name, Mode)>,
}

/// What is said about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The service it was judged by.
    pub service: Option<Name>,
    /// Whether a drop is only counted.
    pub observes: bool,
}

impl HostModel {
    /// Compiles `policy`. The entries of its lists stay outside: [`judge`](Self::judge) is told what a source is in.
    pub fn new(policy: &Policy) -> Self {
        let mut ids = Identities::new();
        ids.assign(policy);
        let services = policy.services.iter();
        let services =
            services.map(|service| (ids.services.of(&service.name), service.name.clone(), service.mode)).collect();
        Self { compiled: compile(policy, &ids), services }
    }

    /// What enforcing the policy does with `packet`, whose source is in `member`.
    ///
    /// `None` for a packet that cannot be: source and destination of different families.
    pub fn judge(&self, packet: &Packet, member: &Member) -> Option<Judged> {
        Some(self.judge_frame(&packet.frame()?, |_| member.clone()))
    }

    /// What enforcing the policy does with `frame`; `members` tells what its source is in.
    pub fn judge_frame(&self, frame: &[u8], members: impl Fn(IpAddr) -> Member) -> Judged {
        let judgement = judge(frame, &HostTables { compiled: &self.compiled, members });
        let service = self.services.iter().find(|(id, ..)| *id == judgement.service);
        let observes = self.compiled.observe || service.is_some_and(|(_, _, mode)| *mode == Mode::Observe);
        Judged { verdict: judgement.verdict, service: service.map(|(_, name, _)| name.clone()), observes }
    }
}

/// What prefixes are in by the configuration alone, on a host with the addresses `own`.
pub fn configured_members(policy: &Policy, own: &BTreeSet<Prefix>) -> Members {
    Members::from_all(layers::configured_members(policy, own))
}

impl Judged {
    /// Whether the packet is let through.
    pub fn passes(&self) -> bool {
        self.verdict.action() == Action::Pass
    }
}

/// The tables as one packet meets them.
struct HostTables<'c, M> {
    compiled: &'c Compiled,
    members: M,
}

/// Rate state of a source that has been idle.
#[derive(Default)]
struct Idle(Cell<u64>);

/// A time at which every TAT of an idle source has passed.
const NOW_NS: u64 = 1 << 40;

impl<M> HostTables<'_, M> {
    /// The block of rows for a destination: 0 for an address that no service names.
    fn block(&self, destination: &Address) -> usize {
        let Address { high, low, family } = *destination;
        let key = AddressKey { high, low, family: family as u32, padding: 0 };
        let block = self.compiled.addresses.iter().find(|(address, _)| *address == key);
        block.map_or(0, |(_, block)| *block as usize)
    }
}

impl<M: Fn(IpAddr) -> Member> Tables for HostTables<'_, M> {
    type Bucket = Idle;
    type Cap = Idle;

    fn membership(&self, source: &Address) -> Membership {
        let member = (self.members)(source.to_ip());
        Membership { lists: member.all_lists(), own: member.own, management: member.management }
    }

    fn service(&self, destination: &Address, protocol: Transport, port: u16) -> u16 {
        let protocol = usize::from(!matches!(protocol, Transport::Tcp));
        let row = self.block(destination) * abi::PORT_ROWS_PER_BLOCK as usize + protocol;
        let row = self.compiled.ports.get(row);
        row.and_then(|row| row.services.get(usize::from(port))).copied().unwrap_or(0)
    }

    fn service_record(&self, service: u16) -> Option<&ServiceRecord> {
        self.compiled.services.iter().find(|(id, _)| *id == service).map(|(_, record)| record)
    }

    fn fragment_rule(&self, destination: &Address, protocol: Transport) -> FragmentRule {
        let index = self.block(destination) * abi::FRAGMENT_RULES_PER_BLOCK as usize
            + abi::fragment_rule_index(protocol) as usize;
        self.compiled.fragments.get(index).copied().unwrap_or_default()
    }

    fn has_service(&self, protocol: Transport) -> bool {
        match protocol {
            Transport::Tcp => self.compiled.has_tcp,
            Transport::Udp => self.compiled.has_udp,
            _ => self.compiled.has_tcp || self.compiled.has_udp,
        }
    }

    fn limit(&self, limit: u16) -> Option<&LimitRecord> {
        self.compiled.limits.iter().find(|(id, _)| *id == limit).map(|(_, record)| record)
    }

    fn has_limits(&self) -> bool {
        !self.compiled.limits.is_empty()
    }

    fn member_lists(&self) -> u64 {
        self.compiled.member_lists
    }

    fn bucket(&self, _: &BucketKey, _: &LimitRecord, _: bool) -> Option<(Idle, u64)> {
        Some((Idle::default(), self.now_ns()))
    }

    fn cap(&self, essential: Essential) -> Option<(Quota, Idle)> {
        self.compiled.caps.get(essential as usize).map(|quota| (*quota, Idle::default()))
    }

    fn now_ns(&self) -> u64 {
        NOW_NS
    }

    fn host_default(&self) -> HostDefault {
        if self.compiled.host_default_drop { HostDefault::Drop } else { HostDefault::Pass }
    }

    fn fragments(&self) -> FragmentPolicy {
        if self.compiled.fragments_by_source { FragmentPolicy::Source } else { FragmentPolicy::Drop }
    }
}

impl Bucket for Idle {
    type Cell = Idle;

    fn cell(&self, _: Quantity) -> Idle {
        Idle::default()
    }
}

impl TatCell for Idle {
    fn load(&self) -> u64 {
        self.0.get()
    }

    fn compare_exchange(&self, current: u64, new: u64) -> u64 {
        let seen = self.0.get();
        if seen == current {
            self.0.set(new);
        }
        seen
    }
}
