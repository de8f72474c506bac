//! The API under `/v1`, on a Unix socket; and its routes, for whoever serves them to networks.
//!
//! ```text
//! connection (peer credentials) -> count -> permit -> Host -> Origin -> route -> body -> Controller -> JSON or a problem
//! ```

mod answer;
mod audit;
mod body;
mod cursor;
mod document;
#[expect(unused_qualifications, reason = "what utoipa makes of the words on a handler has them")]
mod entries;
#[expect(unused_qualifications, reason = "what utoipa makes of the words on a handler has them")]
mod explanations;
mod listener;
#[expect(unused_qualifications, reason = "what utoipa makes of the words on a handler has them")]
mod lists;
mod once;
mod peer;
mod policies;
mod refusal;
mod routes;
mod socket;
mod status;
mod sync;
mod tags;
mod tokens;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Request,
    middleware::{self, Next},
};

pub use answer::CONTROLLER_TIMEOUT;
pub use body::{MAX_BODY, MAX_LARGE_BODY};
pub use document::told as document;
pub use socket::{ApiBindError, BoundSocket, bind, folder_of, make_folder};

use self::{listener::ApiListener, peer::Peers};
use super::{
    admin,
    http::{host, origin, problem, requests, room::Patience, server},
};
use crate::{
    controller::Controller,
    state::{audit::AuditHandle, tokens::TokenStore},
};

const LIMITS: server::Limits = server::Limits {
    headers: Duration::from_secs(10),
    exchange: Duration::from_secs(300),
    // A long list is read as fast as a terminal shows it.
    patience: Patience { request: Duration::from_secs(1), answer: Duration::from_secs(30) },
};

/// Serves the API on `socket`, which came from [`bind`], until `shutdown` completes.
///
/// The file of the socket is removed before the last connections end, so that a new daemon can take its place.
pub fn serve(
    socket: BoundSocket,
    controller: Controller,
    tokens: Arc<TokenStore>,
    shutdown: impl Future,
) -> impl Future<Output = ()> {
    let BoundSocket { listener, viewers } = socket;
    let file = socket::File::of(&listener);
    async move {
        let roles = controller.changes().borrow().api().map(|api| api.roles.clone()).unwrap_or_default();
        let peers = Peers::of(roles.clone(), viewers).await;
        let follow = tokio::spawn(peers.clone().follow(controller.clone(), roles));
        let shutdown = async move {
            shutdown.await;
            if let Some(file) = file {
                file.remove();
            }
        };
        server::serve(ApiListener::new(listener, peers), router(controller, tokens), LIMITS, shutdown).await;
        follow.abort();
    }
}

/// Gives up a socket that came from [`bind`] and was never served: its file goes too.
pub fn discard(socket: BoundSocket) {
    if let Some(file) = socket::File::of(&socket.listener) {
        file.remove();
    }
    drop(socket);
}

/// Every route. Requests carry a [`peer::Peer`] in their extensions.
fn router(controller: Controller, tokens: Arc<TokenStore>) -> Router {
    routes::router()
        .layer(Extension(status::DocumentText(document::told)))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(|request: Request, next: Next| origin::check("http", |_| false, request, next)))
        .layer(Extension(tokens))
        .layer(middleware::from_fn(|request: Request, next: Next| host::check(is_our_name, request, next)))
        .layer(middleware::from_fn(routes::permit))
        .layer(middleware::from_fn(peer::introduce))
        .layer(Extension(AuditHandle::clone(controller.audit())))
        .layer(middleware::from_fn(|request: Request, next: Next| requests::count("api", request, next)))
        .with_state(controller)
}

/// Every route, and metrics and probes, for requests that carry a [`Caller`](crate::control::Caller) in their extensions.
pub fn network(controller: Controller, tokens: Arc<TokenStore>) -> Router {
    routes::router()
        .merge(admin::routes(controller.clone()))
        .layer(Extension(status::DocumentText(document::told)))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(Extension(tokens))
        .layer(middleware::from_fn(routes::permit))
        .layer(Extension(AuditHandle::clone(controller.audit())))
        .with_state(controller)
}

/// Names that clients of a Unix socket write into `Host`, there being no host.
fn is_our_name(host: &str) -> bool {
    ["localhost", "portcullis"].iter().any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
