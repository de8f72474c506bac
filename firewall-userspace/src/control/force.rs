//! Which guards a caller insists against.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

use crate::preview::guard::{GuardName, UnknownGuard};

/// The guards that are lifted for one change. In JSON `true` is all of them, and an array has the names of some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// None.
    #[default]
    Nothing,
    /// Each of them.
    All,
    /// These; at least one.
    Named(BTreeSet<GuardName>),
}

impl Force {
    /// Whether no guard is lifted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }

    /// Whether this guard is.
    pub fn lifts(&self, guard: GuardName) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Named(names) => names.contains(&guard),
        }
    }
}

impl FromIterator<GuardName> for Force {
    fn from_iter<I: IntoIterator<Item = GuardName>>(names: I) -> Self {
        let names: BTreeSet<GuardName> = names.into_iter().collect();
        if names.is_empty() { Self::Nothing } else { Self::Named(names) }
    }
}

/// `cut-off,empty`.
impl FromStr for Force {
    type Err = UnknownGuard;

    fn from_str(text: &str) -> Result<Self, UnknownGuard> {
        text.split(',').map(|name| name.trim().parse()).collect()
    }
}

impl Serialize for Force {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_bool(false),
            Self::All => serializer.serialize_bool(true),
            Self::Named(names) => serializer.collect_seq(names.iter().map(|name| name.label())),
        }
    }
}

impl<'de> Deserialize<'de> for Force {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ForceVisitor)
    }
}

struct ForceVisitor;

impl<'de> Visitor<'de> for ForceVisitor {
    type Value = Force;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean or an array of names of guards")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Force, E> {
        Ok(if value { Force::All } else { Force::Nothing })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Force, A::Error> {
        let mut all = BTreeSet::new();
        while let Some(name) = names.next_element::<String>()? {
            all.insert(name.parse::<GuardName>().map_err(de::Error::custom)?);
        }
        Ok(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Push, Reload};

    fn named(names: &[GuardName]) -> Force {
        names.iter().copied().collect()
    }

    #[test]
    fn true_is_all_and_an_array_is_what_it_names() {
        let read = |json: &str| serde_json::from_str::<Force>(json).map_err(|error| error.to_string());
        assert_eq!(read("true"), Ok(Force::All));
        assert_eq!(read("false"), Ok(Force::Nothing));
        assert_eq!(read("[]"), Ok(Force::Nothing));
        assert_eq!(read(r#"["empty","cut-off"]"#), Ok(named(&[GuardName::CutOff, GuardName::Empty])));
        for force in [Force::Nothing, Force::All, named(&[GuardName::Empty])] {
            assert_eq!(read(&serde_json::to_string(&force).unwrap()), Ok(force));
        }
        assert!(read(r#"["emty"]"#).unwrap_err().starts_with("there is no guard `emty`; there are `shrink`"));
        assert!(read("\"empty\"").unwrap_err().contains("expected a boolean or an array of names of guards"));
    }

    #[test]
    fn a_request_is_written_as_older_daemons_read_it_unless_guards_are_named() {
        let json = |force| serde_json::to_string(&Reload { force, ..Reload::default() }).unwrap();
        assert_eq!(json(Force::Nothing), "{}");
        assert_eq!(json(Force::All), r#"{"force":true}"#);
        assert_eq!(json(named(&[GuardName::Gateway])), r#"{"force":["gateway"]}"#);
        let old: Push = serde_json::from_str(r#"{"force":true}"#).unwrap();
        assert_eq!(old.force, Force::All);
    }

    #[test]
    fn what_is_not_named_is_not_lifted() {
        let some = named(&[GuardName::Empty]);
        let lifted = |force: &Force| GuardName::ALL.into_iter().filter(|guard| force.lifts(*guard)).count();
        assert_eq!([&Force::Nothing, &some, &Force::All].map(lifted), [0, 1, GuardName::ALL.len()]);
        assert_eq!("empty, shrink".parse(), Ok(named(&[GuardName::Empty, GuardName::Shrink])));
        assert!("".parse::<Force>().is_err() && "empty,".parse::<Force>().is_err());
    }
}
