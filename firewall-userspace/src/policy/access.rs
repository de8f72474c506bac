//! What somebody may do who uses the API: a role, and a scope that narrows it.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Layer, Prefix};

/// What somebody may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, utoipa::ToSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, utoipa::ToSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
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

impl Scope {
    /// What both admit: it admits whatever this one and `other` admit, and nothing else.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            lists: both(&self.lists, &other.lists, |one, other| one & other),
            prefixes: both(&self.prefixes, &other.prefixes, common),
            max_ttl_seconds: both(&self.max_ttl_seconds, &other.max_ttl_seconds, |one, other| *one.min(other)),
            min_length_v4: both(&self.min_length_v4, &other.min_length_v4, |one, other| *one.max(other)),
            min_length_v6: both(&self.min_length_v6, &other.min_length_v6, |one, other| *one.max(other)),
            layers: both(&self.layers, &other.layers, |one, other| one & other),
            verbs: both(&self.verbs, &other.verbs, |one, other| one & other),
        }
    }
}

/// What is left of two bounds; where one is missing, the other one counts.
fn both<T: Clone>(one: &Option<T>, other: &Option<T>, narrow: impl FnOnce(&T, &T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(narrow(one, other)),
        (bound, None) | (None, bound) => bound.clone(),
    }
}

/// The prefixes of each that are inside one of the other.
fn common(one: &BTreeSet<Prefix>, other: &BTreeSet<Prefix>) -> BTreeSet<Prefix> {
    let inside = |prefix: &Prefix, of: &BTreeSet<Prefix>| prefix.covering().any(|wider| of.contains(&wider));
    let ours = one.iter().filter(|prefix| inside(prefix, other));
    ours.chain(other.iter().filter(|prefix| inside(prefix, one))).copied().collect()
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

    /// What both allow: the lesser role, and what both scopes admit.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self { role: self.role.min(other.role), scope: self.scope.intersect(&other.scope) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, option, prelude::*, sample::select};

    use super::*;

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        let v4 = (0..4u8, 22..=26u8).prop_map(|(third, length)| {
            Prefix::part(std::net::Ipv4Addr::new(10, 0, third, third * 64).into(), length).unwrap()
        });
        let v6 = (0..4u16, 30..=34u8).prop_map(|(third, length)| {
            let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, third << 14, 0, 0, 0, 0, 0);
            Prefix::part(address.into(), length).unwrap()
        });
        prop_oneof![v4, v6]
    }

    fn any_scope() -> impl Strategy<Value = Scope> {
        let lists = option::of(btree_set(select(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]), 0..3));
        let lengths = (option::of(22..=27u8), option::of(30..=35u8));
        let layers = option::of(btree_set(select(Layer::ALL.to_vec()), 0..4));
        let verbs = option::of(btree_set(select(EntryVerb::ALL.to_vec()), 0..3));
        (lists, option::of(btree_set(any_prefix(), 0..4)), option::of(0..4u64), lengths, layers, verbs).prop_map(
            |(lists, prefixes, max_ttl_seconds, (min_length_v4, min_length_v6), layers, verbs)| Scope {
                lists,
                prefixes,
                max_ttl_seconds,
                min_length_v4,
                min_length_v6,
                layers,
                verbs,
            },
        )
    }

    proptest! {
        #[test]
        fn what_two_scopes_have_in_common_admits_what_both_admit(
            (one, other) in (any_scope(), any_scope()),
            prefix in any_prefix(),
            ttl in option::of(0..5u64),
            list in select(vec!["a", "b", "c", "d"]),
            layer in select(Layer::ALL.to_vec()),
            verb in select(EntryVerb::ALL.to_vec()),
        ) {
            let common = one.intersect(&other);
            let ttl = ttl.map(Duration::from_secs);
            let questions: [&dyn Fn(&Scope) -> bool; 5] = [
                &|scope| scope.list(list).is_ok(),
                &|scope| scope.prefix(prefix).is_ok(),
                &|scope| scope.addition(prefix, ttl).is_ok(),
                &|scope| scope.layer(layer).is_ok(),
                &|scope| scope.verb(verb).is_ok(),
            ];
            for (index, admits) in questions.into_iter().enumerate() {
                prop_assert_eq!(admits(&common), admits(&one) && admits(&other), "{}", index);
            }
            prop_assert_eq!(&common, &other.intersect(&one));
            prop_assert_eq!(&one.intersect(&Scope::default()), &one);
        }
    }

    #[test]
    fn what_two_grants_have_in_common_is_the_lesser_role() {
        let narrow = Scope { verbs: Some([EntryVerb::Allow].into()), ..Scope::default() };
        let operator = Grant { role: Role::Operator, scope: narrow };
        assert_eq!(Grant::whole(Role::Admin).intersect(&operator), operator);
        assert_eq!(operator.intersect(&Grant::whole(Role::Viewer)).role, Role::Viewer);
    }

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
