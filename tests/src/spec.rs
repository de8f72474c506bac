//! The contract a second time, as plain code over slices, written from docs/policy.md ("Order of judgement" to
//! "Fragments") and not from `firewall-common`; limits and caps, which have state, are left out. Two readings that agree on
//! a million odd frames are worth more than one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_common::{Address, Family, Verdict};
use firewall_userspace::policy::{FragmentPolicy, Mode, Policy, Prefix, Protocol, Service};

use crate::{
    model::covers,
    packet::{ether_type, number},
};

/// What the contract says about a frame, when no limit and no cap is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The verdict.
    pub verdict: Verdict,
    /// The family of the frame.
    pub family: Family,
    /// The service it was judged by.
    pub service: Option<String>,
}

/// Judges `frame` by `policy` on a host with the addresses `own`.
pub fn judge(policy: &Policy, own: &[Prefix], frame: &[u8]) -> Reading {
    let mut family = Family::Other;
    let mut service = None;
    let verdict = match read_frame(frame, &mut family) {
        Ok(packet) => judge_packet(policy, own, &packet, &mut service),
        Err(verdict) => match looped(own, frame) {
            Some(came_back) if no_stack_takes(verdict) => {
                family = came_back;
                Verdict::Looped
            }
            _ => verdict,
        },
    };
    Reading { verdict, family, service }
}

/// The family of a packet that this host sent and got back without an Ethernet header, if `frame` is one by its octets.
fn looped(own: &[Prefix], frame: &[u8]) -> Option<Family> {
    let (source, length, family): (IpAddr, usize, Family) = match frame.first()? / 16 {
        4 if frame.len() >= 20 && frame[0] % 16 >= 5 => {
            let source = <[u8; 4]>::try_from(&frame[12..16]).ok()?;
            (source.into(), word(frame, 2)?.into(), Family::Ipv4)
        }
        6 if frame.len() >= 40 => {
            let source = <[u8; 16]>::try_from(&frame[8..24]).ok()?;
            (source.into(), usize::from(word(frame, 4)?) + 40, Family::Ipv6)
        }
        _ => return None,
    };
    let is_own = own.iter().any(|prefix| covers(*prefix, &Address::from(source)));
    (is_own && length == frame.len()).then_some(family)
}

/// Read as an Ethernet frame, it is nothing that a stack takes for a packet of somebody.
fn no_stack_takes(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::NotIp | Verdict::Truncated | Verdict::BadIpHeader | Verdict::BadIpLength)
}

/// What the verdict on a well-formed packet needs to know.
struct ReadPacket<'a> {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    upper: Upper,
    part: Part,
    /// The transport header and what is behind it; empty in a later fragment.
    transport: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Upper {
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
    Other,
    /// Behind an extension header that only the first fragment has.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    WholeWithFragmentHeader,
    First,
    Later,
}

fn read_frame<'a>(frame: &'a [u8], family: &mut Family) -> Result<ReadPacket<'a>, Verdict> {
    let mut rest = frame.get(12..).ok_or(Verdict::Truncated)?;
    for tags in 0.. {
        let kind = word(rest, 0).ok_or(Verdict::Truncated)?;
        rest = &rest[2..];
        match kind {
            ether_type::VLAN | ether_type::SERVICE_VLAN if tags == 2 => return Err(Verdict::VlanDepth),
            ether_type::VLAN | ether_type::SERVICE_VLAN => rest = rest.get(2..).ok_or(Verdict::Truncated)?,
            ether_type::IPV4 => {
                *family = Family::Ipv4;
                return read_ipv4(rest);
            }
            ether_type::IPV6 => {
                *family = Family::Ipv6;
                return read_ipv6(rest);
            }
            _ => return Err(Verdict::NotIp),
        }
    }
    Err(Verdict::Truncated)
}

fn read_ipv4(rest: &[u8]) -> Result<ReadPacket<'_>, Verdict> {
    let header: &[u8; 20] = rest.first_chunk().ok_or(Verdict::Truncated)?;
    let header_length = usize::from(header[0] % 16) * 4;
    if header[0] / 16 != 4 || header_length < 20 {
        return Err(Verdict::BadIpHeader);
    }
    let is_merged = [header[2], header[3]] == [0, 0]
        && header[9] == number::TCP
        && u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0
        && rest.len() > 65_535;
    let total = if is_merged { rest.len() } else { usize::from(u16::from_be_bytes([header[2], header[3]])) };
    let packet = rest.get(..total).ok_or(Verdict::BadIpLength)?;
    let mut payload = packet.get(header_length..).ok_or(Verdict::BadIpLength)?;
    let fields = u16::from_be_bytes([header[6], header[7]]);
    let (offset, more) = (fields % 0x2000, fields & 0x2000 != 0);
    let mut protocol = header[9];
    let part = match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        _ => Part::Later,
    };
    if part != Part::Whole {
        check_fragment(offset, more, payload.len(), protocol == number::TCP)?;
    }
    let mut upper = upper_v4(protocol);
    if part == Part::Later {
        payload = &[];
        if protocol == number::AUTHENTICATION {
            upper = Upper::Unknown;
        }
    } else if protocol == number::AUTHENTICATION {
        (protocol, payload) = behind_authentication(payload, part)?;
        if protocol == number::AUTHENTICATION {
            return Err(Verdict::BadExtensionChain);
        }
        upper = upper_v4(protocol);
    }
    check_transport(upper, part, payload)?;
    Ok(ReadPacket {
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
        destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
        hop_limit: header[8],
        upper,
        part,
        transport: payload,
    })
}

fn upper_v4(protocol: u8) -> Upper {
    match protocol {
        number::TCP => Upper::Tcp,
        number::UDP => Upper::Udp,
        number::ICMP => Upper::Icmp,
        _ => Upper::Other,
    }
}

fn read_ipv6(rest: &[u8]) -> Result<ReadPacket<'_>, Verdict> {
    let header: &[u8; 40] = rest.first_chunk().ok_or(Verdict::Truncated)?;
    if header[0] / 16 != 6 {
        return Err(Verdict::BadIpHeader);
    }
    let mut length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut next = header[6];
    let payload = &rest[40..];
    if length == 0 && next == number::TCP && payload.len() > 65_535 {
        length = payload.len();
    }
    if length == 0 && next == number::HOP_BY_HOP {
        length = jumbo_length(payload).ok_or(Verdict::BadExtensionChain)?;
    }
    let mut payload = rest.get(40..40 + length).ok_or(Verdict::BadIpLength)?;
    let mut part = Part::Whole;
    let mut seen: Vec<u8> = Vec::new();
    while is_extension(next) && part != Part::Later {
        if seen.len() == 8 {
            return Err(Verdict::BadExtensionChain);
        }
        let times = seen.iter().filter(|kind| **kind == next).count();
        let allowed = match next {
            number::HOP_BY_HOP => seen.is_empty(),
            number::DESTINATION_OPTIONS => times < 2,
            number::ROUTING | number::FRAGMENT | number::AUTHENTICATION => times == 0,
            _ => false,
        };
        if !allowed {
            return Err(Verdict::BadExtensionChain);
        }
        seen.push(next);
        (next, payload) = match next {
            number::AUTHENTICATION => behind_authentication(payload, part)?,
            number::FRAGMENT => {
                let fields = word(payload, 2).ok_or(Verdict::BadExtensionChain)?;
                let behind = payload.get(8..).ok_or(Verdict::BadExtensionChain)?;
                let (offset, more) = (fields / 8, fields % 2 == 1);
                part = match (offset, more) {
                    (0, false) => Part::WholeWithFragmentHeader,
                    (0, true) => Part::First,
                    _ => Part::Later,
                };
                if part != Part::WholeWithFragmentHeader {
                    check_fragment(offset, more, behind.len(), payload[0] == number::TCP)?;
                }
                (payload[0], behind)
            }
            kind => {
                let short = cut_short(part, Verdict::BadExtensionChain);
                if payload.len() < 8 {
                    return Err(short);
                }
                if kind == number::ROUTING && payload[3] != 0 {
                    return Err(Verdict::BadExtensionChain);
                }
                (payload[0], payload.get(usize::from(payload[1]) * 8 + 8..).ok_or(short)?)
            }
        };
    }
    let upper = match next {
        number::TCP => Upper::Tcp,
        number::UDP => Upper::Udp,
        number::ICMPV6 => Upper::Icmpv6,
        kind if is_extension(kind) => Upper::Unknown,
        _ => Upper::Other,
    };
    if length > 65_535 && (upper != Upper::Tcp || part != Part::Whole) {
        return Err(Verdict::BadExtensionChain);
    }
    if part == Part::Later {
        payload = &[];
    }
    check_transport(upper, part, payload)?;
    let address = |octets: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap_or_default());
    Ok(ReadPacket {
        source: address(&header[8..24]).into(),
        destination: address(&header[24..40]).into(),
        hop_limit: header[7],
        upper,
        part,
        transport: payload,
    })
}

/// What the jumbo payload option says that comes first and alone, if that is here and more than a payload length can say.
fn jumbo_length(payload: &[u8]) -> Option<usize> {
    let &[_, 0, 0xc2, 4, a, b, c, d, ..] = payload else { return None };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    (length > 65_535 && length <= payload.len()).then_some(length)
}

fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 | 253 | 254)
}

fn behind_authentication(payload: &[u8], part: Part) -> Result<(u8, &[u8]), Verdict> {
    let short = cut_short(part, Verdict::BadExtensionChain);
    if payload.len() < 8 {
        return Err(short);
    }
    if payload[1] == 0 {
        return Err(Verdict::BadExtensionChain);
    }
    Ok((payload[0], payload.get(usize::from(payload[1]) * 4 + 8..).ok_or(short)?))
}

fn cut_short(part: Part, otherwise: Verdict) -> Verdict {
    if part == Part::First { Verdict::TinyFragment } else { otherwise }
}

fn check_fragment(offset: u16, more: bool, payload: usize, is_tcp: bool) -> Result<(), Verdict> {
    if more && !payload.is_multiple_of(8) || usize::from(offset) * 8 + payload > 65_535 {
        return Err(Verdict::BadFragment);
    }
    if offset == 1 && is_tcp {
        return Err(Verdict::TinyFragment);
    }
    Ok(())
}

fn check_transport(upper: Upper, part: Part, octets: &[u8]) -> Result<(), Verdict> {
    if part == Part::Later {
        return Ok(());
    }
    let short = cut_short(part, Verdict::BadTransportHeader);
    let least = match upper {
        Upper::Tcp => 20,
        Upper::Udp | Upper::Icmp | Upper::Icmpv6 => 8,
        Upper::Other | Upper::Unknown => 0,
    };
    if octets.len() < least {
        return Err(short);
    }
    if upper == Upper::Tcp {
        let length = usize::from(octets[12] / 16) * 4;
        if length < 20 {
            return Err(Verdict::BadTransportHeader);
        }
        if length > octets.len() {
            return Err(short);
        }
        let has = |flag: u8| octets[13] & flag != 0;
        let (fin, syn, rst, ack) = (has(1), has(2), has(4), has(16));
        if !has(0x3f) || syn && fin || syn && rst || fin && !ack {
            return Err(Verdict::BadTcpFlags);
        }
    }
    if upper == Upper::Udp {
        let length = usize::from(u16::from_be_bytes([octets[4], octets[5]]));
        if length < 8 || part != Part::First && length > octets.len() {
            return Err(Verdict::BadTransportHeader);
        }
    }
    Ok(())
}

fn judge_packet(policy: &Policy, own: &[Prefix], packet: &ReadPacket<'_>, service: &mut Option<String>) -> Verdict {
    let source = Address::from(packet.source);
    let inside = |prefixes: &[Prefix]| prefixes.iter().any(|prefix| covers(*prefix, &source));
    if is_impossible(packet) || inside(own) {
        return Verdict::ImpossibleSource;
    }
    if is_essential(packet) {
        return Verdict::Essential;
    }
    if inside(&policy.management) {
        return Verdict::Management;
    }
    let in_any = |lists: &[usize]| lists.iter().any(|list| inside(&policy.lists[*list].entries));
    if packet.part == Part::Later {
        return judge_later_fragment(policy, packet, in_any);
    }
    let Some(found) = find_service(policy, packet) else {
        return Verdict::NoService;
    };
    *service = Some(found.name.to_string());
    if in_any(&found.deny) {
        return Verdict::Denied;
    }
    match &found.allow {
        Some(allow) if !in_any(allow) => Verdict::NotAllowed,
        _ => Verdict::Accepted,
    }
}

fn judge_later_fragment(policy: &Policy, packet: &ReadPacket<'_>, in_any: impl Fn(&[usize]) -> bool) -> Verdict {
    let of_protocol = |service: &&Service| match packet.upper {
        Upper::Tcp => service.protocol == Protocol::Tcp,
        Upper::Udp => service.protocol == Protocol::Udp,
        Upper::Unknown => true,
        Upper::Icmp | Upper::Icmpv6 | Upper::Other => false,
    };
    let mut possible: Vec<&Service> = policy.services.iter().filter(of_protocol).collect();
    if policy.fragments == FragmentPolicy::Drop {
        return if possible.is_empty() { Verdict::NoService } else { Verdict::Fragment };
    }
    possible.retain(|service| service.addresses.is_empty() || service.addresses.contains(&packet.destination));
    let enforced = || possible.iter().filter(|service| service.mode == Mode::Enforce);
    if possible.is_empty() {
        Verdict::NoService
    } else if enforced().any(|service| in_any(&service.deny)) {
        Verdict::Denied
    } else if enforced().count() < possible.len()
        || enforced().any(|service| service.allow.as_ref().is_none_or(|allow| in_any(allow)))
    {
        Verdict::FragmentAdmitted
    } else {
        Verdict::NotAllowed
    }
}

fn find_service<'a>(policy: &'a Policy, packet: &ReadPacket<'_>) -> Option<&'a Service> {
    let protocol = match packet.upper {
        Upper::Tcp => Protocol::Tcp,
        Upper::Udp => Protocol::Udp,
        _ => return None,
    };
    let (_, port) = ports(packet)?;
    let mut fitting: Vec<&Service> = policy
        .services
        .iter()
        .filter(|service| service.protocol == protocol && service.ports.iter().any(|range| range.contains(&port)))
        .filter(|service| service.addresses.is_empty() || service.addresses.contains(&packet.destination))
        .collect();
    fitting.sort_by_key(|service| service.addresses.is_empty());
    fitting.first().copied()
}

fn is_impossible(packet: &ReadPacket<'_>) -> bool {
    if packet.source == packet.destination {
        return true;
    }
    match packet.source {
        IpAddr::V4(source) => {
            let is_dhcp = packet.upper == Upper::Udp && matches!(ports(packet), Some((67, 68) | (68, 67)));
            source.octets()[0] == 0 && !is_dhcp
                || source.is_loopback()
                || source.is_multicast()
                || source.is_broadcast()
        }
        IpAddr::V6(source) => {
            let is_in_low_96 = source.segments()[..6] == [0; 6];
            source.is_multicast()
                || source.to_ipv4_mapped().is_some()
                || is_in_low_96 && !(source.is_unspecified() && (is_neighbour_discovery(packet) || is_mld(packet)))
        }
    }
}

fn is_essential(packet: &ReadPacket<'_>) -> bool {
    let whole = matches!(packet.part, Part::Whole | Part::WholeWithFragmentHeader);
    let icmp_type = packet.transport.first().copied().unwrap_or(0);
    match packet.upper {
        Upper::Icmp => whole && icmp_type == 3,
        Upper::Icmpv6 => is_neighbour_discovery(packet) || is_mld(packet) || whole && (1..=4).contains(&icmp_type),
        Upper::Udp => ports(packet) == Some(if packet.source.is_ipv4() { (67, 68) } else { (547, 546) }),
        _ => false,
    }
}

fn is_neighbour_discovery(packet: &ReadPacket<'_>) -> bool {
    let full_length = match packet.transport.first() {
        Some(133) => 8,
        Some(134) => 16,
        Some(135 | 136) => 24,
        _ => return false,
    };
    packet.upper == Upper::Icmpv6
        && packet.part == Part::Whole
        && packet.hop_limit == 255
        && packet.transport[1] == 0
        && packet.transport.len() >= full_length
        && (packet.transport[0] != 134 || is_link_local(packet.source))
}

fn is_mld(packet: &ReadPacket<'_>) -> bool {
    packet.upper == Upper::Icmpv6
        && matches!(packet.transport.first(), Some(130..=132 | 143))
        && packet.hop_limit == 1
        && (is_link_local(packet.source) || packet.source.is_unspecified())
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn ports(packet: &ReadPacket<'_>) -> Option<(u16, u16)> {
    Some((word(packet.transport, 0)?, word(packet.transport, 2)?))
}

fn word(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}
