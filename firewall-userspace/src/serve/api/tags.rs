//! Entity tags: `ETag`, `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1).

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use utoipa::IntoParams;

use crate::{
    clock::Now,
    control::{Expected, Refusal},
    controller::Readings,
    serve::http::problem::{ProblemDetails, codes},
    text::shown::shown,
};

/// What `If-Match` says there has to be; `None` without one, and for `*`, since lists and policy are always there.
pub struct IfMatch(pub Option<Expected>);

/// [`IfMatch`], as it is told.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only told")]
pub struct IfMatchHeader {
    /// The `ETag` of what the change is made on top of, or `*`. When somebody else has changed it since, nothing happens.
    #[param(rename = "If-Match", pattern = r#"^(\*|"(g(0|[1-9][0-9]*)|r(0|[1-9][0-9]*)-(0|[1-9a-f][0-9a-f]*))")$"#)]
    if_match: Option<String>,
}

/// `If-None-Match`, as it is told.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only told")]
pub struct IfNoneMatchHeader {
    /// The `ETag` of what the reader has. When it is the same still, the answer is 304.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// No `If-Match`: what does not look at one must not go on as if it did.
pub struct NoIfMatch;

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemDetails> {
        if parts.method != Method::GET && parts.headers.contains_key(header::IF_NONE_MATCH) {
            return Err(bad(&header::IF_NONE_MATCH, "a change does not look at it"));
        }
        let mut values = parts.headers.get_all(header::IF_MATCH).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(value), None) => value.to_str().unwrap_or_default().trim(),
            (Some(_), Some(_)) => return Err(bad(&header::IF_MATCH, "it stands in the request more than once")),
        };
        if value == "*" {
            return Ok(Self(None));
        }
        let tag = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let why = || format!("`{}` is not an `ETag` that this daemon gave, nor `*`", shown(value));
        tag.and_then(|tag| tag.parse().ok()).map(|tag| Self(Some(tag))).ok_or_else(|| bad(&header::IF_MATCH, &why()))
    }
}

impl<S: Sync> FromRequestParts<S> for NoIfMatch {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemDetails> {
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            if parts.headers.contains_key(&name) {
                return Err(bad(&name, "this request does not look at it"));
            }
        }
        Ok(Self)
    }
}

/// A header that cannot be used.
pub fn bad(name: &HeaderName, why: &str) -> ProblemDetails {
    let detail = format!("the header `{name}` cannot be used: {why}");
    ProblemDetails::new(StatusCode::BAD_REQUEST, codes::BAD_HEADER, detail)
}

/// The tag of the lists as `readings` have them.
///
/// # Errors
/// [`Refusal::NoPolicy`].
pub fn of_lists(readings: &dyn Readings) -> Result<Expected, Refusal> {
    let status = readings.status(Now::read());
    match status.conditions.into_iter().find(|one| one.code == crate::control::Condition::NO_POLICY) {
        Some(none) => Err(Refusal::NoPolicy { why: none.message }),
        None => Ok(Expected::lists(status.revision, status.started)),
    }
}

/// Whether a reader that sent `headers` has what `tag` names.
pub fn is_known(headers: &HeaderMap, tag: Expected) -> bool {
    let tag = format!("\"{tag}\"");
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = values.flat_map(|value| value.split(',')).map(str::trim);
    // The weak comparison (RFC 9110, section 13.1.2).
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The answer to a reader that has what `tag` names.
pub fn not_modified(tag: Expected) -> Response {
    tagged(tag, StatusCode::NOT_MODIFIED)
}

/// `answer` with its tag.
pub fn tagged(tag: Expected, answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    // Letters, digits and a hyphen can always be in a header.
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        answer.headers_mut().insert(header::ETAG, value);
    }
    answer
}
