//! Stage 2: which service a packet is for, and what becomes of packets that are for none.

use crate::{
    flow::{Flow, Transport},
    prefix_table::Membership,
    tables::{FragmentPolicy, HostDefault, Tables},
    verdict::Verdict,
};

/// The service a packet is for; 0 for none.
#[inline(always)]
pub(crate) fn service_of(flow: &Flow, tables: &impl Tables) -> u16 {
    match flow.transport {
        Transport::Tcp | Transport::Udp => tables.service(&flow.destination, flow.transport, flow.destination_port),
        _ => 0,
    }
}

#[inline(always)]
pub(crate) fn judge_fragment(flow: &Flow, membership: Membership, tables: &impl Tables) -> Verdict {
    if matches!(flow.transport, Transport::Icmp | Transport::Icmpv6 | Transport::Other) {
        return host_default(tables);
    }
    match tables.fragments() {
        FragmentPolicy::Drop => {
            if tables.has_service(flow.transport) {
                Verdict::Fragment
            } else {
                host_default(tables)
            }
        }
        FragmentPolicy::Source => {
            let rule = tables.fragment_rule(&flow.destination, flow.transport);
            if rule.services == 0 {
                host_default(tables)
            } else if membership.lists & rule.deny != 0 {
                Verdict::Denied
            } else if rule.open != 0 || membership.lists & rule.allow != 0 {
                Verdict::FragmentAdmitted
            } else {
                Verdict::NotAllowed
            }
        }
    }
}

#[inline(always)]
pub(crate) fn host_default(tables: &impl Tables) -> Verdict {
    match tables.host_default() {
        HostDefault::Pass => Verdict::NoService,
        HostDefault::Drop => Verdict::HostDefault,
    }
}
