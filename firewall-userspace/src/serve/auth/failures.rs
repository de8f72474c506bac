//! Why credentials are refused: a closed set, for the log and the metrics. Whoever shows them is not told.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthFailure {
    /// Nothing was shown.
    None,
    /// Not all was shown that `require` asks for.
    Incomplete,
    /// What is shown is of nobody.
    Unknown,
    /// The secret or the signature is wrong.
    Wrong,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It was revoked.
    Revoked,
    /// It is for somebody else.
    Audience,
    /// Somebody else has issued it.
    Issuer,
    /// The algorithm is none that is taken, or does not go with the key.
    Algorithm,
    /// The key is not known, or cannot be had.
    Key,
    /// The signature was used before.
    Replayed,
    /// The body is not the one that was signed.
    Digest,
    /// Something has to be signed and is not.
    Uncovered,
    /// The signature is too old.
    Stale,
    /// It has not the form of a credential.
    Malformed,
    /// It names no role that is known here.
    Role,
    /// Credentials contradict each other.
    Contradictory,
    /// There is no room to check it.
    Full,
    /// What it is checked by cannot be had.
    Unavailable,
    /// The source has failed too often to be checked now.
    Slowed,
}

impl AuthFailure {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::None,
        Self::Incomplete,
        Self::Unknown,
        Self::Wrong,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::Audience,
        Self::Issuer,
        Self::Algorithm,
        Self::Key,
        Self::Replayed,
        Self::Digest,
        Self::Uncovered,
        Self::Stale,
        Self::Malformed,
        Self::Role,
        Self::Contradictory,
        Self::Full,
        Self::Unavailable,
        Self::Slowed,
    ];

    /// Its name in metrics, the log and the audit.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Incomplete => "incomplete",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Replayed => "replayed",
            Self::Digest => "digest",
            Self::Uncovered => "uncovered",
            Self::Stale => "stale",
            Self::Malformed => "malformed",
            Self::Role => "role",
            Self::Contradictory => "contradictory",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Slowed => "slowed",
        }
    }

    /// Whether somebody may be guessing: such failures slow their source down.
    pub(super) const fn slows(self) -> bool {
        !matches!(self, Self::None | Self::Full | Self::Unavailable | Self::Slowed | Self::Role)
    }

    /// Counts one.
    pub(super) fn count(self) {
        if let Some(count) = COUNTS.get(self as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Counts of this process, in the order of [`AuthFailure::ALL`].
static COUNTS: [AtomicU64; AuthFailure::ALL.len()] = [const { AtomicU64::new(0) }; AuthFailure::ALL.len()];

/// How often each reason was why, from 0 on.
pub fn counts() -> [(AuthFailure, u64); AuthFailure::ALL.len()] {
    AuthFailure::ALL
        .map(|reason| (reason, COUNTS.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_label_and_a_count_of_its_own() {
        let labels: BTreeSet<_> = AuthFailure::ALL.map(AuthFailure::label).into();
        assert_eq!(labels.len(), AuthFailure::ALL.len());
        for (index, reason) in AuthFailure::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
