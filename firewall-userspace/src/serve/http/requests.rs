//! How many requests were answered, by listener, route, method and status: `portcullis_http_requests_total`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};

/// Labels of one count. All come from closed sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Which listener answered.
    pub listener: &'static str,
    /// Template of the path, or `unmatched`.
    pub route: String,
    /// A method HTTP knows, or `other`.
    pub method: &'static str,
    /// Status of the answer.
    pub code: u16,
}

/// Counts of this process; the listeners do not know of each other.
static ANSWERED: Mutex<BTreeMap<Key, u64>> = Mutex::new(BTreeMap::new());

/// The counts so far.
pub fn counts() -> BTreeMap<Key, u64> {
    ANSWERED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Counts the request under `listener` once it is answered.
pub async fn count(listener: &'static str, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = label(request.method());
    let response = next.run(request).await;
    let key = Key { listener, route, method, code: response.status().as_u16() };
    *ANSWERED.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    response
}

/// Clients may invent methods, so only those of RFC 9110 and PATCH have a label of their own.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
