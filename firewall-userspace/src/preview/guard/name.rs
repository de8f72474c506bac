//! What the guards are called.

use std::{fmt, str::FromStr};

use crate::text::shown::shown;

/// A guard, by the name that `--force` lifts it by. Every harm is refused by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuardName {
    /// A list loses most of its entries.
    Shrink,
    /// A list that admits becomes empty.
    Empty,
    /// An established connection is cut off.
    CutOff,
    /// The connection of the caller is cut off.
    Caller,
    /// Sources from which this host is administered are dropped, or named by a list that denies.
    Management,
    /// A network of this host is denied.
    OwnNetwork,
    /// A gateway of this host is denied.
    Gateway,
    /// A resolver of this host is denied.
    Resolver,
    /// Everything is denied.
    Everything,
    /// An interface is not there.
    Interface,
}

/// There is no guard with this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownGuard(String);

impl GuardName {
    /// Every guard.
    pub const ALL: [Self; 10] = [
        Self::Shrink,
        Self::Empty,
        Self::CutOff,
        Self::Caller,
        Self::Management,
        Self::OwnNetwork,
        Self::Gateway,
        Self::Resolver,
        Self::Everything,
        Self::Interface,
    ];

    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Shrink => "shrink",
            Self::Empty => "empty",
            Self::CutOff => "cut-off",
            Self::Caller => "caller",
            Self::Management => "management",
            Self::OwnNetwork => "own-network",
            Self::Gateway => "gateway",
            Self::Resolver => "resolver",
            Self::Everything => "everything",
            Self::Interface => "interface",
        }
    }
}

/// How to insist against the guards of these names; without any, against all. `command` is what is to be typed; `None`: the one that
/// was refused.
pub fn insisting(command: Option<&str>, names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let force = command.map_or_else(|| "--force".to_owned(), |command| format!("{command} --force"));
    let some = match names.len() {
        0 => return format!("`{force}` does it all the same"),
        1 => "this guard",
        _ => "these guards",
    };
    format!("`{force}` does it all the same, `{force}={}` past {some} alone", names.join(","))
}

impl FromStr for GuardName {
    type Err = UnknownGuard;

    fn from_str(text: &str) -> Result<Self, UnknownGuard> {
        Self::ALL.into_iter().find(|guard| guard.label() == text).ok_or_else(|| UnknownGuard(shown(text)))
    }
}

impl fmt::Display for GuardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl fmt::Display for UnknownGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = GuardName::ALL.map(|guard| format!("`{guard}`"));
        write!(f, "there is no guard `{}`; there are {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownGuard {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_found_by_its_name_and_another_name_is_told_all_of_them() {
        for guard in GuardName::ALL {
            assert_eq!(guard.label().parse(), Ok(guard));
        }
        let told = "Shrink".parse::<GuardName>().unwrap_err().to_string();
        assert!(told.starts_with("there is no guard `Shrink`; there are `shrink`, `empty`, "), "{told}");
        assert!(GuardName::ALL.iter().all(|guard| told.contains(&format!("`{guard}`"))), "{told}");
    }

    #[test]
    fn what_to_type_is_the_command_that_was_refused_or_the_one_that_is_named() {
        assert_eq!(insisting(None, &[""; 0]), "`--force` does it all the same");
        assert_eq!(
            insisting(None, &["empty"]),
            "`--force` does it all the same, `--force=empty` past this guard alone"
        );
        assert_eq!(
            insisting(Some("portcullis reload"), &["caller", "cut-off"]),
            "`portcullis reload --force` does it all the same, `portcullis reload --force=caller,cut-off` past these guards alone"
        );
    }
}
