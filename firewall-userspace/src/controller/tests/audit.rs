//! Each change makes one line of the audit log, and none is made that cannot be recorded.

use std::sync::{Arc, Mutex};

use crate::{
    control::{Apply, Caller, Confirm, Push, Refusal, Reload, Rollback, SetMode, Way},
    controller::{
        Message, ReadConfig,
        tests::world::{World, load},
    },
    lists::entry::Layer,
    policy::{Grant, Mode, Role},
    state::audit::{AuditEvent, AuditPoint, AuditSink, AuditView, AuditWhat},
};

/// A log in memory that refuses when it is told to; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct FakeAudit(Arc<Mutex<(Vec<AuditEvent>, Option<String>)>>);

impl FakeAudit {
    /// What was recorded since this was asked before.
    pub fn take(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut self.0.lock().unwrap().0)
    }

    pub fn refuse(&self, why: Option<&str>) {
        self.0.lock().unwrap().1 = why.map(str::to_owned);
    }
}

impl AuditSink for FakeAudit {
    fn admit(&self) -> Result<(), String> {
        self.0.lock().unwrap().1.clone().map_or(Ok(()), Err)
    }

    fn record(&self, events: Vec<AuditEvent>) {
        self.0.lock().unwrap().0.extend(events);
    }

    fn note(&self, event: AuditEvent) {
        self.record(vec![event]);
    }

    fn note_failure(&self, event: AuditEvent) {
        self.record(vec![event]);
    }

    fn view(&self) -> AuditView {
        AuditView { refusing: self.admit().err(), ..AuditView::default() }
    }
}

fn ada() -> Caller {
    Caller::user("ada", 1000, Arc::new(Grant::whole(Role::Admin)))
}

fn root() -> Caller {
    Caller::user("root", 0, Arc::new(Grant::whole(Role::Admin)))
}

fn add(prefix: &str) -> Push {
    serde_json::from_value(serde_json::json!({ "add": [{ "list": "a", "prefix": prefix }] })).unwrap()
}

fn push(world: &mut World, caller: &Caller, push: &Push) -> Result<u64, Refusal> {
    world.ask(|reply| Message::Push(caller.clone(), push.clone(), reply)).map(|pushed| pushed.revision)
}

/// The one line that was recorded.
fn one(world: &World) -> AuditEvent {
    let mut events = world.audit.take();
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[test]
fn each_change_makes_one_line_with_who_what_and_the_numbers() {
    let mut world = World::new(0);
    assert_eq!(world.audit.take(), [], "a start is no change that somebody asked for");
    let before = world.core.in_force.revision();
    let revision = push(&mut world, &ada(), &add("192.0.2.7")).unwrap();
    let line = one(&world);
    let generation = world.core.policy_generation();
    let point = |revision| Some(AuditPoint { revision, generation });
    assert_eq!((&*line.who, &*line.method, line.peer.as_deref()), ("ada", "socket", Some("uid:1000")));
    assert_eq!((line.what, &*line.summary, &*line.result), (AuditWhat::Push, "+1 -0 ~0 in a: +192.0.2.7", "ok"));
    assert_eq!((line.before, line.after, line.at), (point(before), point(revision), world.now.wall));
    // What is refused, too.
    assert!(push(&mut world, &ada(), &add("192.0.2.7/33")).is_err());
    let line = one(&world);
    assert_eq!((&*line.result, &*line.summary), ("invalid", "in a: +192.0.2.7/33"));
    assert_eq!((line.before, line.after), (point(revision), point(revision)));
    // What only asks is no change.
    push(&mut world, &ada(), &Push { dry_run: true, ..add("192.0.2.8") }).unwrap();
    assert_eq!(world.audit.take(), []);
}

#[test]
fn changes_of_the_policy_make_one_line_each() {
    let mut world = World::new(0);
    let read = || Box::new(ReadConfig { loaded: load(1), is_file: true });
    let reload = |reply| Message::Reload(Caller::signal("SIGHUP"), Reload::default(), read(), reply);
    world.ask(reload).unwrap();
    let line = one(&world);
    assert_eq!((line.what, &*line.who, &*line.method, &*line.result), (AuditWhat::Reload, "SIGHUP", "signal", "ok"));
    assert!(!line.summary.is_empty() && line.before != line.after, "{line:?}");
    let mode = SetMode { mode: Mode::Observe, ..serde_json::from_str(r#"{"mode":"observe"}"#).unwrap() };
    world.ask(|reply| Message::SetMode(ada(), mode, reply)).unwrap();
    let line = one(&world);
    assert_eq!((line.what, line.summary.ends_with("to observe")), (AuditWhat::Mode, true), "{line:?}");
    world.ask(|reply| Message::Rollback(ada(), Rollback::default(), reply)).unwrap();
    assert_eq!(one(&world).what, AuditWhat::Rollback);
    assert!(world.ask(|reply| Message::Confirm(ada(), Confirm::default(), reply)).is_err());
    let line = one(&world);
    assert_eq!((line.what, &*line.result), (AuditWhat::Confirm, "nothing_pending"));
    let apply: Apply = serde_json::from_str(r#"{"name":"x","config":"","confirm":"10s"}"#).unwrap();
    let sent = Box::new(ReadConfig { loaded: load(2), is_file: false });
    world.ask(|reply| Message::Apply(ada(), apply.terms(), sent, reply)).unwrap();
    let line = one(&world);
    assert_eq!((line.what, line.summary.starts_with("to be confirmed: ")), (AuditWhat::Apply, true), "{line:?}");
    world.wait(11);
    world.tend();
    let line = one(&world);
    assert_eq!((line.what, &*line.who, &*line.result), (AuditWhat::AutomaticRollback, "daemon", "ok"));
    let provisional = Push { confirm: Some("10s".into()), ..add("192.0.2.9") };
    push(&mut world, &ada(), &provisional).unwrap();
    assert!(one(&world).summary.contains("to be confirmed"));
    world.wait(11);
    world.tend();
    assert_eq!(one(&world).what, AuditWhat::AutomaticRollback);
}

#[test]
fn nothing_changes_that_cannot_be_recorded_but_by_root_of_this_host_and_by_itself() {
    let mut world = World::new(0);
    let ended = Push {
        layer: Layer::Runtime,
        ..serde_json::from_value(serde_json::json!({
            "add": [{ "list": "a", "prefix": "192.0.2.5", "ttl": "5s" }]
        }))
        .unwrap()
    };
    push(&mut world, &ada(), &ended).unwrap();
    push(&mut world, &ada(), &Push { confirm: Some("10s".into()), ..add("192.0.2.6") }).unwrap();
    world.audit.take();
    world.audit.refuse(Some("the disk is full"));
    let count = world.core.lists.pushed().len();
    let network = Caller { way: Way::Network, ..root() };
    for caller in [ada(), network] {
        let refused = push(&mut world, &caller, &add("192.0.2.7"));
        assert_eq!(refused, Err(Refusal::NotAudited { why: "the disk is full".into() }));
        assert_eq!(one(&world).result, "not_audited");
        let read = Box::new(ReadConfig { loaded: load(1), is_file: true });
        let refused = world.ask(|reply| Message::Reload(caller.clone(), Reload::default(), read, reply));
        assert!(matches!(refused, Err(Refusal::NotAudited { .. })), "{refused:?}");
        let refused = world.ask(|reply| Message::Confirm(caller, Confirm::default(), reply));
        assert!(matches!(refused, Err(Refusal::NotAudited { .. })), "{refused:?}");
        assert_eq!(world.audit.take().len(), 2);
    }
    assert_eq!(world.core.lists.pushed().len(), count);
    push(&mut world, &ada(), &Push { dry_run: true, ..add("192.0.2.7") }).unwrap();
    world.audit.take();
    push(&mut world, &root(), &add("192.0.2.8")).unwrap();
    assert_eq!(&*one(&world).who, "root");
    // Ends of entries and automatic rollbacks do not wait.
    world.wait(11);
    world.tend();
    assert_eq!(world.core.lists.pushed().len(), count - 1);
    assert_eq!(one(&world).what, AuditWhat::AutomaticRollback);
    world.audit.refuse(None);
    push(&mut world, &ada(), &add("192.0.2.7")).unwrap();
}

#[test]
fn pushes_of_a_batch_have_the_numbers_one_after_the_other() {
    let mut world = World::new(0);
    let mut before = world.core.audit_point();
    let pushes = [add("192.0.2.7"), add("192.0.2.7"), add("192.0.2.300"), add("192.0.2.8")];
    let asked: Vec<_> = pushes.iter().map(|push| (ada(), crate::controller::audit::AskedChange::push(push))).collect();
    let all = pushes.into_iter().map(|push| (ada(), push)).collect();
    let answers = world.core.push_all(all, world.now);
    world.core.record_pushes(&asked, before, &answers, world.now);
    let lines = world.audit.take();
    assert_eq!(lines.iter().map(|line| &*line.result).collect::<Vec<_>>(), ["ok", "ok", "invalid", "ok"]);
    for line in lines {
        assert_eq!(line.before, Some(before));
        before = line.after.unwrap();
    }
    assert_eq!(before, world.core.audit_point());
}
