//! How many requests were answered, by listener, route, method and status, and how long those took that have a route.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};

use crate::clock::durations::{Durations, Timings};

/// A listener, the template of a path, and a method that it takes.
pub type Route = (&'static str, &'static str, &'static str);

/// A path and a method of it.
type Own = (&'static str, &'static str);

/// Metrics and probes: routes of the admin port, and of the API by HTTPS.
const OF_ADMIN: [Own; 3] = [("/metrics", "GET"), ("/livez", "GET"), ("/readyz", "GET")];

/// Routes of the API by its socket, and by HTTPS.
const OF_API: [Own; 30] = [
    ("/openapi.json", "GET"),
    ("/v1/status", "GET"),
    ("/v1/entries", "GET"),
    ("/v1/entries", "POST"),
    ("/v1/lists", "GET"),
    ("/v1/lists/{list}", "GET"),
    ("/v1/lists/{list}/entries", "GET"),
    ("/v1/lists/{list}/entries/{prefix}", "GET"),
    ("/v1/lists/{list}/entries/{prefix}", "PUT"),
    ("/v1/lists/{list}/entries/{prefix}", "DELETE"),
    ("/v1/sync", "POST"),
    ("/v1/sync/{number}", "DELETE"),
    ("/v1/undo", "POST"),
    ("/v1/pushes", "GET"),
    ("/v1/policy", "GET"),
    ("/v1/explain", "POST"),
    ("/v1/explanations", "POST"),
    ("/v1/membership", "GET"),
    ("/v1/reload", "POST"),
    ("/v1/apply", "POST"),
    ("/v1/rollback", "POST"),
    ("/v1/mode", "POST"),
    ("/v1/confirm", "POST"),
    ("/v1/history", "GET"),
    ("/v1/history/{generation}", "GET"),
    ("/v1/audit", "GET"),
    ("/v1/tokens", "GET"),
    ("/v1/tokens", "POST"),
    ("/v1/tokens/{name}/rotate", "POST"),
    ("/v1/tokens/{name}", "DELETE"),
];

/// Every route of all listeners.
pub const ROUTES: [Route; 2 * (OF_ADMIN.len() + OF_API.len())] = {
    let mut all = [("", "", ""); _];
    let mut index = 0;
    // Nothing else walks through a list before there is a program.
    while index < OF_ADMIN.len() {
        let (path, method) = OF_ADMIN[index];
        all[index] = ("admin", path, method);
        all[OF_ADMIN.len() + OF_API.len() + index] = ("https", path, method);
        index += 1;
    }
    index = 0;
    while index < OF_API.len() {
        let (path, method) = OF_API[index];
        all[OF_ADMIN.len() + index] = ("api", path, method);
        all[2 * OF_ADMIN.len() + OF_API.len() + index] = ("https", path, method);
        index += 1;
    }
    all
};

/// Answers of every route that are counted from 0 on, so that `rate()` sees the first one; others come when they are given.
const EXPECTED: [u16; 3] = [200, 500, 503];

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

/// How long answers took, in the order of [`ROUTES`].
static TOOK: [Durations; ROUTES.len()] = [const { Durations::new() }; ROUTES.len()];

/// The counts so far.
pub fn counts() -> BTreeMap<Key, u64> {
    let expected = |(listener, route, method): Route| {
        EXPECTED.map(move |code| (Key { listener, route: route.to_owned(), method, code }, 0))
    };
    let mut counts: BTreeMap<Key, u64> = ROUTES.into_iter().flat_map(expected).collect();
    counts.extend(ANSWERED.lock().unwrap_or_else(PoisonError::into_inner).clone());
    counts
}

/// How long requests of each route took, until their answers began.
pub fn timings() -> [(Route, Timings); ROUTES.len()] {
    let mut timings = ROUTES.map(|route| (route, Timings::default()));
    timings.iter_mut().zip(&TOOK).for_each(|((_, timings), took)| *timings = took.read());
    timings
}

/// Counts the request under `listener` once it is answered.
pub async fn count(listener: &'static str, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = label(request.method());
    let begun = Instant::now();
    let response = next.run(request).await;
    let known = ROUTES.iter().position(|known| *known == (listener, &*route, method));
    if let Some(took) = known.and_then(|known| TOOK.get(known)) {
        took.note(begun.elapsed());
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_of_the_listeners_is_known() {
        // Those of the API have a table (serve/api/routes.rs), which a test there holds against this one.
        let listeners = [("admin", include_str!("../admin.rs"))];
        let mut wanted = BTreeSet::new();
        for (listener, source) in listeners {
            let on_one_line = source.lines().filter(|line| line.trim().starts_with(".route(\"")).count();
            assert_eq!(on_one_line, source.matches(".route(").count(), "a route of {listener} is on several lines");
            for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
                let (route, methods) = line.split_once("\", ").unwrap();
                for method in ["get", "post", "put", "patch", "delete"] {
                    if methods.starts_with(&format!("{method}(")) || methods.contains(&format!(").{method}(")) {
                        wanted.insert((listener, route, method.to_uppercase()));
                    }
                }
            }
        }
        let known = ROUTES.iter().filter(|(listener, ..)| *listener == "admin");
        let known = known.map(|(listener, route, method)| (*listener, *route, (*method).to_owned()));
        assert_eq!(known.collect::<BTreeSet<_>>(), wanted);
    }
}
