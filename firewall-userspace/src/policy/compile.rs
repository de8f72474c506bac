//! From a [`Policy`] to the records of the kernel. Pure: no map is touched here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use firewall_common::{
    Address, Quota,
    abi::{
        self, AddressKey, FRAGMENT_RULES_PER_BLOCK, FragmentRule, LimitForRecord, LimitRecord, MAX_LISTS, PortRow,
        RATE_SETS, ServiceRecord,
    },
    rate_table::{RateFacts, gate_quota},
};

use super::{FragmentPolicy, HostDefault, Ids, Limit, Mode, Name, Policy, Protocol, Rate, Service};

/// Identifiers that live on over reloads.
#[derive(Clone, Debug)]
pub struct Identities {
    /// Of services.
    pub services: Ids<Name>,
    /// Of limits.
    pub limits: Ids<Name>,
    /// Of interfaces: one more than their position in the counters.
    pub interfaces: Ids<String>,
}

/// Everything of a policy that the kernel needs, except the entries of its lists.
pub struct Compiled {
    /// Whether drops are only counted.
    pub observe: bool,
    /// Whether the drops of any service are only counted.
    pub observed_services: bool,
    /// Whether traffic of no service is dropped.
    pub host_default_drop: bool,
    /// Whether fragments are judged by their source.
    pub fragments_by_source: bool,
    /// Whether there is a TCP service.
    pub has_tcp: bool,
    /// Whether there is a UDP service.
    pub has_udp: bool,
    /// Local addresses that services name, and their blocks in `ports` and `fragments`, from 1.
    pub addresses: Vec<(AddressKey, u32)>,
    /// Two rows a block: TCP, UDP. Block 0 is for every other address.
    pub ports: Vec<Box<PortRow>>,
    /// Four rules a block: TCP, UDP, every protocol, unused.
    pub fragments: Vec<FragmentRule>,
    /// Records by identifier.
    pub services: Vec<(u16, ServiceRecord)>,
    /// Records by identifier.
    pub limits: Vec<(u16, LimitRecord)>,
    /// What all limits together mean for the rate table.
    pub rate: RateFacts,
    /// Lists that admit to a service or name a limit.
    pub member_lists: u64,
    /// By [`Essential`](firewall_common::Essential).
    pub caps: [Quota; 4],
}

impl Identities {
    /// None handed out yet.
    pub fn new() -> Self {
        Self {
            services: Ids::new(abi::MAX_SERVICES as u16),
            limits: Ids::new(abi::MAX_LIMITS as u16),
            interfaces: Ids::new(abi::MAX_INTERFACES as u16),
        }
    }

    /// Position of an interface in the counters.
    pub fn position(&self, interface: &str) -> u32 {
        u32::from(self.interfaces.of(&interface.to_owned()).saturating_sub(1))
    }

    /// Gives every service, limit and interface of `policy` its identifier.
    pub fn assign(&mut self, policy: &Policy) -> Reused {
        Reused {
            services: self.services.assign(policy.services.iter().map(|service| &service.name)),
            limits: self.limits.assign(policy.limits.iter().map(|limit| &limit.name)),
            interfaces: self.interfaces.assign(policy.interfaces.iter().map(|interface| &interface.name)),
        }
    }
}

impl Default for Identities {
    fn default() -> Self {
        Self::new()
    }
}

/// Identifiers that belong to another name than before: their counters start again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reused {
    /// Of services.
    pub services: Vec<u16>,
    /// Of limits.
    pub limits: Vec<u16>,
    /// Of interfaces.
    pub interfaces: Vec<u16>,
}

/// Compiles `policy`, whose services and limits have their identifiers in `ids`.
pub fn compile(policy: &Policy, ids: &Identities) -> Compiled {
    let blocks = blocks(policy);
    let mut ports: Vec<Box<PortRow>> = Vec::new();
    let mut fragments = Vec::new();
    for address in std::iter::once(None).chain(blocks.keys().copied().map(Some)) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            ports.push(port_row(policy, ids, address, protocol));
        }
        let rules = [Some(Protocol::Tcp), Some(Protocol::Udp), None];
        fragments.extend(rules.map(|protocol| fragment_rule(policy, address, protocol)));
        fragments.push(FragmentRule::default());
    }
    let limits: Vec<(u16, LimitRecord)> = policy
        .limits
        .iter()
        .map(|limit| (ids.limits.of(&limit.name), limit_record(limit, policy.limits.len())))
        .collect();
    debug_assert_eq!(fragments.len() as u32, (blocks.len() as u32 + 1) * FRAGMENT_RULES_PER_BLOCK);
    Compiled {
        observe: policy.mode == Mode::Observe,
        observed_services: policy.services.iter().any(|service| service.mode == Mode::Observe),
        host_default_drop: match policy.host_default {
            HostDefault::Pass => false,
        },
        fragments_by_source: policy.fragments == FragmentPolicy::Source,
        has_tcp: policy.services.iter().any(|service| service.protocol == Protocol::Tcp),
        has_udp: policy.services.iter().any(|service| service.protocol == Protocol::Udp),
        addresses: blocks.iter().map(|(address, block)| (address_key(*address), *block)).collect(),
        ports,
        fragments,
        services: policy
            .services
            .iter()
            .map(|service| (ids.services.of(&service.name), service_record(policy, ids, service)))
            .collect(),
        rate: RateFacts::of_limits(limits.iter().map(|(_, limit)| &limit.quotas)),
        member_lists: member_lists(policy),
        limits,
        caps: [
            policy.essentials.neighbour_discovery.quota(),
            policy.essentials.mld.quota(),
            policy.essentials.icmp_error.quota(),
            policy.essentials.dhcp.quota(),
        ],
    }
}

/// The block of each local address that a service names.
fn blocks(policy: &Policy) -> BTreeMap<IpAddr, u32> {
    let mut blocks: BTreeMap<IpAddr, u32> =
        policy.services.iter().flat_map(|service| &service.addresses).map(|address| (*address, 0)).collect();
    for (block, number) in blocks.values_mut().zip(1..) {
        *block = number;
    }
    blocks
}

/// Services of `protocol` by port at `address`; `None` is any address that no service names.
fn port_row(policy: &Policy, ids: &Identities, address: Option<IpAddr>, protocol: Protocol) -> Box<PortRow> {
    let mut services = vec![0u16; 65536];
    let of_protocol = || policy.services.iter().filter(move |service| service.protocol == protocol);
    // Those that name the address come second: they win.
    let everywhere = of_protocol().filter(|service| service.addresses.is_empty());
    let here = of_protocol().filter(|service| address.is_some_and(|address| service.addresses.contains(&address)));
    for service in everywhere.chain(here) {
        let id = ids.services.of(&service.name);
        for range in &service.ports {
            for port in range.clone() {
                if let Some(slot) = services.get_mut(usize::from(port)) {
                    *slot = id;
                }
            }
        }
    }
    let mut row = Box::new(PortRow { services: [0; 65536] });
    row.services.copy_from_slice(&services);
    row
}

/// What holds for fragments of `protocol` (`None`: of any) to `address`.
fn fragment_rule(policy: &Policy, address: Option<IpAddr>, protocol: Option<Protocol>) -> FragmentRule {
    let mut rule = FragmentRule::default();
    for service in &policy.services {
        let matches_protocol = protocol.is_none_or(|protocol| service.protocol == protocol);
        let matches_address =
            service.addresses.is_empty() || address.is_some_and(|address| service.addresses.contains(&address));
        if !matches_protocol || !matches_address {
            continue;
        }
        rule.services += 1;
        if service.mode == Mode::Observe {
            // It could belong to a service that drops nothing.
            rule.open = 1;
            continue;
        }
        rule.deny |= bits(&service.deny);
        match &service.allow {
            Some(lists) => rule.allow |= bits(lists),
            None => rule.open = 1,
        }
    }
    rule
}

fn service_record(policy: &Policy, ids: &Identities, service: &Service) -> ServiceRecord {
    let limit_id = |index: usize| policy.limits.get(index).map_or(0, |limit| ids.limits.of(&limit.name));
    let mut limit_for = [LimitForRecord::default(); MAX_LISTS];
    for (record, row) in limit_for.iter_mut().zip(&service.limit_for) {
        *record = LimitForRecord { list: row.list as u16, limit: limit_id(row.limit) };
    }
    ServiceRecord {
        deny: bits(&service.deny),
        allow: service.allow.as_deref().map_or(0, bits),
        limit_for_lists: service.limit_for.iter().map(|row| bit(row.list)).fold(0, |all, one| all | one),
        has_allow: u32::from(service.allow.is_some()),
        limit: service.limit.map_or(0, limit_id),
        limit_for_count: service.limit_for.len().min(MAX_LISTS) as u16,
        limit_for,
        observe: u32::from(service.mode == Mode::Observe),
        padding: 0,
    }
}

fn limit_record(limit: &Limit, limits: usize) -> LimitRecord {
    let quota = |rate: &Option<Rate>| rate.as_ref().map(Rate::quota).unwrap_or_default();
    let quotas = [quota(&limit.packets), quota(&limit.bytes), quota(&limit.connections)];
    LimitRecord {
        // Newcomers of all limits share the table.
        gate: gate_quota(&quotas, RATE_SETS / limits.max(1) as u32),
        quotas,
        mask_v6: mask(limit.source_v6),
        mask_v4: mask(limit.source_v4)[0],
    }
}

/// Lists that admit to a service or name a limit.
fn member_lists(policy: &Policy) -> u64 {
    let of = |service: &Service| {
        let limited = service.limit_for.iter().map(|row| bit(row.list));
        limited.fold(service.allow.as_deref().map_or(0, bits), |all, one| all | one)
    };
    policy.services.iter().map(of).fold(0, |all, one| all | one)
}

/// The first `length` of the 128 bits of an address.
fn mask(length: u8) -> [u64; 2] {
    let bits = u128::MAX.checked_shl(128u32.saturating_sub(length.into())).unwrap_or(0);
    [(bits >> 64) as u64, bits as u64]
}

fn address_key(address: IpAddr) -> AddressKey {
    let address = Address::from(address);
    AddressKey { high: address.high, low: address.low, family: address.family as u32, padding: 0 }
}

/// The bit of the list at `index` in [`Policy::lists`].
pub fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1u64.checked_shl(index)).unwrap_or(0)
}

fn bits(indices: &[usize]) -> u64 {
    indices.iter().fold(0, |all, index| all | bit(*index))
}
