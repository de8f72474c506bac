//! Changes of layers by pushes: checked, kept, then carried out.

pub(super) mod check;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{EXPIRY_TICK, State, policy::confirm_within, push::check::CheckedPush};
use crate::{
    clock::{
        Now,
        deadline::{Deadline, Until},
    },
    control::{Push, Pushed, Refusal},
    lists::{change::Change, entry::Layer, layers, members::Member, pushed::RuntimeEntry},
    policy::{Name, Prefix},
    state::journal::Provisional,
};

type Reply = oneshot::Sender<Result<Pushed, Refusal>>;

/// A push that is in the layers and not in the tables yet.
struct Staged {
    reply: Reply,
    owner: String,
    pushed: Pushed,
    undo: Undo,
    changes: Vec<Change>,
}

/// What checking a push came to.
enum Checked {
    /// Nothing is to be done.
    Answered(Pushed),
    /// It is in the layers.
    Staged(Pushed, Undo, Vec<Change>),
}

/// What was there before a push.
#[derive(Default)]
struct Undo {
    entries: Vec<(Name, Prefix, Layer, Option<RuntimeEntry>)>,
    members: Vec<(Prefix, Member)>,
}

impl State {
    /// Carries out pushes in their order. Each one is all or nothing; all are kept by one write before any is answered, but those
    /// that are to be confirmed each by one of its own.
    pub(super) fn push_all(&mut self, pushes: Vec<(Push, Reply)>) {
        let mut batch = Vec::new();
        for (push, reply) in pushes {
            if push.confirm.is_none() || push.dry_run {
                batch.push((push, reply));
                continue;
            }
            self.push_batch(std::mem::take(&mut batch), None);
            match self.admit_provisional(&push) {
                Ok(length) => self.push_batch(vec![(push, reply)], length),
                Err(refusal) => drop(reply.send(Err(refusal))),
            }
        }
        self.push_batch(batch, None);
    }

    /// Carries out pushes; with a length of time there is one, and it waits so long for a confirmation.
    fn push_batch(&mut self, pushes: Vec<(Push, Reply)>, confirm: Option<Duration>) {
        if pushes.is_empty() {
            return;
        }
        let now = Timestamp::now();
        let mut staged: Vec<Staged> = Vec::new();
        for (push, reply) in pushes {
            match self.stage(&push, now) {
                Ok(Checked::Staged(pushed, undo, changes)) => {
                    staged.push(Staged { reply, owner: push.owner, pushed, undo, changes });
                }
                Ok(Checked::Answered(pushed)) => drop(reply.send(Ok(pushed))),
                Err(refusal) => drop(reply.send(Err(refusal))),
            }
        }
        let changes: Vec<Change> = staged.iter_mut().flat_map(|one| std::mem::take(&mut one.changes)).collect();
        let waited = self.store.provisional().cloned();
        let until = confirm.filter(|_| !changes.is_empty()).map(|length| Until::after(length, Now::read()));
        let kept = match (until, staged.first()) {
            (Some(until), Some(one)) => {
                let before = one.undo.entries.iter().cloned();
                let provisional = Provisional::new(self.number + 1, one.owner.clone(), until, before);
                self.store.append_provisional(now, changes, provisional)
            }
            _ => self.store.append(now, changes),
        };
        if let Err(error) = kept {
            self.snapshots.counters.failures += 1;
            tracing::error!(%error, "refused pushes that cannot be kept");
            return self.refuse(staged, &Refusal::NotKept { message: error.to_string() });
        }
        let touched: BTreeSet<Prefix> =
            staged.iter().flat_map(|one| &one.undo.members).map(|(prefix, _)| *prefix).collect();
        if let Err(refusal) = self.update_tables(touched.iter().copied()) {
            self.take_back(staged, &touched, &refusal, now);
            self.store.owe_provisional(now, waited);
            return self.settle();
        }
        if let Some(until) = until {
            self.push_deadline = Some(Deadline::resume(until, Now::read()));
        }
        for Staged { reply, owner, pushed, .. } in staged {
            if pushed.added + pushed.removed > 0 {
                self.number += 1;
                let Pushed { added, removed, .. } = pushed;
                tracing::info!(generation = self.number, added, removed, owner, "applied a push");
            }
            let pending = until.and_then(|_| self.pending_push());
            drop(reply.send(Ok(Pushed { generation: self.number, pending, ..pushed })));
        }
    }

    /// Checks a push and puts it into the layers; the tables come later.
    fn stage(&mut self, push: &Push, now: Timestamp) -> Result<Checked, Refusal> {
        confirm_within(push.confirm.as_deref())?;
        let mut checked = check::check(push, &self.policy)?;
        let shrunk = checked.replace_lists(&self.policy, &self.runtime, &push.owner);
        let shown = if push.dry_run { self.changes(&checked) } else { Vec::new() };
        let mut undo = Undo::default();
        let mut changes = Vec::new();
        let pushed = self.change_runtime(&checked, &push.owner, now, &mut undo, &mut changes);
        let admitted = self.admit(&checked, push, shrunk);
        if push.dry_run || admitted.is_err() {
            self.undo(undo);
            let answer = Pushed { generation: self.number, dry_run: true, changes: shown, ..pushed };
            return admitted.map(|()| Checked::Answered(answer));
        }
        for prefix in undo.entries.iter().map(|(_, prefix, ..)| *prefix).collect::<BTreeSet<_>>() {
            let member = layers::member_of(&self.policy, &self.runtime, &self.own, prefix);
            let before = self.members.own_value(prefix);
            if member != before {
                undo.members.push((prefix, before));
                self.members.set(prefix, member);
            }
        }
        Ok(Checked::Staged(pushed, undo, changes))
    }

    /// Changes the layer of the push, and counts.
    fn change_runtime(
        &mut self,
        checked: &CheckedPush,
        owner: &str,
        now: Timestamp,
        undo: &mut Undo,
        changes: &mut Vec<Change>,
    ) -> Pushed {
        let mut pushed = Pushed { unchanged: checked.repeated, ..Pushed::default() };
        for addition in &checked.add {
            let Some(list) = self.policy.lists.get(addition.list) else { continue };
            let created =
                self.runtime.entry(&list.name, addition.prefix, checked.layer).map_or(now, |entry| entry.created);
            let expires = addition.ttl.map(|ttl| now.checked_add(ttl).unwrap_or(Timestamp::MAX));
            let entry = RuntimeEntry { owner: owner.to_owned(), comment: addition.comment.clone(), created, expires };
            let (list, prefix, layer) = (list.name.clone(), addition.prefix, checked.layer);
            changes.push(Change { list: list.clone(), prefix, layer, entry: Some(entry.clone()) });
            let old = self.runtime.insert(&list, prefix, layer, entry);
            match old {
                None => pushed.added += 1,
                Some(_) => pushed.unchanged += 1,
            }
            undo.entries.push((list, prefix, layer, old));
        }
        for (index, prefix) in &checked.remove {
            let Some(list) = self.policy.lists.get(*index) else { continue };
            let layer = checked.layer;
            match self.runtime.remove(&list.name, *prefix, layer) {
                Some(old) => {
                    pushed.removed += 1;
                    changes.push(Change { list: list.name.clone(), prefix: *prefix, layer, entry: None });
                    undo.entries.push((list.name.clone(), *prefix, layer, Some(old)));
                }
                None => pushed.unchanged += 1,
            }
            for layer in layers::layers_of(&self.policy, &self.runtime, *index, *prefix) {
                pushed.notes.push(format!("{prefix} stays in `{}`: layer {} holds it", list.name, layer.label()));
            }
        }
        let lists: BTreeSet<usize> = checked.add.iter().map(|add| add.list).collect();
        for index in lists {
            if let Some(list) = self.policy.lists.get(index).filter(|_| !self.policy.uses_list(index)) {
                pushed.notes.push(format!("no service uses the list `{}`", list.name));
            }
        }
        pushed
    }

    /// Puts the layers back to what they were before a push.
    fn undo(&mut self, undo: Undo) {
        for (prefix, member) in undo.members.into_iter().rev() {
            self.members.set(prefix, member);
        }
        for (list, prefix, layer, entry) in undo.entries.into_iter().rev() {
            match entry {
                Some(entry) => drop(self.runtime.insert(&list, prefix, layer, entry)),
                None => drop(self.runtime.remove(&list, prefix, layer)),
            }
        }
    }

    /// Undoes pushes, the last one first, and says no to all of them.
    fn refuse(&mut self, staged: Vec<Staged>, refusal: &Refusal) {
        for Staged { reply, undo, .. } in staged.into_iter().rev() {
            self.undo(undo);
            drop(reply.send(Err(refusal.clone())));
        }
    }

    /// Undoes pushes that are kept already and that the kernel refuses.
    fn take_back(&mut self, staged: Vec<Staged>, touched: &BTreeSet<Prefix>, refusal: &Refusal, now: Timestamp) {
        let places = staged.iter().flat_map(|one| &one.undo.entries);
        let entries: BTreeSet<(Name, Prefix, Layer)> =
            places.map(|(list, prefix, layer, _)| (list.clone(), *prefix, *layer)).collect();
        self.refuse(staged, refusal);
        // A part of the change may be live. What cannot be taken back is said; a reload fills fresh tables.
        if let Err(error) = self.live.update(&self.members, touched.iter().copied()) {
            tracing::error!(%error, "cannot undo a part of the change; reload to bring the tables in line");
        }
        let as_before = |(list, prefix, layer): (Name, Prefix, Layer)| {
            let entry = self.runtime.entry(&list, prefix, layer).cloned();
            Change { list, prefix, layer, entry }
        };
        let changes = entries.into_iter().map(as_before).collect();
        self.store.owe(now, changes);
    }

    /// Removes entries whose time is over; the program in the kernel does not wait for this.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let expired = self.runtime.expired(now);
        if expired.is_empty() {
            return;
        }
        let entries: Vec<(Name, Prefix, Layer, Option<RuntimeEntry>)> = expired
            .into_iter()
            .map(|(list, prefix, layer)| {
                let old = self.runtime.remove(&list, prefix, layer);
                (list, prefix, layer, old)
            })
            .collect();
        let touched = entries.iter().map(|(_, prefix, ..)| *prefix).collect();
        if let Err(refusal) = self.write_members(&touched) {
            tracing::error!(?refusal, "cannot end entries whose time is over; trying again");
            for (list, prefix, layer, old) in entries {
                if let Some(mut entry) = old {
                    entry.expires = now.checked_add(EXPIRY_TICK).ok();
                    self.runtime.insert(&list, prefix, layer, entry);
                }
            }
            return;
        }
        self.number += 1;
        tracing::info!(generation = self.number, removed = entries.len(), "ended entries whose time is over");
        let gone = |(list, prefix, layer, _)| Change { list, prefix, layer, entry: None };
        self.store.owe(now, entries.into_iter().map(gone).collect());
        self.settle();
    }

    /// Keeps what has happened and could not be kept so far.
    pub(super) fn settle(&mut self) {
        if !self.store.is_owing() {
            return;
        }
        match self.store.settle() {
            Ok(()) => self.is_settled = true,
            Err(error) => {
                self.snapshots.counters.failures += 1;
                // Tried again every second: one line is enough.
                if std::mem::replace(&mut self.is_settled, false) {
                    tracing::error!(%error, "cannot keep what has happened; trying again");
                }
            }
        }
    }

    /// Gives no entry more time when the wall clock was set back.
    pub(super) fn follow_clock(&mut self) {
        let Some(by) = self.watch.set_back() else { return };
        tracing::warn!("the clock was set back by {by:#}: entries keep the time that they had left");
        self.store.set_back(&mut self.runtime, Timestamp::now(), by);
        self.settle();
    }
}
