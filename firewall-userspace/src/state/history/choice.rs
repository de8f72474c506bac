//! Which policy a start uses: the configuration file, or a generation that is kept.

use std::fmt;

use super::{Disk, Generation, History, Provision};
use crate::{
    clock::{Now, deadline::Deadline},
    config::Bundle,
    policy::Mode,
};

/// What a start uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The configuration file; with this mode, when one was set that it does not have itself.
    File(Option<Mode>, Why),
    /// A generation that is kept.
    Kept(Generation, Why),
    /// A generation that waits for a confirmation, until the deadline.
    Waiting(Generation, Provision, Deadline),
    /// The generation before one that nobody has confirmed in time.
    Back(Generation, Provision),
    /// There is nothing: no file that can be used, and no generation.
    Nothing,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is kept.
    First,
    /// The configuration file, or what it includes, has changed since it was read.
    Changed,
    /// The configuration file is the same, its list files have changed.
    ListsChanged,
    /// The configuration file says what is in force.
    Same,
    /// The configuration file has not changed since it was read, and something else has come into force after that.
    Unchanged,
    /// The configuration file cannot be used.
    Unusable,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "no generation is kept",
            Self::Changed => "the configuration file has changed since it was last read",
            Self::ListsChanged => "list files have changed since they were last read",
            Self::Same => "the configuration file has not changed",
            Self::Unchanged => "the configuration file has not changed since it was last read",
            Self::Unusable => "the configuration file cannot be used",
        })
    }
}

/// Chooses, when the configuration file says what is in `file`, and its own mode; `None` when it cannot be used.
///
/// What waits for a confirmation comes first: whoever was cut off by it does not depend on what else has happened to files. Then
/// a configuration file that was changed since a daemon last read it is what its operator wants. Otherwise the last generation
/// goes on. Where only list files have changed, they are read anew, unless the generation comes from another configuration.
/// A file that cannot be used changes nothing. Where nobody knows what it was last read as, it counts as changed.
pub fn choose<D: Disk>(history: &History<D>, file: Option<(&Bundle, Mode)>, now: Now) -> Choice {
    let Some(active) = history.active() else {
        return if file.is_some() { Choice::File(None, Why::First) } else { Choice::Nothing };
    };
    if let Some(pending) = history.pending() {
        let deadline = Deadline::resume(pending.until, now);
        let previous = history.generation(pending.previous).filter(|_| deadline.left(now).is_zero());
        return match previous {
            Some(previous) => Choice::Back(previous.clone(), pending.clone()),
            None => Choice::Waiting(active.clone(), pending.clone(), deadline),
        };
    }
    let Some((file, own)) = file else { return Choice::Kept(active.clone(), Why::Unusable) };
    let Ok(Some(read)) = history.read_as() else { return Choice::File(None, Why::Changed) };
    if !read.has_the_settings_of(file) {
        return Choice::File(history.kept_mode(own), Why::Changed);
    }
    let live = history.bundle_of(active).ok();
    if read.says_the_same_as(file) {
        let is_same = live.is_some_and(|live| live.says_the_same_as(file));
        return Choice::Kept(active.clone(), if is_same { Why::Same } else { Why::Unchanged });
    }
    match live.is_some_and(|live| live.has_the_settings_of(file)) {
        true => Choice::File(active.mode, Why::ListsChanged),
        false => Choice::Kept(active.clone(), Why::Unchanged),
    }
}
