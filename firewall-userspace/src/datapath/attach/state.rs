//! How an interface stands, as it is told.

use std::collections::BTreeSet;

use crate::{
    datapath::DatapathError,
    policy::{AttachMode, Interface, Policy},
};

/// What becomes of a start on an interface that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwilling {
    /// It is waited for, and everything else is filtered: nothing better is to be had.
    IsWaitedFor,
    /// The start fails, and nothing has changed: what was in force before, on these interfaces, can go on. So it does when another
    /// one is not there, as a reload would.
    Refuses(BTreeSet<String>),
}

impl Unwilling {
    /// Refuses an interface of `policy` that is new, and not there by `is_there`.
    ///
    /// # Errors
    /// [`DatapathError::NoInterface`].
    pub fn admit(&self, policy: &Policy, is_there: impl Fn(&str) -> bool) -> Result<(), DatapathError> {
        let Self::Refuses(known) = self else { return Ok(()) };
        let is_missing = |interface: &&Interface| !known.contains(&interface.name) && !is_there(&interface.name);
        match policy.interfaces.iter().find(is_missing) {
            Some(missing) => Err(DatapathError::NoInterface { interface: missing.name.clone() }),
            None => Ok(()),
        }
    }
}

/// One attached interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its index when it was attached; 0 when it never was.
    pub ifindex: u32,
    /// What was asked for.
    pub configured: AttachMode,
    /// What it got: native or generic.
    pub mode: AttachMode,
    /// Whether it is filtered.
    pub presence: Presence,
}

/// Whether an interface is filtered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Attached,
    /// There is no interface of that name.
    Missing,
    /// It is, but has another name now.
    Renamed(String),
    /// It is there and not filtered: why.
    Refused(String),
}

impl Presence {
    /// Its name in status.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Missing => "missing",
            Self::Renamed(_) => "renamed",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether packets are judged.
    pub const fn is_filtered(&self) -> bool {
        matches!(self, Self::Attached | Self::Renamed(_))
    }
}

/// The state of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentState {
    /// Its name: that of the configuration, or the one it has now when another interface has that name.
    pub name: String,
    /// Where and how it is attached.
    pub attached: Attached,
    /// How often it was attached again: it was made anew, or somebody had detached it.
    pub reattachments: u64,
    /// Whether its link is pinned, so that it is filtered when the daemon ends.
    pub is_pinned: bool,
    /// The name that it was filtered by, when another interface has that name now.
    pub was: Option<String>,
}

impl AttachmentState {
    /// An interface that was never attached.
    pub(crate) fn new(name: &str, configured: AttachMode) -> Self {
        let mode = if configured == AttachMode::Generic { AttachMode::Generic } else { AttachMode::Native };
        let attached = Attached { ifindex: 0, configured, mode, presence: Presence::Missing };
        Self { name: name.to_owned(), attached, reattachments: 0, is_pinned: false, was: None }
    }
}

/// What became of an interface by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceChange {
    /// Only how it is told has changed.
    Presence(Presence),
    /// It was waited for, and is filtered.
    Came,
    /// It was made anew, and is filtered again.
    Created,
    /// Its link was taken away, and is there again.
    Detached,
    /// Its link had this program in the place of ours, and has ours again.
    Replaced(u32),
    /// It had this name, which another interface has now, and is filtered on.
    Displaced(String),
}

impl InterfaceChange {
    /// Whether the program was attached again.
    pub(super) const fn is_reattachment(&self) -> bool {
        matches!(self, Self::Created | Self::Detached | Self::Replaced(_))
    }

    /// Whether somebody else has meddled with the link.
    pub(super) const fn is_drift(&self) -> bool {
        matches!(self, Self::Detached | Self::Replaced(_))
    }

    /// Tells it.
    pub(super) fn log(&self, interface: &str) {
        match self {
            Self::Presence(Presence::Attached) => tracing::info!(interface, "is as configured again"),
            Self::Presence(Presence::Missing) => {
                tracing::error!(interface, "is gone; it is filtered again as soon as it is back");
            }
            Self::Presence(Presence::Renamed(name)) => {
                tracing::warn!(interface, name, "has another name now and is filtered on; change the configuration");
            }
            Self::Presence(Presence::Refused(cause)) => tracing::error!(interface, "is not filtered: {cause}"),
            Self::Came => tracing::info!(interface, "is filtered now"),
            Self::Created => tracing::warn!(interface, "was made anew, and is filtered again"),
            Self::Detached => {
                tracing::error!(interface, "somebody has detached the program; it is attached again");
            }
            Self::Replaced(program) => {
                tracing::error!(interface, program, "somebody has put another program in our link; ours is back");
            }
            Self::Displaced(was) => tracing::warn!(
                interface,
                was,
                "has another name than before and is filtered on, as is the interface that has its name now; change the configuration"
            ),
        }
    }
}
