//! `GET /v1/audit`: who asked for which change, and what came of it.

use std::time::Duration;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{sync::Semaphore, task, time};

use super::{
    answer::{large_json, wrong_query},
    body::internal,
};
use crate::{
    clock::Now,
    control::{AuditList, Refusal},
    controller::Controller,
    serve::http::problem::{ProblemDetails, codes},
    state::audit::{AuditQuery, AuditWhat, read_back},
    text::{
        duration,
        problem::{Problem, Problems},
        shown::shown,
    },
};

/// How long the disk may take.
const LIMIT: Duration = Duration::from_secs(20);

/// One reader at a time: each has a file of the log in memory.
static TURN: Semaphore = Semaphore::const_new(1);

/// Query of `GET /v1/audit`.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditParameters {
    /// Not before this time, or not longer ago than this length of time.
    since: Option<String>,
    /// Only what this one asked for.
    who: Option<String>,
    /// Only this.
    what: Option<String>,
    /// At most so many lines.
    limit: Option<usize>,
    /// Only lines before the one of this number: `next` of the page before.
    before: Option<u64>,
}

impl AuditParameters {
    fn read(self, now: Now) -> Result<AuditQuery, Refusal> {
        let Self { since, who, what, limit, before } = self;
        let mut problems = Problems::default();
        let mut wrong = |pointer: &str, detail: String| {
            problems.add("problems", || Problem { pointer: pointer.into(), detail });
        };
        let since = since.and_then(|text| {
            let time =
                text.parse::<Timestamp>().ok().or_else(|| now.wall.checked_sub(duration::parse(&text).ok()?).ok());
            if time.is_none() {
                let text = shown(&text);
                wrong(
                    "/since",
                    format!(
                        "`{text}` is neither a time, such as `2026-12-01T00:00:00Z`, nor a length of time, such as `1h`"
                    ),
                );
            }
            time
        });
        let what = what.and_then(|text| {
            let what = text.parse::<AuditWhat>();
            if what.is_err() {
                let known: Vec<_> = AuditWhat::ALL.into_iter().map(AuditWhat::label).collect();
                wrong("/what", format!("`{}` is none of {}", shown(&text), known.join(", ")));
            }
            what.ok()
        });
        let limit = limit.unwrap_or(AuditList::TOLD);
        if !(1..=AuditList::MOST).contains(&limit) {
            wrong("/limit", format!("from 1 to {} lines are told, not {limit}", AuditList::MOST));
        }
        match problems.is_empty() {
            true => Ok(AuditQuery { since, who, what, limit, before }),
            false => Err(Refusal::Invalid(problems)),
        }
    }
}

/// Who asked for which change, and what came of it: the newest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    operation_id = "audit",
    tag = "access",
    params(AuditParameters),
    responses((status = 200, description = "Lines of the audit log", body = AuditList)),
)]
pub async fn audit(
    query: Result<Query<AuditParameters>, QueryRejection>,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Query(query) = query.map_err(|rejection| wrong_query(&rejection))?;
    let query = query.read(Now::read())?;
    let Some(folder) = controller.audit().view().folder else {
        return large_json(|| AuditList::new(Vec::new(), None)).await;
    };
    let unavailable = |detail: String| ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, codes::BUSY, detail);
    let Ok(Ok(turn)) = time::timeout(LIMIT, TURN.acquire()).await else {
        return Err(unavailable("others read the audit log".into()));
    };
    // A disk that hangs keeps the turn until it answers.
    let read = task::spawn_blocking(move || {
        let _turn = turn;
        read_back(&folder, &query)
    });
    match time::timeout(LIMIT, read).await {
        Ok(Ok(Ok(page))) => large_json(move || AuditList::from(page)).await,
        Ok(Ok(Err(error))) => Err(internal(&error)),
        Ok(Err(error)) => Err(internal(&error)),
        Err(_) => Err(unavailable("the disk of the audit log does not answer".into())),
    }
}
