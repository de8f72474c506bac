//! What handlers share: answers of the controller, long documents, and what is wrong with a path or a query.

use std::time::Duration;

use axum::{
    extract::rejection::{PathRejection, QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{task, time};

use super::body::internal;
use crate::{
    control::Refusal,
    serve::http::problem::{ProblemDetails, codes},
};

/// How long the controller may take for an answer: it may have to build tables of millions of prefixes.
pub const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(60);

/// The answer of the controller, if it comes in time.
pub async fn answer<T>(answer: impl Future<Output = Result<T, Refusal>>) -> Result<T, ProblemDetails> {
    // The connection is looked at again before anything is asked for: a client that has hung up does not want it any more.
    task::yield_now().await;
    match time::timeout(CONTROLLER_TIMEOUT, answer).await {
        Ok(result) => result.map_err(ProblemDetails::from),
        Err(_) => {
            let seconds = CONTROLLER_TIMEOUT.as_secs();
            let detail = format!(
                "no answer within {seconds} s; a change may still happen: see `revision` and `age_ms` in /v1/status"
            );
            Err(ProblemDetails::new(StatusCode::GATEWAY_TIMEOUT, codes::UNANSWERED, detail))
        }
    }
}

/// What `make` gives as JSON; there may be millions of entries in it, too much for a thread that also serves others.
pub async fn large_json<T: Serialize>(make: impl FnOnce() -> T + Send + 'static) -> Result<Response, ProblemDetails> {
    match task::spawn_blocking(move || serde_json::to_vec(&make())).await {
        Ok(Ok(body)) => Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response()),
        Ok(Err(error)) => Err(internal(&error)),
        Err(error) => Err(internal(&error)),
    }
}

/// What a path says that has no number.
pub fn wrong_number(rejection: &PathRejection) -> ProblemDetails {
    let detail = format!("a number is needed: {}", rejection.body_text());
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, detail)
}

/// What a query says that has another form.
pub fn wrong_query(rejection: &QueryRejection) -> ProblemDetails {
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, rejection.body_text())
}
