//! Which prefixes are in which lists.
//!
//! An address is in everything that any of its covering prefixes is in, not only the longest.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use firewall_common::abi;

use crate::policy::Prefix;

/// What a prefix is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Member {
    /// Bit n: in list n of the policy, without end.
    pub lists: u64,
    /// Lists that it is in for a while.
    pub timed: Timed,
    /// Address or broadcast address of this host.
    pub own: bool,
    /// A management prefix.
    pub management: bool,
}

/// Lists with the second of the boot clock in which the membership ends, each list once, the earliest end first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timed(Option<Arc<MemberEnds>>);

/// Most prefixes are in one list: its end needs no room of its own.
#[derive(Debug, PartialEq, Eq, Hash)]
enum MemberEnds {
    One((u32, u64)),
    Several(Box<[(u32, u64)]>),
}

/// Ends of a change or a load: members that end alike share them.
#[derive(Debug, Default)]
pub struct AlikeEnds(HashMap<(u32, u64), Timed>);

/// All prefixes, with what each of them is in by itself.
#[derive(Clone, Debug, Default)]
pub struct Members {
    prefixes: BTreeMap<Prefix, Member>,
    /// How many prefixes have each length: IPv4 first.
    lengths: Lengths,
}

#[derive(Clone, Debug)]
struct Lengths([[usize; 129]; 2]);

impl Default for Lengths {
    fn default() -> Self {
        Self([[0; 129]; 2])
    }
}

impl Timed {
    /// In `lists` until `second` of the boot clock.
    pub fn until(second: u32, lists: u64) -> Self {
        Self((lists != 0).then(|| Arc::new(MemberEnds::One((second, lists)))))
    }

    /// All of these, the earliest first.
    fn of(ends: &[(u32, u64)]) -> Self {
        Self(match ends {
            [] => None,
            [one] => Some(Arc::new(MemberEnds::One(*one))),
            several => Some(Arc::new(MemberEnds::Several(several.into()))),
        })
    }

    fn ends(&self) -> &[(u32, u64)] {
        match self.0.as_deref() {
            None => &[],
            Some(MemberEnds::One(end)) => std::slice::from_ref(end),
            Some(MemberEnds::Several(ends)) => ends,
        }
    }

    /// Each list until its last end, unless it is one of `endless`.
    fn merge(&self, other: &Self, endless: u64) -> Self {
        match (&self.0, &other.0) {
            (None, None) => return Self(None),
            // What is in one list for a while and in others without end: the most frequent case, and shared on.
            (Some(only), None) | (None, Some(only)) if Self::is_beside(only, endless) => {
                return Self(Some(Arc::clone(only)));
            }
            _ => {}
        }
        let mut all: Vec<(u32, u64)> = self.ends().iter().chain(other.ends()).copied().collect();
        all.sort_unstable_by_key(|(second, _)| std::cmp::Reverse(*second));
        let mut known = endless;
        let mut ends: Vec<(u32, u64)> = Vec::with_capacity(all.len());
        for (second, lists) in all {
            let lists = lists & !known;
            known |= lists;
            match ends.last_mut() {
                Some((same, more)) if *same == second => *more |= lists,
                _ if lists != 0 => ends.push((second, lists)),
                _ => {}
            }
        }
        ends.reverse();
        Self::of(&ends)
    }

    /// Whether no list of it is one of `endless`.
    fn is_beside(ends: &MemberEnds, endless: u64) -> bool {
        match ends {
            MemberEnds::One((_, lists)) => lists & endless == 0,
            MemberEnds::Several(ends) => ends.iter().all(|(_, lists)| lists & endless == 0),
        }
    }
}

impl AlikeEnds {
    /// In `lists` until `second` of the boot clock.
    pub fn until(&mut self, second: u32, lists: u64) -> Timed {
        self.0.entry((second, lists)).or_insert_with(|| Timed::until(second, lists)).clone()
    }
}

impl Member {
    /// In nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// In everything that either is in.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let lists = self.lists | other.lists;
        Self {
            lists,
            timed: self.timed.merge(&other.timed, lists),
            own: self.own || other.own,
            management: self.management || other.management,
        }
    }

    /// Everything that it is in before the first end.
    pub fn all_lists(&self) -> u64 {
        self.timed.ends().iter().fold(self.lists, |all, (_, lists)| all | lists)
    }

    /// The next end, and what holds from then on; `None` when nothing ends.
    pub fn next(&self) -> Option<(u32, Self)> {
        let (first, later) = self.timed.ends().split_first()?;
        Some((first.0, Self { timed: Timed::of(later), ..self.clone() }))
    }

    /// [`abi::OWN`] and [`abi::MANAGEMENT`].
    pub fn flags(&self) -> u32 {
        let own = if self.own { abi::OWN } else { 0 };
        let management = if self.management { abi::MANAGEMENT } else { 0 };
        own | management
    }
}

impl Members {
    /// From all that prefixes are in; a prefix may come several times.
    pub fn from_all(entries: impl Iterator<Item = (Prefix, Member)>) -> Self {
        Self::from_vec(entries.collect())
    }

    /// The same. Who knows how many there are makes a vector of that size: one that grows takes up to three times as much.
    pub fn from_vec(mut sorted: Vec<(Prefix, Member)>) -> Self {
        // In place: a stable sort takes half as much again. Which of two members of a prefix comes first does not matter.
        sorted.sort_unstable_by_key(|(prefix, _)| *prefix);
        sorted.dedup_by(|(prefix, member), (kept, all)| {
            let same = prefix == kept;
            if same {
                *all = all.union(member);
            }
            same
        });
        let mut lengths = Lengths::default();
        for (prefix, _) in &sorted {
            *lengths.of(*prefix) += 1;
        }
        Self { prefixes: sorted.into_iter().collect(), lengths }
    }

    /// Number of prefixes of each family: IPv4, IPv6.
    pub fn len(&self) -> [usize; 2] {
        self.lengths.0.each_ref().map(|lengths| lengths.iter().sum())
    }

    /// All prefixes, in order.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.prefixes.keys().copied()
    }

    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// What `prefix` is in by itself.
    pub fn own_value(&self, prefix: Prefix) -> Member {
        self.prefixes.get(&prefix).cloned().unwrap_or_default()
    }

    /// Sets what `prefix` is in by itself.
    pub fn set(&mut self, prefix: Prefix, member: Member) {
        let count = self.lengths.of(prefix);
        if member.is_empty() {
            if self.prefixes.remove(&prefix).is_some() {
                *count -= 1;
            }
        } else if self.prefixes.insert(prefix, member).is_none() {
            *count += 1;
        }
    }

    /// Sets what prefixes are in by themselves; each comes once, and they are in order.
    ///
    /// Many are set by making all of the map anew: one that is filled in order is half empty.
    pub fn set_all(&mut self, changes: Vec<(Prefix, Member)>) {
        if changes.len() < self.prefixes.len() / 8 {
            changes.into_iter().for_each(|(prefix, member)| self.set(prefix, member));
            return;
        }
        let (gone, set): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, member)| member.is_empty());
        gone.into_iter().for_each(|(prefix, member)| self.set(prefix, member));
        for (prefix, _) in set.iter().filter(|(prefix, _)| !self.prefixes.contains_key(prefix)) {
            *self.lengths.of(*prefix) += 1;
        }
        self.prefixes.append(&mut set.into_iter().collect());
    }

    /// What an address whose longest prefix is `prefix` is in: the union over all covering prefixes.
    pub fn union_of(&self, prefix: Prefix) -> Member {
        let mut union = self.own_value(prefix);
        let mut cover = prefix;
        while let Some(parent) = cover.parent() {
            cover = parent;
            if self.lengths.any(cover) {
                union = union.union(&self.own_value(cover));
            }
        }
        union
    }

    /// What `address` is in.
    pub fn lookup(&self, address: IpAddr) -> Member {
        self.union_of(Prefix::host(address))
    }

    /// Every prefix and the union of what it and all its covers are in, covers first.
    pub fn unions(&self, mut visit: impl FnMut(Prefix, &Member)) {
        let mut covers = Covers::default();
        for (prefix, member) in &self.prefixes {
            visit(*prefix, covers.enter(*prefix, member));
        }
    }

    /// What all of a part of the address space is in, given by its first address and its length; `visit` sees the longer
    /// prefixes inside it, in order, with their unions.
    pub fn inside(&self, first: IpAddr, length: u8, mut visit: impl FnMut(Prefix, &Member)) -> Member {
        let Some(part) = Prefix::part(first, length) else {
            return Member::default();
        };
        let base = self.union_of(part);
        let mut covers = Covers { stack: Vec::new(), above: base };
        for (prefix, member) in self.prefixes.range(part..=last_inside(part)).filter(|(prefix, _)| **prefix != part) {
            visit(*prefix, covers.enter(*prefix, member));
        }
        covers.above
    }

    /// Whether a part of the address space has at most `most` longer prefixes inside.
    pub fn has_few_inside(&self, first: IpAddr, length: u8, most: usize) -> bool {
        let Some(part) = Prefix::part(first, length) else { return true };
        let inside = self.prefixes.range(part..=last_inside(part)).filter(|(prefix, _)| **prefix != part);
        inside.take(most + 1).count() <= most
    }
}

/// The covering prefixes of where a walk in order is.
#[derive(Default)]
struct Covers {
    stack: Vec<(Prefix, Member)>,
    above: Member,
}

impl Covers {
    /// Comes to the next prefix in order: its union.
    fn enter(&mut self, prefix: Prefix, member: &Member) -> &Member {
        while self.stack.last().is_some_and(|(cover, _)| !cover.covers(prefix)) {
            self.stack.pop();
        }
        let union = member.union(self.stack.last().map_or(&self.above, |(_, union)| union));
        self.stack.push((prefix, union));
        self.stack.last().map_or(&self.above, |(_, union)| union)
    }
}

impl Lengths {
    fn of(&mut self, prefix: Prefix) -> &mut usize {
        let [v4, v6] = &mut self.0;
        let lengths = if prefix.address().is_ipv4() { v4 } else { v6 };
        let [first, rest @ ..] = lengths;
        rest.get_mut(usize::from(prefix.length()).wrapping_sub(1)).unwrap_or(first)
    }

    fn any(&self, prefix: Prefix) -> bool {
        let [v4, v6] = &self.0;
        let lengths = if prefix.address().is_ipv4() { v4 } else { v6 };
        lengths.get(usize::from(prefix.length())).is_some_and(|count| *count > 0)
    }
}

/// The last key in order that `root` can cover.
fn last_inside(root: Prefix) -> Prefix {
    Prefix::host(root.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_list(list: u32) -> Member {
        Member { lists: 1 << list, ..Member::default() }
    }

    fn until(second: u32, lists: u64) -> Member {
        Member { timed: Timed::until(second, lists), ..Member::default() }
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn members(entries: &[(&str, Member)]) -> Members {
        let mut members = Members::default();
        for (text, member) in entries {
            members.set(prefix(text), member.clone());
        }
        members
    }

    #[test]
    fn an_address_is_in_the_lists_of_all_its_covers() {
        let members = members(&[("10.0.0.0/8", in_list(0)), ("10.1.2.3", in_list(1))]);
        assert_eq!(members.lookup("10.1.2.3".parse().unwrap()), in_list(0).union(&in_list(1)));
        assert_eq!(members.lookup("10.1.2.4".parse().unwrap()), in_list(0));
    }

    #[test]
    fn the_default_prefix_of_one_family_does_not_touch_the_other() {
        let members = members(&[("::/0", in_list(0)), ("1.2.3.4", in_list(1))]);
        assert_eq!(members.lookup("1.2.3.4".parse().unwrap()), in_list(1));
        assert_eq!(members.lookup("::2".parse().unwrap()), in_list(0));
        assert_eq!(members.len(), [1, 1]);
    }

    #[test]
    fn a_part_of_the_address_space_tells_its_covers_and_what_is_inside() {
        let members = members(&[("10.0.0.0/8", in_list(0)), ("10.1.2.0/24", in_list(1)), ("10.1.2.3", in_list(2))]);
        let mut inside = Vec::new();
        let base = members.inside("10.1.2.0".parse().unwrap(), 24, |prefix, union| inside.push((prefix, union.lists)));
        assert_eq!(base.lists, 0b11);
        assert_eq!(inside, [(prefix("10.1.2.3"), 0b111)]);
    }

    #[test]
    fn many_changes_at_once_are_the_same_as_one_after_the_other() {
        let v4 = (0..32).map(|last| prefix(&format!("192.0.{last}.0/{}", 24 + last % 9)));
        let all: Vec<Prefix> = v4.chain((0..32).map(|last| prefix(&format!("2001:db8:{last}::/48")))).collect();
        let changes = |step: usize, list: u32| -> Vec<(Prefix, Member)> {
            let is_gone = |index: usize| (index + list as usize).is_multiple_of(3);
            let member = |index| if is_gone(index) { Member::default() } else { in_list(list) };
            all.iter().enumerate().step_by(step).map(|(index, prefix)| (*prefix, member(index))).collect()
        };
        let (mut at_once, mut single) = (Members::default(), Members::default());
        for (step, list) in [(2, 0), (1, 1), (16, 2), (4, 3), (60, 4)] {
            at_once.set_all(changes(step, list));
            changes(step, list).into_iter().for_each(|(prefix, member)| single.set(prefix, member));
            assert_eq!((&at_once.prefixes, at_once.lengths.0), (&single.prefixes, single.lengths.0), "{step}");
        }
    }

    #[test]
    fn a_list_without_end_hides_its_end() {
        assert_eq!(until(5, 0b1).union(&in_list(0)), in_list(0));
    }

    #[test]
    fn each_list_ends_at_the_latest_of_its_ends() {
        let both = until(5, 0b011).union(&until(9, 0b110));
        assert_eq!(both.all_lists(), 0b111);
        let (first, then) = both.next().unwrap();
        assert_eq!((first, then.all_lists()), (5, 0b110));
        let (second, last) = then.next().unwrap();
        assert_eq!((second, last.all_lists(), last.next()), (9, 0, None));
    }
}
