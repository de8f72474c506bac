//! What a sync would come to, found out beside the controller: how much it changes, whom it harms, and the entries after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    compare::{Comparison, Said, SyncBase, SyncPlace},
    ticket::SyncTicket,
    undo::Undone,
};
use crate::{
    control::{EntryChange, EntryChangeKind, Pushed, Refusal, SyncStage},
    controller::{
        admit::sources_of,
        footprint::FootprintTaker,
        forced::{Forced, insist},
        host::{around, established, sshd_ports},
        prepare,
        push::repeated,
        scope::ScopeCheck,
    },
    host::connections::Established,
    lists::{
        change::Change,
        layers,
        members::{AlikeEnds, Member},
        pushed::Runtime,
    },
    policy::Prefix,
    preview::{
        guard::{self, Cut, Harm, Side},
        model::HostModel,
    },
    text::{few::Few, shown::counted},
};

/// What a sync would come to.
pub struct Survey {
    /// How much it changes.
    pub(super) pushed: Pushed,
    /// All entries after it.
    pub(super) runtime: Runtime,
    /// What is shown of a dry run.
    pub(super) shown: Few<EntryChange>,
    /// What speaks against it.
    pub(super) forced: Forced,
    /// What is remembered of it.
    pub(super) footprint: FootprintTaker,
}

/// Entries between two looks whether anybody still wants to know.
const PORTION: usize = 1 << 14;

impl Comparison {
    /// Finds out what it comes to.
    ///
    /// # Errors
    /// What speaks against it, or that it was cancelled.
    pub fn survey(&self, ticket: &SyncTicket) -> Result<Survey, Refusal> {
        ticket.begin(SyncStage::Comparing, Some(self.len() as u64));
        let mut tally = SyncTally::default();
        let mut runtime = self.base.pushed.clone();
        let mut scope = ScopeCheck::of(&self.base.asked.caller, &self.base.policy);
        let mut place = SyncPlace::default();
        while !self.is_over(&place) {
            if ticket.is_cancelled() {
                return Err(Refusal::Cancelled);
            }
            let mut changes = Vec::new();
            let (steps, _) = self.walk(&mut place, PORTION, |list, index, said| {
                match said {
                    Said::Wanted(entry) => self.changes_of(list, entry, &self.base.pushed, &mut changes),
                    Said::Gone(holding) => {
                        scope
                            .iter_mut()
                            .for_each(|scope| scope.removal(list, Some(holding.prefix), &|_| String::new()));
                        changes.push(Change { list: list.clone(), holding: holding.clone(), entry: None });
                    }
                }
                if changes.is_empty() {
                    tally.pushed.unchanged += 1;
                }
                for change in changes.drain(..) {
                    tally.count(&self.base, index, &change);
                    runtime.set(list, &change.holding, change.entry);
                }
            });
            ticket.advance(steps);
        }
        scope.map_or(Ok(()), ScopeCheck::finish)?;
        let mut pushed = std::mem::take(&mut tally.pushed);
        self.note(&mut pushed);
        let room = [0, 1].map(|family| {
            let of = |counts: [u64; 2]| counts.get(family).copied().unwrap_or(0);
            let largest = runtime.lists().map(|(name, _)| runtime.counts(name).into_iter().map(of).max().unwrap_or(0));
            usize::try_from(largest.max().unwrap_or(0)).unwrap_or(usize::MAX)
        });
        prepare::require_room(room)?;
        let (harms, notes) = self.harms(&tally, &runtime);
        pushed.notes.extend(notes);
        let forced = insist(harms, &self.set.terms.force)?;
        Ok(Survey { pushed, runtime, shown: tally.shown, forced, footprint: tally.footprint })
    }

    /// What the caller should know.
    fn note(&self, pushed: &mut Pushed) {
        let policy = &self.base.policy;
        if self.checked.repeated > 0 {
            pushed.unchanged += self.checked.repeated;
            pushed.notes.push(format!("{}: the longest time to live counts", repeated(self.checked.repeated)));
        }
        if let Some(Undone { summary, kept }) = self.undone() {
            pushed.undone = Some(summary.clone());
            (pushed.kept_count, pushed.kept) = (kept.len(), kept.first().to_vec());
        }
        match self.overdue() {
            0 => {}
            count => pushed.notes.push(format!("{}: their time is over", counted(count, "entry that is not restored"))),
        }
        for index in self.lists().filter(|index| !policy.uses_list(*index)).collect::<BTreeSet<_>>() {
            if let Some(list) = policy.lists.get(index) {
                pushed.notes.push(format!("no service uses the list `{}`", list.name));
            }
        }
    }

    /// Whom it harms, and words on whom it cuts off.
    fn harms(&self, tally: &SyncTally, runtime: &Runtime) -> (Vec<Harm>, Vec<String>) {
        let SyncBase { policy, host, .. } = &self.base;
        let can_cut = tally.lists.iter().any(|list| policy.denies_list(*list) || policy.allows_list(*list));
        let established = if can_cut { established(&**host, None) } else { Vec::new() };
        let cuts = self.cuts(&established, runtime);
        let notes = guard::told(&cuts);
        let mut sshd = None;
        let mut harms = guard::harms(
            cuts.into_iter()
                .filter(|cut| cut.must_stay(&policy.guard, || sshd.get_or_insert_with(|| sshd_ports(&**host)))),
        );
        let emptied = self.emptied(tally, runtime);
        for (list, live) in self.replaced() {
            let gone = tally.gone.get(&**list).copied().unwrap_or(0);
            harms.extend(policy.guard.shrink(list, gone, live).filter(|harm| !guard::is_of_emptied(harm, &emptied)));
        }
        harms.extend(emptied);
        for (index, new) in &tally.denied {
            let Some(list) = policy.lists.get(*index) else { continue };
            harms.extend(guard::covers(&list.name, new, &around(&**host)));
            let is_connected = |entry: &Prefix| sources_of(&established).any(|source| entry.contains(source));
            let managing: Vec<Prefix> = policy.management.iter().copied().filter(is_connected).collect();
            if !managing.is_empty() {
                let connected: Vec<Prefix> = new.iter().copied().filter(is_connected).collect();
                harms.extend(guard::denied_management(&list.name, &connected, &managing));
            }
        }
        (harms, notes)
    }

    /// Connections that it cuts off.
    fn cuts(&self, established: &[Established], runtime: &Runtime) -> Vec<Cut> {
        let caller = self.set.terms.caller;
        if established.is_empty() && caller.is_none() {
            return Vec::new();
        }
        let base = &self.base;
        let (before, after) = (base.lengths(&base.pushed), base.lengths(runtime));
        let model = HostModel::new(&base.policy);
        let live = |source| base.lookup(&base.pushed, &before, source);
        let new = |source| base.lookup(runtime, &after, source);
        let (live, new) = (Side { model: &model, members: &live }, Side { model: &model, members: &new });
        guard::cuts(Some(&live), &new, established, caller)
    }

    /// Lists that services allow and that it has taken the last entry out of.
    fn emptied(&self, tally: &SyncTally, runtime: &Runtime) -> Vec<Harm> {
        let policy = &self.base.policy;
        let lists = policy.lists.iter().enumerate().filter(|(index, list)| {
            let is_empty = list.entries.is_empty() && runtime.entries(&list.name).next().is_none();
            is_empty && policy.allows_list(*index)
        });
        let harm = |(_, list): (usize, &crate::policy::List)| {
            let live = *tally.gone.get(&*list.name)?;
            Some(Harm::Empty { live, list: list.name.to_string() })
        };
        lists.filter_map(harm).collect()
    }
}

impl SyncBase {
    /// The lengths of all prefixes, with what was pushed as in `runtime`.
    fn lengths(&self, runtime: &Runtime) -> KnownLengths {
        let configured = layers::configured_members(&self.policy, &self.own).map(|(prefix, _)| prefix);
        let pushed = self.policy.lists.iter().flat_map(|list| runtime.entries(&list.name));
        configured.chain(pushed.map(|(holding, _)| holding.prefix)).collect()
    }

    /// What an address is in.
    fn lookup(&self, runtime: &Runtime, lengths: &KnownLengths, address: IpAddr) -> Member {
        let covers = Prefix::host(address).covering().filter(|cover| lengths.has(*cover));
        let mut alike = AlikeEnds::default();
        let mut member = |cover| layers::member_of(&self.policy, runtime, &self.own, cover, &self.clock, &mut alike);
        covers.fold(Member::default(), |all, cover| all.union(&member(cover)))
    }
}

/// Which lengths some prefixes have: IPv4 first.
struct KnownLengths([[bool; 129]; 2]);

impl KnownLengths {
    fn of(&mut self, prefix: Prefix) -> Option<&mut bool> {
        let [v4, v6] = &mut self.0;
        let lengths = if prefix.address().is_ipv4() { v4 } else { v6 };
        lengths.get_mut(usize::from(prefix.length()))
    }

    fn has(&self, prefix: Prefix) -> bool {
        let [v4, v6] = &self.0;
        let lengths = if prefix.address().is_ipv4() { v4 } else { v6 };
        lengths.get(usize::from(prefix.length())).is_some_and(|has| *has)
    }
}

impl FromIterator<Prefix> for KnownLengths {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let mut lengths = Self([[false; 129]; 2]);
        for prefix in prefixes {
            lengths.of(prefix).into_iter().for_each(|has| *has = true);
        }
        lengths
    }
}

/// What was counted so far.
#[derive(Default)]
struct SyncTally {
    pushed: Pushed,
    shown: Few<EntryChange>,
    /// Lists that change.
    lists: BTreeSet<usize>,
    /// How many entries go, by list.
    gone: BTreeMap<String, usize>,
    /// Entries that are new in lists that services deny, sorted.
    denied: BTreeMap<usize, Vec<Prefix>>,
    footprint: FootprintTaker,
}

impl SyncTally {
    fn count(&mut self, base: &SyncBase, index: usize, change: &Change) {
        let Change { list, holding, entry } = change;
        self.lists.insert(index);
        let known = base.pushed.entry(list, holding);
        self.footprint.add((list, holding, known, entry.as_ref()));
        let is_known = entry.is_some() && known.is_some();
        let (count, kind, change) = match (entry.is_some(), is_known) {
            (true, false) => (&mut self.pushed.added, "added", EntryChangeKind::Added),
            (true, true) => (&mut self.pushed.refreshed, "refreshed", EntryChangeKind::Refreshed),
            (false, _) => (&mut self.pushed.removed, "removed", EntryChangeKind::Removed),
        };
        *count += 1;
        let prefix = holding.prefix;
        self.shown.add(kind, || EntryChange { list: list.to_string(), prefix, change });
        match change {
            EntryChangeKind::Removed => match self.gone.get_mut(&**list) {
                Some(gone) => *gone += 1,
                None => drop(self.gone.insert(list.to_string(), 1)),
            },
            EntryChangeKind::Added if base.policy.denies_list(index) => {
                let configured = base.policy.lists.get(index).map_or(&[][..], |list| &list.entries);
                let was_in = configured.binary_search(&prefix).is_ok() || base.pushed.at(list, prefix).next().is_some();
                if !was_in {
                    self.denied.entry(index).or_default().push(prefix);
                }
            }
            EntryChangeKind::Added | EntryChangeKind::Refreshed => {}
        }
    }
}
