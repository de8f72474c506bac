//! What is kept of a token.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::text::{TokenHash, TokenId};
use crate::policy::{Grant, Name};

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// By which it is found.
    pub id: TokenId,
    /// Its name; no other token has it.
    #[serde(serialize_with = "write_name", deserialize_with = "read_name")]
    pub name: Name,
    /// What its holder may do.
    pub grant: Grant,
    /// Of its secret.
    pub hash: TokenHash,
    /// When it was made.
    pub created: Timestamp,
    /// Who has made it.
    pub created_by: String,
    /// When it was given its secret last.
    pub issued: Timestamp,
    /// How long a secret counts, in seconds; `None`: as long as the token is there.
    pub ttl_seconds: Option<u64>,
    /// When it was used last, as far as that was written.
    pub last_used: Option<Timestamp>,
    /// The secret before this one.
    pub previous: Option<PreviousSecret>,
}

/// A secret that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousSecret {
    /// Of it.
    pub hash: TokenHash,
    /// Until when it counts.
    pub until: Timestamp,
}

/// A token that was revoked: whoever still uses it is told from somebody who guesses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedToken {
    /// By which it was found.
    pub id: TokenId,
    /// The name that it had.
    pub name: String,
    /// Of its secret.
    pub hash: TokenHash,
    /// When it was revoked.
    pub at: Timestamp,
}

/// A token in memory.
#[derive(Debug)]
pub struct Token {
    record: TokenRecord,
    /// Seconds since 1970; [`NEVER`].
    last_used: AtomicI64,
}

const NEVER: i64 = i64::MIN;

impl TokenRecord {
    /// When its secret ends; `None`: never.
    pub fn expires(&self) -> Option<Timestamp> {
        self.ttl_seconds.map(|seconds| after(self.issued, Duration::from_secs(seconds)))
    }

    /// Until when the secret before this one counts; `None` when none does at `now`.
    pub fn overlaps_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.previous.as_ref().map(|previous| previous.until).filter(|until| *until > now)
    }
}

impl Token {
    /// What is kept, with the last use as it is known now.
    pub fn record(&self) -> TokenRecord {
        TokenRecord { last_used: self.last_used(), ..self.record.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.record.name
    }

    /// What its holder may do.
    pub fn grant(&self) -> &Grant {
        &self.record.grant
    }

    /// When it was used last.
    pub fn last_used(&self) -> Option<Timestamp> {
        match self.last_used.load(Ordering::Relaxed) {
            NEVER => None,
            seconds => Timestamp::from_second(seconds).ok(),
        }
    }

    /// Whether it was used since that was written.
    pub(super) fn is_used_since_written(&self) -> bool {
        self.last_used() > self.record.last_used
    }

    pub(super) fn kept(&self) -> &TokenRecord {
        &self.record
    }

    pub(super) fn note_use(&self, now: Timestamp) {
        self.last_used.fetch_max(now.as_second(), Ordering::Relaxed);
    }
}

impl From<TokenRecord> for Token {
    fn from(record: TokenRecord) -> Self {
        let seconds = record.last_used.map_or(NEVER, Timestamp::as_second);
        Self { record, last_used: AtomicI64::new(seconds) }
    }
}

/// `length` after `at`, or the end of time.
pub(super) fn after(at: Timestamp, length: Duration) -> Timestamp {
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

fn write_name<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

fn read_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    Name::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}
