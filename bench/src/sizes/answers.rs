//! Bad requests as large as they may be: how much is answered, and what the daemon keeps of them.

use std::{fmt, thread, time::Instant};

use anyhow::Result;
use firewall_tests::{daemon::Site, lab::Lab};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pusher::{forget_peak, memory_mib, post};
use crate::interrupt;

/// What became of one bad request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BadAnswer {
    /// The request, in words.
    pub name: String,
    /// Its octets.
    pub request: usize,
    /// Octets of the answer, with the header.
    pub octets: usize,
    /// Status code of the answer.
    pub status: u16,
    /// Seconds until it was there.
    pub seconds: f64,
    /// Memory of the daemon before, in MiB.
    pub before_mib: f64,
    /// The most meanwhile.
    pub peak_mib: f64,
    /// Ten seconds later.
    pub after_mib: f64,
}

/// The most that a request may have (`serve::api::body::MAX_BODY`).
const LARGEST: usize = 16 << 20;

/// After which memory must be given back, in seconds.
const LATER_S: u32 = 10;

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, octets, before_mib, peak_mib, after_mib, .. } = self;
        write!(f, "sizes/{name}: {octets} octets, {before_mib:.0} MiB before, ")?;
        write!(f, "at most {peak_mib:.0} MiB, {after_mib:.0} MiB after")
    }
}

/// Sends each of them to the same daemon.
///
/// # Errors
/// When the daemon does not answer.
pub fn measure() -> Result<Vec<BadAnswer>> {
    let lab = Lab::new()?;
    let daemon = super::start(&lab)?;
    let socket = Site::of(&lab.trial).socket;
    let mut answers = Vec::new();
    for (name, body) in requests() {
        let before_mib = memory_mib(daemon.pid(), "VmRSS")?;
        forget_peak(daemon.pid())?;
        let begin = Instant::now();
        let answer = post(&socket, &body)?;
        let seconds = begin.elapsed().as_secs_f64();
        for _ in 0..LATER_S {
            interrupt::check()?;
            thread::sleep(std::time::Duration::from_secs(1));
        }
        answers.push(BadAnswer {
            name: name.to_owned(),
            request: body.len(),
            octets: answer.octets,
            status: answer.status,
            seconds,
            before_mib,
            peak_mib: memory_mib(daemon.pid(), "VmHWM")?,
            after_mib: memory_mib(daemon.pid(), "VmRSS")?,
        });
    }
    Ok(answers)
}

fn requests() -> [(&'static str, String); 3] {
    let add = |entry: &str, count: usize| format!("{{\"add\":[{}]}}", vec![entry; count].join(","));
    let misspelt = json!({"list": "blokced", "prefix": "198.51.100.1"}).to_string();
    let line = json!({"ip": "198.51.100.1", "reason": "ssh"}).to_string();
    let line = json!({"list": "blocked", "prefix": line}).to_string();
    [
        ("a misspelt list in 200,000 entries", add(&misspelt, 200_000)),
        ("empty objects", add("{}", (LARGEST - 16) / 3)),
        ("80,000 lines of JSON as prefixes", add(&line, 80_000)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_json_and_no_longer_than_they_may_be() {
        for (name, body) in requests() {
            assert!(body.len() <= LARGEST, "{name}: {}", body.len());
            assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{name}");
        }
    }
}
