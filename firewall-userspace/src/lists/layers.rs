//! The entries of all lists by the layer that owns them. A change of one layer never touches another.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use jiff::Timestamp;

use super::{
    entry::{Entry, EntryFilter, Holding, Layer, Owner},
    members::{AlikeEnds, Member},
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
    ends: &mut AlikeEnds,
) -> Member {
    let mut member =
        Member { own: own.contains(&prefix), management: policy.management.contains(&prefix), ..Member::default() };
    for (index, list) in policy.lists.iter().enumerate() {
        if list.entries.binary_search(&prefix).is_ok() {
            member.lists |= bit(index);
        }
        for (_, entry) in runtime.at(&list.name, prefix) {
            member = member.union(&pushed_member(index, entry, policy.denies_list(index), clock, ends));
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
    let mut ends = AlikeEnds::default();
    let entries = policy.lists.iter().enumerate().flat_map(move |(index, list)| {
        let is_denied = policy.denies_list(index);
        runtime.entries(&list.name).map(move |(holding, entry)| (index, is_denied, holding.prefix, entry))
    });
    let pushed = entries.map(move |(index, is_denied, prefix, entry)| {
        (prefix, pushed_member(index, entry, is_denied, clock, &mut ends))
    });
    configured_members(policy, own).chain(pushed)
}

/// How many prefixes [`all_members`] has.
pub fn count_members(policy: &Policy, runtime: &Runtime, own: &BTreeSet<Prefix>) -> usize {
    let of_list = |list: &List| {
        let pushed: u64 = runtime.counts(&list.name).iter().flatten().sum();
        list.entries.len() + pushed as usize
    };
    policy.lists.iter().map(of_list).sum::<usize>() + policy.management.len() + own.len()
}

/// The same as [`all_members`] without what was pushed.
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
fn pushed_member(
    index: usize,
    entry: &RuntimeEntry,
    is_denied: bool,
    clock: &Reckoning,
    ends: &mut AlikeEnds,
) -> Member {
    match entry.end() {
        None => Member { lists: bit(index), ..Member::default() },
        Some(end) => Member { timed: ends.until(clock.boot_second(end, is_denied), bit(index)), ..Member::default() },
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

/// The entries of one list behind `after` that `filter` may want, in their order: those that cannot be because of their prefix are
/// left out without a look at them.
pub fn entries_like<'a>(
    list: &'a List,
    runtime: &'a Runtime,
    telling: Telling<'a>,
    after: Option<Holding>,
    filter: &EntryFilter,
) -> Box<dyn Iterator<Item = Entry> + 'a> {
    if let Some(covered) = filter.covers {
        // The shortest first: that is their order.
        let mut covering: Vec<Prefix> = covered.covering().collect();
        covering.reverse();
        let entries = covering.into_iter().flat_map(move |prefix| {
            let entries = entries_at(list, runtime, telling, prefix);
            entries.map(move |entry| (Holding { prefix, layer: entry.layer, owner: Owner::from(&*entry.owner) }, entry))
        });
        let is_behind = move |holding: &Holding| after.as_ref().is_none_or(|after| holding > after);
        return Box::new(entries.filter(move |(holding, _)| is_behind(holding)).map(|(_, entry)| entry));
    }
    let Some(inside) = filter.inside else { return Box::new(entries_of(list, runtime, telling, after)) };
    let entries = entries_of(list, runtime, telling, after.max(before(inside)));
    let is_before_end =
        move |entry: &Entry| entry.prefix.parse().is_ok_and(|one: Prefix| one.address() <= inside.last());
    Box::new(entries.take_while(is_before_end))
}

/// The entries of one list for prefixes inside `prefix`, without those for itself.
pub fn entries_inside<'a>(
    list: &'a List,
    runtime: &'a Runtime,
    telling: Telling<'a>,
    prefix: Prefix,
) -> impl Iterator<Item = Entry> + 'a {
    // What a prefix covers comes right behind it.
    let itself = Holding { prefix, layer: Layer::Config, owner: Owner::default() };
    let inside = move |entry: &Entry| entry.prefix.parse::<Prefix>().ok().filter(|one| prefix.covers(*one));
    let behind = entries_of(list, runtime, telling, Some(itself));
    behind
        .map_while(move |entry| inside(&entry).map(|one| (one, entry)))
        .filter(move |(one, _)| *one != prefix)
        .map(|(_, entry)| entry)
}

/// A place before all that is inside `prefix`, and behind nearly all that is not and comes before it.
fn before(prefix: Prefix) -> Option<Holding> {
    let last = match prefix.address() {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().checked_sub(1)?.into()),
        IpAddr::V6(v6) => {
            v6.to_bits().checked_sub(1).map_or(Ipv4Addr::BROADCAST.into(), |bits| IpAddr::V6(bits.into()))
        }
    };
    Some(Holding { prefix: Prefix::host(last), layer: Layer::Config, owner: Owner::default() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Name;

    fn entry(expires: Option<i64>) -> Arc<RuntimeEntry> {
        let at = |second| Timestamp::from_second(second).unwrap();
        Arc::new(RuntimeEntry { person: None, comment: None, created: at(0), expires: expires.map(at), era: 0 })
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

    #[test]
    fn what_is_asked_for_is_what_a_look_at_all_finds() {
        let prefixes =
            ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.1/32", "10.1.0.0/16", "10.1.2.3/32", "11.0.0.0/8"];
        let v6 = ["::/0", "::/32", "2001:db8::/32", "2001:db8::1/128"];
        let all: Vec<Prefix> = prefixes.iter().chain(&v6).map(|text| text.parse().unwrap()).collect();
        let configured = all.iter().copied().step_by(2).collect();
        let list = List { name: Name::parse("a").unwrap(), entries: configured };
        let (clock, _) = Reckoning::begin(None, None, Timestamp::UNIX_EPOCH.into());
        let telling = Telling { loaded: Timestamp::UNIX_EPOCH, clock: &clock, is_denied: false };
        let mut runtime = Runtime::default();
        for (index, prefix) in all.iter().enumerate().filter(|(index, _)| index % 3 != 0) {
            for (layer, owner) in [(Layer::Runtime, "ada"), (Layer::Ban, "bob")] {
                let holding = Holding { prefix: *prefix, layer, owner: owner.into() };
                runtime.insert(&list.name, &holding, entry((index % 2 == 0).then_some(index as i64)));
            }
        }
        let everything: Vec<Entry> = entries_of(&list, &runtime, telling, None).collect();
        let prefix_of = |entry: &Entry| entry.prefix.parse::<Prefix>().unwrap();
        let at =
            |entry: &Entry| Holding { prefix: prefix_of(entry), layer: entry.layer, owner: Owner::from(&*entry.owner) };
        let mut filters = vec![
            EntryFilter { owner: Some("ada".into()), ..EntryFilter::default() },
            EntryFilter { layer: Some(Layer::Config), ..EntryFilter::default() },
            EntryFilter { expires_before: Some(Timestamp::from_second(4).unwrap()), ..EntryFilter::default() },
            EntryFilter { covers: Some(all[5]), inside: Some(all[1]), ..EntryFilter::default() },
        ];
        for one in &all {
            filters.push(EntryFilter { covers: Some(*one), ..EntryFilter::default() });
            filters.push(EntryFilter { inside: Some(*one), layer: Some(Layer::Ban), ..EntryFilter::default() });
            filters.push(EntryFilter { inside: Some(*one), ..EntryFilter::default() });
        }
        let mut hits = 0;
        for filter in filters {
            let wanted: Vec<&Entry> = everything.iter().filter(|entry| filter.wants(entry, prefix_of(entry))).collect();
            hits += usize::from(!wanted.is_empty());
            for after in everything.iter().map(|entry| Some(at(entry))).chain([None]) {
                let found: Vec<Entry> = entries_like(&list, &runtime, telling, after.clone(), &filter)
                    .filter(|entry| filter.wants(entry, prefix_of(entry)))
                    .collect();
                let wanted = wanted.iter().filter(|entry| after.as_ref().is_none_or(|after| at(entry) > *after));
                assert_eq!(
                    found.iter().collect::<Vec<_>>(),
                    wanted.copied().collect::<Vec<_>>(),
                    "{filter:?} {after:?}"
                );
            }
        }
        assert!(hits > 25, "{hits}");
        let far: Prefix = "10.1.2.0/24".parse().unwrap();
        let filter = EntryFilter { inside: Some(far), ..EntryFilter::default() };
        let looked_at = entries_like(&list, &runtime, telling, None, &filter).count();
        assert!(looked_at <= 3, "{looked_at} of {} were looked at", everything.len());
    }
}
