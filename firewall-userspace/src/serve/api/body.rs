//! Bodies of requests: of bounded size, in bounded time, JSON that says nothing unknown.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use tokio::{task, time};

use crate::{
    serve::http::problem::{ProblemDetails, codes},
    text::{
        object::Object,
        problem::Problem,
        shown::{cut, shown},
    },
};

/// Largest body of a request in octets.
pub const MAX_BODY: usize = 16 << 20;

/// Largest body of a request that carries a whole configuration with its list files.
pub const MAX_LARGE_BODY: usize = 256 << 20;

/// Most characters of a text of the client that come back to it.
const MAX_TOLD: usize = 512;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A body of JSON of at most `LIMIT` octets.
pub struct Json<T, const LIMIT: usize = MAX_BODY>(pub T);

impl<S: Sync, T: DeserializeOwned + Send + 'static, const LIMIT: usize> FromRequest<S> for Json<T, LIMIT> {
    type Rejection = ProblemDetails;

    async fn from_request(request: Request, _: &S) -> Result<Self, ProblemDetails> {
        if !is_json(request.headers()) {
            return Err(wrong_content_type());
        }
        let octets = read(request, LIMIT).await?;
        // Megabytes of it are too much for a thread that also serves others.
        match task::spawn_blocking(move || parse(&octets)).await {
            Ok(parsed) => parsed.map(Self).map_err(|problem| *problem),
            Err(error) => Err(internal(&error)),
        }
    }
}

/// A body of JSON, or none at all: the default.
pub struct OptionalJson<T>(pub T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = ProblemDetails;

    async fn from_request(request: Request, _: &S) -> Result<Self, ProblemDetails> {
        let is_json = is_json(request.headers());
        let octets = read(request, MAX_BODY).await?;
        if octets.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(wrong_content_type());
        }
        parse(&octets).map(Self).map_err(|problem| *problem)
    }
}

/// No query: one that is overlooked, such as `?dry_run=true`, would be a trap.
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemDetails> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(query) => {
                let detail = format!("this request takes no query, and it has `{}`", shown(query));
                Err(ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, detail))
            }
        }
    }
}

/// A problem for what only a bug can cause.
pub fn internal(error: &dyn std::error::Error) -> ProblemDetails {
    tracing::error!(%error, "a request failed inside");
    ProblemDetails::new(StatusCode::INTERNAL_SERVER_ERROR, codes::INTERNAL, "the daemon failed inside; see its log")
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).map(str::trim);
    media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
}

fn wrong_content_type() -> ProblemDetails {
    let detail = "the body must have the content type `application/json`";
    ProblemDetails::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::WRONG_CONTENT_TYPE, detail)
}

async fn read(request: Request, limit: usize) -> Result<Bytes, ProblemDetails> {
    let body = request.into_body();
    if hyper::body::Body::size_hint(&body).lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let octets = Limited::<Body>::new(body, limit).collect();
    match time::timeout(BODY_TIMEOUT, octets).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(error)) => {
            let detail = format!("the body cannot be read to its end: {error}");
            Err(ProblemDetails::new(StatusCode::BAD_REQUEST, codes::BAD_BODY, detail))
        }
        Err(_) => {
            let detail = format!("the body did not come within {} s", BODY_TIMEOUT.as_secs());
            Err(ProblemDetails::new(StatusCode::REQUEST_TIMEOUT, codes::BODY_TIMEOUT, detail))
        }
    }
}

fn too_large(limit: usize) -> ProblemDetails {
    let detail = format!("the body is larger than {} MiB", limit >> 20);
    ProblemDetails::new(StatusCode::PAYLOAD_TOO_LARGE, codes::BODY_TOO_LARGE, detail)
}

fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Box<ProblemDetails>> {
    let mut input = serde_json::Deserializer::from_slice(octets);
    let Object(value) = serde_path_to_error::deserialize(&mut input)
        .map_err(|error| Box::new(wrong_json(error.inner(), &pointer(error.path()))))?;
    input.end().map_err(|error| Box::new(wrong_json(&error, "")))?;
    Ok(value)
}

fn wrong_json(error: &serde_json::Error, pointer: &str) -> ProblemDetails {
    match error.classify() {
        Category::Data => {
            let told = |text: &str| cut(text, MAX_TOLD);
            wrong_form(Problem { pointer: told(pointer), detail: told(&error.to_string()) })
        }
        Category::Io | Category::Syntax | Category::Eof => {
            let detail = format!("the body is not JSON: {error}");
            ProblemDetails::new(StatusCode::BAD_REQUEST, codes::BAD_BODY, detail)
        }
    }
}

fn wrong_form(problem: Problem) -> ProblemDetails {
    let detail = "the body does not have the form of this request";
    let mut details = ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, detail);
    details.errors = vec![problem];
    details
}

/// The JSON pointer (RFC 6901) of `path`.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}
