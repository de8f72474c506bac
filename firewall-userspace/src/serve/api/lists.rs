//! Lists and their entries as resources.

use axum::{
    Extension,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{answer, wrong_query},
    body::{NoQuery, OptionalJson},
    cursor,
    entries::Filters,
    tags::{self, IfMatch, IfMatchHeader, IfNoneMatchHeader, tagged},
};
use crate::{
    clock::Now,
    control::{
        Addition, Caller, Condition, EntriesQuery, EntryHolders, EntryPage, EntryWish, Expected, Force, ListAnswer,
        ListDocument, ListSet, Position, Push, Pushed, Refusal, Removal, Status,
    },
    controller::{Controller, Readings},
    lists::entry::{EntryFilter, Layer},
    policy::Prefix,
    serve::http::problem::{ProblemDetails, codes},
    text::{problem::Problems, shown::shown},
};

/// Most entries of a page.
const MOST: usize = 1000;

/// Entries of a page unless somebody asks for another number.
const USUAL: usize = 100;

/// Query of `GET /v1/lists/{list}/entries`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most so many entries.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Only entries that cover this prefix.
    covers: Option<String>,
    /// Only entries inside this prefix, itself included.
    inside: Option<String>,
    /// Only entries of this owner.
    owner: Option<String>,
    /// Only entries of this layer.
    layer: Option<Layer>,
    /// Only entries that end before this time, or within this length of time.
    expires_before: Option<String>,
}

/// Query of `PUT` and `DELETE` of an entry: on what terms.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TermsQuery {
    /// The layer of the entry; absent: `runtime`.
    layer: Option<Layer>,
    /// Only say what would happen.
    dry_run: Option<bool>,
    /// Guards that do not hold it up: `true`, or their names with commas between them.
    force: Option<String>,
    /// Undo it after this time, such as `60s`, unless it is confirmed.
    #[param(pattern = "^([0-9]+(w|d|h|m|s|ms))+$")]
    confirm: Option<String>,
}

/// The prefix of a path; its slash is written as `%2F`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is only told")]
pub struct PrefixPath {
    /// A prefix, whose slash is written as `%2F`, or an address alone.
    #[param(value_type = Prefix)]
    prefix: String,
}

type ListPath = Result<Path<String>, PathRejection>;
type EntryPath = Result<Path<(String, String)>, PathRejection>;

/// The lists, with what services do with them and how many entries they have.
#[utoipa::path(
    get,
    path = "/v1/lists",
    operation_id = "lists",
    tag = "entries",
    params(IfNoneMatchHeader),
    responses((status = 200, description = "The lists, by name", body = ListSet)),
)]
pub async fn all(
    _: NoQuery,
    headers: HeaderMap,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let ListsNow { status, tag, .. } = ListsNow::by(&controller)?;
    if tags::is_known(&headers, tag) {
        return Ok(tags::not_modified(tag));
    }
    let (schema, revision, policy_generation) =
        ("portcullis.lists/v1".into(), status.revision, status.policy_generation);
    let lists = status.lists.into_iter().map(ListDocument::from).collect();
    Ok(tagged(tag, axum::Json(ListSet { schema, revision, policy_generation, lists })))
}

/// One list, with what services do with it and how many entries it has.
#[utoipa::path(
    get,
    path = "/v1/lists/{list}",
    operation_id = "list",
    tag = "entries",
    params(("list" = String, Path, description = "Its name"), IfNoneMatchHeader),
    responses((status = 200, description = "The list", body = ListAnswer)),
)]
pub async fn one(
    _: NoQuery,
    list: ListPath,
    headers: HeaderMap,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Path(name) = list.map_err(|rejection| wrong_path(&rejection))?;
    let told = ListsNow::by(&controller)?;
    told.require(&name)?;
    if tags::is_known(&headers, told.tag) {
        return Ok(tags::not_modified(told.tag));
    }
    let ListsNow { status, tag, .. } = told;
    let (schema, revision, policy_generation) =
        ("portcullis.list/v1".into(), status.revision, status.policy_generation);
    match status.lists.into_iter().find(|list| list.name == name) {
        Some(list) => {
            Ok(tagged(tag, axum::Json(ListAnswer { schema, revision, policy_generation, list: list.into() })))
        }
        None => Err(no_list(&name)),
    }
}

/// Entries of a list, page by page: by prefix, layer and owner.
#[utoipa::path(
    get,
    path = "/v1/lists/{list}/entries",
    operation_id = "listEntries",
    tag = "entries",
    params(("list" = String, Path, description = "Its name"), PageQuery, IfNoneMatchHeader),
    responses((status = 200, description = "A page", body = EntryPage)),
)]
pub async fn page(
    list: ListPath,
    query: Result<Query<PageQuery>, QueryRejection>,
    headers: HeaderMap,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let Path(name) = list.map_err(|rejection| wrong_path(&rejection))?;
    let Query(PageQuery { limit, cursor, covers, inside, owner, layer, expires_before }) =
        query.map_err(|rejection| wrong_query(&rejection))?;
    let told = ListsNow::by(&controller)?;
    told.require(&name)?;
    let limit = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        let detail = format!("a page has from 1 to {MOST} entries, not {limit}");
        return Err(Refusal::Invalid(Problems::one("/limit", detail)).into());
    }
    let after = cursor.map(|cursor| cursor::read(&cursor, &name)).transpose()?;
    let filter = Filters { covers, inside, owner, layer, expires_before }.read(Now::read())?;
    if tags::is_known(&headers, told.tag) {
        return Ok(tags::not_modified(told.tag));
    }
    let found = told.readings.entries(&EntriesQuery { list: Some(name), filter, after })?;
    let (mut entries, mut next) = (found.entries, found.next);
    if entries.len() > limit {
        entries.truncate(limit);
        next = entries.last().and_then(|entry| {
            let (list, owner) = (entry.list.clone(), entry.owner.clone());
            Some(Position { list, prefix: entry.prefix.parse().ok()?, layer: entry.layer, owner })
        });
    }
    let (revision, policy_generation) = (found.revision, found.policy_generation);
    let next = next.as_ref().map(cursor::write);
    let page = EntryPage { schema: "portcullis.page/v1".into(), revision, policy_generation, entries, next };
    Ok(tagged(told.tag, axum::Json(page)))
}

/// Who holds exactly this prefix in a list.
#[utoipa::path(
    get,
    path = "/v1/lists/{list}/entries/{prefix}",
    operation_id = "entry",
    tag = "entries",
    params(("list" = String, Path, description = "Its name"), PrefixPath, IfNoneMatchHeader),
    responses((status = 200, description = "The entry of each holder", body = EntryHolders)),
)]
pub async fn holders(
    _: NoQuery,
    entry: EntryPath,
    headers: HeaderMap,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let told = ListsNow::by(&controller)?;
    let (list, prefix) = told.entry(entry)?;
    let filter = EntryFilter { covers: Some(prefix), inside: Some(prefix), ..EntryFilter::default() };
    let found = told.readings.entries(&EntriesQuery { list: Some(list.clone()), filter, after: None })?;
    if found.entries.is_empty() {
        let detail = format!("nobody holds {prefix} in `{list}`");
        return Err(ProblemDetails::new(StatusCode::NOT_FOUND, codes::NOT_FOUND, detail));
    }
    if tags::is_known(&headers, told.tag) {
        return Ok(tags::not_modified(told.tag));
    }
    let (revision, policy_generation) = (found.revision, found.policy_generation);
    let schema = "portcullis.holders/v1".into();
    Ok(tagged(told.tag, axum::Json(EntryHolders { schema, revision, policy_generation, holders: found.entries })))
}

/// Makes the caller a holder of a prefix: adds the entry, or gives it this end and comment.
#[utoipa::path(
    put,
    path = "/v1/lists/{list}/entries/{prefix}",
    operation_id = "putEntry",
    tag = "entries",
    params(("list" = String, Path, description = "Its name"), PrefixPath, TermsQuery, IfMatchHeader),
    request_body = Option<EntryWish>,
    responses(
        (status = 200, description = "The caller held it before, and it is so now; or, with `dry_run`, would be", body = Pushed),
        (status = 201, description = "The caller holds it from now on", body = Pushed)
    ),
)]
pub async fn put(
    entry: EntryPath,
    query: Result<Query<TermsQuery>, QueryRejection>,
    IfMatch(expect): IfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    OptionalJson(wish): OptionalJson<EntryWish>,
) -> Result<Response, ProblemDetails> {
    let told = ListsNow::by(&controller)?;
    let (list, prefix) = told.entry(entry)?;
    let EntryWish { ttl, comment } = wish;
    let add = vec![Addition { list, prefix: prefix.to_string(), ttl, comment }];
    let push = Push { add, expect, ..asked(query)? };
    let pushed = answer(controller.push(caller, push)).await.map_err(of_one_entry)?;
    let is_new = pushed.added > 0 && !pushed.dry_run;
    Ok(told.changed(pushed, if is_new { StatusCode::CREATED } else { StatusCode::OK }))
}

/// Removes the entry of the caller; those of others stay.
#[utoipa::path(
    delete,
    path = "/v1/lists/{list}/entries/{prefix}",
    operation_id = "deleteEntry",
    tag = "entries",
    params(("list" = String, Path, description = "Its name"), PrefixPath, TermsQuery, IfMatchHeader),
    responses(
        (status = 200, description = "With `dry_run`, what would happen; with `confirm`, what waits", body = Pushed),
        (status = 204, description = "The caller holds it no more")
    ),
)]
pub async fn remove(
    entry: EntryPath,
    query: Result<Query<TermsQuery>, QueryRejection>,
    IfMatch(expect): IfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
) -> Result<Response, ProblemDetails> {
    let told = ListsNow::by(&controller)?;
    let (list, prefix) = told.entry(entry)?;
    let remove = vec![Removal { list: list.clone(), prefix: prefix.to_string() }];
    let push = Push { remove, expect, ..asked(query)? };
    let layer = push.layer;
    let name = caller.name.clone();
    let pushed = answer(controller.push(caller, push)).await.map_err(of_one_entry)?;
    if pushed.removed == 0 {
        let detail = format!("{name} does not hold {prefix} in `{list}`, in the layer `{}`", layer.label());
        return Err(ProblemDetails::new(StatusCode::NOT_FOUND, codes::NOT_FOUND, detail));
    }
    // What is to be confirmed has to be told.
    if pushed.dry_run || pushed.pending.is_some() {
        return Ok(told.changed(pushed, StatusCode::OK));
    }
    Ok(tagged(told.tag_of(&pushed), StatusCode::NO_CONTENT))
}

/// What readers are told, and its tag.
struct ListsNow {
    readings: std::sync::Arc<dyn Readings>,
    status: Status,
    tag: Expected,
}

impl ListsNow {
    fn by(controller: &Controller) -> Result<Self, Refusal> {
        let readings = controller.readings()?;
        let status = readings.status(Now::read());
        if let Some(none) = status.conditions.iter().find(|one| one.code == Condition::NO_POLICY) {
            return Err(Refusal::NoPolicy { why: none.message.clone() });
        }
        let tag = Expected::lists(status.revision, status.started);
        Ok(Self { readings, status, tag })
    }

    fn require(&self, list: &str) -> Result<(), Box<ProblemDetails>> {
        if self.status.lists.iter().any(|one| one.name == list) { Ok(()) } else { Err(no_list(list).into()) }
    }

    /// The list and the prefix of a path.
    fn entry(&self, entry: EntryPath) -> Result<(String, Prefix), Box<ProblemDetails>> {
        let Path((list, prefix)) = entry.map_err(|rejection| Box::new(wrong_path(&rejection)))?;
        self.require(&list)?;
        match prefix.parse() {
            Ok(prefix) => Ok((list, prefix)),
            Err(error) => {
                let detail = format!("{error}\nhint: write a prefix as `192.0.2.0%2F24`, an address alone as it is");
                Err(ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, detail).into())
            }
        }
    }

    /// The tag of the lists after a push.
    fn tag_of(&self, pushed: &Pushed) -> Expected {
        Expected::lists(pushed.revision, self.status.started)
    }

    fn changed(&self, pushed: Pushed, status: StatusCode) -> Response {
        tagged(self.tag_of(&pushed), (status, axum::Json(pushed)))
    }
}

/// A push of nothing on the terms of a query.
fn asked(query: Result<Query<TermsQuery>, QueryRejection>) -> Result<Push, Box<ProblemDetails>> {
    let Query(TermsQuery { layer, dry_run, force, confirm }) =
        query.map_err(|rejection| Box::new(wrong_query(&rejection)))?;
    let force = match force.as_deref() {
        None | Some("false") => Force::Nothing,
        Some("true") => Force::All,
        Some(names) => {
            let read = names.parse::<Force>();
            let wrong = |detail| Refusal::Invalid(Problems::one("/force", detail));
            read.map_err(|error| Box::new(wrong(error.to_string()).into()))?
        }
    };
    let (layer, dry_run) = (layer.unwrap_or(Layer::Runtime), dry_run.unwrap_or_default());
    Ok(Push { layer, dry_run, force, confirm, ..Push::default() })
}

/// What is wrong with a push of one entry, with the places of the request that it was made of: the body has the fields of the entry.
fn of_one_entry(mut problem: ProblemDetails) -> ProblemDetails {
    for error in &mut problem.errors {
        let place = ["/add/0", "/remove/0"].iter().find_map(|place| error.pointer.strip_prefix(place));
        if let Some(place) = place.map(str::to_owned) {
            error.pointer = if ["/list", "/prefix"].contains(&&*place) { String::new() } else { place };
        }
    }
    problem
}

fn no_list(name: &str) -> ProblemDetails {
    let detail = format!("there is no list `{}`\nhint: `GET /v1/lists` has their names", shown(name));
    ProblemDetails::new(StatusCode::NOT_FOUND, codes::NOT_FOUND, detail)
}

fn wrong_path(rejection: &PathRejection) -> ProblemDetails {
    ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, rejection.body_text())
}
