//! What is served to networks: the API, metrics and probes, to whoever shows who they are.
//!
//! ```text
//! connection -> headers of every answer -> count -> Host -> Origin -> turn -> who asks -> right -> route -> Controller
//! ```
//!
//! In: the settings of `[api]` in force, requests with what their connection knows of the other end. Out: what the controller answers, or
//! why not. It puts together what others own: sockets and connections are those of `https`, certificates those of `tls`.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use tokio::sync::watch;

use super::{
    api,
    http::{crowd::Crowd, host, origin, requests},
    https::{self, LocalAddress, NetworkPeer, Sockets},
    tls,
};
use crate::{control::Condition, controller::Controller, policy::HttpsSettings, state::tokens::TokenStore};

/// Requests that are answered at a time. Each may have a body in memory.
const REQUESTS: usize = 128;

/// Requests of one source that are answered at a time.
const OF_ONE_SOURCE: usize = 64;

/// For how long browsers are to use nothing but HTTPS, in seconds: a year (RFC 6797 section 6.1).
const STRICT: &str = "max-age=31536000";

/// Serves the API by HTTPS at the addresses of `settings`, and what sends others there, until `shutdown` completes. `authenticate` puts
/// a [`Caller`](crate::control::Caller) into each request of somebody who may ask, and answers all others.
pub async fn serve<A, F>(
    settings: HttpsSettings,
    (controller, tokens): (Controller, Arc<TokenStore>),
    authenticate: A,
    shutdown: impl Future,
) where
    A: Fn(Request, Next) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let (stop, stopping) = watch::channel(());
    let until = |mut stopping: watch::Receiver<()>| async move {
        let _ = stopping.changed().await;
    };
    let (sender, served) = watch::channel(None);
    let follow = tls::watch::follow(controller.clone(), sender);
    let router = router(controller.clone(), tokens, authenticate);
    let sockets = Sockets::open(&settings.listen);
    let redirect = settings.redirect.map(|address| Sockets::open(&[address]));
    let main = https::serve(sockets, served, router, until(stopping.clone()));
    let other = async {
        if let Some(sockets) = redirect {
            https::serve_redirect(sockets, controller, until(stopping)).await;
        }
    };
    let stop = async {
        shutdown.await;
        drop(stop);
    };
    let all = async { tokio::join!(main, other, stop) };
    // Whoever follows the files never ends; its panic is that of all.
    tokio::select! {
        _ = all => {}
        () = follow => {}
    }
}

/// What is not as it should be with it.
pub fn conditions() -> Vec<Condition> {
    let condition = |code: &str, message: String| Condition { code: code.into(), blocks: false, message };
    let first_line = |words: &str| words.lines().next().unwrap_or_default().to_owned();
    let addresses = https::unbound().into_values().map(|why| condition(Condition::API_ADDRESS, first_line(&why)));
    let certificate = tls::health::health().why.map(|why| condition(Condition::API_CERTIFICATE, first_line(&why)));
    addresses.chain(certificate).collect()
}

/// All routes, for requests that carry a [`NetworkPeer`] and a [`LocalAddress`].
pub fn router<A, F>(controller: Controller, tokens: Arc<TokenStore>, authenticate: A) -> Router
where
    A: Fn(Request, Next) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let crowd = Arc::new(Crowd::new(REQUESTS, OF_ONE_SOURCE));
    let admit = move |request: Request, next: Next| {
        let crowd = Arc::clone(&crowd);
        let source = request.extensions().get::<NetworkPeer>().map_or(0, |peer| https::source_of(peer.from.ip()));
        async move { crowd.admit(source, request, next).await }
    };
    let of_origins = controller.clone();
    let origins = move |request: Request, next: Next| {
        let controller = of_origins.clone();
        let is_ours =
            move |origin: &str| with_settings(&controller, |https| https.origins.iter().any(|known| known == origin));
        origin::check("https", is_ours, request, next)
    };
    let of_hosts = controller.clone();
    let hosts = move |request: Request, next: Next| {
        let controller = of_hosts.clone();
        let to = request.extensions().get::<LocalAddress>().map(|LocalAddress(to)| *to);
        let is_ours = move |host: &str| with_settings(&controller, |https| https::serves_host(https, to, host));
        host::check(is_ours, request, next)
    };
    api::network(controller, tokens)
        .layer(middleware::from_fn(authenticate))
        .layer(middleware::from_fn(admit))
        .layer(middleware::from_fn(origins))
        .layer(middleware::from_fn(hosts))
        .layer(middleware::from_fn(|request: Request, next: Next| requests::count("https", request, next)))
        .layer(middleware::from_fn(harden))
}

/// What `ask` says of the settings in force; no where there are none.
fn with_settings(controller: &Controller, ask: impl FnOnce(&HttpsSettings) -> bool) -> bool {
    let readings = controller.changes();
    let readings = readings.borrow();
    readings.api().and_then(|api| api.https.as_ref()).is_some_and(ask)
}

/// Every answer is for whoever asked alone, by HTTPS alone, and what its type says.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
