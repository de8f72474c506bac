//! What would become of a packet, and what a source is in.

use std::net::IpAddr;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{answer, large_json, wrong_query},
    body::{Json, NoQuery},
};
use crate::{
    controller::Controller,
    preview::explain::{Explained, ExplanationSet, Membership, Question, Questions},
    serve::http::problem::ProblemDetails,
};

/// Query of `GET /v1/membership`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MembershipQuery {
    /// The address that may be in something.
    #[param(value_type = String)]
    source: IpAddr,
}

/// What would become of a packet now. Nothing changes by it.
#[utoipa::path(
    post,
    path = "/v1/explain",
    operation_id = "explain",
    tag = "explanations",
    request_body = Question,
    responses((status = 200, description = "What would become of it", body = Explained)),
)]
pub async fn explain(
    _: NoQuery,
    State(controller): State<Controller>,
    Json(question): Json<Question>,
) -> Result<axum::Json<Explained>, ProblemDetails> {
    answer(controller.explain(question)).await.map(axum::Json)
}

/// What would become of several packets now: one to each service, or frames. Nothing changes by it.
#[utoipa::path(
    post,
    path = "/v1/explanations",
    operation_id = "explanations",
    tag = "explanations",
    request_body = Questions,
    responses((status = 200, description = "An answer for each service, or for each frame", body = ExplanationSet)),
)]
pub async fn explanations(
    _: NoQuery,
    State(controller): State<Controller>,
    Json(questions): Json<Questions>,
) -> Result<Response, ProblemDetails> {
    let explanations = answer(controller.explain_many(questions)).await?;
    large_json(move || explanations).await
}

/// All entries that cover a source, and which services use their lists.
#[utoipa::path(
    get,
    path = "/v1/membership",
    operation_id = "membership",
    tag = "explanations",
    params(MembershipQuery),
    responses((status = 200, description = "What the source is in", body = Membership)),
)]
pub async fn membership(
    query: Result<Query<MembershipQuery>, QueryRejection>,
    State(controller): State<Controller>,
) -> Result<axum::Json<Membership>, ProblemDetails> {
    let Query(MembershipQuery { source }) = query.map_err(|rejection| wrong_query(&rejection))?;
    Ok(axum::Json(controller.readings()?.membership(source)?))
}
