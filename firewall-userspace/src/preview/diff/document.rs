//! A policy as the API tells it: every setting by its key path, every list with its entries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    policy::{
        FragmentPolicy, HostDefault, Limit, Policy, Prefix, Rate, Service, attach_label, guard::Guard, mode_label,
    },
    text::{duration, ports},
};

/// A policy: the schema `portcullis.policy/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct PolicyDocument {
    /// Always `portcullis.policy/v1`.
    pub schema: String,
    /// Number of the last change, as older clients know it: the same as `revision`.
    pub generation: u64,
    /// Revision of the lists; 0 for a policy that is not live.
    #[serde(default)]
    pub revision: u64,
    /// Generation of the policy; 0 for one that is not live.
    #[serde(default)]
    pub policy_generation: u64,
    /// By key path, such as `services.https.ports`; also what has its default.
    pub settings: BTreeMap<String, Value>,
    /// Entries of the configuration by list, sorted.
    pub lists: BTreeMap<String, Vec<Prefix>>,
}

impl PolicyDocument {
    /// What `policy` says, which is live as this generation, with lists of this revision.
    pub fn live(policy: &Policy, policy_generation: u64, revision: u64) -> Self {
        Self { policy_generation, ..Self::of(policy, revision) }
    }

    /// What `policy` says; `revision` is 0 when it is not live.
    pub fn of(policy: &Policy, revision: u64) -> Self {
        let lists = policy.lists.iter().map(|list| (list.name.to_string(), list.entries.clone())).collect();
        Self {
            schema: "portcullis.policy/v1".into(),
            generation: revision,
            revision,
            policy_generation: 0,
            settings: settings(policy),
            lists,
        }
    }

    /// The settings alone.
    pub(super) fn without_entries(policy: &Policy) -> Self {
        Self { settings: settings(policy), ..Self::none() }
    }

    /// Where there is no policy.
    pub fn none() -> Self {
        Self {
            schema: "portcullis.policy/v1".into(),
            generation: 0,
            revision: 0,
            policy_generation: 0,
            settings: BTreeMap::new(),
            lists: BTreeMap::new(),
        }
    }

    /// The entries of a list; none when there is no such list.
    pub fn entries(&self, list: &str) -> &[Prefix] {
        self.lists.get(list).map_or(&[], Vec::as_slice)
    }
}

fn settings(policy: &Policy) -> BTreeMap<String, Value> {
    // Every field is named, so that a new one cannot be forgotten here.
    let Policy {
        interfaces,
        mode,
        host_default,
        fragments,
        management,
        lists,
        limits,
        services,
        essentials,
        guard,
        admin_listen,
        api,
        state,
        drift_interval,
        log,
    } = policy;
    let host_default = match host_default {
        HostDefault::Pass => "pass",
    };
    let fragments = match fragments {
        FragmentPolicy::Drop => "drop",
        FragmentPolicy::Source => "source",
    };
    let mut settings: BTreeMap<String, Value> = BTreeMap::from([
        ("policy.mode".into(), mode_label(*mode).into()),
        ("policy.host_default".into(), host_default.into()),
        ("policy.fragments".into(), fragments.into()),
        ("policy.management".into(), json!(management)),
        ("essentials.neighbour_discovery".into(), rate(&essentials.neighbour_discovery)),
        ("essentials.mld".into(), rate(&essentials.mld)),
        ("essentials.icmp_error".into(), rate(&essentials.icmp_error)),
        ("essentials.dhcp".into(), rate(&essentials.dhcp)),
        ("guard.shrink_percent".into(), guard.shrink_percent.into()),
        ("guard.shrink_entries".into(), guard.shrink_entries.into()),
        ("guard.ports".into(), guard_ports(guard)),
        ("admin.listen".into(), admin_listen.to_string().into()),
        ("state.directory".into(), state.directory.to_string_lossy().into()),
        ("state.snapshot_after".into(), state.snapshot_after.into()),
        ("state.generations".into(), state.generations.into()),
        ("drift.interval".into(), duration::show(*drift_interval).into()),
        ("log.format".into(), log.format.label().into()),
        ("log.level".into(), log.level.label().into()),
    ]);
    settings.extend(super::api::settings(api));
    for interface in interfaces {
        settings.insert(format!("interface.{}.mode", interface.name), attach_label(interface.mode).into());
        settings.insert(format!("interface.{}.required", interface.name), interface.required.into());
    }
    settings.extend(lists.iter().map(|list| (format!("lists.{}", list.name), json!({}))));
    settings.extend(limits.iter().flat_map(limit));
    settings.extend(services.iter().flat_map(|one| service(policy, one)));
    settings
}

/// `default` where they are not set: which they are then depends on the change.
fn guard_ports(guard: &Guard) -> Value {
    let shown = |all: &Vec<_>| json!(all.iter().map(ports::show).collect::<Vec<_>>());
    guard.ports.as_ref().map_or_else(|| "default".into(), shown)
}

fn limit(limit: &Limit) -> Vec<(String, Value)> {
    let Limit { name, packets, bytes, connections, source_v4, source_v6 } = limit;
    let quantities = [("packets", packets), ("bytes", bytes), ("connections", connections)];
    let quantities = quantities.into_iter().filter_map(|(key, quantity)| Some((key, rate(quantity.as_ref()?))));
    let source = ("source_prefix", json!({ "v4": source_v4, "v6": source_v6 }));
    quantities.chain([source]).map(|(key, value)| (format!("limits.{name}.{key}"), value)).collect()
}

fn service(policy: &Policy, service: &Service) -> Vec<(String, Value)> {
    let Service { name, protocol, ports, mode, allow, deny, limit, limit_for, addresses } = service;
    let list = |index: &usize| policy.lists.get(*index).map_or("", |list| &*list.name);
    let limit_name = |index: &usize| policy.limits.get(*index).map_or("", |limit| &*limit.name);
    let lists = |indices: &[usize]| json!(indices.iter().map(list).collect::<Vec<_>>());
    let rows = limit_for.iter().map(|row| json!({ "list": list(&row.list), "limit": limit_name(&row.limit) }));
    let values = [
        ("protocol", Some(protocol.to_string().into())),
        ("ports", Some(json!(ports.iter().map(ports::show).collect::<Vec<_>>()))),
        ("mode", Some(mode_label(*mode).into())),
        ("allow", allow.as_deref().map(lists)),
        ("deny", (!deny.is_empty()).then(|| lists(deny))),
        ("limit", limit.as_ref().map(|limit| limit_name(limit).into())),
        ("limit_for", (!limit_for.is_empty()).then(|| rows.collect())),
        ("addresses", (!addresses.is_empty()).then(|| json!(addresses))),
    ];
    values.into_iter().filter_map(|(key, value)| Some((format!("services.{name}.{key}"), value?))).collect()
}

fn rate(rate: &Rate) -> Value {
    json!({ "rate": rate.rate, "per": duration::show(rate.per), "burst": rate.burst })
}
