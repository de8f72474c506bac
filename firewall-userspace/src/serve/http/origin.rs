//! The check of the `Origin` header, and what pages of origins that are configured may do (CORS, <https://fetch.spec.whatwg.org>).
//!
//! A browser says by `Origin` which page makes it ask. Whoever is no browser says nothing, and is not kept out by this.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::{ProblemDetails, codes};

/// What pages may send beyond what any page may.
const HEADERS: &str =
    "authorization, content-type, if-match, idempotency-key, content-digest, signature, signature-input";

/// What pages may see beyond what any page may.
const EXPOSED: &str = "etag, location, retry-after, www-authenticate";

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// How long a browser may remember what it was told, in seconds.
const MAX_AGE: &str = "600";

/// `Sec-Fetch-Site` (<https://w3c.github.io/webappsec-fetch-metadata/>).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who asks, by what a browser says of it.
enum Asker {
    /// No page, or one of this host.
    Fine,
    /// A page of an origin that is configured.
    Configured(HeaderValue),
    /// Another page.
    Stranger,
}

/// Passes requests that no page of a strange origin makes. `scheme` is that of this listener; `is_ours` says whether an origin is
/// configured, and only pages of those may read answers.
pub async fn check(scheme: &str, is_ours: impl Fn(&str) -> bool, request: Request, next: Next) -> Response {
    let asker = asker(scheme, is_ours, &request);
    let mut response = match &asker {
        Asker::Stranger => {
            let detail = "pages of this origin may not use this API: it is not among the `origins` of [api]";
            ProblemDetails::new(StatusCode::FORBIDDEN, codes::WRONG_ORIGIN, detail).into_response()
        }
        Asker::Configured(_) if is_preflight(&request) => preflight(),
        Asker::Fine | Asker::Configured(_) => next.run(request).await,
    };
    // A cache must give no answer to another origin.
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    if let Asker::Configured(origin) = asker {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(EXPOSED);
        response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

fn asker(scheme: &str, is_ours: impl Fn(&str) -> bool, request: &Request) -> Asker {
    let headers = request.headers();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return match headers.get_all(SITE).iter().all(|site| matches!(site.as_bytes(), b"none" | b"same-origin")) {
            true => Asker::Fine,
            false => Asker::Stranger,
        };
    };
    let Some(text) = origin.to_str().ok().filter(|_| origins.next().is_none()) else { return Asker::Stranger };
    if is_ours(text) {
        Asker::Configured(origin.clone())
    } else if text.split_once("://").is_some_and(|(of, host)| of == scheme && is_host(host, request)) {
        Asker::Fine
    } else {
        Asker::Stranger
    }
}

/// Whether the request is to this host and port.
fn is_host(host: &str, request: &Request) -> bool {
    let asked = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    asked.is_some_and(|asked| asked.eq_ignore_ascii_case(host))
}

fn is_preflight(request: &Request) -> bool {
    *request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri("/").header("host", "api.example:8443");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let ours = |origin: &str| origin == "https://console.example";
        let check = move |request: Request, next: Next| check("https", ours, request, next);
        let router = Router::new().route("/", get(|| async { "done" }).post(|| async { "done" }));
        router.layer(middleware::from_fn(check)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn pages_of_strange_origins_neither_read_nor_change_anything() {
        for origin in [
            "https://evil.example",
            "null",
            "http://api.example:8443",
            "https://api.example",
            "https://console.example:8443",
            "https://console.example.evil.example",
            "http://console.example",
            "*",
            "",
        ] {
            for method in ["GET", "POST", "OPTIONS"] {
                let asked = [("origin", origin), ("access-control-request-method", "GET")];
                let response = ask(method, &asked).await;
                assert_eq!(response.status(), StatusCode::FORBIDDEN, "{method} {origin}");
                assert_eq!(header(&response, "access-control-allow-origin"), None);
                assert_eq!(header(&response, "vary"), Some("origin"));
            }
        }
        let two = [("origin", "https://console.example"), ("origin", "https://evil.example")];
        assert_eq!(ask("GET", &two).await.status(), StatusCode::FORBIDDEN);
        for site in ["cross-site", "same-site", "whatever"] {
            assert_eq!(ask("GET", &[("sec-fetch-site", site)]).await.status(), StatusCode::FORBIDDEN, "{site}");
        }
    }

    #[tokio::test]
    async fn whoever_is_no_page_and_pages_of_this_host_are_not_kept_out() {
        for headers in [
            &[][..],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "https://api.example:8443"), ("sec-fetch-site", "same-origin")],
        ] {
            let response = ask("POST", headers).await;
            assert_eq!(response.status(), StatusCode::OK, "{headers:?}");
            assert_eq!(header(&response, "access-control-allow-origin"), None);
        }
        assert_eq!(ask("OPTIONS", &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED, "no preflight");
    }

    #[tokio::test]
    async fn pages_of_a_configured_origin_are_told_what_they_may() {
        let origin = ("origin", "https://console.example");
        let response = ask("POST", &[origin, ("sec-fetch-site", "cross-site")]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "access-control-allow-origin"), Some(origin.1));
        assert_eq!(header(&response, "access-control-allow-credentials"), None);
        let preflight = ask("OPTIONS", &[origin, ("access-control-request-method", "POST")]).await;
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
        assert_eq!(header(&preflight, "access-control-allow-origin"), Some(origin.1));
        let allowed = header(&preflight, "access-control-allow-headers").unwrap();
        for name in ["authorization", "content-type", "if-match", "idempotency-key", "signature-input"] {
            assert!(allowed.split(", ").any(|known| known == name), "{name}");
        }
    }
}
