//! Plain HTTP that sends whoever comes to HTTPS, and does nothing else.
//!
//! What comes here has been seen by everybody on the way: whoever has sent a secret is told so, and not sent on as if nothing had
//! happened.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tokio::net::TcpStream;

use super::{
    listener::share_of,
    serves_host,
    sockets::{Sockets, TcpEnds},
};
use crate::{
    controller::Controller,
    policy::HttpsSettings,
    serve::http::{
        problem::{ProblemDetails, codes},
        requests,
        room::{Patience, Share},
        server::{self, Limits, Listener},
    },
};

const LIMITS: Limits = Limits {
    headers: Duration::from_secs(5),
    exchange: Duration::from_secs(10),
    patience: Patience { request: Duration::from_millis(500), answer: Duration::from_secs(1) },
};

/// Connections that are open at a time.
const CONNECTIONS: usize = 128;

/// Headers by which somebody shows who they are.
const SECRETS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
];

/// Longest target that is sent on.
const MAX_TARGET: usize = 4096;

struct RedirectListener {
    sockets: Sockets,
    most: usize,
}

/// Sends on whoever comes to `sockets`, as the policy in force says, until `shutdown` completes.
pub async fn serve(sockets: Sockets, controller: Controller, shutdown: impl Future) {
    let router = router(move |ends: TcpEnds, request: &Request| {
        let readings = controller.changes();
        let readings = readings.borrow();
        let https = readings.api().and_then(|api| api.https.as_ref());
        https.map_or_else(|| Err(wrong_host()), |https| target(https, ends, request))
    });
    let most = server::within_descriptors(CONNECTIONS);
    server::serve(RedirectListener { sockets, most }, router, LIMITS, shutdown).await;
}

impl Listener for RedirectListener {
    type Stream = TcpStream;
    type Peer = TcpEnds;

    const NAME: &'static str = "redirect";

    async fn accept(&self) -> io::Result<(TcpStream, TcpEnds)> {
        self.sockets.accept().await
    }

    fn share(&self, ends: &TcpEnds) -> Share {
        share_of(ends.from.ip(), self.most)
    }

    fn most(&self) -> usize {
        self.most
    }
}

fn router(
    target: impl Fn(TcpEnds, &Request) -> Result<String, Box<ProblemDetails>> + Clone + Send + Sync + 'static,
) -> Router {
    let answer = move |request: Request| {
        let ends = request.extensions().get::<TcpEnds>().copied();
        let target = ends.map_or_else(|| Err(wrong_host()), |ends| target(ends, &request));
        async move { target.map_or_else(|problem| problem.into_response(), redirect) }
    };
    let count = |request: Request, next: Next| requests::count("redirect", request, next);
    Router::new().fallback(answer).layer(middleware::from_fn(count))
}

fn redirect(to: String) -> Response {
    let headers = [(header::LOCATION, to), (header::CACHE_CONTROL, "no-store".to_owned())];
    (StatusCode::PERMANENT_REDIRECT, headers).into_response()
}

/// Where `request` is to be made.
fn target(https: &HttpsSettings, ends: TcpEnds, request: &Request) -> Result<String, Box<ProblemDetails>> {
    let refuse =
        |detail: &str| Err(Box::new(ProblemDetails::new(StatusCode::BAD_REQUEST, codes::NOT_ENCRYPTED, detail)));
    if SECRETS.iter().any(|name| request.headers().contains_key(name)) {
        return refuse("what was sent here in the clear can be known by others: renew it, and use https");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refuse("nothing but GET and HEAD is sent on to https");
    }
    let host = host(request).filter(|host| serves_host(https, Some(ends.to), host)).ok_or_else(wrong_host)?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if !path.starts_with('/') || path.len() > MAX_TARGET {
        return refuse("the path cannot be sent on to https");
    }
    let same = https.listen.iter().find(|listen| listen.ip() == ends.to.ip() || listen.ip().is_unspecified());
    let port = match same.or(https.listen.first()).map(SocketAddr::port) {
        None | Some(443) => String::new(),
        Some(port) => format!(":{port}"),
    };
    Ok(format!("https://{host}{port}{path}"))
}

/// The host that the request is to, without its port.
fn host(request: &Request) -> Option<String> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    let host: axum::http::uri::Authority = host.to_str().ok()?.parse().ok()?;
    let is_same = request.uri().authority().is_none_or(|target| *target == host);
    (is_same && !host.as_str().contains('@')).then(|| host.host().to_ascii_lowercase())
}

fn wrong_host() -> Box<ProblemDetails> {
    let detail = "this is not a host name of this listener";
    Box::new(ProblemDetails::new(StatusCode::FORBIDDEN, codes::WRONG_HOST, detail))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;
    use crate::serve::tls::authority::TlsFolder;

    async fn ask(request: axum::http::request::Builder) -> (StatusCode, Option<String>) {
        let settings = HttpsSettings {
            listen: vec!["192.0.2.1:8443".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap()],
            ..TlsFolder::make().settings()
        };
        let mut request = request.body(Body::empty()).unwrap();
        let to = if request.uri().path() == "/six" { "[2001:db8::1]:80" } else { "192.0.2.1:80" };
        let ends = TcpEnds { from: "192.0.2.9:1000".parse().unwrap(), to: to.parse().unwrap() };
        request.extensions_mut().insert(ends);
        let router = router(move |ends, request| target(&settings, ends, request));
        let response = router.oneshot(request).await.unwrap();
        assert!(response.headers().get("strict-transport-security").is_none(), "nobody believes it here (RFC 6797)");
        let to = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        (response.status(), to)
    }

    fn get(path: &str, host: &str) -> axum::http::request::Builder {
        Request::builder().uri(path).header("host", host)
    }

    #[tokio::test]
    async fn whoever_asks_for_a_page_is_sent_to_the_same_page_by_https() {
        for (path, host, to) in [
            ("/v1/status?a=b", "API.example:80", "https://api.example:8443/v1/status?a=b"),
            ("/", "192.0.2.1", "https://192.0.2.1:8443/"),
            ("/six", "[2001:db8::1]", "https://[2001:db8::1]/six"),
            ("//evil.example/", "api.example", "https://api.example:8443//evil.example/"),
        ] {
            assert_eq!(ask(get(path, host)).await, (StatusCode::PERMANENT_REDIRECT, Some(to.to_owned())), "{path}");
        }
        assert_eq!(ask(get("/", "api.example").method("HEAD")).await.0, StatusCode::PERMANENT_REDIRECT);
    }

    #[tokio::test]
    async fn secrets_changes_and_strange_hosts_are_not_sent_on() {
        for name in SECRETS {
            let (status, to) = ask(get("/", "api.example").header(&name, "x")).await;
            assert_eq!((status, to), (StatusCode::BAD_REQUEST, None), "{name}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"] {
            assert_eq!(ask(get("/", "api.example").method(method)).await.0, StatusCode::BAD_REQUEST, "{method}");
        }
        for host in ["evil.example", "api.example.evil.example", "user@api.example", "", "127.0.0.1"] {
            assert_eq!(ask(get("/", host)).await, (StatusCode::FORBIDDEN, None), "{host}");
        }
        assert_eq!(ask(Request::builder().uri("/")).await.0, StatusCode::FORBIDDEN, "no host");
        assert_eq!(ask(get("http://evil.example/", "api.example")).await.0, StatusCode::FORBIDDEN);
    }
}
