//! Multicast and broadcast that the host itself sends, which the kernel hands to generic XDP without an Ethernet header.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FRIEND4, HOST_MAC, HOST4, HOST6, INTERFACE, Lab},
    packet::Packet,
    running::wait_until,
    traffic::{RawSocket, uninterrupted},
};

use crate::policy::{DATA, POLICY};

/// Addresses of the host whose octets are EtherTypes where these are looked for.
const ODD4: &str = "8.0.0.2";
const ODD6: &str = "2001:db8:800::2";
const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x1234);
/// The port of the group: one of a service that admits friends only.
const PORT: u16 = DATA;
const LIMIT: Duration = Duration::from_secs(30);
/// How long a datagram may take.
const ARRIVAL: Duration = Duration::from_secs(3);

/// Sockets of a host that is a member of both groups.
struct Member {
    interface: u32,
    v4: UdpSocket,
    v6: UdpSocket,
}

impl Member {
    fn join(lab: &Lab) -> Result<Self> {
        for address in [ODD4, ODD6] {
            let length = if address.contains(':') { "/64 nodad" } else { "/24 broadcast 8.0.0.255" };
            lab.host.ip(&format!("address add {address}{length} dev {INTERFACE}"))?;
        }
        lab.host.enter(|| {
            let interface = nix::net::if_::if_nametoindex(INTERFACE)?;
            let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
            v4.join_multicast_v4(&GROUP4, &ODD4.parse()?)?;
            v4.join_multicast_v4(&GROUP4, &HOST4.parse()?).or_else(|error| match error.kind() {
                ErrorKind::AddrInUse => Ok(()), // both are of one interface
                _ => Err(error),
            })?;
            let v6 = only_v6(PORT)?;
            v6.join_multicast_v6(&GROUP6, interface)?;
            for socket in [&v4, &v6] {
                socket.set_read_timeout(Some(ARRIVAL))?;
            }
            Ok(Self { interface, v4, v6 })
        })?
    }

    /// Sends from an address of the host; whether it came back.
    fn hears(&self, lab: &Lab, source: &str, to: SocketAddr) -> Result<bool> {
        let sender =
            lab.host.enter(|| UdpSocket::bind((source, 0)))?.with_context(|| format!("cannot bind {source}"))?;
        sender.set_broadcast(true)?;
        sender.send_to(b"to all", to).with_context(|| format!("cannot send from {source} to {to}"))?;
        Ok(heard(if to.is_ipv4() { &self.v4 } else { &self.v6 })?.is_some())
    }

    fn group6(&self) -> SocketAddr {
        SocketAddrV6::new(GROUP6, PORT, 0, self.interface).into()
    }
}

/// Beside the socket for IPv4 on the same port.
fn only_v6(port: u16) -> Result<UdpSocket> {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt::Ipv6V6Only,
    };
    use std::os::fd::AsRawFd as _;
    let socket = socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, Ipv6V6Only, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))))?;
    Ok(socket.into())
}

/// How many octets the next datagram has; `None` when there is none.
fn heard(socket: &UdpSocket) -> Result<Option<usize>> {
    match uninterrupted(|| socket.recv(&mut [0; 64])) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn what_the_host_sends_to_itself_comes_back_in_generic_mode_and_is_named_so() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("[[interface]]\nname = \"eth0\"\nmode = \"generic\"\n{POLICY}"))?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdpgeneric"));
    let member = Member::join(&lab)?;
    let group4 = SocketAddr::from((GROUP4, PORT));
    // Until the daemon has heard of the addresses.
    for (source, to) in [(ODD4, group4), (ODD6, member.group6())] {
        wait_until(&format!("multicast from {source}"), LIMIT, || Ok(member.hears(&lab, source, to)?.then_some(())))?;
    }
    let broadcast = SocketAddr::from((Ipv4Addr::new(8, 0, 0, 255), PORT));
    let sent = [
        ("ipv4", HOST4, group4),
        ("ipv4", ODD4, group4),
        ("ipv4", ODD4, broadcast),
        ("ipv6", HOST6, member.group6()),
        ("ipv6", ODD6, member.group6()),
    ];
    for (family, source, to) in sent {
        let before = daemon.metrics()?;
        assert!(member.hears(&lab, source, to)?, "{source} to {to}");
        let judged = daemon.judged(&before, 1)?;
        assert!(judged.contains_key(&format!("{family} pass looped")), "{source} to {to}: {judged:?}");
        assert!(!judged.keys().any(|verdict| verdict.contains("drop")), "{source} to {to}: {judged:?}");
    }
    Ok(())
}

#[test]
fn multicast_from_outside_is_judged_and_what_looks_like_looped_reaches_nobody() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, &format!("[[interface]]\nname = \"eth0\"\nmode = \"generic\"\n{POLICY}"))?;
    let member = Member::join(&lab)?;
    let group4 = SocketAddr::from((GROUP4, PORT));
    let is_known = || Ok(member.hears(&lab, ODD4, group4)?.then_some(()));
    wait_until("an address that the daemon knows", LIMIT, is_known)?;
    let outside = RawSocket::open(&lab.peer)?;
    let multicast = |source: &str, octets| {
        let mac = [1, 0, 0x5e, 1, 2, 3];
        Packet::v4(source, "239.1.2.3").udp(40_000, PORT).payload(octets).macs(mac, [2, 0, 0, 0, 0, 2])
    };
    assert_eq!(daemon.verdict_of(&multicast(FRIEND4, 32).build())?, "ipv4 pass accepted");
    assert_eq!(heard(&member.v4)?, Some(32));
    assert_eq!(daemon.verdict_of(&multicast(FOE4, 32).build())?, "ipv4 drop denied");
    assert_eq!(daemon.verdict_of(&multicast(ODD4, 32).build())?, "ipv4 drop impossible_source");
    // The very octets that the kernel hands on, from the cable.
    let forged = multicast(ODD4, 32).bare().build();
    assert_eq!(daemon.verdict_of(&forged)?, "ipv4 pass looped");
    outside.send(&forged)?;
    // To one address, that of the service: as a frame it has that of the host in the middle of nowhere.
    outside.send(&Packet::v4(ODD4, HOST4).udp(40_000, PORT).payload(32).macs(HOST_MAC, [2; 6]).bare().build())?;
    outside.send(&multicast(FRIEND4, 16).build())?;
    assert_eq!(heard(&member.v4)?, Some(16), "nothing before that is delivered");
    Ok(())
}

#[test]
fn native_mode_gets_nothing_of_what_the_host_sends_to_itself() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    let member = Member::join(&lab)?;
    for (source, to) in [(ODD4, SocketAddr::from((GROUP4, PORT))), (ODD6, member.group6())] {
        assert!(member.hears(&lab, source, to)?, "{source}");
    }
    assert_eq!(daemon.metrics()?.reason("looped"), 0);
    Ok(())
}
