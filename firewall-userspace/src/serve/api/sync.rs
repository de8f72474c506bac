//! `POST /v1/sync`: a push of any size, line by line, with word on how far it is.

use std::{convert::Infallible, future::pending, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    task,
    time::{self, Interval, MissedTickBehavior},
};

use super::{
    answer::wrong_number,
    body::{NoQuery, internal},
    tags::NoIfMatch,
};
use crate::{
    clock::Now,
    control::{Caller, Cancelled, Pushed, Refusal, SyncEvent, SyncProgress},
    controller::{CancelOnDrop, Controller, MAX_LINE, SyncCollector, SyncSet, SyncTicket},
    serve::http::problem::{ProblemDetails, codes},
};

/// Media type of lines of JSON.
const LINES: &str = "application/x-ndjson";

/// How long a client may take to send the next octets.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a client is told how far it is.
const TELL: Duration = Duration::from_millis(200);

/// Pieces of a body that wait to be read.
const PIECES: usize = 8;

/// Changes any number of entries by lines of JSON: all of it happens, or nothing. The first line is a `Sync`, each other one a
/// `SyncLine`. Who accepts `application/x-ndjson` gets lines too, each a `SyncEvent`: how far it is, and at the end what came of it.
#[utoipa::path(
    post,
    path = "/v1/sync",
    operation_id = "sync",
    tag = "entries",
    request_body(content = String, content_type = "application/x-ndjson", description = "Lines of JSON"),
    responses((status = 200, description = "It has happened; or, as lines, whether it has is told by the last one", content((Pushed = "application/json"), (String = "application/x-ndjson")))),
)]
pub async fn sync(
    _: NoQuery,
    _: NoIfMatch,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
    request: Request,
) -> Result<Response, ProblemDetails> {
    if !names(request.headers(), header::CONTENT_TYPE, LINES) {
        let detail = format!(
            "the body must have the content type `{LINES}`: the first line says what to do, each other one an entry"
        );
        return Err(ProblemDetails::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::WRONG_CONTENT_TYPE, detail));
    }
    let Some(ticket) = controller.syncs().begin(&caller.name) else {
        return Err(Refusal::Crowded.into());
    };
    let is_told = names(request.headers(), header::ACCEPT, LINES);
    let progress = ticket.progress();
    let guard = CancelOnDrop(Arc::clone(&ticket));
    let work = async move {
        let set = receive(request.into_body(), caller.clone(), &ticket).await?;
        let pushed = controller.sync(caller, set, &ticket).await;
        drop(guard);
        pushed.map_err(ProblemDetails::from)
    };
    if !is_told {
        return Ok(axum::Json(work.await?).into_response());
    }
    let told = SyncAnswer::new(Box::pin(work), progress);
    Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(stream::unfold(told, SyncAnswer::next))).into_response())
}

/// Cancels a sync that is not promised yet.
#[utoipa::path(
    delete,
    path = "/v1/sync/{number}",
    operation_id = "cancelSync",
    tag = "entries",
    params(("number" = u64, Path, description = "Its number, as its progress tells it")),
    responses((status = 200, description = "Whether nothing of it happens", body = Cancelled)),
)]
pub async fn cancel(
    _: NoQuery,
    _: NoIfMatch,
    number: Result<Path<u64>, PathRejection>,
    Extension(caller): Extension<Caller>,
    State(controller): State<Controller>,
) -> Result<axum::Json<Cancelled>, ProblemDetails> {
    let Path(sync) = number.map_err(|rejection| wrong_number(&rejection))?;
    match controller.cancel_sync(&caller, sync, Now::read()) {
        Some(cancelled) => Ok(axum::Json(Cancelled { sync, cancelled })),
        None => {
            let detail = format!("no sync {sync} is under way");
            Err(ProblemDetails::new(StatusCode::NOT_FOUND, codes::NOT_FOUND, detail))
        }
    }
}

/// A sync that is carried out.
type SyncWork = Pin<Box<dyn Future<Output = Result<Pushed, ProblemDetails>> + Send>>;

/// An answer that comes line by line.
struct SyncAnswer {
    /// `None` when the last line has come.
    work: Option<SyncWork>,
    progress: watch::Receiver<SyncProgress>,
    /// A line of progress each.
    ticks: Interval,
}

impl SyncAnswer {
    fn new(work: SyncWork, progress: watch::Receiver<SyncProgress>) -> Self {
        let mut ticks = time::interval(TELL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { work: Some(work), progress, ticks }
    }

    async fn next(mut self) -> Option<(Result<Vec<u8>, Infallible>, Self)> {
        let work = self.work.as_mut()?;
        let further = async {
            self.ticks.tick().await;
            match self.progress.changed().await {
                Ok(()) => *self.progress.borrow_and_update(),
                // Its ticket is gone: the work is over.
                Err(_) => pending().await,
            }
        };
        let event = tokio::select! {
            done = work.as_mut() => {
                self.work = None;
                match done {
                    Ok(pushed) => SyncEvent::Pushed(Box::new(pushed)),
                    Err(problem) => SyncEvent::Problem(problem),
                }
            }
            progress = further => SyncEvent::Progress(progress),
        };
        Some((Ok(line(&event)), self))
    }
}

/// One line of JSON.
fn line(event: &impl Serialize) -> Vec<u8> {
    // Strings and numbers can always be written as JSON.
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Whether one of the values of a header is this media type.
fn names(headers: &HeaderMap, header: header::HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(',')).filter_map(|value| value.split(';').next());
    types.any(|one| one.trim().eq_ignore_ascii_case(wanted))
}

/// Reads the lines of a body, on a thread that does nothing else.
async fn receive(mut body: Body, caller: Caller, ticket: &Arc<SyncTicket>) -> Result<SyncSet, ProblemDetails> {
    let (pieces, received) = mpsc::channel(PIECES);
    let follows = Arc::clone(ticket);
    let read = task::spawn_blocking(move || read_lines(received, &caller.name, &follows));
    let forwarded = async {
        loop {
            let frame = tokio::select! {
                frame = time::timeout(PIECE_TIMEOUT, body.frame()) => frame,
                () = ticket.cancelled() => return Err(Refusal::Cancelled.into()),
            };
            let frame = match frame {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    let detail = format!("the body cannot be read to its end: {error}");
                    return Err(ProblemDetails::new(StatusCode::BAD_REQUEST, codes::BAD_BODY, detail));
                }
                Err(_) => {
                    let detail = format!("nothing more of the body came within {} s", PIECE_TIMEOUT.as_secs());
                    return Err(ProblemDetails::new(StatusCode::REQUEST_TIMEOUT, codes::BODY_TIMEOUT, detail));
                }
            };
            let Ok(piece) = frame.into_data() else { continue };
            // Whoever reads has seen enough.
            if pieces.send(Some(piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let forwarded = forwarded.await;
    if forwarded.is_ok() {
        let _ = pieces.send(None).await;
    }
    drop(pieces);
    match read.await {
        Ok(set) => {
            forwarded?;
            set.map_err(ProblemDetails::from)
        }
        Err(error) => Err(internal(&error)),
    }
}

/// Collects the lines of `pieces`; `None` is the end of all.
fn read_lines(mut pieces: mpsc::Receiver<Option<Bytes>>, owner: &str, ticket: &SyncTicket) -> Result<SyncSet, Refusal> {
    let mut collector = None;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(piece) = pieces.blocking_recv() {
        if ticket.is_cancelled() {
            break;
        }
        let Some(piece) = piece else {
            take(&mut collector, &rest, owner)?;
            let collector = match collector {
                Some(collector) => collector,
                None => SyncCollector::begin(b"", owner)?,
            };
            return collector.finish();
        };
        let mut lines = piece.split(|octet| *octet == b'\n');
        let last = lines.next_back().unwrap_or_default();
        let mut taken = 0;
        for line in lines {
            taken += 1;
            if rest.is_empty() {
                take(&mut collector, line, owner)?;
            } else {
                rest.extend_from_slice(line);
                take(&mut collector, &rest, owner)?;
                rest.clear();
            }
        }
        ticket.advance(taken);
        if rest.len() + last.len() > MAX_LINE {
            let detail = format!("a line is longer than {} KiB", MAX_LINE >> 10);
            return Err(Refusal::Invalid(crate::text::problem::Problems::one("", detail)));
        }
        rest.extend_from_slice(last);
    }
    Err(Refusal::Cancelled)
}

fn take(collector: &mut Option<SyncCollector>, line: &[u8], owner: &str) -> Result<(), Refusal> {
    match collector {
        None if line.trim_ascii().is_empty() => {}
        None => *collector = Some(SyncCollector::begin(line, owner)?),
        Some(collector) => collector.line(line)?,
    }
    Ok(())
}
