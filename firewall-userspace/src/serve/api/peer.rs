//! Who is at the other end of the socket, and whether they may use it.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use nix::unistd::{Uid, User, geteuid};

use crate::{
    control::{Caller, Way},
    logging,
    serve::http::problem::{ProblemDetails, codes},
    text::shown::cut,
};

/// Most characters of a path in the log.
const MOST_OF_PATH: usize = 200;

/// The user at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name of the user, or `uid:NUMBER` for one without a name: the owner of what it pushes.
    pub owner: Arc<str>,
    /// Number of the user; `None` when the kernel did not tell.
    pub uid: Option<u32>,
    /// Whether it may use the API.
    pub is_permitted: bool,
}

/// The users that may use the API: root and the user of the daemon.
#[derive(Clone, Debug)]
pub struct Peers {
    permitted: Vec<(Uid, Arc<str>)>,
}

impl Peer {
    /// Who asks for what comes over the connection.
    pub fn caller(&self) -> Caller {
        Caller { name: self.owner.to_string(), way: Way::Socket }
    }
}

impl Peers {
    /// Looks up the names of the users once; a directory service behind them may be slow.
    pub async fn look_up() -> Self {
        let look_up = || {
            let mut uids = vec![Uid::from_raw(0), geteuid()];
            uids.dedup();
            uids.into_iter().map(|uid| (uid, name(uid))).collect()
        };
        // An empty list, which permits nobody, is left when the look-up panics in the C library.
        Self { permitted: tokio::task::spawn_blocking(look_up).await.unwrap_or_default() }
    }

    /// The peer with `uid`, which is `None` when the kernel did not tell.
    pub fn peer(&self, uid: Option<u32>) -> Peer {
        let known = self.permitted.iter().find(|(permitted, _)| Some(permitted.as_raw()) == uid);
        match (known, uid) {
            (Some((_, owner)), _) => Peer { owner: owner.clone(), uid, is_permitted: true },
            (None, Some(number)) => Peer { owner: format!("uid:{number}").into(), uid, is_permitted: false },
            (None, None) => Peer { owner: "unknown".into(), uid, is_permitted: false },
        }
    }
}

/// Passes requests of a peer that may use the API.
pub async fn permit(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    if peer.is_some_and(|peer| peer.is_permitted) {
        return next.run(request).await;
    }
    let who = peer.map_or("unknown", |peer| &peer.owner);
    if logging::admits("requests that were refused because they are not permitted") {
        let path = cut(request.uri().path(), MOST_OF_PATH);
        tracing::warn!(who, method = %request.method(), path, "refused a request: not permitted");
    }
    let detail = format!("{who} may not use this API; root and the user that the daemon runs as may");
    ProblemDetails::new(StatusCode::FORBIDDEN, codes::NOT_PERMITTED, detail).into_response()
}

fn name(uid: Uid) -> Arc<str> {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name.into(),
        Ok(None) | Err(_) => format!("uid:{uid}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_root_and_the_user_of_the_daemon_are_permitted() {
        let peers = Peers::look_up().await;
        let own = geteuid().as_raw();
        for uid in [0, own] {
            assert!(peers.peer(Some(uid)).is_permitted, "{uid}");
        }
        let other = own + 1;
        let refused = Peer { owner: format!("uid:{other}").into(), uid: Some(other), is_permitted: false };
        assert_eq!(peers.peer(Some(other)), refused);
        assert!(!peers.peer(None).is_permitted);
    }

    #[tokio::test]
    async fn the_owner_of_what_root_pushes_is_root() {
        assert_eq!(&*Peers::look_up().await.peer(Some(0)).owner, "root");
    }
}
