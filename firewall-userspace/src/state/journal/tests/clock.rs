//! A clock that nobody keeps: what ends by it, over boots, restarts, steps and a synchronisation.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Now;

/// A host whose right time is known to the test. Seconds.
struct Host {
    disk: FakeDisk,
    store: Store<FakeDisk>,
    runtime: Runtime,
    /// The right time, and when it booted by that.
    right: i64,
    booted: i64,
    boot_id: u128,
    /// How far its clock is ahead of the right time.
    wrong: i64,
    is_synchronised: bool,
}

/// What is denied, and what is not.
fn denied(list: &Name) -> bool {
    **list == *"foes"
}

fn held(number: u8) -> Holding {
    Holding { prefix: prefix(number), layer: Layer::Runtime, owner: "root".into() }
}

impl Host {
    /// With a clock that is right.
    fn new() -> Self {
        let disk = FakeDisk::default();
        let now = Now { boot_id: 1, ..Now::new(at(0), Duration::from_secs(1000)) };
        let Opened { store, runtime, .. } = Store::open(disk.clone(), now, NEVER).unwrap();
        let (right, booted) = (0, -1000);
        Self { disk, store, runtime, right, booted, boot_id: 1, wrong: 0, is_synchronised: true }
    }

    fn now(&self) -> Now {
        let boot = Duration::from_secs((self.right - self.booted).unsigned_abs());
        let wall = at(self.right + self.wrong);
        Now { wall, boot, is_synchronised: self.is_synchronised, boot_id: self.boot_id }
    }

    /// What a daemon does each second, without ending anything.
    fn look(&mut self) {
        let now = self.now();
        if let Some(turn) = self.store.follow_clock(now) {
            let [told, others] = self.runtime.turned(&turn, denied);
            let written = self.store.clock().written(now);
            self.store.owe_turn(written, &turn, &told, denied);
            change(&mut self.runtime, &told);
            change(&mut self.runtime, &others);
            self.store.settle().unwrap();
        }
        if self.store.is_clock_stale(now, Duration::from_secs(600)) {
            self.store.keep_clock(now).unwrap();
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.right += seconds;
        self.look();
    }

    fn push(&mut self, list: &str, number: u8, ttl: u64) {
        let (clock, now) = (self.store.clock(), self.now());
        let latest = clock.latest(now);
        let expires = Some(latest.checked_add(Duration::from_secs(ttl)).unwrap());
        let entry = RuntimeEntry { person: None, comment: None, created: latest, expires, era: clock.era() };
        let changes = [Change { list: Name::parse(list).unwrap(), holding: held(number), entry: Some(entry.into()) }];
        let written = clock.written(now);
        self.store.append(written, changes.to_vec()).unwrap();
        change(&mut self.runtime, &changes);
    }

    /// Another daemon, in the same boot.
    fn restart(&mut self) {
        self.disk = self.disk.after_kill();
        let opened = Store::open(self.disk.clone(), self.now(), NEVER).unwrap();
        (self.store, self.runtime) = (opened.store, opened.runtime);
        self.look();
    }

    /// A clean stop, and another boot with a clock so wrong.
    fn reboot(&mut self, seconds: i64, wrong: i64) {
        self.store.keep_clock(self.now()).unwrap();
        self.boot_id += 1;
        self.right += seconds;
        (self.booted, self.wrong, self.is_synchronised) = (self.right - 20, wrong, false);
        self.restart();
    }

    fn synchronise(&mut self) {
        (self.wrong, self.is_synchronised) = (0, true);
        self.look();
    }

    /// Seconds that an entry has left; `None` when it has ended.
    fn left(&self, list: &str, number: u8) -> Option<u64> {
        let list = Name::parse(list).unwrap();
        let end = self.runtime.entry(&list, &held(number))?.end()?;
        let left = self.store.clock().left(end, denied(&list), self.now()).as_secs();
        (left > 0).then_some(left)
    }

    fn doubts(&self, list: &str, number: u8) -> bool {
        let entry = self.runtime.entry(&Name::parse(list).unwrap(), &held(number));
        self.store.clock().doubts(entry.unwrap().era)
    }
}

/// Wrong by so much, it is 1970.
const AT_1970: i64 = -1_800_000_000;

#[test]
fn a_clock_of_1970_that_steps_ends_nothing_early() {
    let mut host = Host::new();
    host.push("foes", 1, 3600);
    host.push("friends", 2, 3600);
    host.wait(600);
    host.reboot(1000, AT_1970);
    assert_eq!(
        (host.left("foes", 1), host.left("friends", 2)),
        (Some(3000), Some(3000)),
        "no time is known to have passed"
    );
    assert!(host.doubts("foes", 1) && host.store.clock().doubt().is_some());
    host.push("foes", 3, 3600);
    host.push("friends", 4, 3600);
    assert!(!host.doubts("foes", 3));
    host.wait(100);
    // The clock is set, and found to be synchronised later.
    host.wrong = 0;
    host.look();
    assert_eq!(
        (host.left("foes", 1), host.left("friends", 2)),
        (Some(2900), Some(1900)),
        "a deny later, an allow earlier"
    );
    assert_eq!((host.left("foes", 3), host.left("friends", 4)), (Some(3500), Some(3500)));
    host.wait(10);
    host.synchronise();
    assert_eq!((host.left("foes", 1), host.left("friends", 2)), (Some(1890), Some(1890)), "by the right time");
    assert_eq!((host.left("foes", 3), host.left("friends", 4)), (Some(3490), Some(3490)), "as they were given");
    assert!(!host.doubts("foes", 1) && host.store.clock().doubt().is_none());
    host.restart();
    host.reboot(100, 0);
    host.synchronise();
    assert_eq!((host.left("foes", 1), host.left("foes", 3)), (Some(1790), Some(3390)));
}

#[test]
fn a_clock_that_is_an_hour_behind_at_each_boot_takes_no_time_from_entries() {
    let mut host = Host::new();
    host.push("foes", 1, 10_000);
    host.push("friends", 2, 10_000);
    for boot in 1..=3 {
        host.reboot(100, -3600);
        let passed = 100 * boot;
        assert!(host.left("foes", 1).unwrap() >= 10_000 - passed, "boot {boot}");
        host.synchronise();
        assert_eq!((host.left("foes", 1), host.left("friends", 2)), (Some(10_000 - passed), Some(10_000 - passed)));
    }
}

#[test]
fn a_clock_that_was_ahead_and_is_set_back_gives_and_takes_nothing() {
    let mut host = Host::new();
    host.push("foes", 1, 3600);
    host.push("friends", 2, 3600);
    host.reboot(100, 86_400);
    assert_eq!((host.left("foes", 1), host.left("friends", 2)), (Some(3600), None));
    host.push("foes", 3, 3600);
    host.push("friends", 4, 3600);
    host.wait(60);
    // Also when it is never settled in that boot.
    host.reboot(100, 0);
    assert_eq!(host.left("foes", 3), Some(3540));
    assert!(host.left("friends", 4) <= Some(3540));
    host.synchronise();
    assert_eq!(
        (host.left("foes", 1), host.left("friends", 2)),
        (Some(3340), Some(3340)),
        "no deny is lost by a wrong clock"
    );
    assert_eq!((host.left("foes", 3), host.left("friends", 4)), (Some(3540), Some(3540)), "what it had left");
}

#[test]
fn a_clock_that_is_never_synchronised_and_never_steps_ends_entries_as_they_were_given() {
    let disk = FakeDisk::default();
    let mut host = Host { is_synchronised: false, ..Host::new() };
    let Opened { store, runtime, .. } = Store::open(disk.clone(), host.now(), NEVER).unwrap();
    (host.disk, host.store, host.runtime) = (disk, store, runtime);
    host.look();
    host.push("foes", 1, 3600);
    host.push("friends", 2, 3600);
    host.wait(100);
    assert!(host.store.clock().doubt().is_none());
    host.restart();
    assert_eq!((host.left("foes", 1), host.left("friends", 2)), (Some(3500), Some(3500)));
    assert!(!host.doubts("foes", 1), "the same boot");
    // By the clock's own account; nobody else knows how long it was off.
    host.reboot(500, 0);
    assert_eq!((host.left("foes", 1), host.left("friends", 2)), (Some(3500), Some(3000)));
    assert!(host.doubts("foes", 1));
}

#[test]
fn a_step_without_a_synchronisation_ends_no_deny_earlier_and_no_allow_later() {
    for (by, allowed) in [(600, 3000), (-600, 3600)] {
        let mut host = Host::new();
        host.push("foes", 1, 3600);
        host.push("friends", 2, 3600);
        (host.is_synchronised, host.wrong) = (false, by);
        host.look();
        assert_eq!((host.left("foes", 1), host.left("friends", 2)), (Some(3600), Some(allowed)), "{by}");
        host.push("foes", 3, 3600);
        host.restart();
        assert_eq!((host.left("foes", 3), host.left("friends", 2)), (Some(3600), Some(allowed)), "{by}");
        host.synchronise();
        for (list, number) in [("foes", 1), ("friends", 2), ("foes", 3)] {
            assert_eq!(host.left(list, number), Some(3600), "{by}");
        }
        assert_eq!(Store::open(host.disk.after_kill(), host.now(), NEVER).unwrap().runtime, host.runtime, "{by}");
    }
}

#[test]
fn what_was_pushed_in_doubt_is_told_apart_after_a_snapshot() {
    let mut host = Host::new();
    host.push("foes", 1, 3600);
    host.reboot(100, AT_1970);
    host.push("foes", 2, 3600);
    let written = host.store.clock().written(host.now());
    let snapshot = host.store.rotate(&host.runtime, written).unwrap().run().unwrap();
    host.store.rotated(Some(snapshot));
    host.push("foes", 3, 3600);
    host.restart();
    assert_eq!(host.runtime.len(), 3);
    host.synchronise();
    assert_eq!([1, 2, 3].map(|number| host.left("foes", number)), [Some(3500), Some(3600), Some(3600)]);
}

#[test]
fn a_daemon_that_is_killed_before_it_keeps_what_the_clock_says_does_not_set_back_twice() {
    let mut host = Host::new();
    host.look();
    host.push("friends", 1, 3600);
    host.wrong = -600;
    let before = host.disk.get("clock");
    host.look();
    host.disk.put("clock", &before);
    host.restart();
    host.look();
    assert_eq!(host.left("friends", 1), Some(3600));
}

#[test]
fn what_is_pushed_settled_and_doubted_in_one_moment_is_told_apart() {
    let mut host = Host::new();
    host.reboot(1, 0);
    host.push("foes", 1, 3600);
    host.synchronise();
    (host.wrong, host.is_synchronised) = (1, false);
    host.look();
    assert_eq!(host.left("foes", 1), Some(3600));
    host.restart();
    assert_eq!(host.left("foes", 1), Some(3600));
}

#[test]
fn a_file_of_the_clock_that_is_damaged_is_as_none() {
    let mut host = Host::new();
    host.push("foes", 1, 3600);
    host.look();
    host.disk.put("clock", b"nothing");
    host.restart();
    assert_eq!(host.left("foes", 1), Some(3600));
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, u16),
    Wait(u16),
    Restart,
    Reboot { off: u16, wrong: i32 },
    Set(i32),
    Synchronise,
}

fn step() -> impl Strategy<Value = Step> {
    let wrong = || prop_oneof![Just(0), Just(-3600), Just(AT_1970 as i32), -100_000..100_000_i32];
    prop_oneof![
        3 => (any::<bool>(), 1..5000_u16).prop_map(|(is_deny, ttl)| Step::Push(is_deny, ttl)),
        3 => (1..2000_u16).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        2 => (1..2000_u16, wrong()).prop_map(|(off, wrong)| Step::Reboot { off, wrong }),
        1 => wrong().prop_map(Step::Set),
        1 => Just(Step::Synchronise),
    ]
}

/// What a removal took, of two clocks, is put back as a whole, wherever a loss of power cuts the write.
#[test]
fn entries_of_two_clocks_come_back_together_or_not_at_all() {
    let mut host = Host::new();
    host.push("foes", 1, 600);
    host.is_synchronised = false;
    host.wrong = 100;
    host.look();
    host.push("foes", 2, 600);
    let live: Vec<Change> = host
        .runtime
        .iter()
        .map(|(list, holding, entry)| Change {
            list: list.clone(),
            holding: holding.clone(),
            entry: Some(entry.clone().into()),
        })
        .collect();
    let gone: Vec<Change> = live.iter().cloned().map(|change| Change { entry: None, ..change }).collect();
    let written = host.store.clock().written(host.now());
    host.store.append(written, gone).unwrap();
    let before = host.disk.get(&journal_name(1)).len();
    host.store.append(written, live).unwrap();
    let whole = host.disk.get(&journal_name(1));
    for length in before..=whole.len() {
        let disk = host.disk.after_kill();
        disk.put(&journal_name(1), &whole[..length]);
        let there = Store::open(disk, host.now(), NEVER).unwrap().runtime.len();
        assert_eq!(there, if length == whole.len() { 2 } else { 0 }, "{length} of {before} to {}", whole.len());
    }
}

proptest! {
    #[test]
    fn no_deny_ends_before_its_time_and_no_allow_is_up_for_longer(steps in prop::collection::vec(step(), 1..30)) {
        let mut host = Host::new();
        // List, number, right time of the end, and how long it may be up still.
        let mut pushed: Vec<(&str, u8, i64, i64)> = Vec::new();
        for step in steps {
            let mut up = 0;
            match step {
                Step::Push(is_deny, ttl) => {
                    let (list, number) = (if is_deny { "foes" } else { "friends" }, pushed.len() as u8);
                    host.push(list, number, ttl.into());
                    pushed.push((list, number, host.right + i64::from(ttl), ttl.into()));
                }
                Step::Wait(seconds) => {
                    host.wait(seconds.into());
                    up = i64::from(seconds);
                }
                Step::Restart => host.restart(),
                // The boot clock has 20 s when the daemon starts, which nobody counts.
                Step::Reboot { off, wrong } => host.reboot(off.into(), wrong.into()),
                Step::Set(wrong) => {
                    (host.wrong, host.is_synchronised) = (wrong.into(), false);
                    host.look();
                }
                Step::Synchronise => host.synchronise(),
            }
            for (list, number, end, allowed) in &mut pushed {
                *allowed -= up;
                let left = host.left(list, *number).map_or(0, |left| left as i64);
                match *list {
                    "foes" => prop_assert!(left >= *end - host.right, "a deny ends early: {left}"),
                    _ => prop_assert!(left <= (*allowed).max(0), "an allow ends late: {left}"),
                }
            }
        }
    }
}
