//! A controller that knows two lists and changes nothing.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use firewall_common::{Family, Verdict, abi::Count};
use firewall_userspace::{
    clock::Now,
    config::{self, Bundle, BundledFile},
    control::{
        Addition, AddressAnswer, Caller, ClockStatus, EntriesQuery, EntryChange, EntryChangeKind, Generations,
        InterfaceStatus, KeptEntry, KeptGeneration, ListEntries, ListStatus, NotUndoable, Page, Position, Push,
        PushSummary, Pushed, Pushes, Refusal, Reload, ReloadStatus, Reloaded, ServiceStatus, Status, Terms, Undo,
    },
    controller::{Counters, Explaining, Inquiry, Message, Readings},
    datapath::FrameCounters,
    lists::{
        entry::{Entry, Layer},
        tally::Happening,
    },
    policy::{Policy, Prefix},
    preview::{
        diff::{Difference, PolicyDocument},
        explain::{
            Answered, AskedPacket, AskedProtocol, DestinationBy, Effect, Explained, ListedEntry, ListedUse, Match,
            Membership,
        },
    },
    state::history::{Generation, How},
    text::problem::{Problem, Problems},
};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

/// How it answers.
pub struct Fake {
    /// Refuses pushes and reloads with this.
    pub refusal: Option<Refusal>,
    /// What it says of itself.
    pub status: Status,
    /// Its counters; `None` when they cannot be read.
    pub counters: Option<Counters>,
    /// Whether it answers at all; one that does not has ended.
    pub is_alive: bool,
    /// What a reload says that has changed.
    pub changes: Vec<String>,
}

impl Default for Fake {
    fn default() -> Self {
        Self { refusal: None, status: status(), counters: Some(counters()), is_alive: true, changes: Vec::new() }
    }
}

impl Fake {
    pub fn refusing(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }

    /// What readers are told.
    pub fn readings(&self) -> watch::Receiver<Arc<dyn Readings>> {
        let told = Told { status: self.status.clone(), counters: self.counters.clone() };
        watch::channel(Arc::new(told) as Arc<dyn Readings>).1
    }

    pub async fn answer(
        self,
        mut questions: mpsc::Receiver<Message>,
        pushes: Arc<Mutex<Vec<Push>>>,
        callers: Arc<Mutex<Vec<Caller>>>,
        applied: Arc<Mutex<Vec<Bundle>>>,
    ) {
        while self.is_alive
            && let Some(question) = questions.recv().await
        {
            match question {
                Message::Push(caller, push, reply) => {
                    let result = self.push(&push);
                    pushes.lock().unwrap().push(push);
                    callers.lock().unwrap().push(caller);
                    reply.send(result).unwrap();
                }
                Message::Undo(caller, undo, reply) => {
                    callers.lock().unwrap().push(caller);
                    reply.send(self.undo(&undo)).unwrap();
                }
                Message::Reload(_, reload, _, reply) => reply.send(self.reload(&reload)).unwrap(),
                Message::Apply(_, Terms { dry_run, force, .. }, sent, reply) => {
                    applied.lock().unwrap().extend(sent.loaded.ok().map(|loaded| loaded.bundle));
                    reply.send(self.reload(&Reload { dry_run, force, ..Reload::default() })).unwrap();
                }
                Message::Explain(inquiry, _, reply) => {
                    reply.send(Ok(Explaining::Explained(explanations(&inquiry)))).unwrap();
                }
                Message::Rollback(_, rollback, reply) => {
                    let target = (rollback.dry_run).then(|| generation(3));
                    let answer = self.reload(&Reload { dry_run: rollback.dry_run, ..Reload::default() });
                    reply.send(answer.map(|answer| Reloaded { of: Some(3), target, ..answer })).unwrap();
                }
                Message::Generation(number, reply) => reply.send(kept(number)).unwrap(),
                Message::Confirm(_, _, reply) => reply.send(Err(Refusal::NothingPending { why: None })).unwrap(),
                other => panic!("nobody asks this over a socket: {other:?}"),
            }
        }
    }

    /// Knows what a prefix is by its slash or dot, and a list by its name.
    fn push(&self, push: &Push) -> Result<Pushed, Refusal> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let mut problems = Problems::default();
        for (index, addition) in push.add.iter().enumerate() {
            let mut problem = |field: &str, detail: String| {
                problems.add("fields", || Problem { pointer: format!("/add/{index}/{field}"), detail });
            };
            if addition.list != "partners" && addition.list != "blocked" {
                problem("list", format!("there is no list `{}`; there are `blocked`, `partners`", addition.list));
            }
            if addition.prefix.starts_with("bad") {
                problem("prefix", format!("`{}` is not a prefix", addition.prefix));
            }
            if addition.ttl.as_deref() == Some("1x") {
                problem("ttl", "`1x` has an unknown unit".into());
            }
        }
        if problems.is_empty() {
            let notes =
                push.remove.iter().map(|entry| format!("the configuration still has {}", entry.prefix)).collect();
            let (differing, answers) = if push.remove_all {
                let detail = "stays in `blocked`: \u{1b}[2J".into();
                (3, vec![AddressAnswer { list: "blocked".into(), prefix: Prefix::ALL_V4, detail }])
            } else {
                (0, Vec::new())
            };
            let (added, removed) = (push.add.len(), push.remove.len());
            let addition = |entry: &Addition| EntryChange {
                list: entry.list.clone(),
                prefix: entry.prefix.parse().unwrap(),
                change: EntryChangeKind::Added,
            };
            let changes = if push.dry_run { push.add.iter().map(addition).collect() } else { Vec::new() };
            Ok(Pushed {
                generation: 8,
                revision: 8,
                policy_generation: 3,
                added,
                removed,
                notes,
                dry_run: push.dry_run,
                changes,
                differing,
                answers,
                ..Pushed::default()
            })
        } else {
            Err(Refusal::Invalid(problems))
        }
    }

    /// Knows the push of revision 7, of whose entries twelve were touched since.
    fn undo(&self, undo: &Undo) -> Result<Pushed, Refusal> {
        let Undo { revision, dry_run, .. } = *undo;
        match revision {
            _ if self.refusal.is_some() => return Err(self.refusal.clone().unwrap()),
            7 => {}
            6 => return Err(Refusal::NotUndoable { revision, why: NotUndoable::Undone { by: 8, is_undoable: true } }),
            _ => return Err(Refusal::NotUndoable { revision, why: NotUndoable::Never { last: 8 } }),
        }
        let (prefix, change) = (Prefix::ALL_V4, EntryChangeKind::Removed);
        let kept = KeptEntry {
            list: "blocked".into(),
            prefix,
            layer: Layer::Ban,
            owner: "guard".into(),
            detail: "stays: \u{1b}[2J".into(),
        };
        Ok(Pushed {
            revision: 9,
            removed: 2,
            kept_count: 12,
            kept: vec![kept; 10],
            undone: Some(pushed_before(revision)),
            dry_run,
            changes: vec![EntryChange { list: "blocked".into(), prefix, change }; usize::from(dry_run)],
            ..Pushed::default()
        })
    }

    fn reload(&self, reload: &Reload) -> Result<Reloaded, Refusal> {
        match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None if reload.dry_run => {
                let difference = Difference { generation: 8, same: true, ..Difference::default() };
                Ok(Reloaded {
                    generation: 8,
                    revision: 8,
                    policy_generation: 3,
                    dry_run: true,
                    difference: Some(difference),
                    ..Reloaded::default()
                })
            }
            None => {
                let warnings = "warning: the list `blocked` is empty\n".into();
                let (changes, count) = (self.changes.clone(), self.changes.len());
                let summary = if count > 0 { format!("{count} things changed") } else { String::new() };
                let answer = Reloaded { warnings, summary, changes, ..Reloaded::default() };
                Ok(Reloaded { generation: 9, revision: 9, policy_generation: 9, ..answer })
            }
        }
    }
}

fn pushed_before(revision: u64) -> PushSummary {
    PushSummary {
        revision,
        at: time(),
        owner: "root".into(),
        person: Some("ada\u{1b}".into()),
        lists: vec!["blocked".into()],
        added: 14,
        refreshed: 0,
        removed: 0,
        undoes: (revision == 6).then_some(4),
    }
}

/// A generation that somebody applied.
fn generation(number: u64) -> Generation {
    Generation {
        how: How::Apply,
        source: "/root/new.toml".into(),
        summary: "1 setting changed".into(),
        ..Generation::new(number, time(), "root")
    }
}

/// Knows generations 3 and 4, of which 4 is live and serves another port; and 5, which it cannot use.
fn kept(number: u64) -> Result<KeptGeneration, Refusal> {
    let text = |port: u16| {
        format!(
            "# Ours\ninclude = [\"/root/conf.d/*.toml\"]\n[[interface]]\nname = \"eth0\"\n\n[services.api]\nprotocol = \"tcp\"\nports = [{port}]\n"
        )
    };
    let config = match number {
        3 => text(443),
        4 => text(8443),
        5 => "mode = 7\n".into(),
        _ => return Err(Refusal::NoGeneration { wanted: Some(number), kept: vec![3, 4, 5] }),
    };
    let list: String = (1..=12).map(|last| format!("192.0.2.{last}\n")).collect();
    let file = BundledFile { path: "/root/conf.d/a.toml".into(), text: "[drift]\ninterval = \"11s\"\n".into() };
    let included = if number == 5 { Vec::new() } else { vec![file] };
    let files = vec![BundledFile { path: "/root/list.txt".into(), text: list }];
    let bundle = Bundle { name: "/root/new.toml".into(), config, included, files };
    Ok(KeptGeneration { generation: generation(number), is_active: number == 4, bundle })
}

/// What readers are told.
#[derive(Debug)]
struct Told {
    status: Status,
    counters: Option<Counters>,
}

impl Readings for Told {
    fn status(&self, _: Now) -> Status {
        self.status.clone()
    }

    fn entries(&self, query: &EntriesQuery) -> Result<Page, Refusal> {
        entries(query)
    }

    fn membership(&self, source: IpAddr) -> Result<Membership, Refusal> {
        Ok(membership(source))
    }

    fn document(&self) -> PolicyDocument {
        PolicyDocument::of(&policy(), 7)
    }

    fn history(&self, _: Now) -> Generations {
        let (schema, generations) = ("portcullis.history/v1".into(), Vec::new());
        Generations { schema, active: None, pending: None, generations }
    }

    fn is_undone_as_sync(&self, _: &Undo) -> bool {
        false
    }

    fn pushes(&self, limit: usize) -> Pushes {
        Pushes::new(8, 3, [7, 6, 5].into_iter().take(limit).map(pushed_before).collect())
    }

    fn frames(&self) -> Result<FrameCounters, Refusal> {
        self.counters().map(|counters| counters.frames)
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        let unreadable = || Refusal::Datapath { message: "cannot read map COUNTERS: gone".into() };
        self.counters.clone().ok_or_else(unreadable)
    }
}

/// The configuration of its live policy.
pub const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/good.toml");

fn policy() -> Policy {
    config::load(Path::new(CONFIG)).unwrap().policy
}

/// One entry a page.
fn entries(EntriesQuery { list, filter, after }: &EntriesQuery) -> Result<Page, Refusal> {
    let list = list.as_deref();
    let entry = |list: &str, prefix: &str, layer, comment: Option<&str>, expires| Entry {
        list: list.into(),
        prefix: prefix.into(),
        layer,
        owner: "root".into(),
        person: None,
        comment: comment.map(Into::into),
        created: time(),
        expires,
        in_doubt: false,
    };
    let all = [
        entry("blocked", "198.51.100.7/32", Layer::Runtime, Some("scans \u{1b}[2J"), Some(time())),
        entry("partners", "203.0.113.0/24", Layer::Config, None, None),
        entry("partners", "2001:db8:7::/48", Layer::Runtime, Some("ticket 7"), None),
    ];
    if list.is_some_and(|list| all.iter().all(|entry| entry.list != list)) {
        let detail = format!("there is no list `{}`; there are `blocked`, `partners`", list.unwrap());
        return Err(Refusal::Invalid(Problems::one("/list", detail)));
    }
    let position = |entry: &Entry| Position {
        list: entry.list.clone(),
        prefix: entry.prefix.parse().unwrap(),
        layer: entry.layer,
        owner: entry.owner.clone(),
    };
    let is_asked = |entry: &Entry| {
        list.is_none_or(|list| entry.list == list) && after.as_ref().is_none_or(|after| position(entry) > *after)
    };
    let looked_at = all.into_iter().find(is_asked);
    let next = looked_at.as_ref().map(position);
    let entries = looked_at.into_iter().filter(|entry| filter.wants(entry, entry.prefix.parse().unwrap())).collect();
    Ok(Page { revision: 7, policy_generation: 3, entries, next })
}

/// Knows one service, `api`, which denies 198.51.100.0/24. A frame passes unless its last octet is odd; it has nothing to say of one
/// whose first octet is 0xff.
fn explanations(inquiry: &Inquiry) -> Vec<Answered> {
    let questions = match inquiry {
        Inquiry::Packet(question) => return vec![explained(question.source, false)],
        Inquiry::Packets(questions) => questions,
    };
    if questions.frames.is_empty() {
        return vec![explained(questions.source, true)];
    }
    let judge = |frame: &String| match frame.starts_with("ff") {
        true => Answered::Refused("cannot explain a frame: refused as told".into()),
        false => {
            let is_denied = "13579bdf".contains(frame.chars().next_back().unwrap());
            explained(is_denied.then(|| "198.51.100.7".parse().unwrap()), false)
        }
    };
    questions.frames.iter().map(judge).collect()
}

fn explained(source: Option<IpAddr>, is_about_service: bool) -> Answered {
    let is_denied = source.is_some_and(|source| source.to_string().starts_with("198.51.100."));
    let (action, reason) = if is_denied { ("drop", "denied") } else { ("pass", "accepted") };
    let matches = Match { entry: blocked(), effect: Effect::Denies, decides: true };
    let asked = AskedPacket { service: "api".into(), protocol: AskedProtocol::Tcp, port: 443, syn: true };
    Answered::Explained(Box::new(Explained {
        schema: "portcullis.explain/v1".into(),
        generation: 7,
        revision: 7,
        policy_generation: 3,
        source,
        destination: Some("192.0.2.10".parse().unwrap()),
        destination_by: is_about_service.then_some(DestinationBy::Route),
        asked: is_about_service.then_some(asked),
        frame: None,
        octets: None,
        action: action.into(),
        verdict: action.into(),
        reason: reason.into(),
        meaning: format!("it is {reason}"),
        service: Some("api".into()),
        own: false,
        management: false,
        limit: None,
        entries: is_denied.then_some(matches).into_iter().collect(),
        notes: Vec::new(),
    }))
}

fn membership(source: IpAddr) -> Membership {
    let services = vec![ListedUse { service: "api".into(), effect: Effect::Denies, limit: None }];
    let entry = source.to_string().starts_with("198.51.100.").then(|| ListedEntry { entry: blocked(), services });
    Membership {
        schema: "portcullis.membership/v1".into(),
        revision: 7,
        policy_generation: 3,
        source,
        own: false,
        management: Vec::new(),
        entries: entry.into_iter().collect(),
    }
}

fn blocked() -> Entry {
    Entry {
        list: "blocked".into(),
        prefix: "198.51.100.0/24".into(),
        layer: Layer::Ban,
        owner: "guard".into(),
        person: None,
        comment: Some("scans \u{1b}[2J".into()),
        created: time(),
        expires: Some(time()),
        in_doubt: false,
    }
}

/// The state of a daemon with two lists and one service.
pub fn status() -> Status {
    let list = |name: &str, allowed_by: &[&str], denied_by: &[&str], entries: &[(Layer, &str, u64)]| ListStatus {
        name: name.into(),
        entries: entries
            .iter()
            .map(|&(layer, family, count)| ListEntries { layer, family: family.into(), count })
            .collect(),
        allowed_by: allowed_by.iter().map(|&name| name.into()).collect(),
        denied_by: denied_by.iter().map(|&name| name.into()).collect(),
    };
    Status {
        schema: "portcullis.status/v1".into(),
        version: "0.1.0".into(),
        source_revision: "0123abc".into(),
        started: time(),
        generation: 7,
        revision: 7,
        policy_generation: 3,
        age_ms: 0,
        doing: None,
        log_lines_lost: 0,
        sandbox: None,
        clock: ClockStatus { synchronised: true, ..ClockStatus::default() },
        mode: "enforce".into(),
        config: PathBuf::from("/etc/portcullis/portcullis.toml"),
        admin_listen: "127.0.0.1:9191".parse().unwrap(),
        reload: ReloadStatus { successful: true, last_success: Some(time()), successes: 2, failures: 1, error: None },
        policy: None,
        differs_from_file: false,
        pending: None,
        automatic_rollbacks: 0,
        pin_failure: None,
        interfaces: vec![InterfaceStatus {
            name: "eth0".into(),
            was: None,
            now: None,
            ifindex: 2,
            mode: "native".into(),
            configured: "auto".into(),
            state: "attached".into(),
            cause: None,
            pinned: true,
            reattachments: 1,
        }],
        lists: vec![
            list("blocked", &[], &["api"], &[(Layer::Runtime, "ipv4", 1)]),
            list("partners", &["api"], &[], &[(Layer::Config, "ipv4", 1), (Layer::Runtime, "ipv6", 1)]),
        ],
        services: vec![ServiceStatus {
            mode: "enforce".into(),
            name: "api".into(),
            protocol: "tcp".into(),
            ports: vec!["443".into(), "8443-8445".into()],
            effective_mode: "enforce".into(),
        }],
        conditions: Vec::new(),
        traffic: None,
        traffic_failure: None,
    }
}

/// Counters of a daemon that has accepted 3 packets and denied 2.
pub fn counters() -> Counters {
    let count = |packets| Count { packets, bytes: packets * 100 };
    let mut counters = Counters::default();
    for (verdict, packets) in [(Verdict::Accepted, 3), (Verdict::Denied, 2)] {
        counters.frames.verdicts.insert(("eth0".into(), Family::Ipv4 as u8, verdict), count(packets));
    }
    counters.frames.services.insert("api".into(), [count(3), count(2)]);
    counters.frames.limits.insert("standard".into(), [count(3), count(0)]);
    counters.list_entries.insert(("partners".into(), Layer::Config, "ipv4"), 1);
    counters.list_changes.insert(("partners".into(), Layer::Runtime, Happening::Expired), 4);
    counters.rooms.insert("classes", [65, 65_536]);
    counters
}

fn time() -> Timestamp {
    "2026-11-21T10:00:00.123456789Z".parse().unwrap()
}
