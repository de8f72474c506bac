//! What each route does: ask the controller, and pass on what it says.

use std::time::Duration;

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::{task, time};

use super::{
    body::{Json, NoQuery, OptionalJson, internal},
    peer::Peer,
};
use crate::{
    control::{Controller, Push, Refusal, Reload, Status},
    diff::PolicyDocument,
    http::problem::{ProblemDetails, codes},
};

/// How long the controller may take for an answer: it may have to build tables of millions of prefixes.
pub const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(60);

/// Query of `GET /v1/entries`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntriesQuery {
    /// Only entries of this list.
    list: Option<String>,
}

/// `GET /v1/status`.
pub async fn status(_: NoQuery, State(controller): State<Controller>) -> Result<axum::Json<Status>, ProblemDetails> {
    answer(controller.status()).await.map(axum::Json)
}

/// `GET /v1/entries`.
pub async fn entries(
    query: Result<Query<EntriesQuery>, QueryRejection>,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Query(query) = query.map_err(|rejection| wrong_query(&rejection))?;
    let entries = answer(controller.entries(query.list)).await?;
    large_json(move || entries).await
}

/// `GET /v1/policy`.
pub async fn policy(_: NoQuery, State(controller): State<Controller>) -> Result<Response, ProblemDetails> {
    let (generation, policy) = answer(controller.policy()).await?;
    large_json(move || PolicyDocument::of(&policy, generation)).await
}

/// What `make` gives as JSON; there may be millions of entries in it, too much for a thread that also serves others.
async fn large_json<T: Serialize>(make: impl FnOnce() -> T + Send + 'static) -> Result<Response, ProblemDetails> {
    match task::spawn_blocking(move || serde_json::to_vec(&make())).await {
        Ok(Ok(body)) => Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response()),
        Ok(Err(error)) => Err(internal(&error)),
        Err(error) => Err(internal(&error)),
    }
}

/// `POST /v1/entries`.
pub async fn push(
    _: NoQuery,
    Extension(peer): Extension<Peer>,
    State(controller): State<Controller>,
    Json(mut push): Json<Push>,
) -> Result<Response, ProblemDetails> {
    push.owner = peer.owner.to_string();
    let pushed = answer(controller.push(push)).await?;
    large_json(move || pushed).await
}

/// `POST /v1/reload`.
pub async fn reload(
    _: NoQuery,
    State(controller): State<Controller>,
    OptionalJson(reload): OptionalJson<Reload>,
) -> Result<Response, ProblemDetails> {
    let reloaded = answer(controller.reload(reload)).await?;
    large_json(move || reloaded).await
}

async fn answer<T>(answer: impl Future<Output = Result<T, Refusal>>) -> Result<T, ProblemDetails> {
    match time::timeout(CONTROLLER_TIMEOUT, answer).await {
        Ok(result) => result.map_err(ProblemDetails::from),
        Err(_) => {
            let seconds = CONTROLLER_TIMEOUT.as_secs();
            let detail =
                format!("no answer within {seconds} s; a change may still happen, see the generation in /v1/status");
            Err(ProblemDetails::new(StatusCode::GATEWAY_TIMEOUT, codes::UNANSWERED, detail))
        }
    }
}

fn wrong_query(rejection: &QueryRejection) -> ProblemDetails {
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, rejection.body_text())
}
