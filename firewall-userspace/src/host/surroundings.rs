//! What this host needs of the networks around it: those it is in, its gateways and its resolvers.

use std::{
    collections::BTreeSet,
    io,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::{
    raw::{NetlinkSocket, RawMessage, address, attribute, attributes},
    routes::{self, NEXT_HOP, ROUTE},
};
use crate::{files, policy::Prefix};

/// What this host needs of the networks around it. Loopback is no part of it: its packets come in through no filtered interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Networks that its interfaces have addresses in.
    pub networks: BTreeSet<Prefix>,
    /// Next hops of its routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Where it asks for names: those that it has a route to.
    pub resolvers: BTreeSet<IpAddr>,
}

// include/uapi/linux/rtnetlink.h and if_addr.h.
const RTM_GETADDR: u16 = 22;
/// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
const ADDRESS_INFO: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;

/// Routes of a family that are looked at: a router of the internet has a million. The default route may be behind them: tables of lower
/// numbers come before the main one, and in a table of IPv6 it is the last (net/ipv6/ip6_fib.c `fib6_walk_continue`).
const MOST_ROUTES: usize = 10_000;

/// Addresses that nobody is given, so that nothing but a default route leads there: of class E (RFC 1112 section 4), and outside of
/// `2000::/3`, which global addresses come from (RFC 4291 section 2.4, IANA).
pub(super) const FAR: [(u8, IpAddr); 2] = [
    (AF_INET, IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1))),
    (AF_INET6, IpAddr::V6(Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 1))),
];

/// Where resolvers are named (resolv.conf(5)), and those behind the stub of systemd-resolved (systemd-resolved.service(8)).
const RESOLVERS: &str = "/etc/resolv.conf";
const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// Octets of such a file that are read.
const LONGEST_FILE: u64 = 1 << 16;

/// What this host needs, in the network namespace of this thread.
///
/// # Errors
/// When the kernel does not answer. Without a file of resolvers there are none.
pub fn read() -> io::Result<Surroundings> {
    read_from(Path::new(RESOLVERS), Path::new(BEHIND_STUB))
}

/// The same with the resolvers that the file `main` names, and behind a stub those that `behind` names.
fn read_from(main: &Path, behind: &Path) -> io::Result<Surroundings> {
    let mut found = Surroundings { resolvers: resolvers(main, behind), ..Surroundings::default() };
    let mut socket = NetlinkSocket::open(NETLINK_ROUTE)?;
    // All families at once, for which the family is 0.
    socket.dump(RawMessage { kind: RTM_GETADDR, octets: vec![0; ADDRESS_INFO] }, |message: RawMessage| {
        found.networks.extend(network(&message.octets));
    })?;
    for (family, far) in FAR {
        // The kernel refuses when no route leads there.
        if let Ok(route) = socket.ask(routes::route_for(far)) {
            gateways(&route, &mut found.gateways);
        }
        let mut count = 0;
        // A socket of its own: what is left of an answer ends with it.
        NetlinkSocket::open(NETLINK_ROUTE)?.dump_while(routes::of_family(family), |message: RawMessage| {
            gateways(&message.octets, &mut found.gateways);
            count += 1;
            count < MOST_ROUTES
        })?;
    }
    found.gateways.retain(|gateway| !gateway.is_loopback() && !gateway.is_unspecified());
    // The files are those of this mount namespace, which may know resolvers of another network namespace.
    found.resolvers.retain(|resolver| has_route(&mut socket, *resolver));
    Ok(found)
}

/// Whether there is a route to `destination`, or the kernel does not say.
fn has_route(socket: &mut NetlinkSocket, destination: IpAddr) -> bool {
    let answer = socket.ask(routes::way_to(destination));
    !answer.is_err_and(|error| matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)))
}

/// The network of one address; `None` for loopback.
fn network(message: &[u8]) -> Option<Prefix> {
    let (info, rest) = message.split_at_checked(ADDRESS_INFO)?;
    let value = attribute(rest, IFA_ADDRESS).or_else(|| attribute(rest, IFA_LOCAL))?;
    let network = Prefix::part(address(value)?, *info.get(1)?)?;
    (!network.address().is_loopback()).then_some(network)
}

/// Next hops of one route.
fn gateways(message: &[u8], found: &mut BTreeSet<IpAddr>) {
    let Some(rest) = message.get(ROUTE..) else { return };
    for (kind, value) in attributes(rest) {
        if kind == RTA_MULTIPATH {
            for hop in routes::hops(value) {
                for (kind, value) in attributes(hop.get(NEXT_HOP..).unwrap_or_default()) {
                    found.extend(gateway(kind, value));
                }
            }
        } else {
            found.extend(gateway(kind, value));
        }
    }
}

fn gateway(kind: u16, value: &[u8]) -> Option<IpAddr> {
    match kind {
        RTA_GATEWAY => address(value),
        // `struct rtvia`: a family, then an address.
        RTA_VIA => address(value.get(2..)?),
        _ => None,
    }
}

/// Resolvers that `main` names, and where one of them is on this host itself, those that `behind` names.
fn resolvers(main: &Path, behind: &Path) -> BTreeSet<IpAddr> {
    let mut named = name_servers(&text(main));
    if named.iter().any(IpAddr::is_loopback) {
        named.extend(name_servers(&text(behind)));
    }
    named.retain(|resolver| !resolver.is_loopback() && !resolver.is_unspecified());
    named
}

fn text(path: &Path) -> String {
    let mut text = Vec::new();
    // A file that is not there names nobody.
    let read = files::open_regular(path).and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut text));
    if read.is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Addresses behind `nameserver`, without their zones.
fn name_servers(text: &str) -> BTreeSet<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        address.split('%').next()?.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use netlink_packet_core::DefaultNla;

    use super::*;
    use crate::host::{TestFolder, raw::encoded};

    fn message(info: Vec<u8>, parts: &[DefaultNla]) -> Vec<u8> {
        [info, encoded(parts)].concat()
    }

    fn told(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<String> {
        addresses.into_iter().map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_network_is_that_of_the_address_and_loopback_is_none() {
        let of = |length: u8, octets: &[u8]| {
            let info = vec![2, length, 0, 0, 0, 0, 0, 0];
            network(&message(info, &[DefaultNla::new(IFA_ADDRESS, octets.to_vec())])).map(|prefix| prefix.to_string())
        };
        assert_eq!(of(24, &[192, 0, 2, 10]), Some("192.0.2.0/24".into()));
        assert_eq!(of(8, &[127, 0, 0, 1]), None);
        assert_eq!(of(64, &"2001:db8:1::10".parse::<Ipv6Addr>().unwrap().octets()), Some("2001:db8:1::/64".into()));
        assert_eq!(network(&[2, 24]), None);
    }

    #[test]
    fn gateways_are_those_of_plain_routes_and_of_several_ways_and_of_another_family() {
        let plain = DefaultNla::new(RTA_GATEWAY, vec![192, 0, 2, 1]);
        let hop = |last: u8| {
            let nested = message(vec![16, 0, 0, 0, 0, 0, 0, 0], &[DefaultNla::new(RTA_GATEWAY, vec![192, 0, 2, last])]);
            assert_eq!(nested.len(), 16);
            nested
        };
        let several = DefaultNla::new(RTA_MULTIPATH, [hop(2), hop(3)].concat());
        let v6: Vec<u8> = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        let via = DefaultNla::new(RTA_VIA, [vec![10, 0], v6].concat());
        let mut found = BTreeSet::new();
        gateways(&message(vec![0; ROUTE], &[plain, several, via]), &mut found);
        assert_eq!(told(found), ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]);
        let mut none = BTreeSet::new();
        gateways(&message(vec![0; ROUTE], &[DefaultNla::new(RTA_MULTIPATH, vec![0; 16])]), &mut none);
        assert!(none.is_empty(), "hops of length 0 end");
    }

    #[test]
    fn resolvers_behind_a_stub_are_read_where_it_says_so() {
        let folder = TestFolder::new("resolvers");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let behind = write("behind", "nameserver 192.0.2.53\n");
        let direct = write(
            "direct",
            "# nameserver 192.0.2.1\nsearch example\nnameserver 198.51.100.53\nnameserver fe80::1%eth0\n",
        );
        assert_eq!(told(resolvers(&direct, &behind)), ["198.51.100.53", "fe80::1"]);
        let stub = write("stub", "nameserver 127.0.0.53\noptions edns0\n");
        assert_eq!(told(resolvers(&stub, &behind)), ["192.0.2.53"]);
        assert!(resolvers(&folder.path().join("none"), &behind).is_empty());
        // Which of them this machine has a route to is not known; the others are left out.
        let mut socket = NetlinkSocket::open(NETLINK_ROUTE).unwrap();
        for (main, named) in [(&direct, "198.51.100.53"), (&stub, "192.0.2.53")] {
            let found = read_from(main, &behind).unwrap().resolvers;
            let named: IpAddr = named.parse().unwrap();
            assert_eq!(found.contains(&named), has_route(&mut socket, named), "{found:?}");
            assert!(found.iter().all(|resolver| *resolver == named || resolver.is_ipv6()), "{found:?}");
        }
    }

    /// What this machine has: every one has loopback, which is left out.
    #[test]
    fn this_host_can_be_asked() {
        let found = read().unwrap();
        assert!(found.networks.iter().all(|network| !network.address().is_loopback()), "{found:?}");
    }
}
