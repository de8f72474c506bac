//! What each route does: ask the controller, and pass on what it says.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{task, time};

use super::body::{Json, MAX_LARGE_BODY, NoQuery, OptionalJson, internal};
use crate::{
    clock::Now,
    control::{
        Apply, Caller, Confirm, Confirmed, EntriesQuery, Generations, Page, Push, Pushes, Refusal, Reload, Reloaded,
        Rollback, SetMode, Status, Undo,
    },
    controller::{Controller, Readings, generation_document},
    lists::entry::{EntryFilter, Layer},
    policy::Prefix,
    preview::explain::{Explained, Membership, Question, Questions},
    serve::http::problem::{ProblemDetails, codes},
    text::{
        duration,
        problem::{Problem, Problems},
        shown::shown,
    },
};

/// How long the controller may take for an answer: it may have to build tables of millions of prefixes.
pub const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(60);

/// Query of `GET /v1/entries`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only entries of this list.
    list: Option<String>,
    /// Only entries that cover this prefix.
    covers: Option<String>,
    /// Only entries inside this prefix.
    inside: Option<String>,
    /// Only entries of this owner.
    owner: Option<String>,
    /// Only entries of this layer.
    layer: Option<Layer>,
    /// Only entries that end before this time, or within this length of time.
    expires_before: Option<String>,
}

impl ListQuery {
    /// The same, read; `now` is when lengths of time begin.
    fn read(self, now: Now) -> Result<EntriesQuery, Refusal> {
        let Self { list, covers, inside, owner, layer, expires_before } = self;
        let mut problems = Problems::default();
        let mut prefix = |pointer: &str, text: Option<String>| {
            let read = text?.parse::<Prefix>();
            read.map_err(|error| {
                problems.add("prefixes", || Problem { pointer: pointer.into(), detail: error.to_string() });
            })
            .ok()
        };
        let (covers, inside) = (prefix("/covers", covers), prefix("/inside", inside));
        let expires_before = expires_before.and_then(|text| match time_of(&text, now) {
            Ok(time) => Some(time),
            Err(detail) => {
                problems.add("times", || Problem { pointer: "/expires_before".into(), detail });
                None
            }
        });
        if !problems.is_empty() {
            return Err(Refusal::Invalid(problems));
        }
        let filter = EntryFilter { covers, inside, owner, layer, expires_before };
        Ok(EntriesQuery { list, filter, after: None })
    }
}

/// The time that `text` says: one of RFC 3339, or a length of time from `now`.
fn time_of(text: &str, now: Now) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let length = duration::parse_ttl(text).map_err(|_| {
        format!(
            "`{}` is neither a time, such as `2026-12-01T00:00:00Z`, nor a length of time, such as `7d`",
            shown(text)
        )
    })?;
    Ok(now.wall.checked_add(length).unwrap_or(Timestamp::MAX))
}

/// Query of `GET /v1/membership`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipQuery {
    /// The address that may be in something.
    source: IpAddr,
}

/// Query of `GET /v1/pushes`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushesQuery {
    /// At most so many.
    limit: Option<usize>,
}

/// `GET /v1/status`.
pub async fn status(_: NoQuery, State(controller): State<Controller>) -> Result<axum::Json<Status>, ProblemDetails> {
    // Counters are many, and reading them may mean to wait for a CPU.
    match task::spawn_blocking(move || controller.status_with_traffic(Now::read())).await {
        Ok(status) => Ok(axum::Json(status?)),
        Err(error) => Err(internal(&error)),
    }
}

/// `GET /v1/entries`.
pub async fn entries(
    query: Result<Query<ListQuery>, QueryRejection>,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Query(query) = query.map_err(|rejection| wrong_query(&rejection))?;
    let query = query.read(Now::read())?;
    // Every page is of the same moment.
    let readings = controller.readings()?;
    let first = readings.entries(&query)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pages(readings, query, first))).into_response())
}

/// The document [`Entries`](crate::control::Entries) page by page, as it is read. It ends early, and the connection with it, when
/// there is no page.
fn pages(
    readings: Arc<dyn Readings>,
    query: EntriesQuery,
    first: Page,
) -> impl Stream<Item = Result<Vec<u8>, Refusal>> + Send {
    let Page { revision, policy_generation, .. } = &first;
    let head = format!(
        r#"{{"schema":"portcullis.entries/v1","generation":{revision},"revision":{revision},"policy_generation":{policy_generation},"entries":["#
    );
    stream::unfold(Some((first, head.into_bytes(), true)), move |state| {
        let (readings, query) = (Arc::clone(&readings), query.clone());
        async move {
            let (Page { entries, next, .. }, mut piece, mut is_first) = state?;
            for entry in &entries {
                if !is_first {
                    piece.push(b',');
                }
                is_first = false;
                // Strings and numbers can always be written as JSON.
                piece.extend(serde_json::to_vec(entry).unwrap_or_default());
            }
            if next.is_none() {
                piece.extend_from_slice(b"]}");
                return Some((Ok(piece), None));
            }
            match task::spawn_blocking(move || readings.entries(&EntriesQuery { after: next, ..query })).await {
                Ok(Ok(page)) => Some((Ok(piece), Some((page, Vec::new(), is_first)))),
                Ok(Err(refusal)) => Some((Err(refusal), None)),
                Err(_) => Some((Err(Refusal::Stopping), None)),
            }
        }
    })
}

/// `GET /v1/policy`.
pub async fn policy(_: NoQuery, State(controller): State<Controller>) -> Result<Response, ProblemDetails> {
    let readings = controller.readings()?;
    large_json(move || readings.document()).await
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
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(push): Json<Push>,
) -> Result<Response, ProblemDetails> {
    let pushed = answer(controller.push(caller, push)).await?;
    large_json(move || pushed).await
}

/// `POST /v1/undo`.
pub async fn undo(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(undo): Json<Undo>,
) -> Result<Response, ProblemDetails> {
    let undone = answer(controller.undo(caller, undo)).await?;
    large_json(move || undone).await
}

/// `GET /v1/pushes`.
pub async fn pushes(
    query: Result<Query<PushesQuery>, QueryRejection>,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Query(PushesQuery { limit }) = query.map_err(|rejection| wrong_query(&rejection))?;
    let limit = limit.unwrap_or(Pushes::TOLD);
    if !(1..=Pushes::MOST).contains(&limit) {
        let detail = format!("from 1 to {} pushes are told, not {limit}", Pushes::MOST);
        return Err(Refusal::Invalid(Problems::one("/limit", detail)).into());
    }
    let readings = controller.readings()?;
    large_json(move || readings.pushes(limit)).await
}

/// `POST /v1/explain`: changes nothing.
pub async fn explain(
    _: NoQuery,
    State(controller): State<Controller>,
    Json(question): Json<Question>,
) -> Result<axum::Json<Explained>, ProblemDetails> {
    answer(controller.explain(question)).await.map(axum::Json)
}

/// `POST /v1/explanations`: changes nothing.
pub async fn explanations(
    _: NoQuery,
    State(controller): State<Controller>,
    Json(questions): Json<Questions>,
) -> Result<Response, ProblemDetails> {
    let explanations = answer(controller.explain_many(questions)).await?;
    large_json(move || explanations).await
}

/// `GET /v1/membership`.
pub async fn membership(
    query: Result<Query<MembershipQuery>, QueryRejection>,
    State(controller): State<Controller>,
) -> Result<axum::Json<Membership>, ProblemDetails> {
    let Query(MembershipQuery { source }) = query.map_err(|rejection| wrong_query(&rejection))?;
    Ok(axum::Json(controller.readings()?.membership(source)?))
}

/// `POST /v1/reload`.
pub async fn reload(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    OptionalJson(reload): OptionalJson<Reload>,
) -> Result<Response, ProblemDetails> {
    let reloaded = answer(controller.reload(caller, reload)).await?;
    large_json(move || reloaded).await
}

/// `POST /v1/apply`.
pub async fn apply(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(apply): Json<Apply, MAX_LARGE_BODY>,
) -> Result<Response, ProblemDetails> {
    let applied = answer(controller.apply(caller, apply)).await?;
    large_json(move || applied).await
}

/// `POST /v1/rollback`.
pub async fn rollback(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    OptionalJson(rollback): OptionalJson<Rollback>,
) -> Result<Response, ProblemDetails> {
    let applied = answer(controller.rollback(caller, rollback)).await?;
    large_json(move || applied).await
}

/// `POST /v1/mode`.
pub async fn set_mode(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(mode): Json<SetMode>,
) -> Result<axum::Json<Reloaded>, ProblemDetails> {
    answer(controller.set_mode(caller, mode)).await.map(axum::Json)
}

/// `POST /v1/confirm`.
pub async fn confirm(
    _: NoQuery,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    OptionalJson(confirm): OptionalJson<Confirm>,
) -> Result<axum::Json<Confirmed>, ProblemDetails> {
    answer(controller.confirm(caller, confirm)).await.map(axum::Json)
}

/// `GET /v1/history`.
pub async fn history(
    _: NoQuery,
    State(controller): State<Controller>,
) -> Result<axum::Json<Generations>, ProblemDetails> {
    Ok(axum::Json(controller.readings()?.history(Now::read())))
}

/// `GET /v1/history/{generation}`.
pub async fn generation(
    _: NoQuery,
    number: Result<Path<u64>, PathRejection>,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Path(number) = number.map_err(|rejection| wrong_number(&rejection))?;
    let kept = answer(controller.generation(number)).await?;
    large_json(move || generation_document(kept)).await
}

async fn answer<T>(answer: impl Future<Output = Result<T, Refusal>>) -> Result<T, ProblemDetails> {
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

/// What a path says that has no number.
pub fn wrong_number(rejection: &PathRejection) -> ProblemDetails {
    let detail = format!("a number is needed: {}", rejection.body_text());
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, detail)
}

fn wrong_query(rejection: &QueryRejection) -> ProblemDetails {
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, rejection.body_text())
}
