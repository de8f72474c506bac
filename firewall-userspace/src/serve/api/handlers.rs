//! What each route does: ask the controller, and pass on what it says.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{task, time};
use utoipa::IntoParams;

use super::{
    body::{Json, MAX_LARGE_BODY, NoQuery, OptionalJson, internal},
    once::{IdempotencyKey, IdempotencyKeyHeader, fingerprint, once},
    tags::{self, IfMatch, IfMatchHeader, IfNoneMatchHeader, NoIfMatch, tagged},
};
use crate::{
    clock::Now,
    control::{
        Apply, Caller, Confirm, Confirmed, Entries, EntriesQuery, Expected, GenerationDocument, Generations, Page,
        Push, Pushed, Pushes, Refusal, Reload, Reloaded, Rollback, SetMode, Status, Undo,
    },
    controller::{Controller, Readings, generation_document},
    lists::entry::{EntryFilter, Layer},
    policy::Prefix,
    preview::{
        diff::PolicyDocument,
        explain::{Explained, ExplanationSet, Membership, Question, Questions},
    },
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

/// Query of `GET /v1/membership`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MembershipQuery {
    /// The address that may be in something.
    #[param(value_type = String)]
    source: IpAddr,
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

/// What `make` gives as JSON; there may be millions of entries in it, too much for a thread that also serves others.
pub async fn large_json<T: Serialize>(make: impl FnOnce() -> T + Send + 'static) -> Result<Response, ProblemDetails> {
    match task::spawn_blocking(move || serde_json::to_vec(&make())).await {
        Ok(Ok(body)) => Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response()),
        Ok(Err(error)) => Err(internal(&error)),
        Err(error) => Err(internal(&error)),
    }
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

/// What a path says that has no number.
pub fn wrong_number(rejection: &PathRejection) -> ProblemDetails {
    let detail = format!("a number is needed: {}", rejection.body_text());
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, detail)
}

/// What a query says that has another form.
pub fn wrong_query(rejection: &QueryRejection) -> ProblemDetails {
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, rejection.body_text())
}
