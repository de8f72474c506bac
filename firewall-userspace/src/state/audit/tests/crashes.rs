//! A log goes on after any kill, loss of power and refusal of the disk, and is then as it was written.

use proptest::prelude::*;

use super::{SMALL, event, now, open, verified};
use crate::state::{
    audit::{
        files::{segment_name, segments},
        log::{AuditLimits, AuditLog},
        record::{AuditWhat, read_record},
    },
    disk::Disk as _,
    fake::{FakeDisk, Fault},
};

/// No file is removed, so that every line can be looked for.
const KEEPING: AuditLimits = AuditLimits { segments: usize::MAX, ..SMALL };

#[derive(Clone, Debug)]
enum AuditStep {
    /// So many lines at once.
    Append(u64),
    /// What is due each second.
    Tick,
    /// The disk fails from so many operations on, for so many.
    Fail(u64, u64, bool),
    /// The daemon is killed, and starts again.
    Kill,
    /// Power is lost after so many operations more, and comes back.
    PowerLoss(u64, Vec<usize>),
    /// The daemon is stopped in order, and starts again.
    Stop,
}

fn step() -> impl Strategy<Value = AuditStep> {
    prop_oneof![
        6 => (1..4_u64).prop_map(AuditStep::Append),
        3 => Just(AuditStep::Tick),
        1 => (0..6_u64, 1..6_u64, any::<bool>()).prop_map(|(after, count, full)| AuditStep::Fail(after, count, full)),
        1 => Just(AuditStep::Kill),
        1 => (0..12_u64, prop::collection::vec(any::<usize>(), 40)).prop_map(|(after, choices)| AuditStep::PowerLoss(after, choices)),
        1 => Just(AuditStep::Stop),
    ]
}

/// A daemon and what it was told is in the log.
struct Daemon {
    disk: FakeDisk,
    log: Option<AuditLog<FakeDisk>>,
    next: u64,
    /// Lines that are in the log, by their numbers.
    acknowledged: Vec<u64>,
    /// How many of them outlive a loss of power.
    settled: usize,
}

impl Daemon {
    fn begin() -> Self {
        let disk = FakeDisk::default();
        let log = Some(open(&disk, KEEPING).0);
        Self { disk, log, next: 1, acknowledged: Vec::new(), settled: 0 }
    }

    /// As the thread does it: what cannot be appended is told as refused, and the file is left when it cannot be trusted.
    fn append(&mut self, count: u64) {
        let Some(log) = &mut self.log else { return };
        if log.is_over() && log.renew().is_err() {
            return;
        }
        let numbers: Vec<u64> = (self.next..self.next + count).collect();
        self.next += count;
        let events: Vec<_> = numbers.iter().map(|number| event(*number)).collect();
        if log.append(&events).is_ok() {
            self.acknowledged.extend(numbers);
        }
        let _ = log.prepare(now());
    }

    fn tick(&mut self) {
        let Some(log) = &mut self.log else { return };
        if log.is_over() && log.renew().is_err() {
            return;
        }
        if log.prepare(now()).and_then(|()| log.settle()).is_ok() {
            self.settled = self.acknowledged.len();
        }
    }

    /// Starts on what is there; nothing of it may be told as damage.
    fn restart(&mut self, disk: FakeDisk) {
        self.disk = disk;
        let (log, flaw) = open(&self.disk, KEEPING);
        assert_eq!(flaw, None, "nobody has touched the files");
        self.log = Some(log);
        let found = verified(&self.disk);
        assert_eq!(found.fault, None);
        // What was being written when it ended may be there.
        let there = self.numbers();
        assert!(there.len() >= self.settled, "{there:?} of {:?}", self.acknowledged);
        assert_eq!(there.iter().filter(|number| self.acknowledged.contains(number)).count(), {
            let known = self.acknowledged.iter().filter(|number| there.contains(number)).count();
            assert!(known >= self.settled, "{there:?} of {:?}", self.acknowledged);
            known
        });
        (self.settled, self.acknowledged) = (there.len(), there);
    }

    /// Numbers of the pushes in the files, in order.
    fn numbers(&self) -> Vec<u64> {
        let files = segments(&self.disk.names().unwrap());
        let lines = files.iter().flat_map(|first| {
            let octets = self.disk.get(&segment_name(*first));
            octets.split_inclusive(|octet| *octet == b'\n').filter_map(read_record).collect::<Vec<_>>()
        });
        let pushes = lines.filter(|record| record.what == AuditWhat::Push);
        pushes.map(|record| record.summary.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    fn step(&mut self, step: &AuditStep) {
        match step {
            AuditStep::Append(count) => self.append(*count),
            AuditStep::Tick => self.tick(),
            AuditStep::Fail(after, count, is_full) => {
                let (from, to) = (self.disk.operations() + 1 + after, self.disk.operations() + after + count);
                self.disk.set_fault(Some(if *is_full { Fault::Full(from, to) } else { Fault::Broken(from, to) }));
            }
            AuditStep::Kill => {
                let all = self.acknowledged.clone();
                self.restart(self.disk.after_kill());
                let there: Vec<_> = all.iter().filter(|number| self.acknowledged.contains(number)).collect();
                assert_eq!(there.len(), all.len(), "a line that was acknowledged outlives the daemon");
            }
            AuditStep::PowerLoss(after, choices) => {
                self.disk.set_fault(Some(Fault::PowerLoss(self.disk.operations() + 1 + after)));
                for _ in 0..3 {
                    self.append(1);
                    self.tick();
                }
                let mut choices = choices.iter().cycle();
                let mut choose = |below: usize| choices.next().copied().unwrap_or(0) % below;
                self.restart(self.disk.after_power_loss(&mut choose));
            }
            AuditStep::Stop => {
                self.disk.set_fault(None);
                self.tick();
                if let Some(mut log) = self.log.take() {
                    log.close().unwrap();
                }
                self.restart(self.disk.after_kill());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_as_it_was_written_whatever_becomes_of_its_daemon(steps in prop::collection::vec(step(), 1..30)) {
        let mut daemon = Daemon::begin();
        steps.iter().for_each(|step| daemon.step(step));
        daemon.step(&AuditStep::Stop);
        prop_assert_eq!(verified(&daemon.disk).fault, None);
        prop_assert_eq!(daemon.numbers(), daemon.acknowledged);
    }
}

#[test]
fn a_kill_at_any_octet_leaves_a_torn_line_that_the_next_start_cuts_off_and_records() {
    let disk = FakeDisk::default();
    let (mut log, _) = open(&disk, KEEPING);
    log.append([&event(1)]).unwrap();
    log.settle().unwrap();
    let name = segment_name(1);
    let before = disk.get(&name).len();
    log.append([&event(2)]).unwrap();
    let whole = disk.get(&name);
    for cut in before + 1..whole.len() {
        let disk = disk.after_kill();
        disk.put(&name, &whole[..cut]);
        let torn = verified(&disk);
        assert_eq!((torn.fault, torn.torn), (None, (cut - before) as u64), "cut at {cut}");
        let (_, flaw) = open(&disk, KEEPING);
        assert_eq!(flaw, None);
        let text = String::from_utf8(disk.get(&name)).unwrap();
        assert!(text.contains("cut off ") && text.contains("behind line 2, which are no whole line"), "{text}");
        assert_eq!(verified(&disk).fault, None, "cut at {cut}");
    }
    // What the head knows of is not cut off: somebody else has.
    let disk = disk.after_kill();
    disk.put(&name, &whole[..before - 1]);
    assert!(verified(&disk).fault.is_some());
    let (_, flaw) = open(&disk, KEEPING);
    assert_eq!(flaw.as_deref(), Some("the last 1 line of 2 are gone"));
    assert_eq!(disk.get(&name), &whole[..before - 1], "nothing is mended");
    assert!(verified(&disk).fault.is_some(), "and it stays to be seen");
}

#[test]
fn a_file_that_is_moved_away_is_noticed_and_the_chain_goes_on_in_another() {
    let disk = FakeDisk::default();
    let (mut log, _) = open(&disk, KEEPING);
    log.append([&event(1)]).unwrap();
    log.settle().unwrap();
    let moved = disk.get(&segment_name(1));
    disk.unlink(&segment_name(1));
    assert!(log.look().is_err() && log.append([&event(2)]).is_err() && log.is_over());
    log.renew().unwrap();
    log.append([&event(2)]).unwrap();
    log.settle().unwrap();
    let fault = verified(&disk).fault.unwrap();
    assert_eq!(
        (fault.file, fault.detail),
        (segment_name(3), "lines 1 to 2 are gone, and no line says that the daemon removed them".into())
    );
    disk.put(&segment_name(1), &moved);
    assert_eq!(verified(&disk).fault, None, "it was brought back");
    // The folder too.
    disk.remove_folder();
    assert!(log.look().is_err() && log.is_over());
    log.renew().unwrap();
    log.append([&event(3)]).unwrap();
    log.settle().unwrap();
    assert_eq!(segments(&disk.names().unwrap()), [4]);
}

#[test]
fn a_full_disk_is_noticed_before_there_is_no_room_for_the_next_line() {
    let disk = FakeDisk::default();
    let (mut log, _) = open(&disk, AuditLimits { segment: 1 << 20, ..KEEPING });
    let mut lines = 0;
    let refused = loop {
        log.append([&event(lines)]).unwrap();
        lines += 1;
        disk.set_fault(Some(Fault::Full(0, u64::MAX)));
        let prepared = log.prepare(now());
        disk.set_fault(None);
        if let Err(error) = prepared {
            break error;
        }
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
    // There is still room that was set aside.
    log.append([&event(lines)]).unwrap();
    log.prepare(now()).unwrap();
    log.settle().unwrap();
    assert_eq!(verified(&disk).fault, None);
}

#[test]
fn a_file_that_cannot_be_synced_is_left_for_another() {
    let disk = FakeDisk::default();
    let (mut log, _) = open(&disk, KEEPING);
    log.append([&event(1)]).unwrap();
    disk.set_fault(Some(Fault::Broken(0, u64::MAX)));
    assert!(log.settle().is_err() && log.is_over());
    disk.set_fault(None);
    assert!(log.append([&event(2)]).is_err());
    log.renew().unwrap();
    log.append([&event(2)]).unwrap();
    log.settle().unwrap();
    let found = verified(&disk);
    assert_eq!((found.fault, found.files), (None, 2));
}
