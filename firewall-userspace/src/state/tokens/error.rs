//! What can go wrong with tokens, in words.

use std::fmt;

use super::{MOST, text::NoRandomness};
use crate::state::error::StoreError;

/// Why a change of tokens was refused.
#[derive(Debug)]
pub enum TokenError {
    /// Another token has the name.
    Exists {
        /// The name.
        name: String,
    },
    /// No token has the name.
    Missing {
        /// The name.
        name: String,
    },
    /// There are [`MOST`] tokens.
    TooMany,
    /// The file cannot be used, and nobody gets in by a token.
    Unusable {
        /// Which file, and why.
        why: String,
    },
    /// It cannot be kept over a restart, so it did not happen.
    NotKept(StoreError),
    /// The token is revoked in this daemon, and would count again after a restart.
    RevokedUntilRestart {
        /// Its name.
        name: String,
        /// Why that cannot be kept.
        source: StoreError,
    },
    /// There are no random numbers.
    NoRandomness(NoRandomness),
}

/// Why a token is refused. Whoever shows it is not told which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// There is no such token.
    Unknown,
    /// The secret is another one.
    Wrong,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { name } => write!(
                f,
                "there is a token `{name}`\nhint: `portcullis token rotate {name}` gives it another secret; `token revoke` removes it"
            ),
            Self::Missing { name } => {
                write!(f, "there is no token `{name}`\nhint: `portcullis token list` shows those that there are")
            }
            Self::TooMany => {
                write!(f, "there are {MOST} tokens, and no more may be\nhint: `portcullis token revoke` removes one")
            }
            Self::Unusable { why } => write!(f, "tokens are refused: {why}"),
            Self::NotKept(source) => write!(f, "the tokens stay as they were: {source}"),
            Self::RevokedUntilRestart { name, source } => write!(
                f,
                "`{name}` is revoked, but only until the daemon starts again, unless the disk takes it before, which is tried each \
                 minute: {source}"
            ),
            Self::NoRandomness(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotKept(source) | Self::RevokedUntilRestart { source, .. } => Some(source),
            Self::NoRandomness(source) => Some(source),
            _ => None,
        }
    }
}

impl From<NoRandomness> for TokenError {
    fn from(source: NoRandomness) -> Self {
        Self::NoRandomness(source)
    }
}
