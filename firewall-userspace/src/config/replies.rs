//! Services that would drop the replies to what this host asks of others.

use std::ops::RangeInclusive;

use super::{
    reader::{At, Reader},
    sections::named::{Items, NamedItem},
};
use crate::{
    policy::{Policy, Prefix, Protocol, Service, ephemeral::EphemeralPorts},
    text::ports,
};

/// Warns of services of `policy` that admit some sources only, and whose ports are a range that the kernel gives ports out of. A single
/// port is one that something listens at: no other socket gets that.
pub fn warn(reader: &mut Reader<'_>, policy: &Policy, services: &Items<'_>, ephemeral: &EphemeralPorts) {
    for (service, item) in policy.services.iter().zip(services.as_slice()) {
        if admits_everybody(policy, service) {
            continue;
        }
        let Some((at, given)) = first_given(reader, item, ephemeral) else { continue };
        let (whose, which, needed) = match service.protocol {
            Protocol::Tcp => {
                ("connections that this host opens", "TCP servers", "the servers that this host connects to")
            }
            Protocol::Udp => {
                ("what this host asks", "UDP servers (DNS, NTP)", "the resolvers and time servers of this host")
            }
        };
        let message = format!(
            "service `{}` judges ports {}, which the kernel gives to {whose} itself ({ephemeral}): replies of {which} that `allow` \
             does not admit are dropped",
            service.name,
            ports::show(&given)
        );
        let hint = format!(
            "write the ports that something listens at, or have {needed} in a list of `allow`; a range that has to stay is kept from \
             the kernel by `net.ipv4.ip_local_reserved_ports`"
        );
        reader.warning(&at, message, Some(hint));
    }
}

/// Whether every source of both families is in its `allow`, or it has none.
fn admits_everybody(policy: &Policy, service: &Service) -> bool {
    let Some(allow) = &service.allow else { return true };
    let admits = |all: Prefix| {
        allow.iter().filter_map(|list| policy.lists.get(*list)).any(|list| list.entries.binary_search(&all).is_ok())
    };
    admits(Prefix::ALL_V4) && admits(Prefix::ALL_V6)
}

/// The first range of ports of a service that the kernel gives ports out of, and those.
fn first_given(
    reader: &mut Reader<'_>,
    item: &NamedItem<'_>,
    ephemeral: &EphemeralPorts,
) -> Option<(At, RangeInclusive<u16>)> {
    let elements = reader.array(&item.value("ports")?, "ports");
    elements.into_iter().find_map(|element| {
        let range = ports::parse(element.value.as_str()?).ok().filter(|range| range.start() < range.end())?;
        Some((element.at, ephemeral.within(&range)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, load_stdin};

    const ALL_PORTS: &str = include_str!("../../tests/data/all-ports.toml");

    fn load(text: &str, ports: &EphemeralPorts) -> Loaded {
        load_stdin(text.as_bytes(), ports).unwrap()
    }

    /// What is said of each place.
    fn said(text: &str, ports: &EphemeralPorts) -> Vec<(String, String)> {
        let report = load(text, ports).warnings;
        report.warnings().map(|one| (one.path.clone(), one.message.clone())).collect()
    }

    /// What is said of the only service, over these ports and with these rules.
    fn of(ports: &str, rules: &str) -> Vec<(String, String)> {
        let text = format!(
            "[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [\"192.0.2.4\"]\n[lists.a]\nentries = [\"192.0.2.2\"]\n\
             [lists.all]\nentries = [\"0.0.0.0/0\", \"::/0\"]\n[services.s]\nprotocol = \"tcp\"\nports = [{ports}]\n{rules}\n\
             [services.other]\nprotocol = \"udp\"\nports = [1]\nallow = [\"a\", \"all\"]\n"
        );
        said(&text, &EphemeralPorts::default())
    }

    /// `../shared/field/all-ports.toml` (talos#13926, cilium#34107).
    #[test]
    fn a_service_over_all_ports_is_told_that_replies_come_there_for_tcp_and_for_udp() {
        let words = |kind: &str, whose: &str, which: &str, (range, port_range): (&str, &str)| {
            let message = format!(
                "service `everything_{kind}` judges ports {range}, which the kernel gives to {whose} itself \
                 (net.ipv4.ip_local_port_range is {port_range}): replies of {which} that `allow` does not admit are dropped"
            );
            (format!("services.everything_{kind}.ports[0]"), message)
        };
        let both = |range| {
            let tcp = words("tcp", "connections that this host opens", "TCP servers", range);
            [tcp, words("udp", "what this host asks", "UDP servers (DNS, NTP)", range)]
        };
        let wanted = both(("32768-60999", "32768-60999 by default"));
        assert_eq!(said(ALL_PORTS, &EphemeralPorts::default()), wanted);
        let ports = EphemeralPorts::of_host(1024..=5000, vec![1024..=1999]);
        assert_eq!(said(ALL_PORTS, &ports), both(("2000-5000", "1024-5000 on this host")));
        let kept = EphemeralPorts::of_host(1024..=5000, vec![1024..=5000]);
        assert_eq!(said(ALL_PORTS, &kept), []);
    }

    #[test]
    fn the_hint_says_what_to_write() {
        let loaded = load(ALL_PORTS, &EphemeralPorts::default());
        let hints: Vec<&str> = loaded.warnings.warnings().filter_map(|one| one.hint.as_deref()).collect();
        for (hint, servers) in
            hints.iter().zip(["the servers that this host connects to", "the resolvers and time servers"])
        {
            assert!(hint.starts_with("write the ports that something listens at, or have"), "{hint}");
            assert!(hint.contains(servers), "{hint}");
        }
        assert_eq!(hints.len(), 2);
    }

    #[test]
    fn a_range_of_such_ports_is_told_and_single_ports_other_ranges_and_services_for_everybody_are_not() {
        let told = of("443, \"50000-50010\"", "allow = [\"a\"]");
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, "services.s.ports[1]");
        assert!(told[0].1.contains("judges ports 50000-50010"), "{told:?}");
        assert_eq!(of("50051, \"50052\", \"51820-51820\"", "allow = [\"a\"]"), [], "something listens there");
        assert_eq!(of("\"0-32767\", \"61000-65535\"", "allow = [\"a\"]"), []);
        assert_eq!(of("\"0-65535\"", "deny = [\"a\"]"), []);
        assert_eq!(of("\"0-65535\"", "allow = [\"all\"]\ndeny = [\"a\"]"), []);
        assert_eq!(of("\"0-65535\"", "allow = [\"a\"]").len(), 1);
    }
}
