//! What readers are told: the lists with their entries, the policy, and the rest from its own file.

use std::{net::IpAddr, path::Path};

use firewall_userspace::{
    clock::Now,
    config,
    control::{EntriesQuery, Generations, Page, Position, Pushes, Refusal, Status, Undo},
    controller::{Counters, Readings},
    datapath::FrameCounters,
    lists::entry::{Entry, Layer},
    policy::Policy,
    preview::{diff::PolicyDocument, explain::Membership},
    text::problem::Problems,
};

use super::{explanations::membership, history::pushed_before, time};

/// What readers are told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: Status,
    pub(super) counters: Option<Counters>,
}

impl Readings for Told {
    fn api(&self) -> Option<&firewall_userspace::policy::ApiSettings> {
        None
    }

    fn status(&self, _: Now) -> Status {
        self.status.clone()
    }

    fn entries(&self, query: &EntriesQuery) -> Result<Page, Refusal> {
        entries(query)
    }

    fn membership(&self, source: IpAddr) -> Result<Membership, Refusal> {
        Ok(membership(source))
    }

    fn document(&self) -> PolicyDocument {
        PolicyDocument::of(&policy(), 7)
    }

    fn history(&self, _: Now) -> Generations {
        let (schema, generations) = ("portcullis.history/v1".into(), Vec::new());
        Generations { schema, active: None, pending: None, generations }
    }

    fn is_undone_as_sync(&self, _: &Undo) -> bool {
        false
    }

    fn pushes(&self, limit: usize) -> Pushes {
        Pushes::new(8, 3, [7, 6, 5].into_iter().take(limit).map(pushed_before).collect())
    }

    fn frames(&self) -> Result<FrameCounters, Refusal> {
        self.counters().map(|counters| counters.frames)
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        let unreadable = || Refusal::Datapath { message: "cannot read map COUNTERS: gone".into() };
        self.counters.clone().ok_or_else(unreadable)
    }
}

/// The configuration of its live policy.
pub const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/good.toml");

fn policy() -> Policy {
    config::load(Path::new(CONFIG)).unwrap().policy
}

/// One entry a page.
fn entries(EntriesQuery { list, filter, after }: &EntriesQuery) -> Result<Page, Refusal> {
    let list = list.as_deref();
    let entry = |list: &str, prefix: &str, layer, comment: Option<&str>, expires| Entry {
        list: list.into(),
        prefix: prefix.into(),
        layer,
        owner: "root".into(),
        person: None,
        comment: comment.map(Into::into),
        created: time(),
        expires,
        in_doubt: false,
    };
    let all = [
        entry("blocked", "198.51.100.7/32", Layer::Runtime, Some("scans \u{1b}[2J"), Some(time())),
        entry("partners", "203.0.113.0/24", Layer::Config, None, None),
        entry("partners", "2001:db8:7::/48", Layer::Runtime, Some("ticket 7"), None),
    ];
    if list.is_some_and(|list| all.iter().all(|entry| entry.list != list)) {
        let detail = format!("there is no list `{}`; there are `blocked`, `partners`", list.unwrap());
        return Err(Refusal::Invalid(Problems::one("/list", detail)));
    }
    let position = |entry: &Entry| Position {
        list: entry.list.clone(),
        prefix: entry.prefix.parse().unwrap(),
        layer: entry.layer,
        owner: entry.owner.clone(),
    };
    let is_asked = |entry: &Entry| {
        list.is_none_or(|list| entry.list == list) && after.as_ref().is_none_or(|after| position(entry) > *after)
    };
    let looked_at = all.into_iter().find(is_asked);
    let next = looked_at.as_ref().map(position);
    let entries = looked_at.into_iter().filter(|entry| filter.wants(entry, entry.prefix.parse().unwrap())).collect();
    Ok(Page { revision: 7, policy_generation: 3, entries, next })
}
