//! `portcullis check --host`: whether a policy fits this host, without root. Each look is one function; a new one is one line
//! in `LOOKS`.
//!
//! What is found is about a policy that can be used. An error means that `portcullis run` could not filter an interface here.

use std::{collections::BTreeSet, io, net::SocketAddr, ops::RangeInclusive};

use serde::Serialize;

use super::{Check, Level, interface};
use crate::{
    host::{
        connections::{self, Listening},
        devices::{self, Devices, DevicesError},
        ephemeral, group,
        memory::{self, MemoryRoom},
        surroundings::{self, Surroundings},
    },
    policy::{Policy, Protocol, Service, ephemeral::EphemeralPorts},
    preview::guard,
    text::{
        ports,
        shown::{few, shown},
    },
};

/// What `portcullis check --host` says of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFinding {
    /// Which look found it.
    pub look: &'static str,
    /// How bad it is.
    pub level: Weight,
    /// What it is about: `interface eth0`, `service web`, `host`.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Good to know.
    Note,
    /// Perhaps not what was meant; refused with `--strict`.
    Warning,
    /// This host cannot have the policy.
    Error,
}

/// What looks look at.
pub struct HostFacts {
    devices: Result<Devices, DevicesError>,
    listeners: io::Result<Vec<Listening>>,
    /// Ports that the kernel gives to sockets which ask for none.
    pub given: EphemeralPorts,
    /// What is left of the memory of the daemon; `None` without a limit.
    memory: Option<MemoryRoom>,
    around: io::Result<Surroundings>,
}

type Look = fn(&Policy, &HostFacts) -> Vec<HostFinding>;

/// Everything that is looked at, in the order in which it is told.
const LOOKS: [Look; 7] = [interfaces, pairs, unheard, unfiltered, needed, memory_left, viewers];

/// Most ports that one line names.
const MOST_PORTS: usize = 12;

/// What this host says to `policy`.
pub fn findings(policy: &Policy, facts: &HostFacts) -> Vec<HostFinding> {
    LOOKS.iter().flat_map(|look| look(policy, facts)).collect()
}

impl HostFacts {
    /// Those of the network namespace of this thread.
    pub fn read() -> Self {
        Self {
            devices: devices::read(),
            listeners: connections::listeners(),
            given: ephemeral::read(),
            memory: memory::room_of_unit(),
            around: surroundings::read(),
        }
    }
}

impl Weight {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A group of the socket that there is not.
fn viewers(policy: &Policy, _: &HostFacts) -> Vec<HostFinding> {
    let Some(wanted) = &policy.api.socket.group else { return Vec::new() };
    let Err(why) = group::number(wanted) else { return Vec::new() };
    let message = format!("`{}`: {why}; without it nobody but root may look", shown(wanted));
    vec![finding("viewers", Weight::Warning, "api.group".into(), message, None)]
}

/// Interfaces that are not there, or that cannot be filtered as the policy wants it.
fn interfaces(policy: &Policy, facts: &HostFacts) -> Vec<HostFinding> {
    const LOOK: &str = "interfaces";
    let devices = match &facts.devices {
        Ok(devices) => devices,
        Err(error) => return vec![finding(LOOK, Weight::Warning, "host".into(), error.to_string(), None)],
    };
    let mut findings = Vec::new();
    let mut seen: Vec<(u32, &str)> = Vec::new();
    for wanted in &policy.interfaces {
        let subject = || format!("interface {}", wanted.name);
        let Some(device) = devices.named(&wanted.name) else {
            let hint = "a reload refuses it, a start waits for it; `ip link` lists the interfaces of this host";
            let hint = Some(hint.to_owned());
            findings.push(finding(LOOK, Weight::Warning, subject(), "is not on this host".into(), hint));
            continue;
        };
        if let Some((_, other)) = seen.iter().find(|(ifindex, _)| *ifindex == device.ifindex) {
            let message = format!("is {other} by another name, which is in the configuration too");
            let hint = Some(format!("take one of {} and {other} out", wanted.name));
            findings.push(finding(LOOK, Weight::Error, subject(), message, hint));
            continue;
        }
        seen.push((device.ifindex, &wanted.name));
        for Check { check, level, found, fix, .. } in interface::fit(device, Some(wanted.mode), devices) {
            let weight = match level {
                Level::Ok => continue,
                Level::Warn => Weight::Warning,
                Level::Fail => Weight::Error,
            };
            let message = if check == "kind" { found } else { format!("{check}: {found}") };
            findings.push(finding(LOOK, weight, subject(), message, fix));
        }
    }
    findings
}

/// Entries that services deny and that cover what this host needs itself: a reload refuses them, and a start does not.
fn needed(policy: &Policy, facts: &HostFacts) -> Vec<HostFinding> {
    const LOOK: &str = "surroundings";
    let around = match &facts.around {
        Ok(around) => around,
        Err(error) => {
            let message = format!("cannot list the networks of this host and its gateways: {error}");
            return vec![finding(LOOK, Weight::Warning, "host".into(), message, None)];
        }
    };
    let denied = policy.lists.iter().enumerate().filter(|(index, _)| policy.denies_list(*index));
    let harms = denied.flat_map(|(_, list)| guard::covers(&list.name, &list.entries, around));
    let hint = "take it out, or name in `management` whoever must not be dropped";
    harms.map(|harm| finding(LOOK, Weight::Warning, "host".into(), harm.to_string(), Some(hint.to_owned()))).collect()
}

/// Lists that are too long for the memory of the daemon.
fn memory_left(policy: &Policy, facts: &HostFacts) -> Vec<HostFinding> {
    let Err(shortage) = memory::require(memory::prefixes_of(policy), facts.memory.clone()) else { return Vec::new() };
    let words = shortage.to_string();
    let (message, hint) = words.split_once("\nhint: ").unwrap_or((&words, ""));
    vec![finding("memory", Weight::Error, "host".into(), message.to_owned(), Some(hint.to_owned()))]
}

/// Interfaces that see one packet twice.
fn pairs(policy: &Policy, facts: &HostFacts) -> Vec<HostFinding> {
    let Ok(devices) = &facts.devices else { return Vec::new() };
    let doubled = devices.doubled(policy.interfaces.iter().map(|interface| &*interface.name));
    let told = |pair: &devices::Doubled| {
        finding("pairs", Weight::Warning, format!("interface {}", pair.upper), pair.to_string(), None)
    };
    doubled.iter().map(told).collect()
}

/// Services on whose ports nobody listens: a typing error, or packets that are forwarded.
fn unheard(policy: &Policy, facts: &HostFacts) -> Vec<HostFinding> {
    const LOOK: &str = "listeners";
    let listeners = match &facts.listeners {
        Ok(listeners) => listeners,
        Err(error) => {
            let message = format!("cannot list the sockets of this host: {error}");
            let hint = Some("modprobe tcp_diag udp_diag".to_owned());
            return vec![finding(LOOK, Weight::Warning, "host".into(), message, hint)];
        }
    };
    let told = |service: &Service| {
        let is_silent = |range: &&RangeInclusive<u16>| {
            let mut heard = listeners.iter().filter(|listener| range.contains(&listener.local.port()));
            !heard.any(|listener| is_of(listener, service))
        };
        let silent: Vec<String> = service.ports.iter().filter(is_silent).map(ports::show).collect();
        let weight = if silent.len() == service.ports.len() { Weight::Warning } else { Weight::Note };
        let message = format!("nobody on this host listens on {} {}", service.protocol, few(&silent, MOST_PORTS));
        let hint = "right where its packets are forwarded, or the server is not started yet".to_owned();
        let subject = format!("service {}", service.name);
        (!silent.is_empty()).then(|| finding(LOOK, weight, subject, message, Some(hint)))
    };
    policy.services.iter().filter_map(told).collect()
}

/// Ports that listen and belong to no service: nothing filters them.
fn unfiltered(policy: &Policy, facts: &HostFacts) -> Vec<HostFinding> {
    let Ok(listeners) = &facts.listeners else { return Vec::new() };
    let is_open = |listener: &&Listening, protocol| {
        let Listening { protocol: its, local } = **listener;
        // A UDP socket at a port that the kernel chose asks somebody, and serves nobody.
        let is_client = protocol == Protocol::Udp && facts.given.contains(local.port());
        let mut services = policy.services.iter();
        let is_served = |service: &Service| {
            service.ports.iter().any(|ports| ports.contains(&local.port())) && is_of(listener, service)
        };
        its == protocol && !is_client && !local.ip().is_loopback() && !services.any(is_served)
    };
    let told = |protocol| {
        let open: BTreeSet<u16> =
            listeners.iter().filter(|one| is_open(one, protocol)).map(|one| one.local.port()).collect();
        let shown: Vec<String> = open.iter().map(u16::to_string).collect();
        let verb = if open.len() == 1 { "listens and belongs" } else { "listen and belong" };
        let message =
            format!("{protocol} {} {verb} to no service: what is sent there is not filtered", few(&shown, MOST_PORTS));
        (!open.is_empty()).then(|| finding("open ports", Weight::Note, "host".into(), message, None))
    };
    [Protocol::Tcp, Protocol::Udp].into_iter().filter_map(told).collect()
}

/// Whether a socket is one of this service, if its port is.
fn is_of(listener: &Listening, service: &Service) -> bool {
    let Listening { protocol, local } = listener;
    let is_at = |local: &SocketAddr| local.ip().is_unspecified() || service.addresses.contains(&local.ip());
    *protocol == service.protocol && (service.addresses.is_empty() || is_at(local))
}

fn finding(look: &'static str, level: Weight, subject: String, message: String, hint: Option<String>) -> HostFinding {
    HostFinding { look, level, subject, message, hint }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config,
        host::devices::{Device, LinkType, XdpSupport},
    };

    fn policy(text: &str) -> Policy {
        let lists = "[lists.a]\nentries = [\"192.0.2.0/24\"]\n";
        match config::load_text(Path::new("x.toml"), &format!("{text}\n{lists}"), Path::new("")) {
            Ok(loaded) => loaded.policy,
            Err(report) => panic!("{report}"),
        }
    }

    fn device(name: &str, ifindex: u32) -> Device {
        let xdp = Some(XdpSupport { native: true, several_buffers: true });
        Device { name: name.into(), ifindex, is_up: true, mtu: 1500, xdp, ..Device::default() }
    }

    fn facts(devices: Vec<Device>, listeners: &[(Protocol, &str)]) -> HostFacts {
        let listener = |(protocol, local): &(Protocol, &str)| Listening {
            protocol: *protocol,
            local: local.parse().expect("an address with a port"),
        };
        HostFacts {
            devices: Ok(Devices::of(devices)),
            listeners: Ok(listeners.iter().map(listener).collect()),
            given: EphemeralPorts::default(),
            memory: None,
            around: Ok(Surroundings::default()),
        }
    }

    #[test]
    fn a_group_that_there_is_not_is_a_warning() {
        let told = |group: &str| {
            let text = format!("[[interface]]\nname = \"eth0\"\n[api]\ngroup = \"{group}\"");
            viewers(&policy(&text), &facts(Vec::new(), &[])).into_iter().map(|one| one.message).collect::<Vec<_>>()
        };
        assert_eq!(told("root"), [""; 0]);
        assert_eq!(
            told("no-such-group"),
            [
                "`no-such-group`: there is no such group (`getent group` lists them); without it nobody but root may look"
            ]
        );
    }

    #[test]
    fn a_denied_entry_that_covers_a_network_or_a_gateway_of_this_host_is_a_warning() {
        let around = Surroundings {
            networks: ["192.0.2.0/25".parse().unwrap()].into(),
            gateways: ["192.0.2.1".parse().unwrap()].into(),
            ..Surroundings::default()
        };
        let facts = || HostFacts { around: Ok(around.clone()), ..facts(vec![device("eth0", 2)], &WEB) };
        let denies = policy(&format!("[[interface]]\nname = \"eth0\"\n{}", SERVICE.replace("allow", "deny")));
        let said = told(&denies, &facts());
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said.iter().all(|(level, subject, _)| (*level, &**subject) == (Weight::Warning, "host")), "{said:?}");
        assert!(
            said[0].2.contains("192.0.2.0/24 of list `a`, which is denied, covers 192.0.2.0/25, a network"),
            "{said:?}"
        );
        assert_eq!(told(&on(&["eth0"]), &facts()), [], "what is only allowed");
    }

    #[test]
    fn lists_that_are_too_long_for_the_memory_of_the_daemon_are_an_error() {
        let set_in = "/sys/fs/cgroup/system.slice/portcullis.service/memory.max".into();
        let memory = Some(MemoryRoom { limit: 20 << 20, used: 10 << 20, set_in });
        let facts = HostFacts { memory, ..facts(Vec::new(), &[]) };
        let found = memory_left(&on(&["eth0"]), &facts).pop().unwrap();
        assert_eq!((found.look, found.level), ("memory", Weight::Error));
        assert!(
            found.message.contains("lists with 1 entry need about 17 MiB of memory, and 10 MiB are left of the 20 MiB"),
            "{found:?}"
        );
        assert!(found.hint.unwrap().starts_with("raise `MemoryMax=`"));
    }

    fn told(policy: &Policy, facts: &HostFacts) -> Vec<(Weight, String, String)> {
        let line = |one: HostFinding| (one.level, one.subject, one.message);
        findings(policy, facts).into_iter().map(line).collect()
    }

    const SERVICE: &str = "[services.web]\nprotocol = \"tcp\"\nports = [80, 443]\nallow = [\"a\"]\n";

    fn on(interfaces: &[&str]) -> Policy {
        let named: String = interfaces.iter().map(|name| format!("[[interface]]\nname = \"{name}\"\n")).collect();
        policy(&format!("{named}{SERVICE}"))
    }

    const WEB: [(Protocol, &str); 2] = [(Protocol::Tcp, "0.0.0.0:80"), (Protocol::Tcp, "[::]:443")];

    #[test]
    fn a_host_that_fits_is_not_spoken_of() {
        let eth0 = Device { other_names: vec!["wan".into()], ..device("eth0", 2) };
        assert_eq!(told(&on(&["eth0"]), &facts(vec![eth0.clone()], &WEB)), []);
        assert_eq!(told(&on(&["wan"]), &facts(vec![eth0], &WEB)), [], "by its other name");
    }

    #[test]
    fn an_interface_that_cannot_be_filtered_is_an_error_and_a_missing_one_a_warning() {
        let tun = Device { kind: Some("tun".into()), link_type: LinkType::Other(0xfffe), ..device("tun0", 3) };
        let told = told(&on(&["eth0", "tun0", "eth9"]), &facts(vec![device("eth0", 2), tun], &WEB));
        let heads: Vec<_> = told.iter().map(|(level, subject, _)| (*level, &**subject)).collect();
        assert_eq!(heads, [(Weight::Error, "interface tun0"), (Weight::Warning, "interface eth9")]);
        assert!(told[0].2.starts_with("cannot be filtered: its packets have no Ethernet header"), "{told:?}");
    }

    #[test]
    fn two_names_of_one_interface_are_an_error_and_a_pair_is_a_warning() {
        let eth0 = Device { other_names: vec!["wan".into()], controller: Some(9), ..device("eth0", 2) };
        let bridge = Device { kind: Some("bridge".into()), ..device("br0", 9) };
        let facts = facts(vec![eth0, bridge], &WEB);
        let twice = told(&on(&["eth0", "wan"]), &facts);
        assert_eq!((twice[0].0, &*twice[0].1), (Weight::Error, "interface wan"));
        let pair = told(&on(&["eth0", "br0"]), &facts);
        assert_eq!((pair.len(), pair[0].0, &*pair[0].1), (1, Weight::Warning, "interface br0"));
        assert!(pair[0].2.ends_with("name eth0 only"), "{pair:?}");
    }

    #[test]
    fn a_service_that_nobody_serves_is_a_warning_and_a_part_of_it_a_note() {
        let of = |listeners: &[(Protocol, &str)]| told(&on(&["eth0"]), &facts(vec![device("eth0", 2)], listeners));
        let said = |text: &str| text.to_owned();
        let subject = said("service web");
        let all = (Weight::Warning, subject.clone(), said("nobody on this host listens on tcp 80, 443"));
        assert_eq!(of(&[(Protocol::Udp, "0.0.0.0:80")])[0], all);
        let part = (Weight::Note, subject, said("nobody on this host listens on tcp 80"));
        assert_eq!(of(&WEB[1..]), [part]);
    }

    #[test]
    fn ports_that_belong_to_no_service_are_noted_and_loopback_and_clients_are_not() {
        let listeners = [
            &WEB[..],
            &[
                (Protocol::Tcp, "0.0.0.0:22"),
                (Protocol::Tcp, "[::]:22"),
                (Protocol::Tcp, "127.0.0.1:631"),
                (Protocol::Udp, "0.0.0.0:41000"),
                (Protocol::Udp, "192.0.2.10:53"),
            ],
        ]
        .concat();
        let told = told(&on(&["eth0"]), &facts(vec![device("eth0", 2)], &listeners));
        let note = |ports: &str| {
            let text = format!("{ports} listens and belongs to no service: what is sent there is not filtered");
            (Weight::Note, "host".to_owned(), text)
        };
        assert_eq!(told, [note("tcp 22"), note("udp 53")]);
    }
}
