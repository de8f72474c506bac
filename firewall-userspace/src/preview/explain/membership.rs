//! What a source is in, whatever it sends.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Effect, entries::uses};
use crate::{
    lists::{
        entry::Entry,
        layers::{self, Telling},
        pushed::Runtime,
    },
    policy::{Policy, Prefix},
};

/// What a source is in: the schema `portcullis.membership/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Membership {
    /// Always `portcullis.membership/v1`.
    pub schema: String,
    /// Revision of the lists.
    pub revision: u64,
    /// Generation of the policy.
    pub policy_generation: u64,
    /// The source.
    #[schema(value_type = String)]
    pub source: IpAddr,
    /// Whether it is an address of this host, or a broadcast address of its subnets.
    pub own: bool,
    /// Management prefixes that cover it, the narrowest first.
    pub management: Vec<Prefix>,
    /// All entries of all lists and layers that cover it, by list, the narrowest first.
    pub entries: Vec<ListedEntry>,
}

/// An entry that covers a source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ListedEntry {
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
    /// The services that use its list; empty: none does.
    pub services: Vec<ListedUse>,
}

/// How a service uses a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct ListedUse {
    /// Its name.
    pub service: String,
    /// What the list is to it.
    pub effect: Effect,
    /// The limit that it has for the sources of the list, when the list names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

impl Membership {
    /// What `source` is in; `told` says how entries of a list are told. Revision and generation are for the caller to fill in.
    pub fn of<'a>(
        policy: &'a Policy,
        runtime: &'a Runtime,
        told: impl Fn(usize) -> Telling<'a>,
        source: IpAddr,
        own: bool,
    ) -> Self {
        let mut entries = Vec::new();
        for (index, list) in policy.lists.iter().enumerate() {
            let services = uses(policy, index);
            for prefix in Prefix::host(source).covering() {
                let found = layers::entries_at(list, runtime, told(index), prefix);
                entries.extend(found.map(|entry| ListedEntry { entry, services: services.clone() }));
            }
        }
        let management = Prefix::host(source).covering().filter(|prefix| policy.management.contains(prefix)).collect();
        let schema = "portcullis.membership/v1".into();
        Self { schema, revision: 0, policy_generation: 0, source, own, management, entries }
    }

    /// Whether it is in nothing at all.
    pub fn is_empty(&self) -> bool {
        !self.own && self.management.is_empty() && self.entries.is_empty()
    }
}
