//! Pushes of any size, streamed to the daemon, with word on how far they are; Ctrl-C cancels what is not promised yet.

use std::{convert::Infallible, io, time::Duration};

use axum::body::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, StatusCode,
    body::{Frame, Incoming},
    header,
};
use serde::Serialize;
use tokio::{signal, time};

use super::{
    client::{ANSWER_TIMEOUT, Answer, Client},
    failure::Failure,
    output,
    progress::Progress,
};
use crate::{
    control::{Cancelled, Pushed, Sync, SyncEvent, SyncLine, SyncStage},
    serve::http::ProblemDetails,
};

/// Entries from which on a push is streamed.
pub const STREAMED_FROM: usize = 10_000;

/// Octets of the body that are sent at once.
const PIECE: usize = 64 << 10;

/// How long the daemon may take to say whether a sync is cancelled.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

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
    let request = client
        .head(&Method::POST, "/v1/sync")?
        .header(header::CONTENT_TYPE, LINES)
        .header(header::ACCEPT, LINES)
        .body(StreamBody::new(stream::iter(pieces)));
    let request = request.map_err(|error| client.strange(error.to_string()))?;
    let progress = Progress::of("entries");
    client.block_on(async {
        let response = client.begin(request).await?;
        if response.status() != StatusCode::OK {
            return Err(client.refused_answer(response).await);
        }
        follow(client, response.into_body(), &progress).await
    })
}

fn line(thing: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(thing)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads the answer to its last line.
async fn follow(client: &Client, mut body: Incoming, shown: &Progress) -> Result<Answer<Pushed>, Failure> {
    let mut rest: Vec<u8> = Vec::new();
    let (mut number, mut is_late) = (None, false);
    loop {
        let frame = tokio::select! {
            frame = time::timeout(ANSWER_TIMEOUT, body.frame()) => frame,
            Ok(()) = signal::ctrl_c() => {
                let Some(number) = number.filter(|_| !is_late) else {
                    return Err(client.unconfirmed("interrupted before the answer came".to_owned()));
                };
                is_late = !cancel(client, number, shown).await?;
                continue;
            }
        };
        let frame = match frame {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(client.broken(&error, true)),
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
                    shown.tell(done(progress.stage), progress.done, progress.total);
                }
                SyncEvent::Pushed(pushed) => {
                    let json = serde_json::to_vec(&pushed).unwrap_or_default().into();
                    return Ok(Answer { value: *pushed, json });
                }
                SyncEvent::Problem(problem) => {
                    let json = serde_json::to_vec(&problem).unwrap_or_default().into();
                    return Err(client.refused(problem, json));
                }
            }
        }
    }
}

/// Asks the daemon to cancel the sync; `false` when it is too late.
async fn cancel(client: &Client, number: u64, shown: &Progress) -> Result<bool, Failure> {
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
            shown
                .beside(|| output::words("note: too late to cancel: all of it is promised, and is brought into force"));
            Ok(false)
        }
        // It is over: its answer is on the way.
        Err(_) => Ok(false),
    }
}

/// What a stage has done.
const fn done(stage: SyncStage) -> &'static str {
    match stage {
        SyncStage::Receiving => "sent",
        SyncStage::Comparing => "compared",
        SyncStage::Writing => "written to the disk",
        SyncStage::Enforcing => "in force",
    }
}
