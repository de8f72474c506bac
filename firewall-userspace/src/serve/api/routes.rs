//! Every route with the right that it asks for: the one table of them.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};

use super::{handlers, sync};
use crate::{
    control::Caller,
    controller::Controller,
    logging,
    policy::Role,
    serve::http::problem::{ProblemDetails, codes},
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

    /// It in words, after "the right".
    const fn words(self) -> &'static str {
        match self {
            Self::Look => "to look",
            Self::ChangeEntries => "to change entries",
            Self::Administer => "to change the policy",
        }
    }
}

/// One method of one path.
pub struct Row {
    /// The method.
    pub method: Method,
    /// The template of the path.
    pub path: &'static str,
    /// What it asks for.
    pub right: Right,
    handler: MethodRouter<Controller>,
}

/// All of them.
pub fn rows() -> Vec<Row> {
    use Right::{Administer, ChangeEntries, Look};
    let row = |method, path, right, handler| Row { method, path, right, handler };
    vec![
        row(Method::GET, "/v1/status", Look, get(handlers::status)),
        row(Method::GET, "/v1/entries", Look, get(handlers::entries)),
        row(Method::POST, "/v1/entries", ChangeEntries, post(handlers::push)),
        row(Method::POST, "/v1/sync", ChangeEntries, post(sync::sync)),
        row(Method::DELETE, "/v1/sync/{number}", ChangeEntries, delete(sync::cancel)),
        row(Method::POST, "/v1/undo", ChangeEntries, post(handlers::undo)),
        row(Method::GET, "/v1/pushes", Look, get(handlers::pushes)),
        row(Method::GET, "/v1/policy", Look, get(handlers::policy)),
        row(Method::POST, "/v1/explain", Look, post(handlers::explain)),
        row(Method::POST, "/v1/explanations", Look, post(handlers::explanations)),
        row(Method::GET, "/v1/membership", Look, get(handlers::membership)),
        row(Method::POST, "/v1/reload", Administer, post(handlers::reload)),
        row(Method::POST, "/v1/apply", Administer, post(handlers::apply)),
        row(Method::POST, "/v1/rollback", Administer, post(handlers::rollback)),
        row(Method::POST, "/v1/mode", Administer, post(handlers::set_mode)),
        row(Method::POST, "/v1/confirm", ChangeEntries, post(handlers::confirm)),
        row(Method::GET, "/v1/history", Look, get(handlers::history)),
        row(Method::GET, "/v1/history/{generation}", Look, get(handlers::generation)),
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
    // The keys live as long as the process, and those of a look-up do not.
    RIGHTS.iter().find(|((known, at), _)| *known == method && *at == path).map(|(_, right)| *right)
}

/// Passes requests of a [`Caller`] that may make them. Whoever may do nothing is not told what there is.
pub async fn permit(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    let who = caller.map_or("unknown", |caller| &caller.name);
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let wanted = matched.and_then(|path| right(request.method(), path));
    let detail = match (caller, wanted) {
        (None, _) => format!("{who} may not use this API; root and the user that the daemon runs as may"),
        (Some(caller), Some(wanted)) if !caller.has(wanted.role()) => {
            format!("{who} has not the right {}: it takes the role {}", wanted.words(), wanted.role().label())
        }
        // What is not there, or not by this method, changes nothing.
        (Some(_), _) => return next.run(request).await,
    };
    if logging::admits("requests that were refused because they are not permitted") {
        let path = cut(request.uri().path(), MOST_OF_PATH);
        tracing::warn!(who, method = %request.method(), path, "refused a request: not permitted");
    }
    ProblemDetails::new(StatusCode::FORBIDDEN, codes::NOT_PERMITTED, detail).into_response()
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
            let asks = row.method == Method::GET || row.path.starts_with("/v1/expl");
            assert_eq!(row.right == Right::Look, asks, "{} {}", row.method, row.path);
        }
        assert_eq!(right(&Method::HEAD, "/v1/status"), Some(Right::Look));
        assert_eq!(right(&Method::PUT, "/v1/status"), None);
    }
}
