//! `[[test]]`: a packet and what the policy of the same file is to say about it.

use std::{fmt, path::PathBuf};

use firewall_common::{Action, Verdict};

use super::{Name, packet::Packet};
use crate::text::location::Location;

/// One `[[test]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTest {
    /// What it says, for people.
    pub name: String,
    /// The packet.
    pub packet: Packet,
    /// What becomes of it.
    pub expect: Expectation,
    /// The service that is to judge it.
    pub service: Option<Name>,
    /// Where `expect` is written.
    pub place: TestPlace,
}

/// Where a test says what it expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPlace {
    /// The configuration.
    pub file: PathBuf,
    /// Key path such as `test[2].expect`.
    pub path: String,
    /// The place.
    pub location: Location,
}

/// What a test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Any verdict that lets the packet through.
    Pass,
    /// Any verdict that drops it.
    Drop,
    /// This one.
    Verdict(Verdict),
}

impl Expectation {
    /// What may be written, for messages.
    pub const ACTIONS: [(&str, Self); 2] = [("pass", Self::Pass), ("drop", Self::Drop)];

    /// Whether `verdict` is what is expected.
    pub fn is_met_by(self, verdict: Verdict) -> bool {
        match self {
            Self::Pass => verdict.action() == Action::Pass,
            Self::Drop => verdict.action() == Action::Drop,
            Self::Verdict(expected) => verdict == expected,
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Verdict(verdict) => verdict.label(),
        })
    }
}
