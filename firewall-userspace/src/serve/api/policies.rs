//! The policy: what it is, what changes it, and what it was.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::HeaderMap,
    response::Response,
};

use super::{
    answer::{answer, large_json, wrong_number},
    body::{Json, MAX_LARGE_BODY, NoQuery, OptionalJson},
    tags::{self, IfMatch, IfMatchHeader, IfNoneMatchHeader, NoIfMatch, tagged},
};
use crate::{
    clock::Now,
    control::{
        Apply, Caller, Confirm, Confirmed, Expected, GenerationDocument, Generations, Reload, Reloaded, Rollback,
        SetMode,
    },
    controller::{Controller, generation_document},
    preview::diff::PolicyDocument,
    serve::http::problem::ProblemDetails,
};

/// The policy in force: every setting by its key path, every list with its entries of the configuration.
#[utoipa::path(
    get,
    path = "/v1/policy",
    operation_id = "policy",
    tag = "policy",
    params(IfNoneMatchHeader),
    responses((status = 200, description = "The policy. Its `ETag` names the generation; `revision` beside it may have grown since", body = PolicyDocument)),
)]
pub async fn policy(
    _: NoQuery,
    headers: HeaderMap,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let readings = controller.readings()?;
    let tag = Expected::Generation(readings.status(Now::read()).policy_generation);
    if tags::is_known(&headers, tag) {
        return Ok(tags::not_modified(tag));
    }
    Ok(tagged(tag, large_json(move || readings.document()).await?))
}

/// Loads the configuration file anew: all of it, or nothing. Entries that were pushed stay.
#[utoipa::path(
    post,
    path = "/v1/reload",
    operation_id = "reload",
    tag = "policy",
    params(IfMatchHeader),
    request_body = Option<Reload>,
    responses((status = 200, description = "It is in force", body = Reloaded)),
)]
pub async fn reload(
    _: NoQuery,
    IfMatch(expect): IfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    OptionalJson(reload): OptionalJson<Reload>,
) -> Result<Response, ProblemDetails> {
    let reloaded = answer(controller.reload(caller, Reload { expect, ..reload })).await?;
    large_json(move || reloaded).await
}

/// Makes the configuration in the body the policy: all of it, or nothing. Entries that were pushed stay.
#[utoipa::path(
    post,
    path = "/v1/apply",
    operation_id = "apply",
    tag = "policy",
    params(IfMatchHeader),
    request_body = Apply,
    responses((status = 200, description = "It is in force", body = Reloaded)),
)]
pub async fn apply(
    _: NoQuery,
    IfMatch(expect): IfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(apply): Json<Apply, MAX_LARGE_BODY>,
) -> Result<Response, ProblemDetails> {
    let applied = answer(controller.apply(caller, Apply { expect, ..apply })).await?;
    large_json(move || applied).await
}

/// Brings a generation of the policy back, as a new one; or undoes what waits for a confirmation.
#[utoipa::path(
    post,
    path = "/v1/rollback",
    operation_id = "rollback",
    tag = "policy",
    params(IfMatchHeader),
    request_body = Option<Rollback>,
    responses((status = 200, description = "It is in force", body = Reloaded)),
)]
pub async fn rollback(
    _: NoQuery,
    IfMatch(expect): IfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    OptionalJson(rollback): OptionalJson<Rollback>,
) -> Result<Response, ProblemDetails> {
    let applied = answer(controller.rollback(caller, Rollback { expect, ..rollback })).await?;
    large_json(move || applied).await
}

/// Gives the policy another mode, as a new generation.
#[utoipa::path(
    post,
    path = "/v1/mode",
    operation_id = "setMode",
    tag = "policy",
    params(IfMatchHeader),
    request_body = SetMode,
    responses((status = 200, description = "It is in force", body = Reloaded)),
)]
pub async fn set_mode(
    _: NoQuery,
    IfMatch(expect): IfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(mode): Json<SetMode>,
) -> Result<axum::Json<Reloaded>, ProblemDetails> {
    answer(controller.set_mode(caller, SetMode { expect, ..mode })).await.map(axum::Json)
}

/// Keeps what waits for a confirmation.
#[utoipa::path(
    post,
    path = "/v1/confirm",
    operation_id = "confirm",
    tag = "policy",
    request_body = Option<Confirm>,
    responses((status = 200, description = "It stays", body = Confirmed)),
)]
pub async fn confirm(
    _: NoQuery,
    _: NoIfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    OptionalJson(confirm): OptionalJson<Confirm>,
) -> Result<axum::Json<Confirmed>, ProblemDetails> {
    answer(controller.confirm(caller, confirm)).await.map(axum::Json)
}

/// The generations of the policy that are kept, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/history",
    operation_id = "history",
    tag = "policy",
    responses((status = 200, description = "The generations", body = Generations)),
)]
pub async fn history(
    _: NoQuery,
    State(controller): State<Controller>,
) -> Result<axum::Json<Generations>, ProblemDetails> {
    Ok(axum::Json(controller.readings()?.history(Now::read())))
}

/// One generation of the policy with its configuration.
#[utoipa::path(
    get,
    path = "/v1/history/{generation}",
    operation_id = "generation",
    tag = "policy",
    params(("generation" = u64, Path, description = "Its number")),
    responses((status = 200, description = "The generation", body = GenerationDocument)),
)]
pub async fn generation(
    _: NoQuery,
    number: Result<Path<u64>, PathRejection>,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Path(number) = number.map_err(|rejection| wrong_number(&rejection))?;
    let kept = answer(controller.generation(number)).await?;
    large_json(move || generation_document(kept)).await
}
