//! What an operation may be refused by: the table of all problems that the API has.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{super::routes::RouteRow, value};
use crate::serve::http::problem::{ProblemDetails, codes};

/// Which operations may have a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Each of them.
    Every,
    /// Those that have a body.
    Body,
    /// Those that ask the controller, and wait for it.
    Asking,
    /// Those that change something.
    Change,
    /// Those that change entries.
    Entries,
    /// Those that load a configuration.
    Loading,
    /// Those of a list, of an entry and of a sync.
    Found,
    /// Those that look at `If-Match`.
    Matched,
    /// Those that look at `Idempotency-Key`.
    Keyed,
    /// The one of this `operationId`.
    Named(&'static [&'static str]),
}

/// A problem: its status, its code, who may have it, and what it means.
type KnownProblem = (StatusCode, &'static str, Of, &'static str);

/// All of them.
const PROBLEMS: &[KnownProblem] = &[
    (StatusCode::BAD_REQUEST, codes::BAD_HOST, Of::Every, "there is no `Host` header, or more than one"),
    (StatusCode::BAD_REQUEST, codes::BAD_HEADER, Of::Every, "a header cannot be read, or means nothing here"),
    (StatusCode::BAD_REQUEST, codes::BAD_BODY, Of::Body, "the body is not JSON, or not all of it came"),
    (StatusCode::UNAUTHORIZED, codes::UNAUTHENTICATED, Of::Every, "over a network: nobody is known by what was shown"),
    (StatusCode::FORBIDDEN, codes::NOT_PERMITTED, Of::Every, "the caller has not the right, or not for this"),
    (StatusCode::FORBIDDEN, codes::WRONG_HOST, Of::Every, "the `Host` is none of this listener"),
    (StatusCode::NOT_FOUND, codes::NOT_FOUND, Of::Found, "there is no such list, holder or sync"),
    (
        StatusCode::METHOD_NOT_ALLOWED,
        codes::METHOD_NOT_ALLOWED,
        Of::Every,
        "the path has not the method; `Allow` has those that it has",
    ),
    (StatusCode::REQUEST_TIMEOUT, codes::BODY_TIMEOUT, Of::Body, "the body took too long"),
    (StatusCode::CONFLICT, codes::WRONG_VERB, Of::Entries, "the list is used the other way round"),
    (
        StatusCode::CONFLICT,
        codes::GUARDED,
        Of::Change,
        "the change would do harm; `guards` has the names by which `force` lifts them",
    ),
    (StatusCode::CONFLICT, codes::PENDING, Of::Change, "another change waits for a confirmation"),
    (
        StatusCode::CONFLICT,
        codes::BUSY,
        Of::Entries,
        "a sync is under way, and no push waits for a confirmation beside it",
    ),
    (StatusCode::CONFLICT, codes::CANCELLED, Of::Named(&["sync", "undo"]), "it was cancelled before it was promised"),
    (
        StatusCode::CONFLICT,
        codes::OVERTAKEN,
        Of::Named(&["sync", "undo"]),
        "what it was compared with has changed meanwhile",
    ),
    (StatusCode::CONFLICT, codes::TOKEN_EXISTS, Of::Named(&["createToken"]), "there is a token of this name"),
    (
        StatusCode::NOT_FOUND,
        codes::NO_TOKEN,
        Of::Named(&["rotateToken", "revokeToken"]),
        "there is no token of this name",
    ),
    (StatusCode::CONFLICT, codes::NOTHING_PENDING, Of::Named(&["confirm"]), "nothing waits for a confirmation"),
    (StatusCode::CONFLICT, codes::NOT_UNDOABLE, Of::Named(&["undo"]), "the push cannot be taken back now"),
    (StatusCode::CONFLICT, codes::IDEMPOTENCY_KEY_UNDERWAY, Of::Keyed, "the first request with this key is under way"),
    (
        StatusCode::PRECONDITION_FAILED,
        codes::PRECONDITION_FAILED,
        Of::Matched,
        "somebody else has changed it since; `detail` has the tag of now",
    ),
    (StatusCode::PAYLOAD_TOO_LARGE, codes::BODY_TOO_LARGE, Of::Body, "the body is too large"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::WRONG_CONTENT_TYPE, Of::Body, "the body has another content type"),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        codes::INVALID,
        Of::Every,
        "something in the request is wrong; `errors` says what, where it is in the body",
    ),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        codes::INVALID_CONFIG,
        Of::Loading,
        "the configuration cannot be used; `report` says why",
    ),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        codes::NO_GENERATION,
        Of::Named(&["generation", "rollback", "setMode"]),
        "there is no such generation, or none to go back to",
    ),
    (StatusCode::UNPROCESSABLE_ENTITY, codes::NOT_UNDOABLE, Of::Named(&["undo"]), "the push cannot be taken back"),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        codes::IDEMPOTENCY_KEY_REUSED,
        Of::Keyed,
        "the key came with another request before",
    ),
    (
        StatusCode::TOO_MANY_REQUESTS,
        codes::TOO_MANY_REQUESTS,
        Of::Every,
        "over a network: more was asked than one may; `Retry-After` says when to ask again",
    ),
    (StatusCode::INTERNAL_SERVER_ERROR, codes::INTERNAL, Of::Every, "a bug; the log says more"),
    (StatusCode::INTERNAL_SERVER_ERROR, codes::DATAPATH, Of::Every, "the kernel refused; nothing was changed"),
    (StatusCode::SERVICE_UNAVAILABLE, codes::STOPPING, Of::Every, "the daemon is stopping"),
    (StatusCode::SERVICE_UNAVAILABLE, codes::NO_POLICY, Of::Every, "the daemon has nothing to enforce"),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        codes::NOT_AUDITED,
        Of::Change,
        "it cannot be recorded in the audit log, so it did not happen",
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        codes::BUSY,
        Of::Asking,
        "the daemon was at something else; it was not begun with, and does not happen",
    ),
    (
        StatusCode::GATEWAY_TIMEOUT,
        codes::UNANSWERED,
        Of::Asking,
        "no answer in 60 s; a change that was begun with may still happen",
    ),
    (StatusCode::INSUFFICIENT_STORAGE, codes::FULL, Of::Change, "the tables, or the memory, have no room"),
    (
        StatusCode::INSUFFICIENT_STORAGE,
        codes::NOT_KEPT,
        Of::Asking,
        "it cannot be kept over a restart, so it did not happen; or it cannot be read",
    ),
];

/// An example of each problem, by its code and its status.
pub fn examples() -> Value {
    let mut examples = json!({});
    for (status, code, _, meaning) in PROBLEMS {
        let problem = ProblemDetails::new(*status, code, *meaning);
        examples[format!("{code}.{}", status.as_u16())] = json!({ "value": value(&problem) });
    }
    examples
}

/// Adds to `operation` what it may be refused by.
pub fn add(row: &RouteRow, operation: &mut Value) {
    let mut refused: BTreeMap<u16, Vec<(&str, &str)>> = BTreeMap::new();
    for (status, code, of, meaning) in PROBLEMS {
        if applies(*of, row, operation) {
            refused.entry(status.as_u16()).or_default().push((code, meaning));
        }
    }
    for (status, problems) in refused {
        let words: Vec<String> = problems.iter().map(|(code, meaning)| format!("`{code}`: {meaning}")).collect();
        let mut examples = json!({});
        for (code, _) in &problems {
            examples[*code] = json!({ "$ref": format!("#/components/examples/{code}.{status}") });
        }
        let mut answer = json!({
            "description": words.join("; "),
            "content": {
                "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/ProblemDetails" },
                    "examples": examples,
                },
            },
            "x-portcullis-codes": problems.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
        });
        let header = match status {
            401 => Some(("WWW-Authenticate", "How to show who one is")),
            405 => Some(("Allow", "The methods that the path has")),
            429 | 503 => Some(("Retry-After", "In how many seconds to ask again")),
            _ => None,
        };
        if let Some((name, words)) = header {
            answer["headers"][name] = json!({ "description": words, "schema": { "type": "string" } });
        }
        operation["responses"][status.to_string()] = answer;
    }
}

fn applies(of: Of, row: &RouteRow, operation: &Value) -> bool {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let has = |name: &str| {
        let parameters = operation["parameters"].as_array();
        parameters.into_iter().flatten().any(|parameter| parameter["name"] == name)
    };
    let asks = row.method != Method::GET && row.path.starts_with("/v1/expl");
    let changes = row.method != Method::GET && !asks && id != "cancelSync";
    match of {
        Of::Every => true,
        Of::Body => operation["requestBody"].is_object(),
        Of::Asking => changes || asks || id == "generation",
        Of::Change => changes && id != "confirm",
        Of::Entries => ["push", "undo", "sync", "putEntry", "deleteEntry"].contains(&id),
        Of::Loading => ["reload", "apply", "rollback"].contains(&id),
        Of::Found => row.path.starts_with("/v1/lists/") || id == "cancelSync",
        Of::Matched => has("If-Match"),
        Of::Keyed => has("Idempotency-Key"),
        Of::Named(ids) => ids.contains(&id),
    }
}
