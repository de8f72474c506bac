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

/// Admin port, API socket, state folder, and where the API is served by TCP and who comes without TLS is sent on.
type ServingPlaces = (SocketAddr, ApiSocket, StateFolder, (Vec<SocketAddr>, Option<SocketAddr>));

fn places(policy: &Policy) -> ServingPlaces {
    let https = policy.api.https.as_ref();
    let network = https.map_or_else(Default::default, |https| (https.listen.clone(), https.redirect));
    (policy.admin_listen, policy.api.socket.clone(), policy.state.clone(), network)
}

fn waits_for_start(began: &ServingPlaces, wanted: &ServingPlaces) -> Vec<&'static str> {
    let ((listen, api, state, network), (new_listen, new_api, new_state, new_network)) = (began, wanted);
    let all = [
        ("admin.listen", listen != new_listen),
        ("api.socket", api.path != new_api.path),
        ("api.group", api.group != new_api.group),
        ("api.mode", api.mode != new_api.mode),
        ("api.listen", network.0 != new_network.0),
        ("api.redirect", network.1 != new_network.1),
        ("[state]", state != new_state),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
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

    /// Settings of `policy` that are not those which the daemon began with: the next start takes them.
    pub(super) fn waits_for_start(&self, policy: &Policy) -> Vec<&'static str> {
        waits_for_start(&self.places, &places(policy))
    }

    /// Where metrics and probes are served since the start.
    pub(super) fn admin_listen(&self) -> SocketAddr {
        self.places.0
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

#[cfg(test)]
mod tests {
    use crate::policy::SocketMode;

    use super::*;

    #[test]
    fn settings_that_wait_for_a_start_are_those_that_differ() {
        let api = ApiSocket { path: "/run/a".into(), group: None, mode: SocketMode::Group };
        let state = StateFolder { directory: "/srv/s".into(), snapshot_after: 1, generations: 2 };
        let began: ServingPlaces = (([127, 0, 0, 1], 9191).into(), api, state, Default::default());
        assert_eq!(waits_for_start(&began, &began), [""; 0]);
        let (mut group, mut all) = (began.clone(), began.clone());
        group.1.group = Some("ops".into());
        assert_eq!(waits_for_start(&began, &group), ["api.group"]);
        all.0.set_port(1);
        all.1 = ApiSocket { path: "/run/b".into(), group: Some("ops".into()), mode: SocketMode::User };
        all.2.generations = 3;
        all.3 = (vec![([0; 16], 8443).into()], Some(([0; 4], 80).into()));
        let keys = ["admin.listen", "api.socket", "api.group", "api.mode", "api.listen", "api.redirect", "[state]"];
        assert_eq!(waits_for_start(&began, &all), keys);
    }
}
