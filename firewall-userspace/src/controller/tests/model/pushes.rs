//! What a push changes, and what is put back when it is undone or not confirmed.

use std::{collections::BTreeMap, time::Duration};

use super::{Entry, Key, Model, Waiting, What, Wish, at, is_same};
use crate::clock::Now;

impl Model {
    /// A push that is in force.
    pub fn push(&mut self, wishes: &[Wish], confirm: Option<Duration>, now: Now) {
        let (mut before, mut is_counted) = (BTreeMap::new(), false);
        for (key, wish) in wishes {
            let old = self.entries.get(key).cloned();
            match wish {
                Some(ttl) => {
                    let expires = ttl.map(|ttl| at(now, self.latest).checked_add(ttl).unwrap());
                    let (latest, is_new) = (ttl.map(|ttl| now.boot + ttl), ttl.is_some() && !self.is_settled);
                    // It is so already, and no push that waits would change it.
                    let is_so = |old: &Entry| (old.expires, old.is_new) == (expires, is_new);
                    let is_so = old.as_ref().is_some_and(is_so);
                    if is_so && !self.waits_with(key) {
                        continue;
                    }
                    let created = old.as_ref().map_or(now.wall, |old| old.created);
                    self.entries.insert(key.clone(), Entry { expires, is_new, latest, created });
                    is_counted |= !is_so;
                }
                None if old.is_none() => continue,
                None => {
                    self.entries.remove(key);
                    is_counted = true;
                }
            }
            before.insert(key.clone(), old);
        }
        self.note(before, is_counted, confirm, now);
    }

    /// Entries are what they are now by a push, or because one was taken back.
    fn note(&mut self, before: BTreeMap<Key, Option<Entry>>, is_counted: bool, confirm: Option<Duration>, now: Now) {
        if is_counted {
            let traces = before.iter().map(|(key, old)| (key.clone(), [old.clone(), self.entries.get(key).cloned()]));
            let traces = traces.filter(|(_, [old, new])| !is_same(old.as_ref(), new.as_ref())).collect();
            self.pushes.insert(self.revision + 1, traces);
        }
        match (confirm, &mut self.waiting) {
            (Some(length), _) if !before.is_empty() => {
                let what = What::Push { revision: self.revision + 1, before };
                self.waiting = Some(Waiting::new(what, length, now));
                self.waits = is_counted.then_some(self.revision + 1);
                self.takes_back = None;
            }
            // What a later push has changed is its own.
            (None, Some(Waiting { what: What::Push { before: kept, .. }, .. })) => {
                kept.retain(|key, _| !before.contains_key(key));
            }
            _ => {}
        }
        self.revision += u64::from(is_counted);
    }

    /// Whether a push that waits for a confirmation has changed this.
    fn waits_with(&self, key: &Key) -> bool {
        matches!(&self.waiting, Some(Waiting { what: What::Push { before, .. }, .. }) if before.contains_key(key))
    }

    /// What a push that waits for a confirmation has changed.
    pub fn waiting_keys(&self) -> impl Iterator<Item = &Key> {
        let before = match &self.waiting {
            Some(Waiting { what: What::Push { before, .. }, .. }) => Some(before),
            _ => None,
        };
        before.into_iter().flat_map(|before| before.keys())
    }

    /// A push is taken back; how many entries are not what they were before it.
    pub fn undo(&mut self, revision: u64, confirm: Option<Duration>, now: Now) -> usize {
        let (mut before, mut kept) = (BTreeMap::new(), 0);
        for (key, [old, new]) in self.pushes[&revision].clone() {
            let live = self.entries.get(&key).cloned();
            if !is_same(live.as_ref(), new.as_ref()) {
                kept += 1;
                continue;
            }
            let lives = |entry: &Entry| entry.expires.is_none_or(|expires| expires > at(now, self.earliest));
            let back = old.clone().filter(lives);
            kept += usize::from(old.is_some() && back.is_none());
            if live.is_none() && back.is_none() {
                continue;
            }
            self.entries.remove(&key);
            self.entries.extend(back.map(|back| (key.clone(), back)));
            before.insert(key, live);
        }
        let is_counted = !before.is_empty();
        self.note(before, is_counted, confirm, now);
        if is_counted && confirm.is_some() {
            self.takes_back = Some(revision);
        } else if is_counted {
            self.pushes.remove(&revision);
            self.undone.insert(revision);
        }
        kept
    }

    /// Another daemon knows nothing of the pushes before it.
    pub fn forget_pushes(&mut self) {
        self.pushes.clear();
        self.undone.clear();
        (self.waits, self.takes_back) = (None, None);
    }

    /// Puts back what a push that was not confirmed has changed.
    pub fn undo_push(&mut self, now: Now) {
        let Some(Waiting { what: What::Push { before, .. }, .. }) = self.waiting.take() else {
            panic!("no push waits")
        };
        self.takes_back = None;
        if let Some(revision) = self.waits.take() {
            self.pushes.remove(&revision);
            self.undone.insert(revision);
        }
        for (key, entry) in before {
            let before = entry.filter(|entry| entry.expires.is_none_or(|expires| expires > at(now, self.earliest)));
            self.entries.remove(&key);
            self.entries.extend(before.map(|before| (key, before)));
        }
        self.revision += 1;
    }
}
