//! What a caller is told who is not let in: as little as helps.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::failures::AuthFailure;
use crate::{
    policy::{ApiSettings, CredentialKind},
    serve::http::problem::{ProblemDetails, codes},
};

/// Why a request is not passed on.
#[derive(Debug)]
pub enum NotAdmitted {
    /// It does not show who it is of.
    Failed(AuthFailure),
    /// Its source is not checked for so long.
    Slowed(Duration),
    /// Its identity has asked too much; how long until there is room.
    Limited(Duration),
    /// Its body cannot be had.
    Body(Box<ProblemDetails>),
}

/// How long to wait when nobody knows.
const WAIT: Duration = Duration::from_secs(5);

/// The same answer for everything that is wrong.
const WRONG: &str = "the credentials are not taken";

impl NotAdmitted {
    /// The reason, which is counted; `None` when that is not what is wrong.
    pub const fn reason(&self) -> Option<AuthFailure> {
        match self {
            Self::Failed(reason) => Some(*reason),
            Self::Slowed(_) => Some(AuthFailure::Slowed),
            Self::Limited(_) | Self::Body(_) => None,
        }
    }

    /// The answer of a daemon with these `settings`.
    pub fn answer(self, settings: &ApiSettings) -> Response {
        use StatusCode as S;
        let reason = match self {
            Self::Failed(reason) => reason,
            Self::Slowed(wait) => {
                let detail = "there were too many requests with wrong credentials from this address";
                return later(S::TOO_MANY_REQUESTS, codes::TOO_MANY_REQUESTS, detail, wait);
            }
            Self::Limited(wait) => {
                return later(S::TOO_MANY_REQUESTS, codes::TOO_MANY_REQUESTS, "there were too many requests", wait);
            }
            Self::Body(problem) => return problem.into_response(),
        };
        let missing = || format!("credentials are missing: {}", wanted(settings));
        match reason {
            AuthFailure::Contradictory => {
                let detail = format!(
                    "the request shows credentials that contradict each other; what counts: {}",
                    wanted(settings)
                );
                ProblemDetails::new(S::BAD_REQUEST, codes::CONTRADICTORY_CREDENTIALS, detail).into_response()
            }
            AuthFailure::Role => {
                let detail = "the right to use this API is missing: what is shown names no role that is known here";
                ProblemDetails::new(S::FORBIDDEN, codes::NOT_PERMITTED, detail).into_response()
            }
            AuthFailure::Full | AuthFailure::Unavailable => {
                let detail = "the credentials cannot be checked now";
                later(S::SERVICE_UNAVAILABLE, codes::BUSY, detail, WAIT)
            }
            AuthFailure::None | AuthFailure::Incomplete => unauthenticated(&missing(), "", settings),
            // RFC 6750 section 3.1.
            _ => unauthenticated(WRONG, ", error=\"invalid_token\"", settings),
        }
    }
}

/// What is taken, in words.
fn wanted(settings: &ApiSettings) -> String {
    let kinds: Vec<&str> = taken(settings).into_iter().map(CredentialKind::label).collect();
    if settings.require.is_empty() { format!("one of {}", kinds.join(", ")) } else { kinds.join(" and ") }
}

/// What is asked for; without `require` whatever is set up.
fn taken(settings: &ApiSettings) -> Vec<CredentialKind> {
    let is_set_up = |kind: &CredentialKind| match kind {
        CredentialKind::Certificate => !settings.certificates.is_empty(),
        CredentialKind::Token => true,
        CredentialKind::Jwt => settings.jwt.is_some(),
        CredentialKind::Signature => !settings.signers.is_empty(),
    };
    match &*settings.require {
        [] => CredentialKind::ALL.into_iter().filter(is_set_up).collect(),
        required => required.to_vec(),
    }
}

/// 401 with what is taken (RFC 9110 section 11.6.1). There is a scheme for bearer tokens only; the other names are ours.
fn unauthenticated(detail: &str, error: &str, settings: &ApiSettings) -> Response {
    let mut response = ProblemDetails::new(StatusCode::UNAUTHORIZED, codes::UNAUTHENTICATED, detail).into_response();
    let mut schemes: Vec<String> = Vec::new();
    for kind in taken(settings) {
        let scheme = match kind {
            CredentialKind::Token | CredentialKind::Jwt => format!("Bearer realm=\"portcullis\"{error}"),
            CredentialKind::Signature => "Signature realm=\"portcullis\"".to_owned(),
            CredentialKind::Certificate => "Certificate realm=\"portcullis\"".to_owned(),
        };
        if !schemes.contains(&scheme) {
            schemes.push(scheme);
        }
    }
    for scheme in schemes.iter().filter_map(|scheme| HeaderValue::from_str(scheme).ok()) {
        response.headers_mut().append(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// A problem that is over after `wait`, in whole seconds.
fn later(status: StatusCode, code: &str, detail: &str, wait: Duration) -> Response {
    let mut response = ProblemDetails::new(status, code, detail).into_response();
    let seconds = wait.as_millis().div_ceil(1000).clamp(1, 3600);
    if let Ok(seconds) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
