//! What of a change is outside the scope of its caller.
//!
//! A refusal names the right that is missing, and comes before anything is said of what there is.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    control::{Caller, Pending, PendingChange, Push, PushSummary, Refusal},
    lists::change::Change,
    policy::{EntryVerb, Layer, OutOfScope, Policy, Prefix, Role, Scope},
    text::{
        duration,
        problem::{Problem, Problems},
    },
};

/// Collects what is outside the scope of a caller.
pub(super) struct ScopeCheck<'a> {
    caller: &'a Caller,
    policy: &'a Policy,
    problems: Problems,
}

impl<'a> ScopeCheck<'a> {
    /// Of changes that `caller` makes under `policy`; `None` for whoever may change every entry.
    pub(super) fn of(caller: &'a Caller, policy: &'a Policy) -> Option<Self> {
        let is_narrow = !caller.has(Role::Admin) && !caller.grant.scope.is_everything();
        is_narrow.then(|| Self { caller, policy, problems: Problems::default() })
    }

    fn scope(&self) -> &'a Scope {
        &self.caller.grant.scope
    }

    fn note(&mut self, checked: Result<(), OutOfScope>, pointer: impl FnOnce() -> String) {
        if let Err(missing) = checked {
            self.problems.add("changes without the right to them", || Problem {
                pointer: pointer(),
                detail: missing.to_string(),
            });
        }
    }

    /// What a push says besides its entries.
    pub(super) fn terms(&mut self, push: &Push) {
        let scope = self.scope();
        self.note(scope.layer(push.layer), || "/layer".into());
        for (index, list) in push.replace.iter().enumerate() {
            self.note(scope.list(list), || format!("/replace/{index}"));
        }
        let is_of_others = push.remove_all || push.remove_of.as_ref().is_some_and(|owner| *owner != self.caller.name);
        if is_of_others {
            let pointer = if push.remove_all { "/remove_all" } else { "/remove_of" };
            self.note(Err(OutOfScope::Others), || pointer.into());
        }
        if !push.force.is_nothing() {
            self.note(Err(OutOfScope::Force), || "/force".into());
        }
    }

    /// An entry to add; what is no prefix, or no time, is somebody else's to tell.
    pub(super) fn addition(
        &mut self,
        list: &str,
        prefix: Option<Prefix>,
        ttl: Option<Duration>,
        pointer: &dyn Fn(&str) -> String,
    ) {
        let scope = self.scope();
        if scope.list(list).is_err() {
            return self.note(scope.list(list), || pointer("/list"));
        }
        // Whether the list is there may be told from here on.
        if let Some(index) = self.policy.list_named(list) {
            let verb = if self.policy.denies_list(index) { EntryVerb::Deny } else { EntryVerb::Allow };
            self.note(scope.verb(verb), || pointer("/list"));
        }
        if let Some(prefix) = prefix {
            self.note(scope.addition(prefix, ttl), || pointer("/prefix"));
        }
    }

    /// An entry to remove.
    pub(super) fn removal(&mut self, list: &str, prefix: Option<Prefix>, pointer: &dyn Fn(&str) -> String) {
        let scope = self.scope();
        if scope.list(list).is_err() {
            return self.note(scope.list(list), || pointer("/list"));
        }
        self.note(scope.verb(EntryVerb::Remove), || pointer("/list"));
        if let Some(prefix) = prefix {
            self.note(scope.prefix(prefix), || pointer("/prefix"));
        }
    }

    /// Everything that a push says.
    pub(super) fn push(mut self, push: &Push) -> Result<(), Refusal> {
        self.terms(push);
        for (index, one) in push.add.iter().enumerate() {
            let ttl = one.ttl.as_deref().and_then(|ttl| duration::parse_ttl(ttl).ok());
            let pointer = |key: &str| format!("/add/{index}{key}");
            self.addition(&one.list, Prefix::parse_plainly(&one.prefix), ttl, &pointer);
        }
        for (index, one) in push.remove.iter().enumerate() {
            let pointer = |key: &str| format!("/remove/{index}{key}");
            self.removal(&one.list, Prefix::parse_plainly(&one.prefix), &pointer);
        }
        self.finish()
    }

    /// One change as it would be made at `now`.
    pub(super) fn change(&mut self, change: &Change, now: Timestamp) {
        let Change { list, holding, entry } = change;
        let pointer = |_: &str| String::new();
        self.holder(holding.layer, &holding.owner, &pointer);
        match entry {
            Some(entry) => {
                let ttl = entry.expires.map(|end| end.duration_since(now).try_into().unwrap_or(Duration::ZERO));
                self.addition(list, Some(holding.prefix), ttl, &pointer);
            }
            None => self.removal(list, Some(holding.prefix), &pointer),
        }
    }

    /// Who holds an entry.
    pub(super) fn holder(&mut self, layer: Layer, owner: &str, pointer: &dyn Fn(&str) -> String) {
        if *owner != *self.caller.name {
            self.note(Err(OutOfScope::Others), || pointer("/owner"));
        }
        self.note(self.scope().layer(layer), || pointer("/layer"));
    }

    /// All of them.
    pub(super) fn changes<'c>(
        mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        changes.into_iter().for_each(|change| self.change(change, now));
        self.finish()
    }

    /// A push that is to be taken back.
    pub(super) fn summary(&mut self, summary: &PushSummary) {
        if summary.owner != self.caller.name {
            self.note(Err(OutOfScope::Others), || "/revision".into());
        }
    }

    /// What was found.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Refusal::OutOfScope { who: self.caller.name.clone(), problems: self.problems })
    }
}

/// Whether `caller` may confirm what waits: a policy takes an admin, a push whoever made it, or may change every entry.
pub(super) fn admit_confirmation(caller: &Caller, pending: &Pending) -> Result<(), Refusal> {
    let missing = match pending.change {
        _ if caller.has(Role::Admin) => return Ok(()),
        PendingChange::Policy => OutOfScope::Policy,
        PendingChange::Push if pending.owner == caller.name || caller.grant.scope.is_everything() => return Ok(()),
        PendingChange::Push => OutOfScope::Others,
    };
    let problems = Problems::one("", missing.to_string());
    Err(Refusal::OutOfScope { who: caller.name.clone(), problems })
}
