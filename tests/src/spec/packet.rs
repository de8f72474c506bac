//! The order of judgement of a well-formed packet.

use firewall_common::{Address, Verdict};
use firewall_userspace::policy::{Policy, Prefix};

use super::{
    essential::is_essential,
    frame::{Part, ReadPacket},
    service::{find_service, judge_later_fragment},
    source::is_impossible,
};
use crate::model::covers;

pub(super) fn judge_packet(
    policy: &Policy,
    own: &[Prefix],
    packet: &ReadPacket<'_>,
    service: &mut Option<String>,
) -> Verdict {
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
