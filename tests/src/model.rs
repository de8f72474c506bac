//! [`Tables`] straight from a [`Policy`], by linear scans: nothing of what compiles a policy for the kernel is used.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    rc::Rc,
};

use firewall_common::{
    Address, Bucket, Essential, Family, FragmentPolicy, HostDefault, Membership, Quantity, Quota, Tables, Transport,
    abi::{BucketKey, FragmentRule, LimitForRecord, LimitRecord, MAX_LISTS, ServiceRecord},
    rate::TatCell,
};
use firewall_userspace::policy::{self, Policy, Prefix, Protocol, Rate};

/// The tables of one policy, its rate state, and a clock that stands until it is set.
///
/// Services and limits have their position in the policy plus one as identifier.
pub struct Model {
    policy: Policy,
    own: Vec<Prefix>,
    host_default: HostDefault,
    services: Vec<ServiceRecord>,
    limits: Vec<LimitRecord>,
    buckets: RefCell<HashMap<BucketKey, State>>,
    caps: [TatOfModel; 4],
    now_ns: Cell<u64>,
}

/// Rate state of one source.
#[derive(Clone, Default)]
pub struct State([TatOfModel; 3]);

/// One TAT.
#[derive(Clone, Default)]
pub struct TatOfModel(Rc<Cell<u64>>);

impl Model {
    /// The tables of `policy` on a host with the addresses `own`.
    pub fn new(policy: &Policy, own: &[Prefix]) -> Self {
        Self {
            policy: policy.clone(),
            own: own.to_vec(),
            host_default: HostDefault::Pass,
            services: policy.services.iter().map(service_record).collect(),
            limits: policy.limits.iter().map(limit_record).collect(),
            buckets: RefCell::default(),
            caps: Default::default(),
            now_ns: Cell::new(1 << 40),
        }
    }

    /// Makes `host_default` drop, which no configuration may ask for yet.
    pub fn with_host_default_drop(mut self) -> Self {
        self.host_default = HostDefault::Drop;
        self
    }

    /// Sets the clock.
    pub fn set_now_ns(&self, now_ns: u64) {
        self.now_ns.set(now_ns);
    }

    /// The name of a service, `None` for 0.
    pub fn service_name(&self, id: u16) -> Option<&str> {
        let position = usize::from(id).checked_sub(1)?;
        self.policy.services.get(position).map(|service| &*service.name)
    }

    /// The name of a limit, `None` for 0.
    pub fn limit_name(&self, id: u16) -> Option<&str> {
        let position = usize::from(id).checked_sub(1)?;
        self.policy.limits.get(position).map(|limit| &*limit.name)
    }

    /// Services that packets of `protocol` to `destination` could belong to.
    fn services_for(
        &self,
        destination: &Address,
        protocol: Transport,
    ) -> impl Iterator<Item = (u16, &policy::Service)> {
        let destination = *destination;
        (1..).zip(&self.policy.services).filter(move |(_, service)| {
            has_protocol(service, protocol) && (service.addresses.is_empty() || names_address(service, &destination))
        })
    }
}

impl Tables for Model {
    type Bucket = State;
    type Cap = TatOfModel;

    fn membership(&self, source: &Address) -> Membership {
        let mut membership = Membership::default();
        for (position, list) in self.policy.lists.iter().enumerate() {
            if list.entries.iter().any(|prefix| covers(*prefix, source)) {
                membership.lists |= 1 << position;
            }
        }
        membership.own = self.own.iter().any(|prefix| covers(*prefix, source));
        membership.management = self.policy.management.iter().any(|prefix| covers(*prefix, source));
        membership
    }

    fn service(&self, destination: &Address, protocol: Transport, port: u16) -> u16 {
        let at_port = |(id, service): (u16, &policy::Service)| {
            service.ports.iter().any(|range| range.contains(&port)).then_some((id, !service.addresses.is_empty()))
        };
        let mut found = 0;
        for (id, names_address) in self.services_for(destination, protocol).filter_map(at_port) {
            if names_address {
                return id;
            }
            found = id;
        }
        found
    }

    fn service_record(&self, service: u16) -> Option<&ServiceRecord> {
        self.services.get(usize::from(service).checked_sub(1)?)
    }

    fn fragment_rule(&self, destination: &Address, protocol: Transport) -> FragmentRule {
        let mut rule = FragmentRule::default();
        for (_, service) in self.services_for(destination, protocol) {
            rule.services += 1;
            if service.mode == policy::Mode::Observe {
                rule.open = 1;
                continue;
            }
            for list in &service.deny {
                rule.deny |= 1 << list;
            }
            match &service.allow {
                None => rule.open = 1,
                Some(lists) => lists.iter().for_each(|list| rule.allow |= 1 << list),
            }
        }
        rule
    }

    fn has_service(&self, protocol: Transport) -> bool {
        self.policy.services.iter().any(|service| has_protocol(service, protocol))
    }

    fn limit(&self, limit: u16) -> Option<&LimitRecord> {
        self.limits.get(usize::from(limit).checked_sub(1)?)
    }

    fn has_limits(&self) -> bool {
        true
    }

    fn member_lists(&self) -> u64 {
        0 // every source has a bucket of its own here
    }

    fn bucket(&self, key: &BucketKey, _: &LimitRecord, _: bool) -> Option<(State, u64)> {
        Some((self.buckets.borrow_mut().entry(*key).or_default().clone(), self.now_ns()))
    }

    fn cap(&self, essential: Essential) -> Option<(Quota, TatOfModel)> {
        let caps = &self.policy.essentials;
        let (rate, cell) = match essential {
            Essential::NeighbourDiscovery => (&caps.neighbour_discovery, &self.caps[0]),
            Essential::Mld => (&caps.mld, &self.caps[1]),
            Essential::IcmpError => (&caps.icmp_error, &self.caps[2]),
            Essential::Dhcp => (&caps.dhcp, &self.caps[3]),
        };
        Some((rate.quota(), cell.clone()))
    }

    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn host_default(&self) -> HostDefault {
        self.host_default
    }

    fn fragments(&self) -> FragmentPolicy {
        match self.policy.fragments {
            policy::FragmentPolicy::Drop => FragmentPolicy::Drop,
            policy::FragmentPolicy::Source => FragmentPolicy::Source,
        }
    }
}

impl Bucket for State {
    type Cell = TatOfModel;

    fn cell(&self, quantity: Quantity) -> TatOfModel {
        let [packets, bytes, connections] = &self.0;
        match quantity {
            Quantity::Packets => packets,
            Quantity::Bytes => bytes,
            Quantity::Connections => connections,
        }
        .clone()
    }
}

impl TatCell for TatOfModel {
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

fn has_protocol(service: &policy::Service, protocol: Transport) -> bool {
    match protocol {
        Transport::Tcp => service.protocol == Protocol::Tcp,
        Transport::Udp => service.protocol == Protocol::Udp,
        Transport::Every => true,
        Transport::Icmp | Transport::Icmpv6 | Transport::Other => false,
    }
}

fn names_address(service: &policy::Service, destination: &Address) -> bool {
    service.addresses.iter().any(|address| number_of(*address) == number(destination))
}

/// Whether the first bits of `address` are those of `prefix`.
pub(crate) fn covers(prefix: Prefix, address: &Address) -> bool {
    let (is_v4, bits) = number_of(prefix.address());
    let (address_is_v4, address_bits) = number(address);
    let width: u8 = if is_v4 { 32 } else { 128 };
    let host_bits = u32::from(width - prefix.length());
    is_v4 == address_is_v4 && (host_bits == 128 || bits >> host_bits == address_bits >> host_bits)
}

/// Whether IPv4, and the address as a number.
fn number(address: &Address) -> (bool, u128) {
    let all = u128::from(address.high) << 64 | u128::from(address.low);
    if address.family == Family::Ipv4 { (true, all >> 96) } else { (false, all) }
}

fn number_of(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(v4) => (true, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (false, u128::from(v6)),
    }
}

fn service_record(service: &policy::Service) -> ServiceRecord {
    let mut record = ServiceRecord {
        deny: 0,
        allow: 0,
        limit_for_lists: 0,
        has_allow: u32::from(service.allow.is_some()),
        limit: service.limit.map_or(0, |limit| limit as u16 + 1),
        limit_for_count: service.limit_for.len() as u16,
        limit_for: [LimitForRecord::default(); MAX_LISTS],
        observe: u32::from(service.mode == policy::Mode::Observe),
        padding: 0,
    };
    for list in &service.deny {
        record.deny |= 1 << list;
    }
    for list in service.allow.iter().flatten() {
        record.allow |= 1 << list;
    }
    for (slot, row) in record.limit_for.iter_mut().zip(&service.limit_for) {
        *slot = LimitForRecord { list: row.list as u16, limit: row.limit as u16 + 1 };
        record.limit_for_lists |= 1 << row.list;
    }
    record
}

fn limit_record(limit: &policy::Limit) -> LimitRecord {
    let quota = |rate: Option<Rate>| rate.map_or_else(Quota::default, |rate| rate.quota());
    let [mask_v4, _] = first_bits(limit.source_v4);
    LimitRecord {
        quotas: [quota(limit.packets), quota(limit.bytes), quota(limit.connections)],
        mask_v6: first_bits(limit.source_v6),
        mask_v4,
        gate: Quota::default(),
    }
}

fn first_bits(count: u8) -> [u64; 2] {
    let mut halves = [0; 2];
    for bit in 0..usize::from(count) {
        halves[bit / 64] |= 1 << (63 - bit % 64);
    }
    halves
}
