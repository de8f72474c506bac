//! Entries that cover a source, and what they have to do with a verdict.

use std::net::IpAddr;

use firewall_common::Verdict;

use super::{Effect, ListedUse, Match};
use crate::{
    lists::{
        layers::{self, Telling},
        pushed::Runtime,
    },
    policy::{Policy, Prefix, Service},
};

/// All entries of all layers that cover `source`, those that decided first, then by list, the narrowest first.
///
/// `service` gave the verdict; `told` says how entries of a list are told.
pub fn matching<'a>(
    policy: &'a Policy,
    runtime: &'a Runtime,
    told: impl Fn(usize) -> Telling<'a>,
    source: IpAddr,
    service: Option<&Service>,
    verdict: Verdict,
) -> Vec<Match> {
    let mut matches = Vec::new();
    for (index, list) in policy.lists.iter().enumerate() {
        let effect = service.map_or(Effect::None, |service| effect_of(service, index));
        let decides = matches!(
            (effect, verdict),
            (Effect::Denies, Verdict::Denied)
                | (
                    Effect::Admits,
                    Verdict::Accepted | Verdict::OverPackets | Verdict::OverBytes | Verdict::OverConnections
                )
                | (Effect::Limits, Verdict::OverPackets | Verdict::OverBytes | Verdict::OverConnections)
        );
        for prefix in Prefix::host(source).covering() {
            let entries = layers::entries_at(list, runtime, told(index), prefix);
            matches.extend(entries.map(|entry| Match { entry, effect, decides }));
        }
    }
    matches.sort_by_key(|one| (!one.decides, one.effect));
    matches
}

/// Every service that uses the list at `index`, and how.
pub fn uses(policy: &Policy, index: usize) -> Vec<ListedUse> {
    let mut uses = Vec::new();
    for service in &policy.services {
        let mut add = |effect, limit: Option<usize>| {
            let limit = limit.and_then(|limit| policy.limits.get(limit)).map(|limit| limit.name.to_string());
            uses.push(ListedUse { service: service.name.to_string(), effect, limit });
        };
        if service.deny.contains(&index) {
            add(Effect::Denies, None);
        }
        if service.allow.as_ref().is_some_and(|allow| allow.contains(&index)) {
            add(Effect::Admits, None);
        }
        for row in service.limit_for.iter().filter(|row| row.list == index) {
            add(Effect::Limits, Some(row.limit));
        }
    }
    uses
}

/// What the list at `index` is to `service`.
fn effect_of(service: &Service, index: usize) -> Effect {
    if service.deny.contains(&index) {
        Effect::Denies
    } else if service.allow.as_ref().is_some_and(|allow| allow.contains(&index)) {
        Effect::Admits
    } else if service.limit_for.iter().any(|row| row.list == index) {
        Effect::Limits
    } else {
        Effect::None
    }
}
