//! What is found out once for all packets of a question.

use std::{
    cell::{Cell, OnceCell},
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    ops::ControlFlow,
};

use firewall_common::{Address, Family};

use crate::{
    controller::Host,
    host::reach::Reach,
    lists::members::Members,
    policy::{Policy, Prefix},
    preview::{explain::DestinationBy, model::HostModel},
    text::shown::grouped,
};

/// Octets of a frame before its packet: an Ethernet header and two tags.
const LINK_HEADERS: usize = 22;

/// Octets of a packet that every link of IPv6 carries (RFC 8200 section 5): for shorter ones no MTU is asked for.
const SMALL_PACKET: usize = 1280;

/// What is found out once for all packets of a question.
pub(super) struct AskedFacts<'a> {
    policy: &'a Policy,
    host: &'a dyn Host,
    /// For frames that are refused before their source is known.
    model: OnceCell<HostModel>,
    longest_packet: OnceCell<Option<u32>>,
    reached: BTreeMap<IpAddr, Result<Reach, String>>,
}

/// Where a packet comes from and goes to, as far as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameEnds {
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
}

impl<'a> AskedFacts<'a> {
    /// Nothing is found out yet.
    pub(super) fn new(policy: &'a Policy, host: &'a dyn Host) -> Self {
        let (model, longest_packet) = (OnceCell::new(), OnceCell::new());
        Self { policy, host, model, longest_packet, reached: BTreeMap::new() }
    }

    /// Where `frame` comes from and goes to.
    pub(super) fn ends(&self, frame: &[u8], members: &Members) -> FrameEnds {
        let known = |address: Address| Some(address.to_ip());
        if let ControlFlow::Continue(flow) = firewall_common::parse(frame, &mut Family::Other) {
            return FrameEnds { source: known(flow.source), destination: known(flow.destination) };
        }
        // A later stage may know the source of what is refused.
        let source = Cell::new(None);
        let model = self.model.get_or_init(|| HostModel::new(self.policy));
        model.judge_frame(frame, |address| {
            source.set(Some(address));
            members.lookup(address)
        });
        FrameEnds { source: source.get(), destination: None }
    }

    /// The address that this host answers `source` from; `None` when it has no route to it.
    pub(super) fn reached_from(&mut self, source: IpAddr) -> Option<IpAddr> {
        self.reach(source).as_ref().ok().and_then(|reach| reach.from)
    }

    /// What is to be said of a destination that was chosen by something else than the route or a service.
    pub(super) fn note_on_choice(&mut self, source: IpAddr, by: DestinationBy) -> Option<String> {
        let (DestinationBy::Smallest | DestinationBy::Nothing) = by else { return None };
        let why = match self.reach(source) {
            Err(why) => why.clone(),
            Ok(Reach { from: Some(from), .. }) => {
                format!("it is answered from {from}, where another service has the port")
            }
            Ok(_) => "the routing table names no address".into(),
        };
        Some(match by {
            DestinationBy::Nothing => format!("this host has no address of the family of {source}"),
            _ => format!("not known from which address this host answers {source}, so its smallest stands in: {why}"),
        })
    }

    /// What is to be said of a packet that does not come in to this host.
    pub(super) fn notes_on_ends(&mut self, ends: &FrameEnds, own: &BTreeSet<Prefix>) -> Option<String> {
        let FrameEnds { source, destination: Some(destination) } = *ends else { return None };
        let is_named = self.policy.services.iter().any(|service| service.addresses.contains(&destination));
        let is_for_many = match destination {
            IpAddr::V4(v4) => v4.is_broadcast() || v4.is_multicast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        let is_own = |address: IpAddr| own.contains(&Prefix::host(address)) || address.is_loopback();
        if is_named || is_for_many || is_own(destination) {
            return None;
        }
        if self.reach(destination).as_ref().is_ok_and(|reach| reach.is_here) {
            return None;
        }
        Some(match source.filter(|source| is_own(*source)) {
            Some(_) => "this host sends it: the program judges only what comes in".into(),
            None => format!("{destination} is not an address of this host, and no service names it"),
        })
    }

    /// What is to be said of a frame that is longer than those that come in.
    pub(super) fn note_on_length(&self, length: usize) -> Option<String> {
        let packet = length.saturating_sub(LINK_HEADERS);
        if packet <= SMALL_PACKET {
            return None;
        }
        let interfaces = || self.policy.interfaces.iter().map(|interface| &*interface.name).collect::<Vec<_>>();
        let longest = *self.longest_packet.get_or_init(|| self.host.longest_packet(&interfaces()));
        let mtu = longest.filter(|mtu| packet > *mtu as usize)?;
        Some(format!(
            "it has {} octets, more than the frames of the filtered interfaces (MTU {mtu}): several packets that were merged, or are \
             yet to be split, by an offload; each of them is judged on the wire",
            grouped(length)
        ))
    }

    fn reach(&mut self, address: IpAddr) -> &Result<Reach, String> {
        let host = self.host;
        let ask = || host.reach(address).map_err(|error: io::Error| format!("no route to it: {error}"));
        self.reached.entry(address).or_insert_with(ask)
    }
}
