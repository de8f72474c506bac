//! The state of the daemon, and the document of this API.

use axum::{
    Extension,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use tokio::task;

use super::body::{NoQuery, internal};
use crate::{clock::Now, control::Status, controller::Controller, serve::http::problem::ProblemDetails};

/// What makes the document of the API, which has all of these handlers.
#[derive(Clone, Copy)]
pub struct DocumentText(pub fn() -> &'static str);

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "document",
    tag = "status",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")),
)]
pub async fn document(_: NoQuery, Extension(DocumentText(text)): Extension<DocumentText>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

/// The state of the daemon: what is in force, what is not as it should be, and what goes through the filter.
#[utoipa::path(
    get,
    path = "/v1/status",
    operation_id = "status",
    tag = "status",
    responses((status = 200, description = "The state", body = Status)),
)]
pub async fn status(_: NoQuery, State(controller): State<Controller>) -> Result<axum::Json<Status>, ProblemDetails> {
    // Counters are many, and reading them may mean to wait for a CPU.
    match task::spawn_blocking(move || controller.status_with_traffic(Now::read())).await {
        Ok(status) => Ok(axum::Json(status?)),
        Err(error) => Err(internal(&error)),
    }
}
