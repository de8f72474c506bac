//! What the addresses of a push meet once it is in the lists, where that is not what was asked.

use std::collections::BTreeSet;

use super::check::CheckedPush;
use crate::{
    control::{AddressAnswer, Pushed},
    controller::Core,
    datapath::Filter,
    lists::{
        entry::{Entry, Layer},
        layers,
    },
    policy::{Mode, Policy, Prefix, Service, compile::bit},
    state::disk::Disk,
    text::{
        few::Few,
        shown::{counted, few, grouped},
    },
};

/// Entries that are named as the reason of one answer.
const NAMED: usize = 3;

/// Most entries inside of a prefix that are counted.
const COUNTED: usize = 1000;

impl<F: Filter, D: Disk> Core<F, D> {
    /// Adds to `pushed`, which is in the lists, what addresses meet now that is not what was asked.
    pub(super) fn answer_addresses(&self, checked: &CheckedPush, pushed: &mut Pushed) {
        let mut answers = Few::default();
        for addition in &checked.add {
            self.answer_addition(addition.list, addition.prefix, &mut answers);
        }
        for (list, prefix) in &checked.remove {
            self.answer_removal(*list, *prefix, &mut answers);
        }
        pushed.differing = answers.len();
        pushed.answers = answers.first().to_vec();
        let policy = &self.in_force.policy;
        let is_idle = |service: &Service| policy.mode == Mode::Observe || service.mode == Mode::Observe;
        let lists: BTreeSet<usize> = checked.add.iter().map(|addition| addition.list).collect();
        let mut denying = lists.into_iter().flat_map(|list| services_that_deny(policy, list)).peekable();
        if denying.peek().is_some() && denying.all(is_idle) {
            pushed.notes.push("what is denied passes for now: the services that deny it only observe".to_owned());
        }
    }

    /// An entry was added: is what is in it denied, or admitted, now?
    pub(in crate::controller) fn answer_addition(&self, list: usize, prefix: Prefix, answers: &mut Few<AddressAnswer>) {
        let policy = &self.in_force.policy;
        if services_that_deny(policy, list).next().is_some() {
            let mut of_management = policy.management.iter();
            if let Some(cover) = of_management.clone().find(|cover| cover.covers(prefix)) {
                let detail = || format!("passes all the same: `management` has {cover}");
                answers.add("management", || self.told(list, prefix, detail()));
            } else if let Some(inside) = of_management.find(|inside| prefix.covers(**inside)) {
                let detail = || format!("does not hold for {inside} inside it, which is in `management`");
                answers.add("management", || self.told(list, prefix, detail()));
            }
            return;
        }
        let member = self.lists.members().union_of(prefix);
        let denied = services_that_allow(policy, list).find_map(|service| {
            let by = service.deny.iter().find(|by| member.all_lists() & bit(**by) != 0)?;
            Some((service, *by))
        });
        if let Some((service, by)) = denied.filter(|_| !member.management) {
            answers.add("denied", || {
                let why = self.holders(by, prefix);
                self.told(list, prefix, format!("is denied by `{}` all the same: {why}", service.name))
            });
        }
    }

    /// An entry was removed: is what was in it out?
    pub(in crate::controller) fn answer_removal(&self, list: usize, prefix: Prefix, answers: &mut Few<AddressAnswer>) {
        let policy = &self.in_force.policy;
        let member = self.lists.members().union_of(prefix);
        let lists = member.all_lists();
        if lists & bit(list) != 0 {
            answers.add("held", || {
                let name = policy.lists.get(list).map_or("", |list| &list.name);
                self.told(list, prefix, format!("stays in `{name}`: {}", self.holders(list, prefix)))
            });
            return;
        }
        let by_another = |others: &[usize]| others.iter().copied().find(|other| lists & bit(*other) != 0);
        let denied = services_that_deny(policy, list).find_map(|service| Some((service, by_another(&service.deny)?)));
        if let Some((service, other)) = denied.filter(|_| !member.management) {
            answers.add("denied", || {
                let why = self.holders(other, prefix);
                self.told(list, prefix, format!("is denied by `{}` all the same: {why}", service.name))
            });
            return;
        }
        let passes = |service: &&Service| member.management || by_another(&service.deny).is_none();
        let admitted = services_that_allow(policy, list).filter(passes);
        let mut admitted = admitted.filter_map(|service| Some((service, by_another(service.allow.as_deref()?)?)));
        if let Some((service, other)) = admitted.next() {
            answers.add("admitted", || {
                let why = self.holders(other, prefix);
                self.told(list, prefix, format!("is admitted by `{}` all the same: {why}", service.name))
            });
        } else if member.management && services_that_allow(policy, list).next().is_some() {
            answers
                .add("admitted", || self.told(list, prefix, "passes all the same: it is in `management`".to_owned()));
        } else if self.inside(list, prefix).next().is_some() {
            answers.add("narrower", || self.told(list, prefix, self.told_inside(list, prefix)));
        }
    }

    /// The entries of a list inside of a prefix.
    fn inside(&self, index: usize, prefix: Prefix) -> impl Iterator<Item = Entry> {
        // Most prefixes are single addresses, and nothing is inside of them.
        let list = self.in_force.policy.lists.get(index).filter(|_| !prefix.is_host());
        list.into_iter()
            .flat_map(move |list| layers::entries_inside(list, self.lists.pushed(), self.telling(index), prefix))
    }

    /// Words on the entries that stand inside of a prefix which is out: the first few, and how many there are.
    fn told_inside(&self, index: usize, prefix: Prefix) -> String {
        let name = self.in_force.policy.lists.get(index).map_or("", |list| &list.name);
        let count = self.inside(index, prefix).take(COUNTED + 1).count();
        let counted =
            if count > COUNTED { format!("more than {} entries", grouped(COUNTED)) } else { counted(count, "entry") };
        let mut named: Vec<String> = self.inside(index, prefix).take(NAMED).map(|entry| holder(&entry)).collect();
        if count > NAMED {
            named.push("...".to_owned());
        }
        format!("stays in `{name}` in part, for {counted} inside it: {}", named.join(", "))
    }

    fn told(&self, list: usize, prefix: Prefix, detail: String) -> AddressAnswer {
        let name = self.in_force.policy.lists.get(list).map(|list| list.name.to_string());
        AddressAnswer { list: name.unwrap_or_default(), prefix, detail }
    }

    /// The entries by which all of `prefix` is in a list, as they are named: `203.0.113.0/24 (configuration)`.
    fn holders(&self, index: usize, prefix: Prefix) -> String {
        let policy = &self.in_force.policy;
        let Some(list) = policy.lists.get(index) else { return String::new() };
        let telling = self.telling(index);
        let at = |cover| layers::entries_at(list, self.lists.pushed(), telling, cover);
        let named: Vec<String> = prefix.covering().flat_map(at).map(|entry| holder(&entry)).collect();
        format!("`{}` has {}", list.name, few(&named, NAMED))
    }
}

/// `203.0.113.7/32 (ban of agent, until 2026-11-27T12:00:00Z)`.
fn holder(Entry { prefix, layer, owner, expires, .. }: &Entry) -> String {
    let until = expires.map_or(String::new(), |expires| format!(", until {expires:.0}"));
    match layer {
        Layer::Config => format!("{prefix} (configuration)"),
        layer => format!("{prefix} ({} of {owner}{until})", layer.label()),
    }
}

fn services_that_deny(policy: &Policy, list: usize) -> impl Iterator<Item = &Service> {
    policy.services.iter().filter(move |service| service.deny.contains(&list))
}

fn services_that_allow(policy: &Policy, list: usize) -> impl Iterator<Item = &Service> {
    policy.services.iter().filter(move |service| service.allow.as_ref().is_some_and(|allow| allow.contains(&list)))
}
