//! What it answers to changes: pushes, undoings and reloads.

use firewall_userspace::{
    control::{
        Addition, AddressAnswer, EntryChange, EntryChangeKind, KeptEntry, NotUndoable, PendingChange, Push, Pushed,
        Refusal, Reload, Reloaded, Undo,
    },
    lists::entry::Layer,
    policy::Prefix,
    preview::diff::Difference,
    text::problem::{Problem, Problems},
};

use super::{Fake, history::pushed_before};

impl Fake {
    /// Knows what a prefix is by its slash or dot, and a list by its name.
    pub(super) fn push(&self, push: &Push) -> Result<Pushed, Refusal> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let mut problems = Problems::default();
        for (index, addition) in push.add.iter().enumerate() {
            let mut problem = |field: &str, detail: String| {
                problems.add("fields", || Problem { pointer: format!("/add/{index}/{field}"), detail });
            };
            if addition.list != "partners" && addition.list != "blocked" {
                problem("list", format!("there is no list `{}`; there are `blocked`, `partners`", addition.list));
            }
            if addition.prefix.starts_with("bad") {
                problem("prefix", format!("`{}` is not a prefix", addition.prefix));
            }
            if addition.ttl.as_deref() == Some("1x") {
                problem("ttl", "`1x` has an unknown unit".into());
            }
        }
        if problems.is_empty() {
            let notes =
                push.remove.iter().map(|entry| format!("the configuration still has {}", entry.prefix)).collect();
            let (differing, answers) = if push.remove_all {
                let detail = "stays in `blocked`: \u{1b}[2J".into();
                (3, vec![AddressAnswer { list: "blocked".into(), prefix: Prefix::ALL_V4, detail }])
            } else {
                (0, Vec::new())
            };
            let (added, removed) = (push.add.len(), push.remove.len());
            let addition = |entry: &Addition| EntryChange {
                list: entry.list.clone(),
                prefix: entry.prefix.parse().unwrap(),
                change: EntryChangeKind::Added,
            };
            let changes = if push.dry_run { push.add.iter().map(addition).collect() } else { Vec::new() };
            Ok(Pushed {
                generation: 8,
                revision: 8,
                policy_generation: 3,
                added,
                removed,
                notes,
                dry_run: push.dry_run,
                changes,
                differing,
                answers,
                pending: self.waits.after(push.confirm.as_ref(), PendingChange::Push, 8),
                ..Pushed::default()
            })
        } else {
            Err(Refusal::Invalid(problems))
        }
    }

    /// Knows the push of revision 7, of whose entries twelve were touched since.
    pub(super) fn undo(&self, undo: &Undo) -> Result<Pushed, Refusal> {
        let Undo { revision, dry_run, .. } = *undo;
        match revision {
            _ if self.refusal.is_some() => return Err(self.refusal.clone().unwrap()),
            7 => {}
            6 => return Err(Refusal::NotUndoable { revision, why: NotUndoable::Undone { by: 8, is_undoable: true } }),
            _ => return Err(Refusal::NotUndoable { revision, why: NotUndoable::Never { last: 8 } }),
        }
        let (prefix, change) = (Prefix::ALL_V4, EntryChangeKind::Removed);
        let kept = KeptEntry {
            list: "blocked".into(),
            prefix,
            layer: Layer::Ban,
            owner: "guard".into(),
            detail: "stays: \u{1b}[2J".into(),
        };
        Ok(Pushed {
            revision: 9,
            removed: 2,
            kept_count: 12,
            kept: vec![kept; 10],
            undone: Some(pushed_before(revision)),
            dry_run,
            changes: vec![EntryChange { list: "blocked".into(), prefix, change }; usize::from(dry_run)],
            // Among the pushes that it tells of.
            pending: self.waits.after(undo.confirm.as_ref(), PendingChange::Push, 7),
            ..Pushed::default()
        })
    }

    pub(super) fn reload(&self, reload: &Reload) -> Result<Reloaded, Refusal> {
        match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None if reload.dry_run => {
                let difference = Difference { generation: 8, same: true, ..Difference::default() };
                Ok(Reloaded {
                    generation: 8,
                    revision: 8,
                    policy_generation: 3,
                    dry_run: true,
                    difference: Some(difference),
                    ..Reloaded::default()
                })
            }
            None => {
                let warnings = "warning: the list `blocked` is empty\n".into();
                let (changes, count) = (self.changes.clone(), self.changes.len());
                let summary = if count > 0 { format!("{count} things changed") } else { String::new() };
                let pending = self.waits.after(reload.confirm.as_ref(), PendingChange::Policy, 9);
                let answer = Reloaded { warnings, summary, changes, pending, ..Reloaded::default() };
                Ok(Reloaded { generation: 9, revision: 9, policy_generation: 9, ..answer })
            }
        }
    }
}
