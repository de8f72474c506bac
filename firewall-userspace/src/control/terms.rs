//! On what terms a change is asked for.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::Force;
use crate::host::connections::Connection;

/// The terms of a request, which are fields of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Guards that do not hold it up.
    pub force: Force,
    /// Undo it after this time, such as `60s`, unless it is confirmed.
    pub confirm: Option<String>,
    /// The connection through which the caller sits at this host.
    pub caller: Option<Connection>,
    /// What there has to be for it to happen; from `If-Match`.
    pub expect: Option<Expected>,
}

/// The state that a change was asked for in: nothing happens in any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This generation of the policy.
    Generation(u64),
    /// These lists: their revision, and when the daemon began to count it.
    Revision {
        /// The revision.
        revision: u64,
        /// Nanoseconds since 1970 at the start of the daemon: revisions of before a restart may come again with other entries.
        started: u64,
    },
}

impl Expected {
    /// The lists of a daemon that `started` then.
    pub fn lists(revision: u64, started: Timestamp) -> Self {
        // The low half is enough to tell one start from another.
        let started = u64::try_from(started.as_nanosecond() & i128::from(u64::MAX)).unwrap_or(0);
        Self::Revision { revision, started }
    }
}

/// As `ETag` and `If-Match` have it, without quotes: `g17`, `r230-18a0c3d2e1f4b5a6`.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation(generation) => write!(f, "g{generation}"),
            Self::Revision { revision, started } => write!(f, "r{revision}-{started:x}"),
        }
    }
}

/// Why text is no [`Expected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTag;

impl FromStr for Expected {
    type Err = NoTag;

    fn from_str(text: &str) -> Result<Self, NoTag> {
        let number = |digits: &str| digits.parse().map_err(|_| NoTag);
        let expected = match text.split_at_checked(1) {
            Some(("g", generation)) => Self::Generation(number(generation)?),
            Some(("r", rest)) => {
                let (revision, started) = rest.split_once('-').ok_or(NoTag)?;
                let started = u64::from_str_radix(started, 16).map_err(|_| NoTag)?;
                Self::Revision { revision: number(revision)?, started }
            }
            _ => return Err(NoTag),
        };
        // Each has one form.
        if expected.to_string() == text { Ok(expected) } else { Err(NoTag) }
    }
}

/// Declares a request with its own fields and those of [`Terms`]. A flattened struct would do, if serde could refuse unknown
/// fields beside one.
macro_rules! request {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $($(#[$of_field:meta])* pub $field:ident: $kind:ty,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$of_field])* pub $field: $kind,)*
            /// Only say what would happen.
            #[serde(default, skip_serializing_if = "super::terms::is_false")]
            pub dry_run: bool,
            /// Guards that do not hold it up: `true`, or an array of their names.
            #[serde(default, skip_serializing_if = "super::Force::is_nothing")]
            pub force: super::Force,
            /// Undo it after this time, such as `60s`, unless it is confirmed.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(pattern = "^([0-9]+(w|d|h|m|s|ms))+$")]
            pub confirm: Option<String>,
            /// The connection through which the caller sits at this host: it must not be cut off.
            #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::text::object::optional")]
            pub caller: Option<crate::host::connections::Connection>,
            /// What there has to be for it to happen; from `If-Match`.
            #[serde(skip)]
            pub expect: Option<super::Expected>,
        }

        impl $name {
            /// The terms of the request.
            pub fn terms(&self) -> super::Terms {
                let Self { dry_run, force, confirm, caller, expect, .. } = self;
                let (force, confirm) = (force.clone(), confirm.clone());
                super::Terms { dry_run: *dry_run, force, confirm, caller: *caller, expect: *expect }
            }

            /// The same request on `terms`.
            #[must_use]
            pub fn on(mut self, terms: super::Terms) -> Self {
                let super::Terms { dry_run, force, confirm, caller, expect } = terms;
                (self.dry_run, self.force) = (dry_run, force);
                (self.confirm, self.caller, self.expect) = (confirm, caller, expect);
                self
            }
        }
    };
}

pub(super) use request;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}
