//! What every request by HTTPS goes through, in front of a controller that only has settings.

use std::sync::Arc;

use axum::{body::Body, http::StatusCode, response::IntoResponse as _};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::{
    control::Caller,
    controller::fake,
    policy::{ApiSettings, Grant, Role},
    serve::{
        http::problem::{ProblemDetails, codes},
        tls::authority::TlsFolder,
    },
    state::fake::FakeDisk,
};

/// What answers `request` of somebody with `role`, or of somebody whom nobody knows.
async fn ask(role: Option<Role>, request: axum::http::request::Builder) -> (StatusCode, Response) {
    let https = HttpsSettings { origins: vec!["https://console.example".into()], ..TlsFolder::make().settings() };
    let settings = ApiSettings { https: Some(https), ..ApiSettings::at_socket("/s".into()) };
    let (controller, _) = fake::controller(Some(settings));
    let authenticate = move |mut request: Request, next: Next| async move {
        let Some(role) = role else {
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]).into_response();
        };
        request.extensions_mut().insert(Caller { grant: Arc::new(Grant::whole(role)), ..Caller::local("test") });
        next.run(request).await
    };
    let mut request = request.body(Body::empty()).unwrap();
    let from = "192.0.2.9:1000".parse().unwrap();
    request.extensions_mut().insert(NetworkPeer { from, certificate: None, is_tls: true });
    request.extensions_mut().insert(LocalAddress("192.0.2.1:8443".parse().unwrap()));
    let response = router(controller, Arc::new(TokenStore::open(FakeDisk::default())), authenticate)
        .oneshot(request)
        .await
        .unwrap();
    (response.status(), response)
}

fn get(path: &str) -> axum::http::request::Builder {
    Request::builder().uri(path).header("host", "api.example:8443")
}

async fn code(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: ProblemDetails = serde_json::from_slice(&body).unwrap();
    problem.code
}

#[tokio::test]
async fn nobody_anonymous_is_answered_on_any_route() {
    for path in ["/v1/status", "/v1/entries", "/metrics", "/livez", "/readyz", "/nothing", "/"] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let (status, response) = ask(None, get(path).method(method)).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert!(response.headers().contains_key("www-authenticate"));
        }
    }
}

#[tokio::test]
async fn every_answer_by_https_is_for_the_caller_alone() {
    for (role, path) in [(None, "/v1/status"), (Some(Role::Viewer), "/livez"), (Some(Role::Viewer), "/nothing")] {
        let (_, response) = ask(role, get(path)).await;
        for (name, value) in [
            ("strict-transport-security", STRICT),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(response.headers()[name], value, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn who_may_look_scrapes_and_changes_nothing() {
    // Of a controller that has ended there is little to be told, but that.
    assert_eq!(ask(Some(Role::Viewer), get("/metrics")).await.0, StatusCode::OK);
    let (status, response) = ask(Some(Role::Viewer), get("/livez")).await;
    assert_eq!((status, &*code(response).await), (StatusCode::SERVICE_UNAVAILABLE, codes::STOPPING));
    let (status, response) = ask(Some(Role::Viewer), get("/v1/reload").method("POST")).await;
    assert_eq!((status, &*code(response).await), (StatusCode::FORBIDDEN, codes::NOT_PERMITTED));
    assert_eq!(ask(Some(Role::Viewer), get("/nothing")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(Some(Role::Viewer), get("/metrics").method("DELETE")).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn only_names_and_addresses_of_this_host_are_hosts() {
    for host in ["api.example", "API.example:8443", "192.0.2.1", "127.0.0.1:8443"] {
        let (status, _) = ask(None, Request::builder().uri("/v1/status").header("host", host)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{host}");
    }
    for host in ["evil.example", "localhost", "192.0.2.2", "api.example.", "x@api.example", "[::1]"] {
        let (status, response) = ask(None, Request::builder().uri("/v1/status").header("host", host)).await;
        assert_eq!((status, &*code(response).await), (StatusCode::FORBIDDEN, codes::WRONG_HOST), "{host}");
    }
    let h2 = || Request::builder().version(axum::http::Version::HTTP_2);
    assert_eq!(ask(None, h2().uri("https://api.example/v1/status")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(None, h2().uri("https://evil.example/v1/status")).await.0, StatusCode::FORBIDDEN);
    let two = h2().uri("https://api.example/v1/status").header("host", "evil.example");
    assert_eq!(ask(None, two).await.0, StatusCode::FORBIDDEN);
    let none = Request::builder().uri("/v1/status");
    assert_eq!(ask(None, none).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_before_anybody_asks_who_they_are() {
    let (status, response) = ask(Some(Role::Admin), get("/v1/status").header("origin", "https://evil.example")).await;
    assert_eq!((status, &*code(response).await), (StatusCode::FORBIDDEN, codes::WRONG_ORIGIN));
    let (status, response) = ask(None, get("/v1/status").header("origin", "https://console.example")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://console.example", "so that it can be read");
    let preflight = get("/v1/entries").method("OPTIONS").header("origin", "https://console.example");
    let (status, response) = ask(None, preflight.header("access-control-request-method", "POST")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
}

#[test]
fn what_waits_for_an_address_is_told_in_one_line() {
    for condition in conditions() {
        assert!(!condition.blocks && !condition.message.contains('\n'), "{condition:?}");
    }
}
