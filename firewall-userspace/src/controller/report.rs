//! What readers are told, in the form of the API.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use firewall_common::{
    Family,
    abi::{MAX_CLASSES, MAX_PREFIXES},
};

use super::{Counters, MANY, Readings, published::Snapshot, push::check};
use crate::{
    clock::{Now, reckoning::Doubt},
    config::{self, Loaded},
    control::{
        ClockStatus, Condition, EntriesQuery, GenerationDocument, Generations, InterfaceStatus, KeptGeneration,
        ListEntries, ListStatus, Page, Position, PushSummary, Pushes, Refusal, ReloadStatus, ServiceStatus, Status,
        Undo,
    },
    datapath::{AttachmentState, FrameCounters, Presence},
    lists::{
        entry::{Holding, Layer, Owner},
        layers::{self, Telling},
        tally::Happening,
    },
    made,
    policy::{ApiSettings, Mode, Policy, Prefix, Protocol, Service, attach_label, mode_label},
    preview::{diff::PolicyDocument, explain::Membership},
    state::history::{Generation, TemporaryMode},
    text::problem::Problems,
};

/// The generations of the policy.
#[derive(Clone, Debug)]
pub(super) struct HistoryView {
    /// The oldest first.
    pub(super) generations: Arc<[Generation]>,
    /// Number of the one in force.
    pub(super) active: Option<u64>,
    /// The configuration file, as it was last read, says something else.
    pub(super) differs_from_file: bool,
}

impl HistoryView {
    /// The one in force.
    fn active(&self) -> Option<&Generation> {
        self.generations.iter().find(|generation| Some(generation.number) == self.active)
    }
}

impl Readings for Snapshot {
    fn api(&self) -> Option<&ApiSettings> {
        Some(&self.in_force.policy.api)
    }

    fn status(&self, now: Now) -> Status {
        let policy = &self.in_force.policy;
        let reloads = &self.in_force.reloads;
        let attempts = reloads.tally.total();
        Status {
            schema: "portcullis.status/v1".into(),
            version: made::VERSION.into(),
            source_revision: made::REVISION.into(),
            started: self.in_force.started(),
            generation: self.in_force.revision(),
            revision: self.in_force.revision(),
            policy_generation: self.policy_generation(),
            age_ms: 0,
            doing: None,
            log_lines_lost: 0,
            sandbox: None,
            mode: mode_label(policy.mode).into(),
            config: self.in_force.config.clone(),
            admin_listen: self.in_force.admin_listen(),
            clock: self.clock_status(now),
            reload: ReloadStatus {
                successful: reloads.error.is_none(),
                last_success: Some(self.in_force.loaded()),
                successes: attempts.successes,
                failures: attempts.failures,
                triggers: reloads.tally.clone(),
                error: reloads.error.clone(),
            },
            policy: self.standing.active().cloned(),
            differs_from_file: self.standing.differs_from_file,
            pending: self.undoable.outstanding.as_ref().map(|outstanding| outstanding.at(now)),
            automatic_rollbacks: self.in_force.automatic_rollbacks(),
            pin_failure: self.filter.pin_failure.clone(),
            interfaces: self.filter.interfaces.iter().map(interface_status).collect(),
            lists: (0..policy.lists.len()).filter_map(|index| self.list_status(index)).collect(),
            services: policy.services.iter().map(|service| service_status(policy.mode, service)).collect(),
            conditions: self.conditions(),
            traffic: None,
            traffic_failure: None,
        }
    }

    fn entries(&self, EntriesQuery { list, filter, after }: &EntriesQuery) -> Result<Page, Refusal> {
        let policy = &self.in_force.policy;
        if let Some(name) = list
            && policy.list_named(name).is_none()
        {
            let detail = check::unknown_list(policy, name);
            return Err(Refusal::Invalid(Problems::one("/list", detail)));
        }
        let (revision, policy_generation) = (self.in_force.revision(), self.policy_generation());
        let mut page = Page { revision, policy_generation, ..Page::default() };
        let (mut looked_at, mut last) = (0, None);
        // Lists are ordered by name.
        for (index, one) in policy.lists.iter().enumerate() {
            let is_wanted = list.as_ref().is_none_or(|name| *one.name == **name);
            let after = match after {
                Some(after) if *one.name < *after.list => continue,
                Some(after) if *one.name == *after.list => {
                    Some(Holding { prefix: after.prefix, layer: after.layer, owner: Owner::from(&*after.owner) })
                }
                _ => None,
            };
            if !is_wanted {
                continue;
            }
            for entry in layers::entries_like(one, &self.lists.pushed, self.telling(index), after, filter) {
                if page.entries.len() == Page::MOST || looked_at == Page::LOOKED_AT {
                    page.next = last;
                    return Ok(page);
                }
                looked_at += 1;
                let Ok(prefix) = entry.prefix.parse() else { continue };
                last =
                    Some(Position { list: entry.list.clone(), prefix, layer: entry.layer, owner: entry.owner.clone() });
                if filter.wants(&entry, prefix) {
                    page.entries.push(entry);
                }
            }
        }
        Ok(page)
    }

    fn membership(&self, source: IpAddr) -> Result<Membership, Refusal> {
        let own = self.lists.own.contains(&Prefix::host(source));
        let (policy, pushed) = (&self.in_force.policy, &self.lists.pushed);
        Ok(Membership {
            revision: self.in_force.revision(),
            policy_generation: self.policy_generation(),
            ..Membership::of(policy, pushed, |list| self.telling(list), source, own)
        })
    }

    fn document(&self) -> PolicyDocument {
        PolicyDocument::live(&self.in_force.policy, self.policy_generation(), self.in_force.revision())
    }

    fn pushes(&self, limit: usize) -> Pushes {
        let all = &self.undoable.pushes;
        let pushes = all.into_iter().rev().take(limit).map(|(_, push)| PushSummary::clone(push)).collect();
        Pushes::new(self.in_force.revision(), all.len(), pushes)
    }

    fn is_undone_as_sync(&self, undo: &Undo) -> bool {
        let policy = &self.in_force.policy;
        let is_configured = |name: &String| policy.lists.iter().any(|list| *list.name == **name);
        undo.confirm.is_none()
            && undo.expect.is_none()
            && self.undoable.pushes.get(&undo.revision).is_some_and(|push| {
                let changes = push.added + push.refreshed + push.removed;
                changes >= MANY && push.lists.iter().all(is_configured)
            })
    }

    fn history(&self, now: Now) -> Generations {
        Generations {
            schema: "portcullis.history/v1".into(),
            active: self.standing.active,
            pending: self.undoable.outstanding.as_ref().map(|outstanding| outstanding.at(now)),
            generations: self.standing.generations.to_vec(),
        }
    }

    fn frames(&self) -> Result<FrameCounters, Refusal> {
        self.of_policy.counters.read().map_err(|error| Refusal::Datapath { message: error.to_string() })
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        let frames = self.frames()?;
        let mut list_entries = BTreeMap::new();
        for (index, list) in self.in_force.policy.lists.iter().enumerate() {
            for (layer, family, count) in self.list_entries(index) {
                list_entries.insert((list.name.to_string(), layer, family), count);
            }
        }
        Ok(Counters {
            frames,
            list_entries,
            list_changes: self.list_changes(),
            rooms: self.rooms(),
            list_tables: self.filter.list_tables,
            store: self.keeping.counters,
            drift: self.filter.drift.clone(),
        })
    }
}

impl Snapshot {
    fn policy_generation(&self) -> u64 {
        self.standing.active.unwrap_or_default()
    }

    /// What happened to entries, of lists that are configured.
    fn list_changes(&self) -> BTreeMap<(String, Layer, Happening), u64> {
        let mut changes = BTreeMap::new();
        for list in &self.in_force.policy.lists {
            for layer in Layer::ALL.into_iter().filter(|layer| *layer != Layer::Config) {
                for what in Happening::ALL {
                    let count = self.lists.tally.of(&list.name, layer, what);
                    changes.insert((list.name.to_string(), layer, what), count);
                }
            }
        }
        changes
    }

    /// How full the kernel's tables are. Only prefixes are refused when there are more; classes are made anew.
    fn rooms(&self) -> BTreeMap<&'static str, [u64; 2]> {
        let [v4, v6] = self.lists.prefixes.map(|count| u64::try_from(count).unwrap_or(u64::MAX));
        let most = u64::from(MAX_PREFIXES);
        let classes = [self.filter.list_classes, u64::from(MAX_CLASSES)];
        BTreeMap::from([("prefixes_ipv4", [v4, most]), ("prefixes_ipv6", [v6, most]), ("classes", classes)])
    }

    /// How entries of the list at `index` are told.
    fn telling(&self, index: usize) -> Telling<'_> {
        let is_denied = self.in_force.policy.denies_list(index);
        Telling { loaded: self.in_force.loaded(), clock: &self.lists.clock, is_denied }
    }

    /// What is not as it should be.
    fn conditions(&self) -> Vec<Condition> {
        let condition = |code: &str, blocks, message| Condition { code: code.into(), blocks, message };
        let generation = self.policy_generation();
        let file = self.in_force.reloads.error.as_ref().map(|why| {
            let config = self.in_force.config.display();
            let message =
                format!("not {config} but generation {generation} is in force, because the file was refused: {why}");
            condition(Condition::NOT_THE_FILE, false, message)
        });
        let is_open = self.filter.interfaces.iter().all(|one| !one.attached.presence.is_filtered());
        let interfaces = self.filter.interfaces.iter().filter(|one| !one.attached.presence.is_filtered()).map(|one| {
            let wanted = self.in_force.policy.interfaces.iter().find(|wanted| wanted.name == one.name);
            // One that is not there is waited for; one that refuses leaves the host open, where it is the only one.
            let (why, leaves_open) = match &one.attached.presence {
                Presence::Refused(cause) => (format!("refused: {cause}"), is_open),
                other => (other.label().to_owned(), false),
            };
            let blocks = leaves_open || wanted.is_some_and(|wanted| wanted.required);
            condition(Condition::INTERFACE, blocks, format!("{} is not filtered: {why}", one.name))
        });
        let pushes = self.keeping.refuses_pushes.as_ref().map(|why| {
            let message = format!("pushes are refused, and what could be read of them is enforced: {why}");
            condition(Condition::PUSHES_REFUSED, false, message)
        });
        let history = self.keeping.refuses_generations.as_ref().map(|why| {
            condition(Condition::HISTORY_REFUSED, false, format!("generations of the policy are not kept: {why}"))
        });
        let waiting = self.in_force.waits_for_start(&self.in_force.policy);
        let restart = (!waiting.is_empty()).then(|| {
            let stays = match waiting.contains(&"[state]") {
                true => ", and what is pushed until then stays in the state folder of now",
                false => "",
            };
            let message =
                format!("{} of the configuration waits for the next start of the daemon{stays}", waiting.join(", "));
            condition(Condition::RESTART, false, message)
        });
        let temporary = self.standing.active().and_then(told_of_mode);
        let temporary = temporary.map(|message| condition(Condition::TEMPORARY_MODE, false, message));
        file.into_iter().chain(interfaces).chain(pushes).chain(history).chain(restart).chain(temporary).collect()
    }

    fn clock_status(&self, now: Now) -> ClockStatus {
        let (clock, doubt) = (&self.lists.clock, self.lists.clock.doubt());
        let why = doubt.map(|doubt| match doubt {
            Doubt::Boot => "the clock has not been synchronised since boot".to_owned(),
            Doubt::Step => "the clock was set while it was not synchronised".to_owned(),
        });
        ClockStatus {
            synchronised: clock.is_settled(),
            in_doubt: doubt.is_some(),
            why,
            earliest: doubt.map(|_| clock.earliest(now)),
            latest: doubt.map(|_| clock.latest(now)),
        }
    }

    fn list_status(&self, index: usize) -> Option<ListStatus> {
        let policy = &self.in_force.policy;
        let list = policy.lists.get(index)?;
        let names = |uses: &dyn Fn(&Service) -> bool| {
            let using = policy.services.iter().filter(|service| uses(service));
            using.map(|service| service.name.to_string()).collect()
        };
        let entries = self.list_entries(index).filter(|(_, _, count)| *count > 0);
        Some(ListStatus {
            name: list.name.to_string(),
            entries: entries
                .map(|(layer, family, count)| ListEntries { layer, family: family.into(), count })
                .collect(),
            allowed_by: names(&|service| service.allow.as_ref().is_some_and(|lists| lists.contains(&index))),
            denied_by: names(&|service| service.deny.contains(&index)),
        })
    }

    /// Entries of a list by layer and family, those of zero too.
    fn list_entries(&self, index: usize) -> impl Iterator<Item = (Layer, &'static str, u64)> {
        let list = self.in_force.policy.lists.get(index);
        let pushed = list.map(|list| self.lists.pushed.counts(&list.name)).unwrap_or_default();
        let configured = self.of_policy.configured.get(index).copied().unwrap_or_default();
        let families = [Family::Ipv4.label(), Family::Ipv6.label()];
        Layer::ALL.into_iter().zip(pushed.into_iter().zip(configured)).flat_map(move |(layer, (pushed, configured))| {
            let counts = pushed.into_iter().zip(configured).map(|(pushed, configured)| pushed + configured);
            families.into_iter().zip(counts).map(move |(family, count)| (layer, family, count))
        })
    }
}

/// A generation that is kept, with what its configuration means. There may be millions of entries to be read.
pub fn generation_document(KeptGeneration { generation, is_active, bundle }: KeptGeneration) -> GenerationDocument {
    let (policy, unusable) = match config::load_bundle(&bundle) {
        Ok(Loaded { policy, .. }) => {
            let policy = Policy { mode: generation.mode.unwrap_or(policy.mode), ..policy };
            (Some(PolicyDocument::live(&policy, generation.number, 0)), None)
        }
        Err(report) => (None, Some(report.render_short())),
    };
    let schema = "portcullis.generation/v1".into();
    GenerationDocument { schema, active: is_active, generation, bundle, policy, unusable }
}

fn interface_status(state: &AttachmentState) -> InterfaceStatus {
    let AttachmentState { name, attached, reattachments, is_pinned, was } = state;
    let (now, cause) = match &attached.presence {
        Presence::Renamed(now) => (Some(now.clone()), None),
        Presence::Refused(cause) => (None, Some(cause.clone())),
        Presence::Attached | Presence::Missing => (None, None),
    };
    InterfaceStatus {
        name: name.clone(),
        was: was.clone(),
        now,
        ifindex: attached.ifindex,
        mode: attach_label(attached.mode).into(),
        configured: attach_label(attached.configured).into(),
        state: attached.presence.label().into(),
        cause,
        pinned: *is_pinned,
        reattachments: *reattachments,
    }
}

fn service_status(host: Mode, service: &Service) -> ServiceStatus {
    let effective = if host == Mode::Observe { host } else { service.mode };
    let protocol = match service.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    ServiceStatus {
        mode: mode_label(service.mode).into(),
        effective_mode: mode_label(effective).into(),
        name: service.name.to_string(),
        protocol: protocol.into(),
        ports: service.ports.iter().map(crate::text::ports::show).collect(),
    }
}

/// Words on a mode that ends by itself.
fn told_of_mode(active: &Generation) -> Option<String> {
    let TemporaryMode { until, reason, back_to, .. } = active.temporary.as_ref()?;
    let (mode, back) = (active.mode.map_or("another mode", mode_label), mode_label(*back_to));
    Some(format!("{mode} until {:.0}, then {back}: {} says: {reason}", until.at, active.owner))
}
