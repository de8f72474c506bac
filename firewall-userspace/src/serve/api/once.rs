//! `Idempotency-Key`: what is asked twice by one key is carried out once (draft-ietf-httpapi-idempotency-key-header).

use std::{future::Future, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::task;
use utoipa::IntoParams;

use super::{
    answer::{answer, large_json},
    body::internal,
    tags::bad,
};
use crate::{
    clock::Now,
    control::{Caller, Expected, Pushed, Refusal},
    controller::Controller,
    logging,
    preview::explain::to_hex,
    serve::http::problem::{ProblemDetails, codes},
    state::answers::{AnswerKey, Answers, KeptAnswer, KeyFate},
};

const NAME: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Most octets of a key.
const LONGEST: usize = 128;

/// The key that came with a request.
pub struct IdempotencyKey(Option<String>);

/// [`IdempotencyKey`], as it is told.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only told")]
pub struct IdempotencyKeyHeader {
    /// A key that the client makes for this request alone, of 1 to 128 printable characters. What comes again with it is answered as the
    /// first time, and not carried out again: for a day, and over a restart. A dry run does not look at it.
    #[param(rename = "Idempotency-Key", pattern = r#"^("[A-Za-z0-9._~:-]{1,128}"|[A-Za-z0-9._~:-]{1,128})$"#)]
    idempotency_key: Option<String>,
}

impl IdempotencyKey {
    /// It, unless the request `is_dry`: what changes nothing is told anew each time.
    #[must_use]
    pub fn unless(self, is_dry: bool) -> Self {
        Self(self.0.filter(|_| !is_dry))
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ProblemDetails;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemDetails> {
        let mut values = parts.headers.get_all(&NAME).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => match read(value.as_bytes()) {
                Some(key) => Ok(Self(Some(key))),
                None => Err(bad(&NAME, "a key has 1 to 128 printable characters of ASCII, in quotes or without")),
            },
            (Some(_), Some(_)) => Err(bad(&NAME, "it stands in the request more than once")),
        }
    }
}

/// The key in a value: a string (RFC 9651, section 3.3.3), or the same without quotes, as many clients write it.
fn read(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?.trim();
    let key = match value.strip_prefix('"') {
        None => value.to_owned(),
        Some(quoted) => {
            let (mut key, mut letters) = (String::new(), quoted.strip_suffix('"')?.chars());
            while let Some(letter) = letters.next() {
                key.push(match letter {
                    '"' => return None,
                    '\\' => letters.next().filter(|escaped| ['"', '\\'].contains(escaped))?,
                    other => other,
                });
            }
            key
        }
    };
    let is_good = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    is_good.then_some(key)
}

/// What is asked for, in short.
pub fn fingerprint(path: &str, request: &impl Serialize, expected: Option<Expected>) -> String {
    let mut hash = Sha256::new();
    // Strings and numbers can always be written as JSON.
    let expected = expected.map(|expected| expected.to_string()).unwrap_or_default();
    for part in [path.as_bytes(), expected.as_bytes(), &serde_json::to_vec(request).unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    to_hex(&hash.finalize())
}

/// Carries out `work`, which is what was `asked`; with a key once only. What has a key goes on when its client hangs up, so that the answer
/// is there when it asks again.
pub async fn once(
    controller: &Controller,
    IdempotencyKey(key): IdempotencyKey,
    caller: &Caller,
    asked: String,
    work: impl Future<Output = Result<Pushed, Refusal>> + Send + 'static,
) -> Result<Response, ProblemDetails> {
    let Some(key) = key else {
        let pushed = answer(work).await?;
        return large_json(move || pushed).await;
    };
    let key: AnswerKey = (format!("{} {}", caller.way.label(), caller.name), key);
    let answers = Arc::clone(controller.answers());
    match answers.begin(&key, &asked, Now::read().wall) {
        KeyFate::New => {}
        KeyFate::Answered(kept) => {
            let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
            let headers = [(header::CONTENT_TYPE, "application/json"), (REPLAYED, "true")];
            return Ok((status, headers, kept.body.clone()).into_response());
        }
        KeyFate::Underway => {
            let detail = "the request that came first with this `Idempotency-Key` is under way\nhint: ask again later";
            return Err(ProblemDetails::new(StatusCode::CONFLICT, codes::IDEMPOTENCY_KEY_UNDERWAY, detail));
        }
        KeyFate::Reused => {
            let detail = "this `Idempotency-Key` came with another request before; each request has a key of its own";
            return Err(ProblemDetails::new(StatusCode::UNPROCESSABLE_ENTITY, codes::IDEMPOTENCY_KEY_REUSED, detail));
        }
    }
    let open = OpenKey { answers, key, asked };
    let work = task::spawn(async move {
        let pushed = work.await?;
        Ok(task::spawn_blocking(move || open.answered(&pushed)).await)
    });
    let worked = answer(async { work.await.unwrap_or_else(|_| Err(Refusal::Stopping)) }).await?;
    let body = worked.map_err(|error| internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A key whose request is under way. When it is dropped without an answer, nothing has happened.
struct OpenKey {
    answers: Arc<Answers>,
    key: AnswerKey,
    asked: String,
}

impl Drop for OpenKey {
    fn drop(&mut self) {
        self.answers.give_up(&self.key);
    }
}

impl OpenKey {
    /// Keeps the answer; its body.
    fn answered(self, pushed: &Pushed) -> String {
        // Strings and numbers can always be written as JSON.
        let body = serde_json::to_string(pushed).unwrap_or_default();
        let (key, asked, at) = (self.key.clone(), self.asked.clone(), Now::read().wall);
        let answer = KeptAnswer { key, asked, at, status: StatusCode::OK.as_u16(), body: body.clone() };
        if let Err(error) = self.answers.keep(answer)
            && logging::admits("answers that cannot be kept for their key")
        {
            tracing::warn!(%error, "cannot keep an answer for its `Idempotency-Key` over a restart");
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_in_quotes_and_without() {
        for (value, key) in [
            ("abc", Some("abc")),
            ("\"abc\"", Some("abc")),
            (" \"a\\\"b\\\\\" ", Some("a\"b\\")),
            ("", None),
            ("\"\"", None),
            ("\"abc", None),
            ("\"a\"b\"", None),
            ("\"a\\b\"", None),
            ("a\tb", None),
            ("ä", None),
        ] {
            assert_eq!(read(value.as_bytes()).as_deref(), key, "{value}");
        }
        assert!(read("x".repeat(LONGEST).as_bytes()).is_some() && read("x".repeat(LONGEST + 1).as_bytes()).is_none());
    }
}
