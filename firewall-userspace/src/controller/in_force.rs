//! The policy in force, and how it came there.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use jiff::Timestamp;

use crate::{
    control::{ReloadTally, Way},
    logging,
    policy::{ApiSocket, Policy, StateFolder},
};

/// The policy in force.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) policy: Arc<Policy>,
    /// The configuration file, read again by a reload.
    pub(super) config: PathBuf,
    pub(super) reloads: Reloads,
    revision: u64,
    started: Timestamp,
    loaded: Timestamp,
    automatic_rollbacks: u64,
    /// Where the daemon serves and keeps things, which a reload does not change.
    places: ServingPlaces,
}

/// Admin port, API socket, state folder.
type ServingPlaces = (SocketAddr, ApiSocket, StateFolder);

fn places(policy: &Policy) -> ServingPlaces {
    (policy.admin_listen, policy.api.clone(), policy.state.clone())
}

/// How loading the configuration went.
#[derive(Clone, Debug)]
pub(super) struct Reloads {
    pub(super) tally: ReloadTally,
    /// Why the last attempt was refused.
    pub(super) error: Option<String>,
}

impl InForce {
    /// `policy` is in force since `now`, with the revision of the last generation that is known; `refused` is why the
    /// configuration file is not.
    pub(super) fn new(
        policy: Arc<Policy>,
        config: PathBuf,
        last: u64,
        refused: Option<String>,
        now: Timestamp,
    ) -> Self {
        let reloads = Reloads { tally: ReloadTally::of(Way::Daemon, refused.is_none()), error: refused };
        let revision = last.max(1);
        let places = places(&policy);
        logging::set(policy.log);
        Self { policy, config, reloads, revision, started: now, loaded: now, automatic_rollbacks: 0, places }
    }

    /// Whether the policy names other places than those that the daemon began with: a restart takes them.
    pub(super) fn wants_restart(&self) -> bool {
        places(&self.policy) != self.places
    }

    /// Grows by one when entries are added, removed or end, and when the policy changes; a policy has the one that it made as
    /// its generation.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The revision that the next change makes.
    pub(super) fn next(&self) -> u64 {
        self.revision.saturating_add(1)
    }

    /// A change was made; its revision.
    pub(super) fn advance(&mut self) -> u64 {
        self.revision = self.next();
        self.revision
    }

    /// The daemon begins with a generation of its own.
    pub(super) fn begin(&mut self, number: u64) -> u64 {
        self.revision = number;
        number
    }

    /// `policy` has come into force, in the place of the one that is given back.
    pub(super) fn switch(&mut self, policy: Arc<Policy>, now: Timestamp) -> Arc<Policy> {
        self.loaded = now;
        self.advance();
        logging::set(policy.log);
        std::mem::replace(&mut self.policy, policy)
    }

    /// A change was undone because nobody confirmed it.
    pub(super) fn count_automatic_rollback(&mut self) {
        self.automatic_rollbacks += 1;
    }

    /// How often that happened since the daemon started.
    pub(super) fn automatic_rollbacks(&self) -> u64 {
        self.automatic_rollbacks
    }

    /// When the daemon started.
    pub(super) fn started(&self) -> Timestamp {
        self.started
    }

    /// When the policy came into force.
    pub(super) fn loaded(&self) -> Timestamp {
        self.loaded
    }
}
