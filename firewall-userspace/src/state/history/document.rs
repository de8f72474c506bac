//! What is in the file of the generations.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{clock::deadline::Until, policy::Mode};

/// Version of the file that this daemon writes. It is the first.
pub const VERSION: u32 = 1;

/// All of the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct HistoryDocument {
    version: u32,
    /// The oldest first.
    pub generations: Vec<Generation>,
    /// Number of the live one.
    pub active: Option<u64>,
    /// Number of the configuration that the configuration file was last read as.
    pub read: Option<u64>,
    /// What waits for a confirmation.
    pub pending: Option<Provision>,
    /// Octets of the configurations, by their number; a daemon of before does not note them.
    #[serde(default)]
    pub octets: BTreeMap<u64, u64>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Most configurations.
    pub configurations: usize,
    /// Most octets of them all.
    pub octets: u64,
}

/// What every version of the file says.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Versioned {
    /// Its version.
    pub version: u32,
}

/// One generation of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Generation {
    /// Its number; grows.
    pub number: u64,
    /// When it came into force.
    pub at: Timestamp,
    /// Who wanted it: a user, `SIGHUP` or `daemon`.
    pub owner: String,
    /// What brought it.
    pub how: How,
    /// The generation that it went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The configuration it came from.
    pub source: String,
    /// How it differs from the one before.
    pub summary: String,
    /// What became of it.
    pub standing: Standing,
    /// The mode that it has instead of the one in its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// When that mode ends, where it was set for a time. A daemon of before does not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary: Option<TemporaryMode>,
    /// Number of its configuration.
    pub bundle: u64,
    /// Who confirmed it, when it waited for that. A daemon of before does not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
}

/// A mode that ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct TemporaryMode {
    /// When.
    pub until: Until,
    /// Why it was set, for people.
    pub reason: String,
    /// The mode that was set by hand before it and comes back; `None`: that of the configuration does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Mode>,
    /// The mode that the policy has after it.
    pub back_to: Mode,
}

/// What brought a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A daemon started with a configuration file that was new to it.
    Start,
    /// `reload`, or SIGHUP.
    Reload,
    /// `apply`.
    Apply,
    /// `rollback`.
    Rollback,
    /// Nobody confirmed the one before.
    AutomaticRollback,
    /// `mode`.
    Mode,
}

impl How {
    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
            Self::AutomaticRollback => "automatic rollback",
            Self::Mode => "mode",
        }
    }
}

/// What became of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It was confirmed, or needed no confirmation.
    Confirmed,
    /// It waits for a confirmation.
    Pending,
    /// It was rolled back before it was confirmed.
    RolledBack,
}

/// A generation that waits for a confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Provision {
    /// The generation.
    pub generation: u64,
    /// The one that comes back.
    pub previous: u64,
    /// When.
    pub until: Until,
}

impl Default for HistoryDocument {
    fn default() -> Self {
        Self {
            version: VERSION,
            generations: Vec::new(),
            active: None,
            read: None,
            pending: None,
            octets: BTreeMap::new(),
        }
    }
}

impl Generation {
    /// Generation `number`, which `owner` wanted at `at`; it brings a configuration of its own, and needs no confirmation.
    pub fn new(number: u64, at: Timestamp, owner: &str) -> Self {
        Self {
            number,
            at,
            owner: owner.to_owned(),
            how: How::Start,
            of: None,
            source: String::new(),
            summary: String::new(),
            standing: Standing::Confirmed,
            mode: None,
            temporary: None,
            bundle: number,
            confirmed_by: None,
        }
    }
}

impl HistoryDocument {
    /// Notes what became of a generation, and who confirmed it.
    pub fn set_standing(&mut self, number: u64, standing: Standing, confirmed_by: Option<&str>) {
        if let Some(generation) = self.generations.iter_mut().find(|generation| generation.number == number) {
            generation.standing = standing;
            generation.confirmed_by = confirmed_by.map(str::to_owned);
        }
    }

    /// Strikes the generations of the oldest configurations until what is left is as much as may be kept; the live generation, the
    /// newest one and what may come back stay. Numbers of those that go because all have too many octets.
    ///
    /// A configuration counts once: a mode that is set to and fro, and a way back, do not push others out. As many generations as
    /// configurations may have one that a newer one has too; of more the oldest go.
    pub fn prune(&mut self, keep: Keep) -> Vec<u64> {
        let previous = self.pending.as_ref().map(|pending| pending.previous);
        let active = self.active;
        let newest = self.generations.last().map(|newest| newest.number);
        let is_needed = |one: &Generation| [active, previous, newest].contains(&Some(one.number));
        let needed = self.generations.iter().filter(|one| is_needed(one)).map(|one| one.bundle).chain(self.read);
        let mut counted: BTreeSet<u64> = needed.collect();
        let octets_of = |bundle: &u64| self.octets.get(bundle).copied().unwrap_or(0);
        let mut octets: u64 = counted.iter().map(octets_of).sum();
        let (mut is_full, mut too_large) = (false, Vec::new());
        let (mut kept, mut repeats) = (BTreeSet::new(), 0);
        let mut stays: Vec<bool> = Vec::with_capacity(self.generations.len());
        // The newest first.
        for one in self.generations.iter().rev() {
            let is_repeat = kept.contains(&one.bundle);
            repeats += usize::from(is_repeat);
            let most = keep.configurations;
            let mut has_room = if is_repeat { repeats <= most } else { kept.len() < most };
            if has_room && counted.insert(one.bundle) {
                // Behind the first that is too large all go: what is kept has no gaps.
                is_full |= octets.saturating_add(octets_of(&one.bundle)) > keep.octets;
                if is_full {
                    counted.remove(&one.bundle);
                    too_large.push(one.number);
                    has_room = false;
                } else {
                    octets = octets.saturating_add(octets_of(&one.bundle));
                }
            }
            if has_room {
                kept.insert(one.bundle);
            }
            stays.push(has_room || is_needed(one));
        }
        let mut stays = stays.into_iter().rev();
        self.generations.retain(|_| stays.next().unwrap_or(true));
        let bundles = self.bundles();
        self.octets.retain(|bundle, _| bundles.contains(bundle));
        too_large.reverse();
        too_large
    }

    /// Numbers of the configurations that are needed.
    pub fn bundles(&self) -> BTreeSet<u64> {
        self.generations.iter().map(|generation| generation.bundle).chain(self.read).collect()
    }
}
