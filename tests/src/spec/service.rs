//! The service of a packet, and those that a later fragment may be for.

use firewall_common::Verdict;
use firewall_userspace::policy::{FragmentPolicy, Mode, Policy, Protocol, Service};

use super::frame::{ReadPacket, Upper, ports};

pub(super) fn judge_later_fragment(
    policy: &Policy,
    packet: &ReadPacket<'_>,
    in_any: impl Fn(&[usize]) -> bool,
) -> Verdict {
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

pub(super) fn find_service<'a>(policy: &'a Policy, packet: &ReadPacket<'_>) -> Option<&'a Service> {
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
