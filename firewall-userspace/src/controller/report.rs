//! What the controller tells about itself.

use std::collections::BTreeMap;

use firewall_common::{Family, Verdict, abi::RateEvent};

use super::{State, push::check};
use crate::{
    control::{
        Counters, EntriesQuery, InterfaceStatus, ListEntries, ListStatus, Page, Position, Refusal, ReloadStatus,
        ServiceStatus, Status, StoreCounters,
    },
    lists::{
        entry::{Entry, Layer},
        layers,
    },
    policy::{Prefix, Protocol, Service, attach_label, mode_label},
    text::problem::Problem,
};

impl State {
    /// The next page of entries.
    pub(super) fn entries(&self, EntriesQuery { list, after }: &EntriesQuery) -> Result<Page, Refusal> {
        if let Some(name) = list
            && check::list_index(&self.policy, name).is_none()
        {
            let detail = check::unknown_list(&self.policy, name);
            return Err(Refusal::Invalid(vec![Problem { pointer: "/list".into(), detail }]));
        }
        let mut page = Page { generation: self.number, ..Page::default() };
        // Lists are ordered by name.
        for one in &self.policy.lists {
            let is_wanted = list.as_ref().is_none_or(|name| *one.name == **name);
            let after = match after {
                Some(after) if *one.name < *after.list => continue,
                Some(after) if *one.name == *after.list => Some((after.prefix, after.layer)),
                _ => None,
            };
            if is_wanted {
                let room = Page::MOST - page.entries.len();
                page.entries.extend(layers::entries_of(one, &self.runtime, self.loaded, after).take(room));
            }
            if page.entries.len() == Page::MOST {
                page.next = page.entries.last().and_then(|last| {
                    let Entry { list, prefix, layer, .. } = last;
                    Some(Position { list: list.clone(), prefix: prefix.parse().ok()?, layer: *layer })
                });
                break;
            }
        }
        Ok(page)
    }

    pub(super) fn status(&self) -> Status {
        Status {
            schema: "portcullis.status/v1".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            started: self.started,
            generation: self.number,
            mode: mode_label(self.policy.mode).into(),
            config: self.config.clone(),
            admin_listen: self.policy.admin_listen,
            reload: ReloadStatus {
                successful: self.reloads.error.is_none(),
                last_success: self.loaded,
                successes: self.reloads.successes,
                failures: self.reloads.failures,
                error: self.reloads.error.clone(),
            },
            policy: self.history.active().cloned(),
            differs_from_file: self.history.differs_from_file(),
            pending: self.pending(),
            automatic_rollbacks: self.automatic_rollbacks,
            interfaces: self
                .attachments
                .interfaces()
                .iter()
                .map(|(name, attached)| InterfaceStatus {
                    name: name.clone(),
                    ifindex: attached.ifindex,
                    mode: attach_label(attached.mode).into(),
                    configured: attach_label(attached.configured).into(),
                    state: attached.presence.label().into(),
                    reattachments: self.reattachments.get(name).copied().unwrap_or_default(),
                })
                .collect(),
            lists: (0..self.policy.lists.len()).filter_map(|index| self.list_status(index)).collect(),
            services: self.policy.services.iter().map(service_status).collect(),
        }
    }

    pub(super) fn counters(&self) -> Result<Counters, Refusal> {
        let fail = |error: crate::datapath::DatapathError| Refusal::Datapath { message: error.to_string() };
        let mut counters = Counters::default();
        for interface in &self.policy.interfaces {
            let position = self.ids.position(&interface.name);
            for family in Family::ALL {
                for verdict in Verdict::ALL {
                    let count = self.shared.verdict(position, family, *verdict).map_err(fail)?;
                    counters.verdicts.insert((interface.name.clone(), family as u8, *verdict), count);
                }
            }
        }
        for (name, id) in self.ids.services.iter() {
            counters.services.insert(name.to_string(), self.shared.service(id).map_err(fail)?);
        }
        for (name, id) in self.ids.limits.iter() {
            counters.limits.insert(name.to_string(), self.shared.limit(id).map_err(fail)?);
        }
        for event in RateEvent::ALL {
            counters.newcomers.insert(event.label(), self.shared.newcomers(event).map_err(fail)?);
        }
        counters.list_tables = self.live.list_memory();
        counters.drift = self.drift.counters.clone();
        counters.store = StoreCounters { journal_octets: self.store.journal_octets(), ..self.snapshots.counters };
        for index in 0..self.policy.lists.len() {
            for entries in self.list_entries(index) {
                let Some(list) = self.policy.lists.get(index) else { continue };
                let family = if entries.family == "ipv4" { "ipv4" } else { "ipv6" };
                counters.list_entries.insert((list.name.to_string(), entries.layer, family), entries.count);
            }
        }
        Ok(counters)
    }

    fn list_status(&self, index: usize) -> Option<ListStatus> {
        let list = self.policy.lists.get(index)?;
        let names = |uses: &dyn Fn(&Service) -> bool| {
            self.policy
                .services
                .iter()
                .filter(|service| uses(service))
                .map(|service| service.name.to_string())
                .collect()
        };
        Some(ListStatus {
            name: list.name.to_string(),
            entries: self.list_entries(index).into_iter().filter(|entries| entries.count > 0).collect(),
            allowed_by: names(&|service| service.allow.as_ref().is_some_and(|lists| lists.contains(&index))),
            denied_by: names(&|service| service.deny.contains(&index)),
        })
    }

    /// Entries of a list by layer and family, those of zero too.
    fn list_entries(&self, index: usize) -> Vec<ListEntries> {
        let Some(list) = self.policy.lists.get(index) else { return Vec::new() };
        let mut counts: BTreeMap<(Layer, &str), u64> = BTreeMap::new();
        for layer in Layer::ALL {
            for family in ["ipv4", "ipv6"] {
                counts.insert((layer, family), 0);
            }
        }
        let mut add = |layer, prefix: Prefix| {
            let family = if prefix.address().is_ipv4() { "ipv4" } else { "ipv6" };
            *counts.entry((layer, family)).or_default() += 1;
        };
        list.entries.iter().for_each(|prefix| add(Layer::Config, *prefix));
        self.runtime.entries(&list.name).for_each(|(prefix, layer, _)| add(layer, prefix));
        let entries = counts.into_iter();
        entries.map(|((layer, family), count)| ListEntries { layer, family: family.into(), count }).collect()
    }
}

fn service_status(service: &Service) -> ServiceStatus {
    let protocol = match service.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let port = |range: &std::ops::RangeInclusive<u16>| {
        if range.start() == range.end() {
            range.start().to_string()
        } else {
            format!("{}-{}", range.start(), range.end())
        }
    };
    ServiceStatus {
        mode: mode_label(service.mode).into(),
        name: service.name.to_string(),
        protocol: protocol.into(),
        ports: service.ports.iter().map(port).collect(),
    }
}
