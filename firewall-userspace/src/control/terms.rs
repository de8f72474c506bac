//! On what terms a change is asked for.

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
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
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
            pub confirm: Option<String>,
            /// The connection through which the caller sits at this host: it must not be cut off.
            #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::text::object::optional")]
            pub caller: Option<crate::host::connections::Connection>,
        }

        impl $name {
            /// The terms of the request.
            pub fn terms(&self) -> super::Terms {
                let Self { dry_run, force, confirm, caller, .. } = self;
                super::Terms { dry_run: *dry_run, force: force.clone(), confirm: confirm.clone(), caller: *caller }
            }

            /// The same request on `terms`.
            #[must_use]
            pub fn on(mut self, terms: super::Terms) -> Self {
                let super::Terms { dry_run, force, confirm, caller } = terms;
                (self.dry_run, self.force) = (dry_run, force);
                (self.confirm, self.caller) = (confirm, caller);
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
