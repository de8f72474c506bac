//! Errors as clients see them: `application/problem+json` (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::text::problem::Problem;

/// Media type of [`ProblemDetails`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ProblemDetails {
    /// Always `about:blank`: the status and `code` say what it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The phrase of the status.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong, in words.
    pub detail: String,
    /// What to do about it, where one thing helps in most cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What is wrong, for programs: one of those that the operation names. None ever changes its meaning.
    pub code: String,
    /// Every single thing that is wrong with the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Problem>,
    /// With `guarded`: names of the guards that refuse it, by which `force` lifts them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<String>,
    /// The report on a configuration, as `portcullis check` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// Values of [`ProblemDetails::code`]; they never change their meaning.
pub mod codes {
    /// The body is not JSON, or not all of it came.
    pub const BAD_BODY: &str = "bad_body";
    /// There is no `Host` header, or more than one.
    pub const BAD_HOST: &str = "bad_host";
    /// The `Host` is none of this listener.
    pub const WRONG_HOST: &str = "wrong_host";
    /// A page of another origin asks.
    pub const WRONG_ORIGIN: &str = "wrong_origin";
    /// A request that plain HTTP is not for.
    pub const NOT_ENCRYPTED: &str = "not_encrypted";
    /// The certificate of the client is not believed any more.
    pub const CERTIFICATE_REFUSED: &str = "certificate_refused";
    /// The user at the other end of the socket may not do this.
    pub const NOT_PERMITTED: &str = "not_permitted";
    /// There is nothing at this path.
    pub const NOT_FOUND: &str = "not_found";
    /// What is at this path cannot be used with this method.
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    /// The body took too long.
    pub const BODY_TIMEOUT: &str = "body_timeout";
    /// The list is used the other way round.
    pub const WRONG_VERB: &str = "wrong_verb";
    /// The body is too large.
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    /// The body is not `application/json`.
    pub const WRONG_CONTENT_TYPE: &str = "wrong_content_type";
    /// The request says something that cannot be done.
    pub const INVALID: &str = "invalid";
    /// The change would do harm, and the caller does not insist.
    pub const GUARDED: &str = "guarded";
    /// Another change waits for a confirmation.
    pub const PENDING: &str = "pending";
    /// It was cancelled before it was promised.
    pub const CANCELLED: &str = "cancelled";
    /// What it was compared with has changed meanwhile.
    pub const OVERTAKEN: &str = "overtaken";
    /// Nothing waits for a confirmation.
    pub const NOTHING_PENDING: &str = "nothing_pending";
    /// There is no such generation, or none to go back to.
    pub const NO_GENERATION: &str = "no_generation";
    /// The push cannot be taken back.
    pub const NOT_UNDOABLE: &str = "not_undoable";
    /// The configuration cannot be used.
    pub const INVALID_CONFIG: &str = "invalid_config";
    /// The change cannot be kept over a restart, so it did not happen.
    pub const NOT_KEPT: &str = "not_kept";
    /// The change cannot be recorded in the audit log, so it did not happen.
    pub const NOT_AUDITED: &str = "not_audited";
    /// The kernel refused.
    pub const DATAPATH: &str = "datapath";
    /// A bug.
    pub const INTERNAL: &str = "internal";
    /// The daemon is stopping, or not ready.
    pub const STOPPING: &str = "stopping";
    /// The daemon has nothing to enforce.
    pub const NO_POLICY: &str = "no_policy";
    /// The daemon is not ready to serve.
    pub const NOT_READY: &str = "not_ready";
    /// Too many ask the same at once.
    pub const BUSY: &str = "busy";
    /// The controller takes longer for one thing than it may for any.
    pub const STUCK: &str = "stuck";
    /// The controller took too long; what was asked may still happen.
    pub const UNANSWERED: &str = "unanswered";
    /// `If-Match` names something that is not so any more.
    pub const PRECONDITION_FAILED: &str = "precondition_failed";
    /// A header of the request cannot be read, or means nothing here.
    pub const BAD_HEADER: &str = "bad_header";
    /// The `Idempotency-Key` came before with another request.
    pub const IDEMPOTENCY_KEY_REUSED: &str = "idempotency_key_reused";
    /// The request that this `Idempotency-Key` came with first is under way.
    pub const IDEMPOTENCY_KEY_UNDERWAY: &str = "idempotency_key_underway";
    /// The tables have no room.
    pub const FULL: &str = "full";
    /// The caller does not show who it is.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// The caller shows credentials that contradict each other.
    pub const CONTRADICTORY_CREDENTIALS: &str = "contradictory_credentials";
    /// The caller, or its address, has asked too much.
    pub const TOO_MANY_REQUESTS: &str = "too_many_requests";
    /// There is a token of this name.
    pub const TOKEN_EXISTS: &str = "token_exists";
    /// There is no token of this name.
    pub const NO_TOKEN: &str = "no_token";
}

impl ProblemDetails {
    /// A problem with the phrase of `status` as its title; a line `hint: ...` at the end of `detail` becomes its hint.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        let hint = detail.split_once("\nhint: ").map(|(_, hint)| hint.trim_end().to_owned());
        detail.truncate(detail.find("\nhint: ").unwrap_or(detail.len()));
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Unknown").to_owned(),
            status: status.as_u16(),
            detail,
            hint,
            code: code.to_owned(),
            errors: Vec::new(),
            guards: Vec::new(),
            report: None,
        }
    }
}

impl From<Box<Self>> for ProblemDetails {
    fn from(problem: Box<Self>) -> Self {
        *problem
    }
}

impl IntoResponse for ProblemDetails {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        // What is busy is so for a moment only, and the log of changes is tried again each second.
        let pause = if [codes::BUSY, codes::NOT_AUDITED].contains(&&*self.code) { "1" } else { "5" };
        let retry = (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(header::RETRY_AFTER, pause)]);
        // Strings and numbers can always be written as JSON.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, headers, retry, body).into_response()
    }
}

/// Answers a path that nothing is at.
pub async fn not_found(uri: axum::http::Uri) -> ProblemDetails {
    ProblemDetails::new(StatusCode::NOT_FOUND, codes::NOT_FOUND, format!("there is nothing at `{}`", uri.path()))
}

/// Answers a method that a path does not have.
pub async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> ProblemDetails {
    let detail = format!("`{}` cannot be used with {method}", uri.path());
    ProblemDetails::new(StatusCode::METHOD_NOT_ALLOWED, codes::METHOD_NOT_ALLOWED, detail)
}
