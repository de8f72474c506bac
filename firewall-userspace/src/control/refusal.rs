//! Why the answer is no.

use std::fmt;

use super::{Expected, NotUndoable, Pending, Verb};
use crate::{
    preview::guard::{Harm, guards_of, insisting},
    text::{problem::Problems, shown::counted},
};

/// Why the controller did not do what it was asked. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is wrong.
    Invalid(Problems),
    /// Some of it is outside what the caller may change.
    OutOfScope {
        /// The caller.
        who: String,
        /// Which rights are missing.
        problems: Problems,
    },
    /// The verb and the use of a list contradict each other.
    WrongVerb {
        /// The list.
        list: String,
        /// What the caller took it for.
        verb: Verb,
    },
    /// There would be more entries than the tables hold.
    Full {
        /// Prefixes of one family after the change.
        wanted: usize,
        /// Most prefixes of one family.
        capacity: usize,
    },
    /// The new configuration is wrong; the rendered report says where. The old policy goes on.
    Config {
        /// Number of errors.
        errors: usize,
        /// The report, as `portcullis check` prints it.
        report: String,
    },
    /// There is too little memory for it.
    NoMemory {
        /// What was attempted, how much it needs and there is, with a hint.
        message: String,
    },
    /// The change cannot be kept over a restart, so it did not happen.
    NotKept {
        /// What was attempted, on what, and why it failed, with its hint.
        message: String,
    },
    /// The change cannot be recorded in the audit log, so it did not happen.
    NotAudited {
        /// What was attempted, on what, and why it failed, with its hint.
        why: String,
    },
    /// The kernel refused; what had been written was undone.
    Datapath {
        /// What was attempted, on what, and why it failed, with its hint.
        message: String,
    },
    /// It would hurt, and the caller does not insist.
    Guarded(Vec<Harm>),
    /// Another change waits for a confirmation.
    Pending(Box<Pending>),
    /// Nothing waits for a confirmation.
    NothingPending {
        /// What became of what did, when that is known.
        why: Option<String>,
    },
    /// A sync is under way, and no push waits for a confirmation beside it.
    SyncUnderway,
    /// Two syncs are under way already.
    Crowded,
    /// A sync was cancelled before it was promised.
    Cancelled,
    /// What a sync was compared with has changed meanwhile.
    Overtaken {
        /// What: `the policy`.
        what: &'static str,
    },
    /// There is no such generation, or none to go back to.
    NoGeneration {
        /// The one that was asked for; `None`: one before the live one.
        wanted: Option<u64>,
        /// Those that are kept.
        kept: Vec<u64>,
    },
    /// The push cannot be taken back.
    NotUndoable {
        /// The revision that was asked for.
        revision: u64,
        /// Why.
        why: NotUndoable,
    },
    /// What it was asked for on top of is not so any more.
    Precondition {
        /// What is so.
        current: Expected,
    },
    /// The controller was at something else for so long that it did not begin with this; it does not happen.
    Busy {
        /// For how long it was waited, in seconds.
        seconds: u64,
    },
    /// The daemon has no policy: neither a configuration file nor a generation that can be used.
    NoPolicy {
        /// Why.
        why: String,
    },
    /// The daemon is stopping.
    Stopping,
}

/// Most octets of a refusal in a line of the log.
const BRIEF_OCTETS: usize = 8192;

/// Words on `harms`, and how to insist: by `command`, or `None`: by the one that was refused.
pub fn guarded(harms: &[Harm], command: Option<&str>) -> String {
    let told: Vec<String> = harms.iter().map(Harm::to_string).collect();
    format!("{}\nhint: {}", told.join("; "), insisting(command, &guards_of(harms)))
}

impl Refusal {
    /// It for programs and for the audit log; the API has the same codes, which never change their meaning.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::OutOfScope { .. } => "not_permitted",
            Self::Precondition { .. } => "precondition_failed",
            Self::WrongVerb { .. } => "wrong_verb",
            Self::Full { .. } | Self::NoMemory { .. } => "full",
            Self::Config { .. } => "invalid_config",
            Self::NotKept { .. } => "not_kept",
            Self::NotAudited { .. } => "not_audited",
            Self::Datapath { .. } => "datapath",
            Self::Guarded(_) => "guarded",
            Self::Pending(_) => "pending",
            Self::NothingPending { .. } => "nothing_pending",
            Self::SyncUnderway | Self::Crowded | Self::Busy { .. } => "busy",
            Self::Cancelled => "cancelled",
            Self::Overtaken { .. } => "overtaken",
            Self::NoGeneration { .. } => "no_generation",
            Self::NotUndoable { .. } => "not_undoable",
            Self::NoPolicy { .. } => "no_policy",
            Self::Stopping => "stopping",
        }
    }

    /// It in few words, for a log: of a long one the first lines.
    pub fn brief(&self) -> String {
        let all = self.to_string();
        let Some(begin) = all.get(..all.floor_char_boundary(BRIEF_OCTETS)).filter(|begin| begin.len() < all.len())
        else {
            return all;
        };
        let whole_lines = begin.rfind('\n').map_or(begin, |end| &begin[..end]);
        format!("{whole_lines}\n... and {} more", counted(all.len() - whole_lines.len(), "octet"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(problems) => problems.fmt(f),
            Self::OutOfScope { who, problems } => write!(f, "{who} may not do all of this: {problems}"),
            Self::WrongVerb { list, verb } => match verb {
                Verb::Allow => write!(f, "the list `{list}` denies: its entries are not let in but kept out"),
                Verb::Deny => write!(f, "the list `{list}` allows: its entries are not kept out but let in"),
            },
            Self::Full { wanted, capacity } => {
                write!(f, "there would be {wanted} prefixes of one family and the table holds {capacity}")
            }
            Self::Config { errors, report } => {
                write!(f, "{}\n{report}", counted(*errors, "error"))
            }
            Self::Datapath { message } | Self::NotKept { message } | Self::NoMemory { message } => f.write_str(message),
            Self::NotAudited { why } => {
                write!(f, "changes are refused, but those of root on this host, because they cannot be recorded: {why}")
            }
            Self::Guarded(harms) => f.write_str(&guarded(harms, None)),
            Self::Pending(pending) => write!(
                f,
                "{} waits for a confirmation for {} s more, and only one change can\nhint: `portcullis confirm` keeps it, \
                 `portcullis rollback` undoes it",
                pending.name(),
                pending.seconds_left
            ),
            Self::NothingPending { why } => {
                f.write_str("nothing waits for a confirmation")?;
                why.iter().try_for_each(|why| write!(f, ": {why}"))?;
                f.write_str("\nhint: `portcullis history` shows the last policies, `portcullis undo --list` the last pushes")
            }
            Self::SyncUnderway => f.write_str("a sync is under way, and no push waits for a confirmation beside it\nhint: try again when it is over, or push without `--confirm`"),
            Self::Crowded => f.write_str("two syncs are under way already\nhint: try again when one is over"),
            Self::Cancelled => f.write_str("the sync was cancelled before it was promised"),
            Self::Overtaken { what } => {
                write!(f, "{what} changed while the sync was compared with what is there\nhint: ask for all of it again")
            }
            Self::NoGeneration { wanted, kept } => {
                match wanted {
                    Some(wanted) => write!(f, "there is no generation {wanted}")?,
                    None => f.write_str("there is no generation before this one to go back to")?,
                }
                let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
                write!(f, "; kept are {}", kept.join(", "))
            }
            Self::NotUndoable { revision, why } => why.tell(*revision, f),
            Self::Precondition { current } => overtaken(*current, f),
            Self::Busy { seconds } => busy(*seconds, f),
            Self::NoPolicy { why } => write!(
                f,
                "the daemon has nothing to enforce: {why}\nhint: correct the configuration file, then `portcullis reload`"
            ),
            Self::Stopping => f.write_str("the daemon is stopping"),
        }
    }
}

impl std::error::Error for Refusal {}

/// It was asked for on top of something else than what is `current`.
fn overtaken(current: Expected, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let what = match current {
        Expected::Generation(_) => "policy",
        Expected::Revision { .. } => "lists",
    };
    write!(
        f,
        "somebody else has changed the {what} since: `{current}` is current; nothing was changed\n\
         hint: look again, and ask for the change with the `ETag` of that answer"
    )
}

/// It was not begun with for so long.
fn busy(seconds: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "the daemon was busy with something else for {seconds} s; nothing of this was begun, and it will not happen\n\
         hint: try again; `doing` in `portcullis status` says what it does"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_the_first_lines_of_a_long_report() {
        let report = "error: `entries[7]`: `x` is no prefix\n".repeat(2000);
        let refusal = Refusal::Config { errors: 2000, report };
        let brief = refusal.brief();
        assert!(
            brief.starts_with("2,000 errors\nerror: `entries[7]`: ") && brief.len() < BRIEF_OCTETS + 100,
            "{}",
            brief.len()
        );
        let end = brief.lines().next_back().unwrap();
        assert!(end.starts_with("... and ") && end.ends_with(" octets more"), "{end}");
        assert_eq!(Refusal::Stopping.brief(), "the daemon is stopping");
        let one_line = Refusal::Datapath { message: "ä".repeat(BRIEF_OCTETS) }.brief();
        assert!(one_line.len() < BRIEF_OCTETS + 100, "{}", one_line.len());
    }
}
