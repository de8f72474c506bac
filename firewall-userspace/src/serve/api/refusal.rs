//! How a refusal of the controller looks over HTTP.

use axum::http::StatusCode;

use crate::{
    control::{NotUndoable, Refusal, Verb},
    preview::guard::{Harm, guards_of},
    serve::http::problem::{ProblemDetails, codes},
    text::{
        problem::{Problem, Problems},
        shown::{counted, grouped},
    },
};

impl From<Refusal> for ProblemDetails {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(problems) => invalid(problems),
            Refusal::OutOfScope { who, problems } => {
                let detail = format!("{who} may not do all of this; nothing was changed");
                let mut problem = Self::new(StatusCode::FORBIDDEN, codes::NOT_PERMITTED, detail);
                problem.errors = problems.told();
                problem
            }
            Refusal::WrongVerb { list, verb } => wrong_verb(&list, verb),
            Refusal::Full { wanted, capacity } => {
                let detail = format!("there would be {wanted} prefixes of one family; the tables hold {capacity}");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, codes::FULL, detail)
            }
            Refusal::Config { errors, report } => {
                let detail = format!("the configuration has {}; the old policy goes on", counted(errors, "error"));
                let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID_CONFIG, detail);
                problem.report = Some(report);
                problem
            }
            Refusal::NoMemory { message } => Self::new(StatusCode::INSUFFICIENT_STORAGE, codes::FULL, message),
            Refusal::NotKept { message } => Self::new(StatusCode::INSUFFICIENT_STORAGE, codes::NOT_KEPT, message),
            refusal @ Refusal::NotAudited { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, codes::NOT_AUDITED, refusal.to_string())
            }
            Refusal::Datapath { message } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, codes::DATAPATH, message),
            Refusal::Guarded(harms) => guarded(&harms),
            refusal @ Refusal::Pending(_) => {
                let detail = refusal.to_string();
                Self::new(StatusCode::CONFLICT, codes::PENDING, detail.lines().next().unwrap_or_default())
            }
            Refusal::SyncUnderway => Self::new(StatusCode::CONFLICT, codes::BUSY, refusal.to_string()),
            Refusal::Crowded => Self::new(StatusCode::SERVICE_UNAVAILABLE, codes::BUSY, refusal.to_string()),
            Refusal::Cancelled => Self::new(StatusCode::CONFLICT, codes::CANCELLED, refusal.to_string()),
            Refusal::Overtaken { .. } => Self::new(StatusCode::CONFLICT, codes::OVERTAKEN, refusal.to_string()),
            refusal @ Refusal::NothingPending { .. } => {
                Self::new(StatusCode::CONFLICT, codes::NOTHING_PENDING, refusal.to_string())
            }
            refusal @ Refusal::NoGeneration { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, codes::NO_GENERATION, refusal.to_string())
            }
            Refusal::NotUndoable { ref why, .. } => not_undoable(why, &refusal),
            refusal @ Refusal::NoPolicy { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, codes::NO_POLICY, refusal.to_string())
            }
            refusal @ Refusal::Precondition { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, codes::PRECONDITION_FAILED, refusal.to_string())
            }
            refusal @ Refusal::Busy { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, codes::BUSY, refusal.to_string())
            }
            Refusal::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, codes::STOPPING, "the daemon is stopping"),
        }
    }
}

/// What is wrong with the request.
fn invalid(problems: Problems) -> ProblemDetails {
    let detail = match problems.len() {
        1 => "one thing in the request is wrong".to_owned(),
        count => format!("{} things in the request are wrong", grouped(count)),
    };
    let mut problem = ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID, detail);
    problem.errors = problems.told();
    problem
}

/// A list that is used the other way round.
fn wrong_verb(list: &str, verb: Verb) -> ProblemDetails {
    let detail = match verb {
        Verb::Allow => format!("`{list}` is a list that services deny, so its entries are kept out"),
        Verb::Deny => format!("`{list}` is a list that services allow, so its entries are let in"),
    };
    ProblemDetails::new(StatusCode::CONFLICT, codes::WRONG_VERB, detail)
}

/// What would do harm.
fn guarded(harms: &[Harm]) -> ProblemDetails {
    let detail = match harms.len() {
        1 => "the change would do harm; nothing was changed".to_owned(),
        count => format!("the change would do harm in {count} ways; nothing was changed"),
    };
    let mut problem = ProblemDetails::new(StatusCode::CONFLICT, codes::GUARDED, detail);
    let told = |harm: &Harm| Problem { pointer: String::new(), detail: harm.to_string() };
    problem.errors = harms.iter().map(told).collect();
    problem.guards = guards_of(harms).into_iter().map(str::to_owned).collect();
    problem
}

/// A push that cannot be taken back: a conflict where it could be, or could have been.
fn not_undoable(why: &NotUndoable, refusal: &Refusal) -> ProblemDetails {
    let status = match why {
        NotUndoable::Waits(_) | NotUndoable::Undone { .. } => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    ProblemDetails::new(status, codes::NOT_UNDOABLE, refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_log_has_the_codes_of_the_api() {
        let words = String::new;
        for refusal in [
            Refusal::Invalid(Problems::one("", "wrong")),
            Refusal::WrongVerb { list: words(), verb: Verb::Allow },
            Refusal::Full { wanted: 2, capacity: 1 },
            Refusal::Config { errors: 1, report: words() },
            Refusal::NoMemory { message: words() },
            Refusal::NotKept { message: words() },
            Refusal::NotAudited { why: words() },
            Refusal::Datapath { message: words() },
            Refusal::Guarded(Vec::new()),
            Refusal::NothingPending { why: None },
            Refusal::SyncUnderway,
            Refusal::Crowded,
            Refusal::Cancelled,
            Refusal::Overtaken { what: "the policy" },
            Refusal::NoGeneration { wanted: None, kept: Vec::new() },
            Refusal::NoPolicy { why: words() },
            Refusal::Stopping,
        ] {
            let code = refusal.code();
            assert_eq!(ProblemDetails::from(refusal).code, code);
        }
    }
}
