//! What somebody may do who uses the API: a role, and a scope that narrows it.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Layer, Prefix};

/// What somebody may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look: status, entries, history, explanations, metrics.
    Viewer,
    /// Change entries.
    Operator,
    /// Change the policy, the mode and who may use the API.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its name in configurations and answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a change does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryVerb {
    /// Adds it to a list that no service denies.
    Allow,
    /// Adds it to a list that a service denies.
    Deny,
    /// Removes it.
    Remove,
}

impl EntryVerb {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::Remove];

    /// Its name in configurations and answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Remove => "remove",
        }
    }
}

/// Which entries an operator may change, and how; what is `None` is not narrowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Lists, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<BTreeSet<String>>,
    /// Entries inside one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<BTreeSet<Prefix>>,
    /// Longest time to live in seconds; entries need one then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<u64>,
    /// Shortest length of an IPv4 prefix that may be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length_v4: Option<u8>,
    /// Shortest length of an IPv6 prefix that may be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length_v6: Option<u8>,
    /// Layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<BTreeSet<Layer>>,
    /// Verbs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbs: Option<BTreeSet<EntryVerb>>,
}

/// What a [`Scope`] keeps somebody from. The words name the right that is missing, and never what exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutOfScope {
    /// The list.
    List,
    /// The prefix: it is inside none of those that may be touched.
    Prefix,
    /// The time to live: there is none, or it is longer than so many seconds.
    Ttl(u64),
    /// The length of the prefix: it is shorter than this.
    Length(u8),
    /// The layer.
    Layer(Layer),
    /// The verb.
    Verb(EntryVerb),
    /// Entries of others.
    Others,
    /// The guards, which it would lift.
    Force,
    /// The policy.
    Policy,
}

impl Scope {
    /// Whether it narrows nothing.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the list `name` may be changed.
    ///
    /// # Errors
    /// [`OutOfScope::List`].
    pub fn list(&self, name: &str) -> Result<(), OutOfScope> {
        match &self.lists {
            Some(lists) if !lists.contains(name) => Err(OutOfScope::List),
            _ => Ok(()),
        }
    }

    /// Whether entries for `prefix` may be touched.
    ///
    /// # Errors
    /// [`OutOfScope::Prefix`].
    pub fn prefix(&self, prefix: Prefix) -> Result<(), OutOfScope> {
        match &self.prefixes {
            Some(prefixes) if !prefixes.iter().any(|one| one.covers(prefix)) => Err(OutOfScope::Prefix),
            _ => Ok(()),
        }
    }

    /// Whether entries of `layer` may be changed.
    ///
    /// # Errors
    /// [`OutOfScope::Layer`].
    pub fn layer(&self, layer: Layer) -> Result<(), OutOfScope> {
        match &self.layers {
            Some(layers) if !layers.contains(&layer) => Err(OutOfScope::Layer(layer)),
            _ => Ok(()),
        }
    }

    /// Whether entries may be changed by `verb`.
    ///
    /// # Errors
    /// [`OutOfScope::Verb`].
    pub fn verb(&self, verb: EntryVerb) -> Result<(), OutOfScope> {
        match &self.verbs {
            Some(verbs) if !verbs.contains(&verb) => Err(OutOfScope::Verb(verb)),
            _ => Ok(()),
        }
    }

    /// Whether an entry for `prefix` may be added that ends after `ttl`.
    ///
    /// # Errors
    /// What it is not in the scope for.
    pub fn addition(&self, prefix: Prefix, ttl: Option<Duration>) -> Result<(), OutOfScope> {
        self.prefix(prefix)?;
        let least = if prefix.address().is_ipv4() { self.min_length_v4 } else { self.min_length_v6 };
        if let Some(least) = least.filter(|least| prefix.length() < *least) {
            return Err(OutOfScope::Length(least));
        }
        match self.max_ttl_seconds {
            Some(most) if ttl.is_none_or(|ttl| ttl > Duration::from_secs(most)) => Err(OutOfScope::Ttl(most)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for OutOfScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("the right to change this list is missing"),
            Self::Prefix => f.write_str("the right to touch this prefix is missing"),
            Self::Ttl(most) => write!(f, "the right to entries without an end, or of more than {most} s, is missing"),
            Self::Length(least) => write!(f, "the right to prefixes that are shorter than /{least} is missing"),
            Self::Layer(layer) => write!(f, "the right to the layer `{}` is missing", layer.label()),
            Self::Verb(verb) => write!(f, "the right to {} is missing", verb.label()),
            Self::Force => f.write_str("the right to lift a guard is missing"),
            Self::Policy => f.write_str("the right to change the policy is missing"),
            Self::Others => f.write_str("the right to change entries of others is missing"),
        }
    }
}

/// A role with its scope.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// What narrows the role of an operator.
    #[serde(default, skip_serializing_if = "Scope::is_everything")]
    pub scope: Scope,
}

impl Grant {
    /// `role`, whole.
    pub fn whole(role: Role) -> Self {
        Self { role, scope: Scope::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn roles_are_ordered_by_what_they_may() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }

    #[test]
    fn a_scope_narrows_what_it_names_and_nothing_else() {
        let everything = Scope::default();
        assert!(everything.is_everything());
        assert_eq!(everything.addition(prefix("0.0.0.0/0"), None), Ok(()));
        let scope = Scope {
            lists: Some(["partners".to_owned()].into()),
            prefixes: Some([prefix("198.51.100.0/24"), prefix("2001:db8::/32")].into()),
            max_ttl_seconds: Some(3600),
            min_length_v4: Some(28),
            min_length_v6: None,
            layers: Some([Layer::Runtime].into()),
            verbs: Some([EntryVerb::Allow].into()),
        };
        assert_eq!((scope.list("partners"), scope.list("others")), (Ok(()), Err(OutOfScope::List)));
        assert_eq!(
            (scope.layer(Layer::Runtime), scope.layer(Layer::Ban)),
            (Ok(()), Err(OutOfScope::Layer(Layer::Ban)))
        );
        assert_eq!(scope.verb(EntryVerb::Remove), Err(OutOfScope::Verb(EntryVerb::Remove)));
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(scope.addition(prefix("198.51.100.16/28"), hour), Ok(()));
        assert_eq!(scope.addition(prefix("2001:db8::/32"), hour), Ok(()));
        assert_eq!(scope.addition(prefix("198.51.100.0/27"), hour), Err(OutOfScope::Length(28)));
        assert_eq!(scope.addition(prefix("198.51.101.1/32"), hour), Err(OutOfScope::Prefix));
        assert_eq!(scope.addition(prefix("198.51.100.0/23"), hour), Err(OutOfScope::Prefix), "wider than the scope");
        assert_eq!(scope.addition(prefix("198.51.100.1/32"), None), Err(OutOfScope::Ttl(3600)));
        let longer = Some(Duration::from_millis(3_600_001));
        assert_eq!(scope.addition(prefix("198.51.100.1/32"), longer), Err(OutOfScope::Ttl(3600)));
    }
}
