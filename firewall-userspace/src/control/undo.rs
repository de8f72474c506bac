//! Pushes that can be taken back.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Pending, terms::request};
use crate::{lists::entry::Layer, policy::Prefix, text::shown::grouped};

request! {
    /// A push that is to be taken back: what it changed becomes what it was before.
    pub struct Undo {
        /// The revision that it made.
        pub revision: u64,
        /// Who the caller is in person, as the client says: the user behind `sudo`. A remark for people, never a right.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub person: Option<String>,
    }
}

impl Undo {
    /// Asks for the push of `revision`.
    pub fn of(revision: u64) -> Self {
        let force = super::Force::Nothing;
        Self { revision, person: None, dry_run: false, force, confirm: None, caller: None, expect: None }
    }
}

/// A push that can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct PushSummary {
    /// The revision that it made.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// Who pushed.
    pub owner: String,
    /// Who that was in person, as the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The lists that it changed.
    pub lists: Vec<String>,
    /// Entries that were new.
    pub added: usize,
    /// Entries that were there, and got another end or comment.
    pub refreshed: usize,
    /// Entries that went.
    pub removed: usize,
    /// It took back the push of this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
}

/// The last pushes that can be taken back: the schema `portcullis.pushes/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Pushes {
    /// Always `portcullis.pushes/v1`.
    pub schema: String,
    /// Revision of the lists.
    pub revision: u64,
    /// How many there are, those included that are not asked for.
    pub count: usize,
    /// The newest first.
    pub pushes: Vec<PushSummary>,
}

impl Pushes {
    /// Most pushes that are remembered.
    pub const MOST: usize = 1000;

    /// How many are told unless somebody asks for another number.
    pub const TOLD: usize = 20;

    /// These.
    pub fn new(revision: u64, count: usize, pushes: Vec<PushSummary>) -> Self {
        Self { schema: "portcullis.pushes/v1".into(), revision, count, pushes }
    }
}

/// An entry that is not what it was before a push that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct KeptEntry {
    /// Its list.
    pub list: String,
    /// Its prefix.
    pub prefix: Prefix,
    /// Its layer.
    pub layer: Layer,
    /// Who holds it, or held it.
    pub owner: String,
    /// What becomes of it, and why.
    pub detail: String,
}

/// Why a push cannot be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotUndoable {
    /// Something else made the revision.
    NoPush,
    /// There were too many pushes, or too large ones, since.
    TooOld {
        /// The oldest push that is remembered, if any.
        oldest: Option<u64>,
    },
    /// The push was larger than what is remembered of pushes.
    TooLarge,
    /// It is of before the daemon started.
    BeforeStart {
        /// The revision with which the daemon began.
        began: u64,
    },
    /// There is no such revision yet.
    Never {
        /// The last one.
        last: u64,
    },
    /// It was taken back already.
    Undone {
        /// The revision of that.
        by: u64,
        /// That can be taken back itself.
        is_undoable: bool,
    },
    /// It waits for a confirmation.
    Waits(Box<Pending>),
}

/// What to do about most of it.
const SHOW: &str =
    "hint: `portcullis undo --list` shows the pushes that can be undone, `portcullis status` the revision of now";

impl NotUndoable {
    /// In words, of the push of `revision`.
    pub fn tell(&self, revision: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot undo revision {revision}: ")?;
        match self {
            Self::NoPush => write!(
                f,
                "no push made it, but a change of the policy, the end of entries, or what nobody confirmed\n{SHOW}; \
                 `portcullis history` has the changes of the policy"
            ),
            Self::TooOld { oldest } => {
                let most = grouped(Pushes::MOST);
                write!(f, "only what the last {most} pushes have changed is remembered, and at most 128 MiB of it")?;
                oldest.iter().try_for_each(|oldest| write!(f, "; the oldest is of revision {oldest}"))?;
                write!(f, "\n{SHOW}")
            }
            Self::TooLarge => write!(
                f,
                "the push was so large that what it changed is not remembered\n\
                 hint: what was so before it has to be pushed again, such as by `replace` of the list as it was"
            ),
            Self::BeforeStart { began } => write!(
                f,
                "it is of before the daemon started, at revision {began}, and what pushes have changed is not kept over a restart\n{SHOW}"
            ),
            Self::Never { last } => {
                write!(f, "the last revision is {last}; a daemon that starts goes on from its last generation\n{SHOW}")
            }
            Self::Undone { by, is_undoable } => {
                writeln!(f, "it was undone already, by revision {by}")?;
                if *is_undoable { write!(f, "hint: `portcullis undo {by}` takes that back") } else { f.write_str(SHOW) }
            }
            Self::Waits(pending) => write!(
                f,
                "the push waits for a confirmation for {} s more, and is undone then\n\
                 hint: wait, or `portcullis rollback` undoes it now; `portcullis confirm` keeps it",
                pending.seconds_left
            ),
        }
    }
}
