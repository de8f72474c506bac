//! Everything a verdict depends on besides the bytes of the frame.

use crate::{
    abi::{BucketKey, FragmentRule, LimitRecord, ServiceRecord},
    address::Address,
    flow::Transport,
    prefix_table::Membership,
    rate::{Quantity, Quota, TatCell},
};

/// What happens to traffic of no service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostDefault {
    /// It passes.
    Pass,
    /// It is dropped.
    Drop,
}

/// What happens to non-first fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentPolicy {
    /// Dropped when any service has their protocol.
    Drop,
    /// Judged by the lists of every service they could belong to.
    Source,
}

/// A kind of essential traffic. The number is the index of its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Essential {
    /// IPv6 neighbour discovery (RFC 4861), redirects excepted.
    NeighbourDiscovery = 0,
    /// Multicast listener discovery (RFC 2710, RFC 3810).
    Mld = 1,
    /// ICMP errors: IPv4 type 3, IPv6 types 1 to 4.
    IcmpError = 2,
    /// DHCP and DHCPv6 replies to the client ports.
    Dhcp = 3,
}

impl Essential {
    /// Every kind, in the order of the caps.
    pub const ALL: [Self; 4] = [Self::NeighbourDiscovery, Self::Mld, Self::IcmpError, Self::Dhcp];
}

/// The rate state of one source under one limit.
pub trait Bucket {
    /// State of one quantity.
    type Cell: TatCell;

    /// The state of `quantity`.
    fn cell(&self, quantity: Quantity) -> Self::Cell;
}

/// The tables of one policy and the state it works on.
pub trait Tables {
    /// Rate state of one source.
    type Bucket: Bucket;
    /// State of one cap of the essentials.
    type Cap: TatCell;

    /// What the lists say about `source`.
    fn membership(&self, source: &Address) -> Membership;

    /// The service at a destination: its identifier, `0` for none.
    ///
    /// `protocol` is TCP or UDP. A service that names the address comes before one that names none.
    fn service(&self, destination: &Address, protocol: Transport, port: u16) -> u16;

    /// The record of a service that [`service`](Self::service) named; `None` is a bug.
    fn service_record(&self, service: u16) -> Option<&ServiceRecord>;

    /// The lists that decide about a fragment; `Transport::Every` stands for all protocols at once.
    fn fragment_rule(&self, destination: &Address, protocol: Transport) -> FragmentRule;

    /// Whether any service has this protocol, to whatever address; `Transport::Every` stands for all protocols.
    fn has_service(&self, protocol: Transport) -> bool;

    /// The limit of that identifier; `None` is a bug.
    fn limit(&self, limit: u16) -> Option<&LimitRecord>;

    /// Whether the policy has any limit.
    fn has_limits(&self) -> bool;

    /// All lists that admit to a service or name a limit: their members are no strangers.
    fn member_lists(&self) -> u64;

    /// The rate state of a source under `limit`, made when there is none, and [`now_ns`](Self::now_ns); `None` is a bug.
    fn bucket(&self, key: &BucketKey, limit: &LimitRecord, is_member: bool) -> Option<(Self::Bucket, u64)>;

    /// The cap of an essential and its state; `None` is a bug.
    fn cap(&self, essential: Essential) -> Option<(Quota, Self::Cap)>;

    /// Nanoseconds of a clock that never goes back by more than the skew between CPUs. Asked only where it is needed.
    fn now_ns(&self) -> u64;

    /// What happens to traffic of no service.
    fn host_default(&self) -> HostDefault;

    /// What happens to non-first fragments.
    fn fragments(&self) -> FragmentPolicy;
}
