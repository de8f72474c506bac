//! `/v1/tokens`: who may use the API by a bearer token.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, rejection::PathRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use jiff::Timestamp;
use tokio::task;

use super::body::{Json, NoQuery, OptionalJson, internal};
use crate::{
    control::{Caller, CreateToken, IssuedToken, Refusal, RevokedTokenView, RotateToken, TokenView, Tokens},
    policy::{Grant, Name, Role, Scope},
    serve::http::problem::{ProblemDetails, codes},
    state::audit::{AuditEvent, AuditHandle, AuditWhat, OK},
    state::tokens::{LONGEST_OVERLAP, TokenError, TokenOrder, TokenStore},
    text::{
        duration,
        problem::{Problem, Problems},
    },
};

/// Most lists, and most prefixes, that the scope of a token names.
const MOST_IN_SCOPE: usize = 1000;

/// An answer that nobody keeps: it has a secret in it (RFC 9111 section 5.2.2.5).
type Secret<T> = ([(HeaderName, HeaderValue); 1], axum::Json<T>);

/// Every token, without its secret.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "tokens",
    tag = "access",
    responses((status = 200, description = "The tokens", body = Tokens)),
)]
pub async fn list(
    _: NoQuery,
    Extension(tokens): Extension<Arc<TokenStore>>,
) -> Result<axum::Json<Tokens>, ProblemDetails> {
    let now = Timestamp::now();
    let records = tokens.list()?;
    let tokens = records.into_iter().map(|record| TokenView::of(record, now)).collect();
    Ok(axum::Json(Tokens { schema: Tokens::SCHEMA.to_owned(), tokens }))
}

/// Makes a token. Its secret is in this answer and nowhere else.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "createToken",
    tag = "access",
    request_body = CreateToken,
    responses((status = 200, description = "The token", body = IssuedToken)),
)]
pub async fn create(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    Extension(audit): Extension<AuditHandle>,
    Extension(tokens): Extension<Arc<TokenStore>>,
    Json(wanted): Json<CreateToken>,
) -> Result<Secret<IssuedToken>, ProblemDetails> {
    let order = order(wanted, caller.name.clone()).map_err(Refusal::Invalid)?;
    let now = Timestamp::now();
    let name = order.name.clone();
    let words = format!("{name}: {}", order.grant.role.label());
    let (token, record) =
        audited(&audit, &caller, AuditWhat::TokenCreate, words, move || tokens.create(order, now)).await?;
    tracing::info!(token = &*name, role = record.grant.role.label(), by = caller.name, "a token was made");
    Ok(secret(IssuedToken { schema: IssuedToken::SCHEMA.to_owned(), token, about: TokenView::of(record, now) }))
}

/// Gives a token another secret; the one before counts for a while longer.
#[utoipa::path(
    post,
    path = "/v1/tokens/{name}/rotate",
    operation_id = "rotateToken",
    tag = "access",
    params(("name" = String, Path, description = "Its name")),
    request_body = RotateToken,
    responses((status = 200, description = "The token", body = IssuedToken)),
)]
pub async fn rotate(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    Extension(audit): Extension<AuditHandle>,
    Extension(tokens): Extension<Arc<TokenStore>>,
    name: Result<Path<String>, PathRejection>,
    OptionalJson(wanted): OptionalJson<RotateToken>,
) -> Result<Secret<IssuedToken>, ProblemDetails> {
    let name = named(name)?;
    let overlap = overlap(wanted.overlap.as_deref()).map_err(Refusal::Invalid)?;
    let now = Timestamp::now();
    let theirs = name.clone();
    let work = move || tokens.rotate(&theirs, overlap, now);
    let (token, record) = audited(&audit, &caller, AuditWhat::TokenRotate, name.clone(), work).await?;
    tracing::info!(token = name, by = caller.name, "a token has another secret");
    Ok(secret(IssuedToken { schema: IssuedToken::SCHEMA.to_owned(), token, about: TokenView::of(record, now) }))
}

/// Revokes a token: it is refused from the next request on.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{name}",
    operation_id = "revokeToken",
    tag = "access",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The token that was", body = RevokedTokenView)),
)]
pub async fn revoke(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    Extension(audit): Extension<AuditHandle>,
    Extension(tokens): Extension<Arc<TokenStore>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<axum::Json<RevokedTokenView>, ProblemDetails> {
    let name = named(name)?;
    let now = Timestamp::now();
    let theirs = name.clone();
    let work = move || tokens.revoke(&theirs, now);
    let revoked = audited(&audit, &caller, AuditWhat::TokenRevoke, name.clone(), work).await;
    let record = revoked.inspect_err(|problem| {
        if problem.code == codes::NOT_KEPT {
            tracing::error!(
                token = name,
                by = caller.name,
                why = problem.detail,
                "A TOKEN IS REVOKED UNTIL THE NEXT START ONLY"
            );
        }
    })?;
    tracing::info!(token = name, by = caller.name, "a token was revoked");
    Ok(axum::Json(RevokedTokenView { schema: RevokedTokenView::SCHEMA.to_owned(), about: TokenView::of(record, now) }))
}

impl From<TokenError> for ProblemDetails {
    fn from(error: TokenError) -> Self {
        let (status, code) = match &error {
            TokenError::Exists { .. } => (StatusCode::CONFLICT, codes::TOKEN_EXISTS),
            TokenError::Missing { .. } => (StatusCode::NOT_FOUND, codes::NO_TOKEN),
            TokenError::TooMany => (StatusCode::INSUFFICIENT_STORAGE, codes::FULL),
            TokenError::Unusable { .. } | TokenError::NotKept(_) | TokenError::RevokedUntilRestart { .. } => {
                (StatusCode::INSUFFICIENT_STORAGE, codes::NOT_KEPT)
            }
            TokenError::NoRandomness(_) => (StatusCode::INTERNAL_SERVER_ERROR, codes::INTERNAL),
        };
        Self::new(status, code, error.to_string())
    }
}

/// Does what may wait for the disk, and what `caller` asks for, whether or not they wait for the answer: recorded, or not done.
async fn audited<T: Send + 'static>(
    audit: &AuditHandle,
    caller: &Caller,
    what: AuditWhat,
    words: String,
    work: impl FnOnce() -> Result<T, TokenError> + Send + 'static,
) -> Result<T, ProblemDetails> {
    let (audit, by) = (AuditHandle::clone(audit), caller.clone());
    let work = move || {
        let done = match audit.admit() {
            Err(why) if !by.may_go_unrecorded() => Err(Box::new(ProblemDetails::from(Refusal::NotAudited { why }))),
            _ => work().map_err(|error| Box::new(error.into())),
        };
        let result = done.as_ref().map_or_else(|problem| problem.code.clone(), |_| OK.into());
        audit.record(vec![AuditEvent {
            at: Timestamp::now(),
            who: by.name.clone(),
            method: by.method(),
            peer: by.peer(),
            what,
            summary: words,
            before: None,
            after: None,
            result: result.into(),
        }]);
        done
    };
    match task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|problem| *problem),
        Err(error) => Err(internal(&error)),
    }
}

fn secret<T>(value: T) -> Secret<T> {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], axum::Json(value))
}

fn named(name: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    let wrong = |rejection: PathRejection| format!("a name is needed: {}", rejection.body_text());
    name.map(|Path(name)| name).map_err(|rejection| Refusal::Invalid(Problems::one("/name", wrong(rejection))))
}

/// What is asked for, read.
fn order(wanted: CreateToken, by: String) -> Result<TokenOrder, Problems> {
    let mut problems = Problems::default();
    let mut wrong = |pointer: &str, detail: String| {
        problems.add("fields", || Problem { pointer: pointer.to_owned(), detail });
    };
    let name = Name::parse(&wanted.name).map_err(|error| wrong("/name", error.to_string()));
    let ttl = match wanted.ttl.as_deref() {
        Some(CreateToken::NEVER) => Ok(None),
        text => duration::parse(text.unwrap_or(CreateToken::TTL)).map(Some),
    };
    let ttl = ttl.map_err(|error| wrong("/ttl", format!("{error}; or `{}`", CreateToken::NEVER)));
    if wanted.role != Role::Operator && !wanted.scope.is_everything() {
        let role = wanted.role.label();
        wrong("/scope", format!("a scope narrows the role of an operator, and this one is for the role {role}"));
    }
    check_scope(&wanted.scope, &mut wrong);
    match (name, ttl) {
        (Ok(name), Ok(ttl)) if problems.is_empty() => {
            Ok(TokenOrder { name, grant: Grant { role: wanted.role, scope: wanted.scope }, ttl, by })
        }
        _ => Err(problems),
    }
}

/// Tells what is wrong with `scope`: names that no list can have, lengths that no prefix has, and sets that are too large.
fn check_scope(scope: &Scope, wrong: &mut impl FnMut(&str, String)) {
    let Scope { lists, prefixes, min_length_v4, min_length_v6, max_ttl_seconds, layers: _, verbs: _ } = scope;
    for list in lists.iter().flatten().take(MOST_IN_SCOPE) {
        if let Err(error) = Name::parse(list) {
            wrong("/scope/lists", error.to_string());
        }
    }
    let counts = [
        ("/scope/lists", lists.as_ref().map(|all| all.len())),
        ("/scope/prefixes", prefixes.as_ref().map(|all| all.len())),
    ];
    for (pointer, count) in counts {
        if count.is_some_and(|count| count > MOST_IN_SCOPE) {
            wrong(pointer, format!("a token may name at most {MOST_IN_SCOPE}"));
        }
    }
    for (pointer, length, most) in
        [("/scope/min_length_v4", min_length_v4, 32), ("/scope/min_length_v6", min_length_v6, 128)]
    {
        if length.is_some_and(|length| length > most) {
            wrong(pointer, format!("no prefix is longer than /{most}"));
        }
    }
    if *max_ttl_seconds == Some(0) {
        wrong("/scope/max_ttl_seconds", "no entry would be short enough".to_owned());
    }
}

/// How long the secret before counts.
fn overlap(text: Option<&str>) -> Result<Duration, Problems> {
    let text = text.unwrap_or(RotateToken::OVERLAP);
    if text == RotateToken::NONE {
        return Ok(Duration::ZERO);
    }
    let wrong = |detail: String| Problems::one("/overlap", detail);
    let overlap = duration::parse(text).map_err(|error| wrong(format!("{error}; `{}` is none", RotateToken::NONE)))?;
    if overlap > LONGEST_OVERLAP {
        return Err(wrong(format!(
            "a secret that was replaced counts for at most {} days",
            LONGEST_OVERLAP.as_secs() / 86_400
        )));
    }
    Ok(overlap)
}
