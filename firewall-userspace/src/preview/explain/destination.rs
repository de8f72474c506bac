//! Where a packet goes to when nobody says.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::policy::{Policy, Prefix, Protocol, Service};

/// Who chose a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DestinationBy {
    /// The routing table: this host answers the source from it.
    Route,
    /// The service: it names the address.
    Service,
    /// Nothing better: it is the smallest address of this host of the family of the source.
    Smallest,
    /// Nobody: this host has no address of the family of the source.
    Nothing,
}

/// A destination, and who chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The address.
    pub address: IpAddr,
    /// The destination port.
    pub port: u16,
    /// Who chose the address.
    pub by: DestinationBy,
}

/// Destinations for packets of one source.
#[derive(Clone, Copy, Debug)]
pub struct Destinations<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Addresses of this host.
    pub own: &'a BTreeSet<Prefix>,
    /// The source.
    pub source: IpAddr,
    /// The address that this host answers it from, if that is known.
    pub route: Option<IpAddr>,
}

impl Destinations<'_> {
    /// Whether `address` is this host's, or one that a service names.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        self.own.contains(&Prefix::host(address))
            || self.policy.services.iter().any(|service| service.addresses.contains(&address))
    }

    /// For a packet to `port`: an address of this host; one that a service names when only such services have the port.
    pub fn of_port(&self, protocol: Option<Protocol>, port: u16) -> Chosen {
        let services = || {
            let has_port = move |service: &&Service| protocol == Some(service.protocol) && has_port(service, port);
            self.policy.services.iter().filter(has_port)
        };
        let mut named = services().flat_map(|service| &service.addresses).copied().filter(|one| self.fits(*one));
        let general = self.general(port);
        if services().all(|service| !service.addresses.is_empty())
            && !named.clone().any(|one| one == general.address)
            && let Some(address) = named.next()
        {
            return Chosen { address, port, by: DestinationBy::Service };
        }
        general
    }

    /// For a packet to `service`; `None` when no address and port of the family of the source leads to it.
    pub fn of_service(&self, service: &Service) -> Option<Chosen> {
        let general = self.general(0);
        let named = service.addresses.iter().copied().filter(|address| self.fits(*address));
        let named = named.map(|address| match address == general.address {
            true => general,
            false => Chosen { address, port: 0, by: DestinationBy::Service },
        });
        let own = self.hosts().map(|address| Chosen { address, port: 0, by: DestinationBy::Smallest });
        let candidates: Vec<Chosen> = match service.addresses.is_empty() {
            true => std::iter::once(general).chain(own).collect(),
            // The route first, if it is among them.
            false => {
                let (route, others): (Vec<Chosen>, Vec<Chosen>) = named.partition(|one| one.address == general.address);
                route.into_iter().chain(others).collect()
            }
        };
        let served = |chosen: &Chosen| {
            let free = |port: &u16| !self.is_taken(service, chosen.address, *port);
            let port = service.ports.iter().flat_map(|range| [*range.start(), *range.end()]).find(free)?;
            Some(Chosen { port, ..*chosen })
        };
        candidates.iter().find_map(served)
    }

    /// Whether a packet to `address` and `port` is judged by another service than `service`, because that names the address.
    fn is_taken(&self, service: &Service, address: IpAddr, port: u16) -> bool {
        let takes = |other: &&Service| {
            other.name != service.name
                && other.protocol == service.protocol
                && other.addresses.contains(&address)
                && has_port(other, port)
        };
        service.addresses.is_empty() && self.policy.services.iter().any(|other| takes(&other))
    }

    /// The address of this host that the source reaches, whatever is served there.
    pub fn general(&self, port: u16) -> Chosen {
        let chosen = |address, by| Chosen { address, port, by };
        match (self.route.filter(|route| self.fits(*route)), self.hosts().next()) {
            (Some(route), _) => chosen(route, DestinationBy::Route),
            (None, Some(own)) => chosen(own, DestinationBy::Smallest),
            (None, None) if self.source.is_ipv4() => {
                chosen(std::net::Ipv4Addr::LOCALHOST.into(), DestinationBy::Nothing)
            }
            (None, None) => chosen(std::net::Ipv6Addr::LOCALHOST.into(), DestinationBy::Nothing),
        }
    }

    /// Addresses of this host that a packet of the source may have as its destination, the smallest first.
    fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        let is_host = |address: &IpAddr| match address {
            IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_loopback() && !v4.is_multicast(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_multicast(),
        };
        let own = self.own.iter().map(|prefix| prefix.address());
        own.filter(move |address| self.fits(*address) && is_host(address))
    }

    fn fits(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.source.is_ipv4()
    }
}

fn has_port(service: &Service, port: u16) -> bool {
    service.ports.iter().any(|range| range.contains(&port))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const POLICY: &str = r#"
[[interface]]
name = "eth0"
[services.web]
protocol = "tcp"
ports = [443]
[services.dns]
protocol = "udp"
ports = [53]
addresses = ["192.0.2.20", "192.0.2.30", "2001:db8::20"]
[services.named]
protocol = "tcp"
ports = [443, 8443]
addresses = ["192.0.2.30"]
"#;

    fn with<T>(source: &str, route: Option<&str>, ask: impl FnOnce(Destinations<'_>) -> T) -> T {
        let policy = config::load_text(Path::new("x.toml"), POLICY, Path::new("")).unwrap().policy;
        let own =
            ["192.0.2.10", "192.0.2.30", "198.51.100.1", "2001:db8::10"].map(|text| text.parse::<Prefix>().unwrap());
        let (source, route) = (source.parse().unwrap(), route.map(|route| route.parse().unwrap()));
        ask(Destinations { policy: &policy, own: &own.into(), source, route })
    }

    fn shown(chosen: Chosen) -> String {
        format!("{} {} {:?}", chosen.address, chosen.port, chosen.by)
    }

    fn of_port(source: &str, route: Option<&str>, protocol: Protocol, port: u16) -> String {
        with(source, route, |destinations| shown(destinations.of_port(Some(protocol), port)))
    }

    fn of_service(source: &str, route: Option<&str>, name: &str) -> Option<String> {
        with(source, route, |destinations| {
            let service = destinations.policy.services.iter().find(|service| &*service.name == name).unwrap();
            destinations.of_service(service).map(shown)
        })
    }

    #[test]
    fn the_address_that_the_source_is_answered_from_comes_before_the_smallest() {
        let tcp = |route, port| of_port("203.0.113.7", route, Protocol::Tcp, port);
        assert_eq!(tcp(Some("198.51.100.1"), 443), "198.51.100.1 443 Route");
        assert_eq!(tcp(None, 443), "192.0.2.10 443 Smallest");
        assert_eq!(tcp(Some("2001:db8::10"), 1), "192.0.2.10 1 Smallest", "another family");
        let udp = |route, port| of_port("203.0.113.7", route, Protocol::Udp, port);
        assert_eq!(udp(Some("198.51.100.1"), 53), "192.0.2.20 53 Service", "only there it is served");
        assert_eq!(udp(Some("192.0.2.30"), 53), "192.0.2.30 53 Route");
        assert_eq!(of_port("2001:db8:f::1", None, Protocol::Udp, 53), "2001:db8::20 53 Service");
    }

    #[test]
    fn a_service_is_asked_where_it_is_served_and_no_other_one_is() {
        let ask = |route, name| of_service("203.0.113.7", route, name).unwrap();
        assert_eq!(ask(Some("198.51.100.1"), "web"), "198.51.100.1 443 Route");
        assert_eq!(ask(Some("192.0.2.30"), "web"), "192.0.2.10 443 Smallest", "`named` has it at the route");
        assert_eq!(ask(Some("192.0.2.30"), "dns"), "192.0.2.30 53 Route");
        assert_eq!(ask(Some("192.0.2.10"), "dns"), "192.0.2.20 53 Service");
        assert_eq!(of_service("2001:db8:f::1", None, "named"), None, "it has no IPv6 address");
    }

    #[test]
    fn ours_is_what_this_host_has_or_a_service_names() {
        let is_ours = |address: &str| with("203.0.113.7", None, |all| all.is_ours(address.parse().unwrap()));
        assert!(is_ours("192.0.2.10") && is_ours("2001:db8::20"));
        assert!(!is_ours("192.0.2.11"));
    }
}
