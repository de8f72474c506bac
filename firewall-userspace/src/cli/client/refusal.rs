//! What an answer means that is not 200.

use axum::body::Bytes;
use hyper::{HeaderMap, StatusCode, header};

use super::{Client, DaemonPlace, exchange::ReceivedAnswer, trouble::Trouble};
use crate::{
    cli::failure::Failure,
    serve::http::{ProblemDetails, problem::codes},
    text::shown::shown,
};

/// Longest pause, in seconds, that is told as one to wait for.
const LONGEST_PAUSE: u64 = 86_400;

impl Client {
    /// What the daemon says when it does not say 200; `is_change` when something may have changed.
    pub fn refusal(&self, reply: ReceivedAnswer, is_change: bool) -> Failure {
        let ReceivedAnswer { status, headers, body } = reply;
        let Ok(problem) = serde_json::from_slice::<ProblemDetails>(&body) else {
            return self.wordless(status, &headers, is_change);
        };
        let failure = self.refused(problem, body);
        match pause(&headers).filter(|_| is_for_later(status)) {
            Some(seconds) => failure.with_any_hint(format!("try again in {seconds} s")),
            None => failure,
        }
    }

    /// A refusal, in the words of the daemon.
    pub fn refused(&self, problem: ProblemDetails, json: Bytes) -> Failure {
        let (status, code) = (problem.status, problem.code.clone());
        let failure = Failure::refused(problem, json);
        let DaemonPlace::Remote(remote) = &self.at else { return failure };
        match status {
            401 if remote.has_credentials() => failure.with_any_hint(
                "is the token or the certificate still good, and of this daemon? An administrator makes another one by \
                 `portcullis token create`",
            ),
            401 => failure
                .with_any_hint("say who you are: `--token-file FILE`, or `--client-cert PEM` and `--client-key PEM`"),
            403 if code == codes::NOT_PERMITTED => {
                failure.with_any_hint("use a token or a certificate that has this right")
            }
            _ => failure,
        }
    }

    /// An answer that is no document of a daemon: something in between may have made it.
    fn wordless(&self, status: StatusCode, headers: &HeaderMap, is_change: bool) -> Failure {
        let DaemonPlace::Remote(remote) = &self.at else { return self.strange(format!("status {status}")) };
        let said = |code, detail: &str| {
            let problem = ProblemDetails::new(status, code, format!("{self} answers with status {status}: {detail}"));
            let json = serde_json::to_vec(&problem).unwrap_or_default();
            self.refused(problem, json.into())
        };
        match status.as_u16() {
            300..=399 => {
                let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
                let why = format!("it points to {} (status {status}), which is not followed", shown(to));
                remote.unreached(Trouble::new(&why, "`--url` names the daemon itself"))
            }
            401 | 403 => said(codes::NOT_PERMITTED, "who asks is not let through"),
            429 => match pause(headers) {
                Some(seconds) => {
                    said(codes::BUSY, "too much is asked").with_any_hint(format!("try again in {seconds} s"))
                }
                None => said(codes::BUSY, "too much is asked"),
            },
            503 => remote.unreached(Trouble::new(
                &format!("something in between answers with status {status}"),
                "does the daemon run? `--url` names the daemon itself",
            )),
            500..=599 if is_change => self.unconfirmed(format!("something in between answers with status {status}")),
            _ => self.strange(format!("status {status}")),
        }
    }
}

/// Whether a status says that it may be otherwise in a while.
fn is_for_later(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// How many seconds `Retry-After` asks to wait (RFC 9110 section 10.2.3); `None` when it does not, or names a time instead.
fn pause(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds <= LONGEST_PAUSE).then_some(seconds)
}
