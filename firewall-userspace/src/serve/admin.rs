//! The admin listener: `/metrics`, `/livez` and `/readyz` over plain HTTP on a loopback address.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::{
    http::{
        host, origin,
        problem::{self, ProblemDetails, codes},
        requests,
        room::{Patience, Share},
        server,
    },
    metrics::{CONTENT_TYPE, Metrics},
};
use crate::{
    clock::Now,
    control::Refusal,
    controller::{Controller, Doing, LONGEST_JOB},
};

/// A probe asks at once, and its answer is a line: whoever takes longer gives way when the room is short.
const LIMITS: server::Limits = server::Limits {
    headers: Duration::from_secs(10),
    exchange: Duration::from_secs(60),
    patience: Patience { request: Duration::from_millis(100), answer: Duration::from_secs(1) },
};

/// Connections that are open at a time.
const CONNECTIONS: usize = 256;

/// Scrapes that wait for each other; more are refused.
const SCRAPES: usize = 16;

/// Why there is no listener.
#[derive(Debug)]
pub struct BindError {
    /// Where it was to be.
    pub address: SocketAddr,
    /// Why it is not.
    pub source: io::Error,
}

/// Listens at `address`.
///
/// # Errors
/// When the kernel refuses.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// Serves the metrics and probes of the daemon behind `controller` on `listener` until `shutdown` completes.
pub async fn serve(listener: TcpListener, controller: Controller, shutdown: impl Future) {
    let connections = server::within_descriptors(CONNECTIONS);
    let listener = AdminListener { socket: listener, share: Share { key: 0, connections, waiting: connections } };
    server::serve(listener, router(controller), LIMITS, shutdown).await;
}

struct AdminListener {
    socket: TcpListener,
    share: Share,
}

impl server::Listener for AdminListener {
    type Stream = TcpStream;
    type Peer = ();

    const NAME: &'static str = "admin";

    async fn accept(&self) -> io::Result<(TcpStream, ())> {
        let (stream, _) = self.socket.accept().await?;
        Ok((stream, ()))
    }

    fn share(&self, (): &()) -> Share {
        self.share
    }
}

struct Admin {
    controller: Controller,
    metrics: Metrics,
    scrapes: Semaphore,
}

/// Paths of metrics and probes.
pub const PATHS: [&str; 3] = ["/metrics", "/livez", "/readyz"];

/// Metrics and probes, for a router with another state.
pub fn routes<S: Clone + Send + Sync + 'static>(controller: Controller) -> Router<S> {
    let admin = Admin { metrics: Metrics::new(controller.clone()), controller, scrapes: Semaphore::new(SCRAPES) };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(is_alive))
        .route("/readyz", get(is_ready))
        .with_state(Arc::new(admin))
}

fn router(controller: Controller) -> Router {
    routes::<()>(controller)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(|request: Request, next: Next| origin::check("http", |_| false, request, next)))
        .layer(middleware::from_fn(|request: Request, next: Next| host::check(is_loopback, request, next)))
        .layer(middleware::from_fn(|request: Request, next: Next| requests::count("admin", request, next)))
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let Ok(_turn) = admin.scrapes.try_acquire() else {
        let detail = format!("{SCRAPES} scrapes wait for each other, which is the most");
        return ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, codes::BUSY, detail).into_response();
    };
    match admin.metrics.render().await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            let detail = format!("cannot write the metrics: {error}");
            ProblemDetails::new(StatusCode::INTERNAL_SERVER_ERROR, codes::INTERNAL, detail).into_response()
        }
    }
}

/// Whether the controller gets on.
async fn is_alive(State(admin): State<Arc<Admin>>) -> Result<&'static str, ProblemDetails> {
    why_not_alive(admin.controller.doing(Now::read())).map_or(Ok("ok\n"), Err)
}

/// What is wrong with a controller that says this of itself; `None` when nothing is.
fn why_not_alive(doing: Result<Option<Doing>, Refusal>) -> Option<ProblemDetails> {
    let not_alive = |code, why: String| ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, code, why);
    match doing {
        Ok(Some(doing)) if doing.is_stuck() => {
            let (job, age, most) = (doing.job.label(), doing.age.as_secs(), LONGEST_JOB.as_secs());
            let why = format!("the controller has been at one job for {age} s, and {most} s are the most: {job}");
            Some(not_alive(codes::STUCK, why))
        }
        Ok(_) => None,
        Err(_) => {
            Some(not_alive(codes::STOPPING, "the controller has ended; the last policy goes on filtering".into()))
        }
    }
}

/// Whether all that the policy asks for is enforced; what is not as it should be is told in either case.
async fn is_ready(State(admin): State<Arc<Admin>>) -> Result<String, ProblemDetails> {
    let not_ready = |code, why: String| ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, code, why);
    let Ok(status) = admin.controller.status(Now::read()) else {
        return Err(not_ready(codes::STOPPING, "the daemon is stopping".into()));
    };
    let told = |blocks: bool| {
        let those = status.conditions.iter().filter(move |condition| condition.blocks == blocks);
        those.map(|condition| condition.message.as_str())
    };
    if !status.is_ready() {
        return Err(not_ready(codes::NOT_READY, told(true).chain(told(false)).collect::<Vec<_>>().join("; ")));
    }
    Ok(std::iter::once("ok").chain(told(false)).map(|line| format!("{line}\n")).collect())
}

/// Whether `host` is `localhost` or a loopback address written as such.
fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot serve metrics at {}: {}", self.address, self.source)?;
        let hint = match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                "another daemon or program has this port; set another port as `listen` in [admin]"
            }
            io::ErrorKind::AddrNotAvailable => {
                "no interface has this address; set a loopback address as `listen` in [admin]"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE; set a higher one as `listen` in [admin]"
            }
            _ => return Ok(()),
        };
        write!(f, "\nhint: {hint}")
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use crate::controller::Activity;

    use super::*;

    #[test]
    fn a_controller_that_is_at_one_job_for_longer_than_any_may_take_is_not_alive() {
        let doing = |age| Ok(Some(Doing { job: Activity::Reload, age }));
        assert_eq!((why_not_alive(Ok(None)), why_not_alive(doing(LONGEST_JOB))), (None, None));
        let problem = why_not_alive(doing(LONGEST_JOB + Duration::from_secs(3))).unwrap();
        assert_eq!((problem.status, &*problem.code), (503, codes::STUCK));
        assert_eq!(problem.detail, "the controller has been at one job for 603 s, and 600 s are the most: reload");
        let problem = why_not_alive(Err(Refusal::Stopping)).unwrap();
        assert_eq!((problem.status, &*problem.code), (503, codes::STOPPING));
    }
}
