//! Who is at the other end of the socket, and whether they may use it.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{Method, StatusCode},
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

/// Where a `POST` only asks.
const QUESTIONS: [&str; 2] = ["/v1/explain", "/v1/explanations"];

/// Most characters of a path in the log.
const MOST_OF_PATH: usize = 200;

/// The user at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name of the user, or `uid:NUMBER` for one without a name here: the owner of what it pushes.
    pub owner: Arc<str>,
    /// Number of the user; `None` when the kernel did not tell.
    pub uid: Option<u32>,
    /// What it may do; `None`: nothing.
    pub role: Option<Role>,
}

/// What somebody may do who uses the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and change.
    Admin,
}

/// Who may use the API: root and the user of the daemon, and to look, a group.
#[derive(Clone, Debug)]
pub struct Peers {
    admins: Vec<(Uid, Arc<str>)>,
    viewers: Option<u32>,
}

impl Peer {
    /// Who asks for what comes over the connection.
    pub fn caller(&self) -> Caller {
        Caller { name: self.owner.to_string(), way: Way::Socket }
    }
}

impl Peers {
    /// Looks up the names of the users once; a directory service behind them may be slow. Members of the group `viewers` may look.
    pub async fn look_up(viewers: Option<u32>) -> Self {
        let look_up = || {
            let mut uids = vec![Uid::from_raw(0), geteuid()];
            uids.dedup();
            uids.into_iter().map(|uid| (uid, name(uid))).collect()
        };
        // An empty list, which permits nobody, is left when the look-up panics in the C library.
        Self { admins: tokio::task::spawn_blocking(look_up).await.unwrap_or_default(), viewers }
    }

    /// The peer with `uid`, which is `None` when the kernel did not tell; `is_in` says whether it is in a group.
    pub fn peer(&self, uid: Option<u32>, is_in: impl FnOnce(u32) -> bool) -> Peer {
        let known = self.admins.iter().find(|(admin, _)| Some(admin.as_raw()) == uid);
        match (known, uid) {
            (Some((_, owner)), _) => Peer { owner: owner.clone(), uid, role: Some(Role::Admin) },
            (None, Some(number)) => {
                let role = self.viewers.is_some_and(is_in).then_some(Role::Viewer);
                Peer { owner: format!("uid:{number}").into(), uid, role }
            }
            (None, None) => Peer { owner: "unknown".into(), uid, role: None },
        }
    }
}

/// Passes requests of a peer that may make them.
pub async fn permit(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    let who = peer.map_or("unknown", |peer| &peer.owner);
    let detail = match peer.and_then(|peer| peer.role) {
        Some(Role::Admin) => return next.run(request).await,
        Some(Role::Viewer) if only_looks(&request) => return next.run(request).await,
        Some(Role::Viewer) => format!("{who} may look and not change; root and the user that the daemon runs as may"),
        None => format!("{who} may not use this API; root and the user that the daemon runs as may"),
    };
    if logging::admits("requests that were refused because they are not permitted") {
        let path = cut(request.uri().path(), MOST_OF_PATH);
        tracing::warn!(who, method = %request.method(), path, "refused a request: not permitted");
    }
    ProblemDetails::new(StatusCode::FORBIDDEN, codes::NOT_PERMITTED, detail).into_response()
}

/// Whether it changes nothing, whatever it says.
fn only_looks(request: &Request) -> bool {
    match *request.method() {
        Method::GET | Method::HEAD => true,
        Method::POST => QUESTIONS.contains(&request.uri().path()),
        _ => false,
    }
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
    async fn only_root_and_the_user_of_the_daemon_may_change_anything() {
        let peers = Peers::look_up(Some(7)).await;
        let own = geteuid().as_raw();
        for uid in [0, own] {
            assert_eq!(peers.peer(Some(uid), |_| false).role, Some(Role::Admin), "{uid}");
        }
        let other = own + 1;
        let refused = Peer { owner: format!("uid:{other}").into(), uid: Some(other), role: None };
        assert_eq!(peers.peer(Some(other), |_| false), refused);
        assert_eq!(peers.peer(Some(other), |group| group == 7).role, Some(Role::Viewer));
        assert_eq!(peers.peer(None, |_| true).role, None);
    }

    #[tokio::test]
    async fn without_a_group_nobody_else_may_look() {
        let peers = Peers::look_up(None).await;
        assert_eq!(peers.peer(Some(geteuid().as_raw() + 1), |_| true).role, None);
    }

    #[tokio::test]
    async fn the_owner_of_what_root_pushes_is_root() {
        assert_eq!(&*Peers::look_up(None).await.peer(Some(0), |_| false).owner, "root");
    }
}
