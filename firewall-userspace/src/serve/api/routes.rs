//! Every route with the right that it asks for: the one table of them.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use utoipa::openapi::{RefOr, path::Paths, schema::Schema};
use utoipa_axum::{router::UtoipaMethodRouter, routes};

use super::{audit, entries, explanations, lists, peer::Peer, policies, status, sync, tokens};
use crate::{
    clock::Now,
    control::Caller,
    controller::Controller,
    logging,
    policy::Role,
    serve::{
        admin,
        http::problem::{ProblemDetails, codes},
    },
    state::audit::{AuditEvent, AuditHandle, AuditWhat},
    text::shown::cut,
};

/// What a caller needs for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To look.
    Look,
    /// To change entries.
    ChangeEntries,
    /// To change the policy, the mode and who may use the API.
    Administer,
}

impl Right {
    /// The least role that has it.
    pub const fn role(self) -> Role {
        match self {
            Self::Look => Role::Viewer,
            Self::ChangeEntries => Role::Operator,
            Self::Administer => Role::Admin,
        }
    }

    /// It as the document of the API has it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::ChangeEntries => "change_entries",
            Self::Administer => "administer",
        }
    }

    /// It in words, after "the right".
    const fn words(self) -> &'static str {
        match self {
            Self::Look => "to look",
            Self::ChangeEntries => "to change entries",
            Self::Administer => "to change the policy",
        }
    }
}

/// The schemas that a route names, and its path.
pub type ToldRoute = (Vec<(String, RefOr<Schema>)>, Paths);

/// One method of one path.
pub struct RouteRow {
    /// The method.
    pub method: Method,
    /// The template of the path.
    pub path: &'static str,
    /// What it asks for.
    pub right: Right,
    /// How it is told: the schemas that it names, and its path; `None` where nobody wrote that down.
    pub told: Option<ToldRoute>,
    handler: MethodRouter<Controller>,
}

/// A handler, with or without words on it.
struct Served(Option<ToldRoute>, MethodRouter<Controller>);

impl From<MethodRouter<Controller>> for Served {
    fn from(handler: MethodRouter<Controller>) -> Self {
        Self(None, handler)
    }
}

impl From<UtoipaMethodRouter<Controller>> for Served {
    fn from((schemas, paths, handler): UtoipaMethodRouter<Controller>) -> Self {
        Self(Some((schemas, paths)), handler)
    }
}

/// A row of the table: the method and the path stand in the words on the handler too, which a test holds against them.
fn row(method: Method, path: &'static str, right: Right, served: impl Into<Served>) -> RouteRow {
    let Served(told, handler) = served.into();
    RouteRow { method, path, right, told, handler }
}

/// All of them.
pub fn rows() -> Vec<RouteRow> {
    use Right::{Administer, ChangeEntries, Look};
    vec![
        row(Method::GET, "/openapi.json", Look, routes!(status::document)),
        row(Method::GET, "/v1/status", Look, routes!(status::status)),
        row(Method::GET, "/v1/entries", Look, routes!(entries::entries)),
        row(Method::POST, "/v1/entries", ChangeEntries, routes!(entries::push)),
        row(Method::GET, "/v1/lists", Look, routes!(lists::all)),
        row(Method::GET, "/v1/lists/{list}", Look, routes!(lists::one)),
        row(Method::GET, "/v1/lists/{list}/entries", Look, routes!(lists::page)),
        row(Method::GET, "/v1/lists/{list}/entries/{prefix}", Look, routes!(lists::holders)),
        row(Method::PUT, "/v1/lists/{list}/entries/{prefix}", ChangeEntries, routes!(lists::put)),
        row(Method::DELETE, "/v1/lists/{list}/entries/{prefix}", ChangeEntries, routes!(lists::remove)),
        row(Method::POST, "/v1/sync", ChangeEntries, routes!(sync::sync)),
        row(Method::DELETE, "/v1/sync/{number}", ChangeEntries, routes!(sync::cancel)),
        row(Method::POST, "/v1/undo", ChangeEntries, routes!(entries::undo)),
        row(Method::GET, "/v1/pushes", Look, routes!(entries::pushes)),
        row(Method::GET, "/v1/policy", Look, routes!(policies::policy)),
        row(Method::POST, "/v1/explain", Look, routes!(explanations::explain)),
        row(Method::POST, "/v1/explanations", Look, routes!(explanations::explanations)),
        row(Method::GET, "/v1/membership", Look, routes!(explanations::membership)),
        row(Method::POST, "/v1/reload", Administer, routes!(policies::reload)),
        row(Method::POST, "/v1/apply", Administer, routes!(policies::apply)),
        row(Method::POST, "/v1/rollback", Administer, routes!(policies::rollback)),
        row(Method::POST, "/v1/mode", Administer, routes!(policies::set_mode)),
        row(Method::POST, "/v1/confirm", ChangeEntries, routes!(policies::confirm)),
        row(Method::GET, "/v1/history", Look, routes!(policies::history)),
        row(Method::GET, "/v1/history/{generation}", Look, routes!(policies::generation)),
        row(Method::GET, "/v1/audit", Administer, routes!(audit::audit)),
        row(Method::GET, "/v1/tokens", Administer, routes!(tokens::list)),
        row(Method::POST, "/v1/tokens", Administer, routes!(tokens::create)),
        row(Method::POST, "/v1/tokens/{name}/rotate", Administer, routes!(tokens::rotate)),
        row(Method::DELETE, "/v1/tokens/{name}", Administer, routes!(tokens::revoke)),
    ]
}

/// What serves all of them.
pub fn router() -> Router<Controller> {
    rows().into_iter().fold(Router::new(), |router, row| router.route(row.path, row.handler))
}

/// The right for each method of each path.
static RIGHTS: LazyLock<HashMap<(Method, &'static str), Right>> =
    LazyLock::new(|| rows().into_iter().map(|row| ((row.method, row.path), row.right)).collect());

/// Most characters of a path in the log.
const MOST_OF_PATH: usize = 200;

/// What a request to the template `path` asks for; `None` when nothing is there, or not by this method.
pub fn right(method: &Method, path: &str) -> Option<Right> {
    let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
    if method == Method::GET && admin::PATHS.contains(&path) {
        return Some(Right::Look);
    }
    // The keys live as long as the process, and those of a look-up do not.
    RIGHTS.iter().find(|((known, at), _)| *known == method && *at == path).map(|(_, right)| *right)
}

/// Passes requests of a [`Caller`] that may make them. Whoever may do nothing is not told what there is.
pub async fn permit(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    let uid = request.extensions().get::<Peer>().and_then(|peer| peer.uid);
    let unnamed = || uid.map_or_else(|| "unknown".to_owned(), |uid| format!("uid:{uid}"));
    let who = caller.map_or_else(unnamed, |caller| caller.name.clone());
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let wanted = matched.and_then(|path| right(request.method(), path));
    let detail = match (caller, wanted) {
        (None, _) => format!("{who} may not use this API; root and the user that the daemon runs as may"),
        (Some(caller), Some(wanted)) if !caller.has(wanted.role()) => {
            format!("`{who}` lacks the right {}: it takes the role {}", wanted.words(), wanted.role().label())
        }
        // What is not there, or not by this method, changes nothing.
        (Some(_), _) => return next.run(request).await,
    };
    if logging::admits("requests that were refused because they are not permitted") {
        let path = cut(request.uri().path(), MOST_OF_PATH);
        tracing::warn!(who, method = %request.method(), path, "refused a request: not permitted");
    }
    if wanted.is_none_or(|wanted| wanted > Right::Look)
        && let Some(audit) = request.extensions().get::<AuditHandle>()
    {
        audit.note_failure(not_permitted(&request, caller));
    }
    ProblemDetails::new(StatusCode::FORBIDDEN, codes::NOT_PERMITTED, detail).into_response()
}

/// What is recorded of a request for a change that is not permitted.
fn not_permitted(request: &Request, caller: Option<&Caller>) -> AuditEvent {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.uid);
    AuditEvent {
        at: Now::read().wall,
        who: caller.map_or("unknown", |caller| &caller.name).to_owned(),
        method: caller.map_or_else(|| "socket".into(), Caller::method),
        peer: caller.map_or_else(|| peer.map(|uid| format!("uid:{uid}")), Caller::peer),
        what: AuditWhat::NotPermitted,
        summary: format!("{} {}", request.method(), cut(request.uri().path(), MOST_OF_PATH)),
        before: None,
        after: None,
        result: codes::NOT_PERMITTED.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::serve::http::requests::ROUTES;

    #[test]
    fn every_route_has_a_right_and_is_counted() {
        let of_rows: BTreeSet<(String, &str)> = rows().iter().map(|row| (row.method.to_string(), row.path)).collect();
        let counted = ROUTES.iter().filter(|(listener, ..)| *listener == "api");
        assert_eq!(of_rows, counted.map(|(_, path, method)| ((*method).to_owned(), *path)).collect());
        assert_eq!(of_rows.len(), rows().len(), "a route has two rights");
    }

    #[test]
    fn what_only_asks_is_for_those_who_look_and_nothing_else() {
        for row in rows() {
            // Who did what, and who may use the API, is the business of those who administer.
            let is_open = row.path != "/v1/audit" && !row.path.starts_with("/v1/tokens");
            let asks = (row.method == Method::GET || row.path.starts_with("/v1/expl")) && is_open;
            assert_eq!(row.right == Right::Look, asks, "{} {}", row.method, row.path);
        }
        assert_eq!(right(&Method::HEAD, "/v1/status"), Some(Right::Look));
        assert_eq!(right(&Method::PUT, "/v1/status"), None);
        assert_eq!(right(&Method::GET, "/metrics"), Some(Right::Look));
    }
}
