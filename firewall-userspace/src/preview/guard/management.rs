//! Management prefixes that a change takes the protection from, and that something drops then.

use std::collections::BTreeSet;

use super::Harm;
use crate::{
    lists::members::{Member, Members},
    policy::{
        Policy, Prefix, Protocol, Service,
        packet::{Packet, SYN, Transport},
    },
    preview::model::HostModel,
};

/// Management prefixes of `live` that services of `new` would drop, in part at least; `members` are those of `new`.
pub fn management(live: &Policy, new: &Policy, model: &HostModel, members: &Members) -> Vec<Harm> {
    let unprotected = live.management.iter().filter(|prefix| !is_covered(**prefix, &new.management));
    let harms = unprotected.filter_map(|prefix| {
        let classes = classes(*prefix, members);
        let dropped = |service: &Service| {
            let verdict = classes.iter().find_map(|lists| {
                let member = Member { lists: *lists, ..Member::default() };
                let judged = model.judge(&packet(service)?, &member)?;
                (!judged.passes() && !judged.observes).then_some(judged.verdict)
            });
            Some((service.name.to_string(), verdict?))
        };
        let services: Vec<_> = new.services.iter().filter_map(dropped).collect();
        (!services.is_empty()).then_some(Harm::Management { prefix: *prefix, services })
    });
    harms.collect()
}

/// Entries `new`, sorted, of a `list` that a service denies, and that name nobody but sources in `management`. No list drops those, and
/// who denies one that is connected does not mean it.
pub fn denied_management(list: &str, new: &[Prefix], management: &[Prefix]) -> Vec<Harm> {
    let harm = |management: &Prefix| {
        let from = new.partition_point(|entry| entry < management);
        let to = new.partition_point(|entry| *entry <= Prefix::host(management.last()));
        let (entry, others) = new.get(from..to)?.split_first()?;
        let (entry, more) = (*entry, others.len());
        Some(Harm::DeniedManagement { list: list.to_owned(), entry, more, management: *management })
    };
    management.iter().filter_map(harm).collect()
}

/// The sets of lists that sources in `prefix` are in, unless they are management.
fn classes(prefix: Prefix, members: &Members) -> BTreeSet<u64> {
    let mut classes = BTreeSet::new();
    let mut note = |member: &Member| {
        if !member.management {
            classes.insert(member.all_lists());
        }
    };
    let around = members.inside(prefix.address(), prefix.length(), |_, member| note(member));
    note(&around);
    classes
}

/// Whether all addresses of `prefix` are in `others`, which are sorted.
pub(super) fn is_covered(prefix: Prefix, others: &[Prefix]) -> bool {
    if others.iter().any(|other| other.covers(prefix)) {
        return true;
    }
    // Parts of the prefix, each as its share of 2^127; a part inside one that was counted does not count again.
    let mut share = 0u128;
    let mut last: Option<Prefix> = None;
    for part in others.iter().filter(|other| prefix.covers(**other)) {
        if last.is_none_or(|last| !last.covers(*part)) {
            share += (1u128 << 127).checked_shr(u32::from(part.length() - prefix.length())).unwrap_or(0);
            last = Some(*part);
        }
    }
    share == 1 << 127
}

/// The first packet to a service from nowhere in particular: what its source is in is told apart from it.
fn packet(service: &Service) -> Option<Packet> {
    let port = *service.ports.first()?.start();
    let is_v6 = service.addresses.first().is_some_and(|address| address.is_ipv6());
    let [source, here] = if is_v6 { ["2001:2::2", "2001:2::1"] } else { ["198.18.0.2", "198.18.0.1"] };
    let destination = service.addresses.first().copied().or_else(|| here.parse().ok())?;
    let transport = match service.protocol {
        Protocol::Tcp => Transport::Tcp { source_port: SOURCE_PORT, port, flags: SYN },
        Protocol::Udp => Transport::Udp { source_port: SOURCE_PORT, port },
    };
    Some(Packet { source: source.parse().ok()?, destination, transport, is_later_fragment: false })
}

/// The first of the ports for short-lived use (RFC 6335 section 6).
const SOURCE_PORT: u16 = 49152;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;
    use crate::{config, preview::model::configured_members};

    fn policy(management: &str, partners: &str) -> Policy {
        let text = format!(
            "[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [{management}]\n[lists.partners]\nentries = [{partners}]\n\
             [services.https]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"partners\"]\n\
             [services.dns]\nprotocol = \"udp\"\nports = [53]\n"
        );
        config::load_text(Path::new("x.toml"), &text, Path::new("")).unwrap().policy
    }

    fn told(live: &str, new: &str, partners: &str) -> Vec<String> {
        let new = policy(new, partners);
        let members = configured_members(&new, &BTreeSet::new());
        let harms = management(&policy(live, ""), &new, &HostModel::new(&new), &members);
        harms.iter().map(Harm::to_string).collect()
    }

    #[test]
    fn a_management_prefix_that_goes_is_named_with_the_services_that_drop_it() {
        let lost = ["management prefix 198.51.100.0/28 would be dropped by `https` (not_allowed) (guard `management`)"];
        assert_eq!(told("\"198.51.100.0/28\"", "", ""), lost);
        assert_eq!(told("\"198.51.100.0/28\"", "\"198.51.100.0/29\"", ""), lost, "half of it is not all");
        assert_eq!(told("\"198.51.100.0/28\"", "", "\"198.51.100.7\""), lost, "one of its addresses is not all");
    }

    #[test]
    fn a_management_prefix_that_everything_admits_may_go() {
        assert_eq!(told("\"198.51.100.0/28\"", "", "\"198.51.100.0/24\""), [""; 0]);
    }

    #[test]
    fn an_entry_that_denies_only_management_is_named_and_one_that_covers_it_with_others_is_not() {
        let management: Vec<Prefix> = vec!["198.51.100.0/28".parse().unwrap()];
        let new: Vec<Prefix> = ["192.0.2.1", "198.51.100.0/24", "198.51.100.7", "198.51.100.8"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let harms: Vec<String> = denied_management("foes", &new, &management).iter().map(Harm::to_string).collect();
        let named = "198.51.100.7/32 and 1 more of list `foes`, which is denied, are in management prefix 198.51.100.0/28, \
                     which no list drops (guard `management`)";
        assert_eq!(harms, [named]);
    }

    #[test]
    fn a_management_prefix_may_be_written_in_another_way() {
        assert_eq!(told("\"198.51.100.0/28\"", "\"198.51.0.0/16\"", ""), [""; 0]);
        let parts = "\"198.51.100.0/29\", \"198.51.100.8/30\", \"198.51.100.8\", \"198.51.100.12/30\"";
        assert_eq!(told("\"198.51.100.0/28\"", parts, ""), [""; 0]);
        assert_eq!(told("\"::/0\"", "\"::/1\", \"8000::/1\"", ""), [""; 0]);
    }
}
