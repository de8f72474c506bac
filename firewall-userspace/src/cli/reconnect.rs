//! `--confirm auto`: a change is kept if the daemon can be reached by a new connection after it.
//!
//! Whoever does not come back, be it because the change cuts it off or because it is killed, has the daemon undo the change when its own
//! time is over. Nothing has to be done for that here.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde_json::Value;
use tokio::{signal, time};

use super::{
    client::{Answer, Client},
    failure::Failure,
    output::{self, Output},
    policies::until_confirmed,
};
use crate::{
    control::{Confirm, Confirmed, Pending, PendingChange, Pushes, Status},
    serve::http::problem::codes,
    text::shown::escaped,
};

/// Before the time is over by which the daemon undoes it: what is confirmed as late as that could come too late.
const MARGIN: Duration = Duration::from_secs(3);

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest time for one attempt, all of it.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Longest time to ask what became of a change.
const LOOK: Duration = Duration::from_secs(5);

/// Most pushes that are asked for, to find one among them.
const PUSHES: usize = Pushes::MOST;

/// A change that the daemon has made, as it is told.
pub struct MadeChange<'a> {
    /// The answer of the daemon.
    pub json: &'a Bytes,
    /// What it says for people, without what waits for a confirmation.
    pub text: String,
    /// What waits for a confirmation now.
    pub pending: Option<&'a Pending>,
    /// It is confirmed here.
    pub is_auto: bool,
}

/// Tells what became of a change; before that, keeps it where it is to be kept by a new connection.
///
/// # Errors
/// When it could not be kept, or not be told.
pub fn tell(client: &Client, output: Output, outcome: MadeChange<'_>) -> Result<(), Failure> {
    let MadeChange { json, mut text, pending, is_auto } = outcome;
    match (pending, output) {
        (Some(pending), _) if is_auto => told_when_kept(client, output, json, &text, pending),
        (_, Output::Json) => output::data(json),
        (pending, Output::Table) => {
            pending.into_iter().for_each(|pending| text.push_str(&format!("\n{}", until_confirmed(pending))));
            output::data(text.as_bytes())
        }
    }
}

fn told_when_kept(client: &Client, output: Output, json: &Bytes, text: &str, pending: &Pending) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(pending.seconds_left).saturating_sub(MARGIN);
    if output == Output::Table {
        output::data(text.as_bytes())?;
    }
    let kept = keep(client, pending, end).map_err(|not| cut_off(client, pending, json, &not));
    match (output, kept?) {
        (Output::Table, _) => output::data(b"confirmed by a new connection"),
        (Output::Json, confirmed) => {
            let mut document: Value =
                serde_json::from_slice(json).map_err(|error| client.strange(error.to_string()))?;
            if let Some(members) = document.as_object_mut() {
                members.remove("pending");
                let confirmed = serde_json::to_value(confirmed).map_err(|error| Failure::Write(error.into()))?;
                members.insert("confirmed".to_owned(), confirmed);
            }
            output::data(document.to_string().as_bytes())
        }
    }
}

/// Why it is not kept.
struct NotKept {
    why: String,
    /// What to do about it.
    hint: &'static str,
    /// It still waits, so the daemon will undo it.
    waits: bool,
}

impl NotKept {
    fn waiting(why: String, hint: &'static str) -> Self {
        Self { why, hint, waits: true }
    }
}

const CUT_OFF: &str = "the change may keep this host out: change it so that it does not, or ask at the host itself";
const NOT_ALLOWED: &str = "the change may have taken the right from who asks: change it so that it does not";
const GONE: &str = "`portcullis history` and `portcullis undo --list` show what is in force";

/// Confirms by a new connection, and tries again until `end`.
fn keep(client: &Client, pending: &Pending, end: Instant) -> Result<Pending, NotKept> {
    let (mut last, mut is_told, mut is_in_doubt) = ("there was no time left to try".to_owned(), false, false);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotKept::waiting(last, CUT_OFF));
        }
        let failure = match attempt(client, pending, left.min(ATTEMPT)) {
            Ok(confirmed) => return Ok(confirmed),
            Err(failure) => failure,
        };
        match &failure {
            Failure::Cancelled => return Err(NotKept::waiting("interrupted".to_owned(), GONE)),
            Failure::Refused { problem, .. } => match (problem.code.as_str(), problem.status) {
                // An attempt whose answer was lost may have kept it.
                (codes::NOTHING_PENDING, _) if is_in_doubt && is_kept(client, pending) => return Ok(pending.clone()),
                (codes::NOTHING_PENDING, _) => return Err(NotKept { why: failure.brief(), hint: GONE, waits: false }),
                (_, 401 | 403) => return Err(NotKept::waiting(failure.brief(), NOT_ALLOWED)),
                _ => {}
            },
            Failure::Unconfirmed { .. } => is_in_doubt = true,
            _ => {}
        }
        last = failure.brief();
        if !std::mem::replace(&mut is_told, true) {
            output::words(&escaped(&format!("note: not confirmed yet, trying for {} s: {last}", left.as_secs())));
        }
        if pause(client, PAUSE.min(left)).is_err() {
            return Err(NotKept::waiting("interrupted".to_owned(), GONE));
        }
    }
}

/// Waits; an error when somebody interrupts it.
fn pause(client: &Client, length: Duration) -> Result<(), Failure> {
    client.block_on(async {
        tokio::select! {
            () = time::sleep(length) => Ok(()),
            Ok(()) = signal::ctrl_c() => Err(Failure::Cancelled),
        }
    })
}

/// Confirms once, within `limit`.
fn attempt(client: &Client, pending: &Pending, limit: Duration) -> Result<Pending, Failure> {
    let confirm = Confirm { dry_run: false, generation: Some(pending.generation) };
    let body = serde_json::to_vec(&confirm).map_err(|error| Failure::Write(error.into()))?;
    client.change_within::<Confirmed>("/v1/confirm", body, limit).map(|Answer { value, .. }| value.confirmed)
}

/// Whether a change is in force for good, by what the daemon says.
fn is_kept(client: &Client, Pending { change, generation, .. }: &Pending) -> bool {
    match change {
        PendingChange::Policy => client
            .get_within::<Status>("/v1/status", LOOK)
            .is_ok_and(|Answer { value, .. }| value.policy_generation == *generation && value.pending.is_none()),
        // A push that waits, and one that was undone, is not among them.
        PendingChange::Push => client
            .get_within::<Pushes>(&format!("/v1/pushes?limit={PUSHES}"), LOOK)
            .is_ok_and(|Answer { value, .. }| value.pushes.iter().any(|push| push.revision == *generation)),
    }
}

fn cut_off(client: &Client, pending: &Pending, json: &Bytes, NotKept { why, hint, waits }: &NotKept) -> Failure {
    let mut words = format!("{} was not confirmed by a new connection to {client}: {why}", pending.name());
    if *waits {
        words.push_str(&format!("; the daemon undoes it at {:.0}, by its own clock", pending.deadline));
    }
    Failure::CutOff { words: escaped(&words).into_owned(), hint: (*hint).to_owned(), change: json.clone() }
}

/// The same failure; of a change without an answer that would have been kept here it says what becomes of it.
pub fn unanswered(failure: Failure, is_auto: bool) -> Failure {
    match failure {
        Failure::Unconfirmed { at, why } if is_auto => Failure::Unconfirmed {
            at,
            why: format!("{why}; if it has, the daemon undoes it by itself within a minute"),
        },
        failure => failure,
    }
}
