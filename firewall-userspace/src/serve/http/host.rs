//! The check of the `Host` header.
//!
//! A web page can make the browser of an operator send requests to a name that its owner points at a local address (DNS
//! rebinding); such requests carry that name.

use axum::{
    extract::Request,
    http::{StatusCode, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::{ProblemDetails, codes};

/// Passes requests whose host `is_ours`, without its port and with the brackets of an IPv6 address.
pub async fn check(is_ours: impl Fn(&str) -> bool, request: Request, next: Next) -> Response {
    match refuse(is_ours, &request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn refuse(is_ours: impl Fn(&str) -> bool, request: &Request) -> Option<ProblemDetails> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let target = request.uri().authority();
    let is_good = |host: &Authority| !host.as_str().contains('@') && is_ours(host.host());
    let wrong = |shown: &str| {
        let detail = format!("`{shown}` is not a host name of this listener");
        Some(ProblemDetails::new(StatusCode::FORBIDDEN, codes::WRONG_HOST, detail))
    };
    let (first, second) = (hosts.next(), hosts.next());
    // HTTP/2 has it in the target (`:authority`, RFC 9113 section 8.3.1).
    if let (Some(target), None, Version::HTTP_2) = (target, first, request.version()) {
        return if is_good(target) { None } else { wrong(target.as_str()) };
    }
    let (Some(host), None) = (first, second) else {
        let detail = "the request must have exactly one Host header";
        return Some(ProblemDetails::new(StatusCode::BAD_REQUEST, codes::BAD_HOST, detail));
    };
    let header = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    // The target of the request overrides the header when it has a host of its own (RFC 9112 section 3.2.2).
    if header.as_ref().is_some_and(is_good) && target.is_none_or(is_good) {
        return None;
    }
    wrong(&String::from_utf8_lossy(host.as_bytes()))
}
