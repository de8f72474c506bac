//! The entries of all lists by the layer that owns them. A change of one layer never touches another.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    entry::{Entry, Holding, Layer},
    members::{Member, Timed},
    pushed::{Runtime, RuntimeEntry},
};
use crate::{
    clock::reckoning::Reckoning,
    policy::{List, Policy, Prefix, compile::bit},
};

/// What `prefix` is in by itself, over all layers.
pub fn member_of(
    policy: &Policy,
    runtime: &Runtime,
    own: &BTreeSet<Prefix>,
    prefix: Prefix,
    clock: &Reckoning,
) -> Member {
    let mut member =
        Member { own: own.contains(&prefix), management: policy.management.contains(&prefix), ..Member::default() };
    for (index, list) in policy.lists.iter().enumerate() {
        if list.entries.binary_search(&prefix).is_ok() {
            member.lists |= bit(index);
        }
        for (_, entry) in runtime.at(&list.name, prefix) {
            member = member.union(&pushed_member(index, entry, policy.denies_list(index), clock));
        }
    }
    member
}

/// Every prefix that is in something, over all layers; a prefix may come several times.
pub fn all_members<'a>(
    policy: &'a Policy,
    runtime: &'a Runtime,
    own: &'a BTreeSet<Prefix>,
    clock: &'a Reckoning,
) -> impl Iterator<Item = (Prefix, Member)> + 'a {
    let pushed = policy.lists.iter().enumerate().flat_map(move |(index, list)| {
        let is_denied = policy.denies_list(index);
        let entries = runtime.entries(&list.name);
        entries.map(move |(holding, entry)| (holding.prefix, pushed_member(index, entry, is_denied, clock)))
    });
    configured_members(policy, own).chain(pushed)
}

/// The same without what was pushed.
pub fn configured_members<'a>(
    policy: &'a Policy,
    own: &'a BTreeSet<Prefix>,
) -> impl Iterator<Item = (Prefix, Member)> + 'a {
    let in_lists = policy.lists.iter().enumerate().flat_map(|(index, list)| {
        let member = Member { lists: bit(index), ..Member::default() };
        list.entries.iter().map(move |prefix| (*prefix, member.clone()))
    });
    let management = Member { management: true, ..Member::default() };
    let ours = Member { own: true, ..Member::default() };
    in_lists
        .chain(policy.management.iter().map(move |prefix| (*prefix, management.clone())))
        .chain(own.iter().map(move |prefix| (*prefix, ours.clone())))
}

/// What a pushed entry of the list at `index` puts its prefix in.
fn pushed_member(index: usize, entry: &RuntimeEntry, is_denied: bool, clock: &Reckoning) -> Member {
    match entry.end() {
        None => Member { lists: bit(index), ..Member::default() },
        Some(end) => Member { timed: Timed::until(clock.boot_second(end, is_denied), bit(index)), ..Member::default() },
    }
}

/// How the entries of a list are told.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// When the policy was loaded.
    pub loaded: Timestamp,
    /// What is known of the time.
    pub clock: &'a Reckoning,
    /// Whether a service denies what is in the list.
    pub is_denied: bool,
}

/// The entries of one list for exactly `prefix`.
pub fn entries_at<'a>(
    list: &'a List,
    runtime: &'a Runtime,
    telling: Telling<'a>,
    prefix: Prefix,
) -> impl Iterator<Item = Entry> + 'a {
    let configured = list.entries.binary_search(&prefix).is_ok();
    let configured = configured.then(|| configured_entry(list, prefix, telling.loaded));
    let pushed = runtime.at(&list.name, prefix);
    let pushed = pushed.map(move |(holding, entry)| pushed_entry(list, telling, holding, entry));
    configured.into_iter().chain(pushed)
}

fn configured_entry(list: &List, prefix: Prefix, loaded: Timestamp) -> Entry {
    Entry {
        list: list.name.to_string(),
        prefix: prefix.to_string(),
        layer: Layer::Config,
        owner: "config".into(),
        person: None,
        comment: None,
        created: loaded,
        expires: None,
        in_doubt: false,
    }
}

fn pushed_entry(list: &List, telling: Telling<'_>, holding: &Holding, entry: &RuntimeEntry) -> Entry {
    Entry {
        list: list.name.to_string(),
        prefix: holding.prefix.to_string(),
        layer: holding.layer,
        owner: holding.owner.to_string(),
        person: entry.person.as_deref().map(str::to_owned),
        comment: entry.comment.as_deref().map(str::to_owned),
        created: entry.created,
        expires: entry.end().map(|end| telling.clock.shown(end, telling.is_denied)),
        in_doubt: entry.end().is_some_and(|(_, era)| telling.clock.doubts(era)),
    }
}

/// The entries of one list behind `after`, ordered by prefix, layer and owner.
pub fn entries_of<'a>(
    list: &'a List,
    runtime: &'a Runtime,
    telling: Telling<'a>,
    after: Option<Holding>,
) -> impl Iterator<Item = Entry> + 'a {
    let first = after.as_ref().map_or(0, |after| list.entries.partition_point(|prefix| *prefix <= after.prefix));
    let mut configured = list.entries.iter().skip(first).copied().peekable();
    let mut pushed = runtime.entries_behind(&list.name, after).peekable();
    std::iter::from_fn(move || {
        let is_configured_next = match (configured.peek(), pushed.peek()) {
            (Some(configured), Some((pushed, _))) => *configured <= pushed.prefix,
            (configured, _) => configured.is_some(),
        };
        if is_configured_next {
            return configured.next().map(|prefix| configured_entry(list, prefix, telling.loaded));
        }
        pushed.next().map(|(holding, entry)| pushed_entry(list, telling, holding, entry))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lists::entry::Owner, policy::Name};

    fn entry(expires: Option<i64>) -> RuntimeEntry {
        let at = |second| Timestamp::from_second(second).unwrap();
        RuntimeEntry { person: None, comment: None, created: at(0), expires: expires.map(at), era: 0 }
    }

    #[test]
    fn pages_of_any_length_have_every_entry_once_and_in_order() {
        let prefix = |number: usize| format!("192.0.2.{number}").parse::<Prefix>().unwrap();
        let list = List { name: Name::parse("a").unwrap(), entries: (0..20).step_by(2).map(prefix).collect() };
        let held = |number, layer, owner: &str| Holding { prefix: prefix(number), layer, owner: owner.into() };
        let (clock, _) = Reckoning::begin(None, None, Timestamp::UNIX_EPOCH.into());
        let telling = Telling { loaded: Timestamp::UNIX_EPOCH, clock: &clock, is_denied: false };
        let mut runtime = Runtime::default();
        for number in (0..20).step_by(3) {
            runtime.insert(&list.name, &held(number, Layer::Runtime, "root"), entry(None));
        }
        for number in (0..20).step_by(6) {
            runtime.insert(&list.name, &held(number, Layer::Ban, "root"), entry(None));
            runtime.insert(&list.name, &held(number, Layer::Ban, "agent"), entry(None));
        }
        let all: Vec<Entry> = entries_of(&list, &runtime, telling, None).collect();
        let key = |entry: &Entry| Holding {
            prefix: entry.prefix.parse().unwrap(),
            layer: entry.layer,
            owner: Owner::from(&*entry.owner),
        };
        assert_eq!(all.len(), 25);
        assert!(all.is_sorted_by_key(key));
        for length in 1..=25 {
            let mut pages: Vec<Entry> = Vec::new();
            loop {
                let after = pages.last().map(key);
                let page: Vec<_> = entries_of(&list, &runtime, telling, after).take(length).collect();
                if page.is_empty() {
                    break;
                }
                pages.extend(page);
            }
            assert_eq!(pages, all, "{length}");
        }
    }
}
