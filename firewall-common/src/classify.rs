//! Stage 2: which service a packet is for, and what becomes of packets that are for none.

use core::ops::ControlFlow::{self, Break, Continue};

use crate::{
    parse::{Flow, Fragment, Transport},
    tables::{FragmentPolicy, HostDefault, Membership, Tables},
    verdict::Verdict,
};

/// The service a packet is for. Settles non-first fragments and packets for no service.
#[inline(always)]
pub(crate) fn classify(flow: &Flow, membership: Membership, tables: &impl Tables) -> ControlFlow<Verdict, u16> {
    if matches!(flow.fragment, Fragment::Later) {
        return Break(judge_fragment(flow, membership, tables));
    }
    let service = match flow.transport {
        Transport::Tcp | Transport::Udp => tables.service(&flow.destination, flow.transport, flow.destination_port),
        _ => 0,
    };
    if service == 0 { Break(host_default(tables)) } else { Continue(service) }
}

#[inline(always)]
fn judge_fragment(flow: &Flow, membership: Membership, tables: &impl Tables) -> Verdict {
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
fn host_default(tables: &impl Tables) -> Verdict {
    match tables.host_default() {
        HostDefault::Pass => Verdict::NoService,
        HostDefault::Drop => Verdict::HostDefault,
    }
}
