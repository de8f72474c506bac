//! What a batch of pushes has to know of this host: each thing is asked when the first push needs it, once for all of them.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Host,
    host::{around, established, sshd_ports},
};
use crate::{
    control::Push,
    host::{
        connections::{Connection, Established, MOST_SOURCES, within},
        surroundings::Surroundings,
    },
    lists::members::Member,
    policy::{Policy, Prefix},
    preview::model::HostModel,
};

/// What a batch of pushes has seen of this host.
#[derive(Default)]
pub(super) struct Sight {
    /// What the batch is about; `None`: too much to tell the kernel.
    sources: Option<Vec<Prefix>>,
    /// Connections with it, by their sources.
    connections: OnceCell<Vec<Established>>,
    sshd: OnceCell<Vec<u16>>,
    around: OnceCell<Surroundings>,
    /// The policy, which no push changes.
    model: OnceCell<HostModel>,
}

impl Sight {
    /// Nothing yet.
    pub(super) fn of<'p>(pushes: impl Iterator<Item = &'p Push>) -> Self {
        Self { sources: sources(pushes), ..Self::default() }
    }

    /// The same, for changes of these prefixes.
    pub(super) fn about(prefixes: impl Iterator<Item = Prefix>) -> Self {
        Self { sources: few(prefixes), ..Self::default() }
    }

    /// Established connections whose sources are in one of the prefixes that have `moved`.
    pub(super) fn touched(&self, host: &dyn Host, moved: &BTreeMap<Prefix, Member>) -> Vec<Established> {
        let all = self.connections.get_or_init(|| {
            let mut all = established(host, self.sources.as_deref());
            all.sort_unstable();
            all
        });
        if moved.len() > all.len() {
            let lengths = lengths(moved);
            return all.iter().filter(|one| is_touched(&one.connection, moved, &lengths)).copied().collect();
        }
        let mut touched = BTreeSet::new();
        for prefix in moved.keys() {
            touched.extend(within(all, *prefix));
        }
        touched.into_iter().collect()
    }

    /// The connection of a caller, when what its source is in has moved.
    pub(super) fn caller(caller: Option<Connection>, moved: &BTreeMap<Prefix, Member>) -> Option<Connection> {
        caller.filter(|caller| is_touched(caller, moved, &lengths(moved)))
    }

    /// Ports that sshd listens at; none where none is found.
    pub(super) fn sshd(&self, host: &dyn Host) -> &[u16] {
        self.sshd.get_or_init(|| sshd_ports(host))
    }

    /// What this host needs of the networks around it.
    pub(super) fn around(&self, host: &dyn Host) -> &Surroundings {
        self.around.get_or_init(|| around(host))
    }

    /// The `policy` in force, on the host.
    pub(super) fn model(&self, policy: &Policy) -> &HostModel {
        self.model.get_or_init(|| HostModel::new(policy))
    }
}

/// What the kernel can be asked for; what a sync removes is not in its text.
fn sources<'p>(pushes: impl Iterator<Item = &'p Push>) -> Option<Vec<Prefix>> {
    let mut sources = BTreeSet::new();
    for push in pushes {
        if !push.replace.is_empty() {
            return None;
        }
        let added = push.add.iter().map(|one| &*one.prefix);
        for text in added.chain(push.remove.iter().map(|one| &*one.prefix)) {
            sources.extend(Prefix::parse_plainly(text));
            if sources.len() > MOST_SOURCES {
                return None;
            }
        }
    }
    Some(sources.into_iter().collect())
}

/// All of them, unless they are too many to tell the kernel.
fn few(prefixes: impl Iterator<Item = Prefix>) -> Option<Vec<Prefix>> {
    let mut few = BTreeSet::new();
    for prefix in prefixes {
        few.insert(prefix);
        if few.len() > MOST_SOURCES {
            return None;
        }
    }
    Some(few.into_iter().collect())
}

/// Families and lengths of the prefixes that have `moved`.
fn lengths(moved: &BTreeMap<Prefix, Member>) -> BTreeSet<(bool, u8)> {
    moved.keys().map(|prefix| (prefix.address().is_ipv4(), prefix.length())).collect()
}

fn is_touched(connection: &Connection, moved: &BTreeMap<Prefix, Member>, lengths: &BTreeSet<(bool, u8)>) -> bool {
    let source = connection.source.ip();
    let of_family = lengths.iter().filter(|(is_ipv4, _)| *is_ipv4 == source.is_ipv4());
    let mut covers = of_family.filter_map(|(_, length)| Prefix::part(source, *length));
    covers.any(|cover| moved.contains_key(&cover))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Addition, Removal};

    fn add(prefixes: impl Iterator<Item = String>) -> Push {
        let addition = |prefix| Addition { list: "a".into(), prefix, ttl: None, comment: None };
        Push { add: prefixes.map(addition).collect(), ..Push::default() }
    }

    #[test]
    fn the_kernel_is_asked_for_what_the_whole_batch_is_about_unless_that_is_much() {
        let removed = Removal { list: "a".into(), prefix: "2001:db8::/32".into() };
        let remove = Push { remove: vec![removed], ..Push::default() };
        let words = |sources: Option<Vec<Prefix>>| {
            sources.map(|all| all.iter().map(Prefix::to_string).collect::<Vec<_>>().join(" "))
        };
        let one = add(["192.0.2.7".to_owned(), "nonsense".to_owned()].into_iter());
        assert_eq!(words(sources([&one, &remove, &one].into_iter())), Some("192.0.2.7/32 2001:db8::/32".into()));
        let many = |count: usize| add((0..count).map(|last| format!("192.0.2.{last}")));
        assert!(sources([&many(MOST_SOURCES)].into_iter()).is_some());
        assert_eq!(sources([&many(MOST_SOURCES), &remove].into_iter()), None);
        let sync = Push { replace: vec!["a".into()], ..Push::default() };
        assert_eq!(sources([&one, &sync].into_iter()), None);
    }
}
