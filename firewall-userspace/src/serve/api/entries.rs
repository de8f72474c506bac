//! Entries of all lists, the pushes that change them, and what takes one back.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, header},
    response::Response,
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::task;
use utoipa::IntoParams;

use super::{
    answer::{large_json, wrong_query},
    body::{Json, NoQuery},
    once::{IdempotencyKey, IdempotencyKeyHeader, fingerprint, once},
    tags::{self, IfMatch, IfMatchHeader, IfNoneMatchHeader, tagged},
};
use crate::{
    clock::Now,
    control::{Caller, Entries, EntriesQuery, Page, Push, Pushed, Pushes, Refusal, Undo},
    controller::{Controller, Readings},
    lists::entry::{EntryFilter, Layer},
    policy::Prefix,
    serve::http::problem::ProblemDetails,
    text::{
        duration,
        problem::{Problem, Problems},
        shown::shown,
    },
};

/// Query of `GET /v1/entries`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
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

/// Which entries are asked for, as a query says it.
pub struct Filters {
    pub covers: Option<String>,
    pub inside: Option<String>,
    pub owner: Option<String>,
    pub layer: Option<Layer>,
    pub expires_before: Option<String>,
}

impl Filters {
    /// The same, read; `now` is when lengths of time begin.
    pub fn read(self, now: Now) -> Result<EntryFilter, Refusal> {
        let Self { covers, inside, owner, layer, expires_before } = self;
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
        Ok(EntryFilter { covers, inside, owner, layer, expires_before })
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

/// Query of `GET /v1/pushes`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PushesQuery {
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Entries of one list or of all, in one answer however many there are.
#[utoipa::path(
    get,
    path = "/v1/entries",
    operation_id = "entries",
    tag = "entries",
    params(ListQuery, IfNoneMatchHeader),
    responses((status = 200, description = "The entries, ordered by list, prefix, layer and owner", body = Entries)),
)]
pub async fn entries(
    query: Result<Query<ListQuery>, QueryRejection>,
    headers: HeaderMap,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Query(ListQuery { list, covers, inside, owner, layer, expires_before }) =
        query.map_err(|rejection| wrong_query(&rejection))?;
    let filter = Filters { covers, inside, owner, layer, expires_before }.read(Now::read())?;
    let query = EntriesQuery { list, filter, after: None };
    // Every page is of the same moment.
    let readings = controller.readings()?;
    let first = readings.entries(&query)?;
    let tag = tags::of_lists(&*readings)?;
    if tags::is_known(&headers, tag) {
        return Ok(tags::not_modified(tag));
    }
    let body = Body::from_stream(pages(readings, query, first));
    Ok(tagged(tag, ([(header::CONTENT_TYPE, "application/json")], body)))
}

/// The document [`Entries`] page by page, as it is read. It ends early, and the connection with it, when
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

/// Changes entries of one layer: all of the push happens, or nothing.
#[utoipa::path(
    post,
    path = "/v1/entries",
    operation_id = "push",
    tag = "entries",
    params(IfMatchHeader, IdempotencyKeyHeader),
    request_body = Push,
    responses((status = 200, description = "It has happened: every packet judged from now on meets it", body = Pushed)),
)]
pub async fn push(
    _: NoQuery,
    IfMatch(expect): IfMatch,
    key: IdempotencyKey,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(push): Json<Push>,
) -> Result<Response, ProblemDetails> {
    let (key, asked) = (key.unless(push.dry_run), fingerprint("/v1/entries", &push, expect));
    let (asker, handle) = (caller.clone(), controller.clone());
    let work = async move { handle.push(caller, Push { expect, ..push }).await };
    once(&controller, key, &asker, asked, work).await
}

/// Takes a push back: what it has changed, and nobody since, becomes what it was.
#[utoipa::path(
    post,
    path = "/v1/undo",
    operation_id = "undo",
    tag = "entries",
    params(IfMatchHeader, IdempotencyKeyHeader),
    request_body = Undo,
    responses((status = 200, description = "It has happened", body = Pushed)),
)]
pub async fn undo(
    _: NoQuery,
    IfMatch(expect): IfMatch,
    key: IdempotencyKey,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    Json(undo): Json<Undo>,
) -> Result<Response, ProblemDetails> {
    let (key, asked) = (key.unless(undo.dry_run), fingerprint("/v1/undo", &undo, expect));
    let (asker, handle) = (caller.clone(), controller.clone());
    let work = async move { handle.undo(caller, Undo { expect, ..undo }).await };
    once(&controller, key, &asker, asked, work).await
}

/// The last pushes that can be taken back, the newest first.
#[utoipa::path(
    get,
    path = "/v1/pushes",
    operation_id = "pushes",
    tag = "entries",
    params(PushesQuery),
    responses((status = 200, description = "The pushes", body = Pushes)),
)]
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
