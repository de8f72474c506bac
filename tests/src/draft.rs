//! Policies for tests, written with names; [`Draft::policy`] resolves them as loading a configuration would.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use firewall_userspace::{
    logging::LogSettings,
    policy::{
        ApiSettings, AttachMode, Essentials, FragmentPolicy, HostDefault, Interface, Limit, LimitFor, List, Mode, Name,
        Policy, Prefix, Protocol, Rate, Service, StateFolder, guard::Guard,
    },
};

/// A policy in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    mode: Mode,
    fragments: FragmentPolicy,
    management: Vec<Prefix>,
    lists: Vec<List>,
    limits: Vec<Limit>,
    services: Vec<ServiceDraft>,
    essentials: Essentials,
}

/// A service in the making.
#[derive(Clone, Debug)]
pub struct ServiceDraft {
    name: &'static str,
    protocol: Protocol,
    ports: Vec<RangeInclusive<u16>>,
    mode: Mode,
    allow: Option<&'static [&'static str]>,
    deny: &'static [&'static str],
    limit: Option<&'static str>,
    limit_for: &'static [(&'static str, &'static str)],
    addresses: Vec<IpAddr>,
}

/// A limit in the making: one source is one address of IPv4, or a /64 of IPv6.
#[derive(Clone, Debug)]
pub struct LimitDraft(Limit);

/// How long a slow limit takes to give one unit back: longer than any test runs.
pub const DAY: Duration = Duration::from_secs(86_400);

impl Draft {
    /// No list, no service, the default caps.
    pub fn new() -> Self {
        let cap = events(1000, Duration::from_secs(1), 1000);
        Self {
            mode: Mode::Enforce,
            fragments: FragmentPolicy::Drop,
            management: Vec::new(),
            lists: Vec::new(),
            limits: Vec::new(),
            services: Vec::new(),
            essentials: Essentials { neighbour_discovery: cap, mld: cap, icmp_error: cap, dhcp: cap },
        }
    }

    /// Drops are only counted.
    pub fn observe(mut self) -> Self {
        self.mode = Mode::Observe;
        self
    }

    /// Fragments are judged by their source.
    pub fn fragments_by_source(mut self) -> Self {
        self.fragments = FragmentPolicy::Source;
        self
    }

    /// Adds management prefixes.
    pub fn management(mut self, prefixes: &[&str]) -> Self {
        self.management.extend(prefixes.iter().map(|text| prefix(text)));
        self
    }

    /// Adds a list.
    pub fn list(mut self, list: &str, entries: &[&str]) -> Self {
        let mut entries: Vec<Prefix> = entries.iter().map(|text| prefix(text)).collect();
        entries.sort();
        self.lists.push(List { name: name(list), entries });
        self
    }

    /// Adds a limit.
    pub fn limit(mut self, limit: LimitDraft) -> Self {
        self.limits.push(limit.0);
        self
    }

    /// Adds a service.
    pub fn service(mut self, service: ServiceDraft) -> Self {
        self.services.push(service);
        self
    }

    /// Sets the cap of each essential to a burst of so many that does not come back during a test.
    pub fn caps(mut self, neighbour_discovery: u64, mld: u64, icmp_error: u64, dhcp: u64) -> Self {
        let [neighbour_discovery, mld, icmp_error, dhcp] =
            [neighbour_discovery, mld, icmp_error, dhcp].map(|burst| events(1, DAY, burst));
        self.essentials = Essentials { neighbour_discovery, mld, icmp_error, dhcp };
        self
    }

    /// Sets all caps to the same rate.
    pub fn all_caps(mut self, rate: Rate) -> Self {
        self.essentials = Essentials { neighbour_discovery: rate, mld: rate, icmp_error: rate, dhcp: rate };
        self
    }

    /// The policy: everything ordered by name, names resolved.
    pub fn policy(mut self) -> Policy {
        self.lists.sort_by(|one, other| one.name.cmp(&other.name));
        self.limits.sort_by(|one, other| one.name.cmp(&other.name));
        self.services.sort_by(|one, other| one.name.cmp(other.name));
        let list = |text: &str| {
            self.lists.iter().position(|list| &*list.name == text).expect("the test names a list of its policy")
        };
        let limit = |text: &str| {
            self.limits.iter().position(|limit| &*limit.name == text).expect("the test names a limit of its policy")
        };
        let lists = |names: &[&str]| names.iter().map(|text| list(text)).collect::<Vec<_>>();
        let services = self.services.iter().map(|service| Service {
            name: name(service.name),
            protocol: service.protocol,
            ports: service.ports.clone(),
            mode: service.mode,
            allow: service.allow.map(lists),
            deny: lists(service.deny),
            limit: service.limit.map(limit),
            limit_for: service
                .limit_for
                .iter()
                .map(|(in_list, then)| LimitFor { list: list(in_list), limit: limit(then) })
                .collect(),
            addresses: service.addresses.clone(),
        });
        Policy {
            interfaces: vec![Interface { name: "eth0".to_owned(), mode: AttachMode::Native, required: false }],
            mode: self.mode,
            host_default: HostDefault::Pass,
            fragments: self.fragments,
            management: self.management.clone(),
            services: services.collect(),
            lists: self.lists.clone(),
            limits: self.limits.clone(),
            essentials: self.essentials,
            guard: Guard::default(),
            admin_listen: ([127, 0, 0, 1], 9191).into(),
            api: ApiSettings::at_socket("/run/portcullis/api.sock".into()),
            state: StateFolder { directory: "/var/lib/portcullis".into(), snapshot_after: 8 << 20, generations: 10 },
            drift_interval: Duration::from_secs(10),
            log: LogSettings::default(),
        }
    }
}

impl Default for Draft {
    fn default() -> Self {
        Self::new()
    }
}

impl ServiceDraft {
    /// A TCP service on single ports.
    pub fn tcp(name: &'static str, ports: &[u16]) -> Self {
        Self::new(name, Protocol::Tcp, ports)
    }

    /// A UDP service on single ports.
    pub fn udp(name: &'static str, ports: &[u16]) -> Self {
        Self::new(name, Protocol::Udp, ports)
    }

    fn new(name: &'static str, protocol: Protocol, ports: &[u16]) -> Self {
        Self {
            name,
            protocol,
            ports: ports.iter().map(|port| *port..=*port).collect(),
            mode: Mode::Enforce,
            allow: None,
            deny: &[],
            limit: None,
            limit_for: &[],
            addresses: Vec::new(),
        }
    }

    /// Adds a range of ports.
    pub fn ports(mut self, range: RangeInclusive<u16>) -> Self {
        self.ports.push(range);
        self.ports.sort_by_key(|range| *range.start());
        self
    }

    /// Its drops are only counted.
    pub fn observe(mut self) -> Self {
        self.mode = Mode::Observe;
        self
    }

    /// Only members of these lists.
    pub fn allow(mut self, lists: &'static [&'static str]) -> Self {
        self.allow = Some(lists);
        self
    }

    /// No member of these lists.
    pub fn deny(mut self, lists: &'static [&'static str]) -> Self {
        self.deny = lists;
        self
    }

    /// Under this limit.
    pub fn limit(mut self, limit: &'static str) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Under another limit for members of a list; the first match wins.
    pub fn limit_for(mut self, rows: &'static [(&'static str, &'static str)]) -> Self {
        self.limit_for = rows;
        self
    }

    /// Only at these local addresses.
    pub fn at(mut self, addresses: &[&str]) -> Self {
        self.addresses = addresses.iter().map(|text| text.parse().expect("the test gives an address")).collect();
        self
    }
}

impl LimitDraft {
    /// A limit on nothing yet.
    pub fn new(limit: &str) -> Self {
        let name = name(limit);
        Self(Limit { name, packets: None, bytes: None, connections: None, source_v4: 32, source_v6: 64 })
    }

    /// Packets.
    pub fn packets(mut self, rate: u64, per: Duration, burst: u64) -> Self {
        self.0.packets = Some(events(rate, per, burst));
        self
    }

    /// Frame bytes.
    pub fn bytes(mut self, rate: u64, per: Duration, burst: u64) -> Self {
        self.0.bytes = Some(Rate::of_bytes(rate, per, burst).expect("the test gives a rate that can be kept"));
        self
    }

    /// TCP SYN without ACK.
    pub fn connections(mut self, rate: u64, per: Duration, burst: u64) -> Self {
        self.0.connections = Some(events(rate, per, burst));
        self
    }

    /// Leading bits that make one source.
    pub fn source_prefix(mut self, v4: u8, v6: u8) -> Self {
        self.0.source_v4 = v4;
        self.0.source_v6 = v6;
        self
    }
}

/// A prefix.
pub fn prefix(text: &str) -> Prefix {
    text.parse().expect("the test gives a prefix")
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("the test gives a name")
}

fn events(rate: u64, per: Duration, burst: u64) -> Rate {
    Rate::of_events(rate, per, burst).expect("the test gives a rate that can be kept")
}
