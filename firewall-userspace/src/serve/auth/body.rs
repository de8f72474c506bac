//! Bodies of signed requests: they are read to their end before anybody sees them.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task, time,
};

use super::{failures::AuthFailure, refusal::NotAdmitted, signature::ContentDigest};
use crate::serve::http::problem::{ProblemDetails, codes};

/// Largest body of a signed request in octets.
pub const MOST_OCTETS: usize = 16 << 20;

/// Mebioctets of all such bodies that are in memory at a time.
const ROOM: usize = 64;

/// How long a client may take to send one.
const LIMIT: Duration = Duration::from_secs(30);

/// From so many octets on a digest takes too long for a thread that also serves others.
const LARGE: usize = 256 << 10;

/// Room for bodies.
#[derive(Debug)]
pub struct BodyRoom(Arc<Semaphore>);

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

/// A body that is the one that was signed, and its room, which is held as long as it is needed.
#[derive(Debug)]
pub struct CheckedBody {
    pub octets: Bytes,
    pub room: OwnedSemaphorePermit,
}

impl BodyRoom {
    /// All of `body`, when it is what `digest` says; without one it has to be empty.
    ///
    /// # Errors
    /// Why not.
    pub async fn read(&self, body: Body, digest: Option<ContentDigest>) -> Result<CheckedBody, NotAdmitted> {
        let failed = NotAdmitted::Failed;
        // What is not signed is not looked at.
        let limit = if digest.is_some() { MOST_OCTETS } else { 0 };
        let hint = body.size_hint();
        if hint.lower() > limit as u64 {
            return Err(if digest.is_some() { too_large() } else { failed(AuthFailure::Uncovered) });
        }
        let told = usize::try_from(hint.upper().unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(limit);
        let wanted = u32::try_from(told.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.0).try_acquire_many_owned(wanted).map_err(|_| failed(AuthFailure::Full))?;
        let octets = match time::timeout(LIMIT, Limited::new(body, limit).collect()).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() && digest.is_none() => {
                return Err(failed(AuthFailure::Uncovered));
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Ok(Err(error)) => {
                let detail = format!("the body cannot be read to its end: {error}");
                return Err(problem(StatusCode::BAD_REQUEST, codes::BAD_BODY, detail));
            }
            Err(_) => {
                let detail = format!("the body did not come within {} s", LIMIT.as_secs());
                return Err(problem(StatusCode::REQUEST_TIMEOUT, codes::BODY_TIMEOUT, detail));
            }
        };
        let Some(digest) = digest else { return Ok(CheckedBody { octets, room }) };
        let is_it = if octets.len() < LARGE {
            digest.is_of(&octets)
        } else {
            let body = octets.clone();
            // A task that panics has found nothing.
            task::spawn_blocking(move || digest.is_of(&body)).await.unwrap_or(false)
        };
        if is_it { Ok(CheckedBody { octets, room }) } else { Err(failed(AuthFailure::Digest)) }
    }
}

fn too_large() -> NotAdmitted {
    let detail = format!("the body of a signed request may have {} MiB", MOST_OCTETS >> 20);
    problem(StatusCode::PAYLOAD_TOO_LARGE, codes::BODY_TOO_LARGE, detail)
}

fn problem(status: StatusCode, code: &str, detail: String) -> NotAdmitted {
    NotAdmitted::Body(Box::new(ProblemDetails::new(status, code, detail)))
}
