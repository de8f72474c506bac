//! Pushes of any size, streamed to the daemon, with word on how far they are; Ctrl-C cancels what is not promised yet.

use std::{
    convert::Infallible,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, Request, StatusCode,
    body::{Frame, Incoming},
    header,
};
use serde::Serialize;
use tokio::{signal, time};

use super::{
    client::{ANSWER_TIMEOUT, Answer, Client},
    failure::Failure,
    output,
};
use crate::{
    control::{Cancelled, Pushed, Sync, SyncEvent, SyncLine, SyncProgress, SyncStage},
    serve::http::ProblemDetails,
    text::shown::grouped,
};

/// Entries from which on a push is streamed.
pub const STREAMED_FROM: usize = 10_000;

/// Octets of the body that are sent at once.
const PIECE: usize = 64 << 10;

/// How long the daemon may take to say whether a sync is cancelled.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How often progress is written where standard error is no terminal.
const TELL: Duration = Duration::from_secs(5);

/// Media type of lines of JSON.
const LINES: &str = "application/x-ndjson";

/// Carries out a sync of these lines.
pub fn push<'a>(
    client: &Client,
    sync: &Sync,
    lines: impl Iterator<Item = SyncLine<'a>> + Send + 'static,
) -> Result<Answer<Pushed>, Failure> {
    let header = line(sync).map_err(Failure::Write)?;
    let mut lines = lines.map(|entry| line(&entry).unwrap_or_default());
    let mut first = Some(header);
    let pieces = std::iter::from_fn(move || {
        let mut piece = first.take().unwrap_or_default();
        while piece.len() < PIECE
            && let Some(line) = lines.next()
        {
            piece.extend(line);
        }
        (!piece.is_empty()).then(|| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))))
    });
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/sync")
        .header(header::HOST, "portcullis")
        .header(header::CONTENT_TYPE, LINES)
        .header(header::ACCEPT, LINES)
        .body(StreamBody::new(stream::iter(pieces)));
    let request = request.map_err(|error| client.strange(error.to_string()))?;
    let mut teller = SyncTeller::default();
    let answer = client.runtime()?.block_on(async {
        let response = client.begin(request).await?;
        let status = response.status();
        if status != StatusCode::OK {
            let json = response.into_body().collect().await;
            let json = json.map_err(|error| client.unconfirmed(error.to_string()))?.to_bytes();
            return Err(client.refusal(status, json));
        }
        follow(client, response.into_body(), &mut teller).await
    });
    teller.end();
    answer
}

fn line(thing: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(thing)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads the answer to its last line.
async fn follow(client: &Client, mut body: Incoming, teller: &mut SyncTeller) -> Result<Answer<Pushed>, Failure> {
    let mut rest: Vec<u8> = Vec::new();
    let (mut number, mut is_late) = (None, false);
    loop {
        let frame = tokio::select! {
            frame = time::timeout(ANSWER_TIMEOUT, body.frame()) => frame,
            Ok(()) = signal::ctrl_c() => {
                let Some(number) = number.filter(|_| !is_late) else {
                    return Err(client.unconfirmed("interrupted before the answer came".to_owned()));
                };
                is_late = !cancel(client, number).await?;
                continue;
            }
        };
        let frame = match frame {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(client.unconfirmed(error.to_string())),
            Ok(None) => return Err(client.unconfirmed("the answer ended early".to_owned())),
            Err(_) => return Err(client.unconfirmed("the answer does not go on".to_owned())),
        };
        rest.extend_from_slice(&frame.into_data().unwrap_or_default());
        while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let event = serde_json::from_slice::<SyncEvent<ProblemDetails>>(&line);
            match event.map_err(|error| client.strange(error.to_string()))? {
                SyncEvent::Progress(progress) => {
                    number = Some(progress.sync);
                    teller.tell(progress);
                }
                SyncEvent::Pushed(pushed) => {
                    let json = serde_json::to_vec(&pushed).unwrap_or_default().into();
                    return Ok(Answer { value: *pushed, json });
                }
                SyncEvent::Problem(problem) => {
                    let json = serde_json::to_vec(&problem).unwrap_or_default().into();
                    return Err(Failure::refused(problem, json));
                }
            }
        }
    }
}

/// Asks the daemon to cancel the sync; `false` when it is too late.
async fn cancel(client: &Client, number: u64) -> Result<bool, Failure> {
    let request = client.request(&Method::DELETE, &format!("/v1/sync/{number}"), Bytes::new())?;
    let exchange = async {
        let response = client.begin(request).await?;
        response.into_body().collect().await.map_err(|error| client.unconfirmed(error.to_string()))
    };
    let Ok(answer) = time::timeout(CANCEL_TIMEOUT, exchange).await else {
        return Err(client.unconfirmed("interrupted, and the daemon does not say what became of it".to_owned()));
    };
    match serde_json::from_slice::<Cancelled>(&answer?.to_bytes()) {
        Ok(Cancelled { cancelled: true, .. }) => Err(Failure::Cancelled),
        Ok(Cancelled { cancelled: false, .. }) => {
            output::words("note: too late to cancel: all of it is promised, and is brought into force");
            Ok(false)
        }
        // It is over: its answer is on the way.
        Err(_) => Ok(false),
    }
}

/// Tells on standard error how far a sync is.
#[derive(Default)]
struct SyncTeller {
    told: Option<Instant>,
    is_line_open: bool,
}

impl SyncTeller {
    fn tell(&mut self, progress: SyncProgress) {
        let is_terminal = io::stderr().is_terminal();
        let began = *self.told.get_or_insert_with(Instant::now);
        if is_terminal {
            output::overwrite(&words(progress));
            self.is_line_open = true;
        } else if began.elapsed() >= TELL {
            self.told = Some(Instant::now());
            output::words(&words(progress));
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_line_open) {
            output::overwrite("");
        }
    }
}

fn words(SyncProgress { stage, done, total, .. }: SyncProgress) -> String {
    let number = |number: u64| grouped(usize::try_from(number).unwrap_or(usize::MAX));
    let what = match stage {
        SyncStage::Receiving => "sent",
        SyncStage::Comparing => "compared",
        SyncStage::Writing => "written to the disk",
        SyncStage::Enforcing => "in force",
    };
    match total {
        Some(total) => format!("{what}: {} of {} entries", number(done.min(total)), number(total)),
        None => format!("{what}: {} entries", number(done)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_with_what_is_done_and_how_much_is_left() {
        let at = |stage, done, total| words(SyncProgress { sync: 7, stage, done, total });
        assert_eq!(at(SyncStage::Receiving, 512_000, None), "sent: 512,000 entries");
        assert_eq!(at(SyncStage::Enforcing, 7, Some(2_000_000)), "in force: 7 of 2,000,000 entries");
    }
}
