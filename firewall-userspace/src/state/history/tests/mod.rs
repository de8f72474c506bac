//! Generations on a disk that fails, and which of them a start uses.
//!
//! In: generations that are recorded, on a fake disk. Out: what is there afterwards, and what a start makes of it.
//! Owner: each test has a disk and a history of its own; what they begin with is made here.

mod astray;
mod retained;
mod starts;
mod written;

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::{
    clock::{Now, deadline::Until},
    config::BundledFile,
    policy::Mode,
    state::fake::FakeDisk,
};

fn now(second: i64) -> Now {
    let boot = Duration::from_secs(1000 + second.unsigned_abs());
    Now::new(Timestamp::from_second(1_800_000_000 + second).unwrap(), boot)
}

fn bundle(config: &str, list: &str) -> Bundle {
    let files = vec![BundledFile { path: "/etc/portcullis/list".into(), text: list.into() }];
    Bundle { name: "/etc/portcullis/portcullis.toml".into(), config: config.into(), files, ..Bundle::default() }
}

fn generation(number: u64, how: How) -> Generation {
    Generation {
        number,
        at: now(0).wall,
        owner: "root".into(),
        how,
        of: None,
        source: "x.toml".into(),
        summary: String::new(),
        standing: Standing::Confirmed,
        mode: None,
        temporary: None,
        bundle: 0,
        confirmed_by: None,
    }
}

fn open(disk: &FakeDisk) -> History<FakeDisk> {
    History::open(disk.clone(), 10).unwrap()
}

/// A history that began with the configuration file, which says `a` and `1`.
fn begun(disk: &FakeDisk) -> History<FakeDisk> {
    let mut history = open(disk);
    let content = Content::Sent(bundle("a", "1"));
    history.record(generation(1, How::Start), content, true, None, Care::Must).unwrap();
    history
}

/// `begun`, then something else from elsewhere, which is confirmed or waits for 60 s.
fn applied(disk: &FakeDisk, is_read: bool, waits: bool) -> History<FakeDisk> {
    let mut history = begun(disk);
    let pending =
        waits.then(|| Provision { generation: 2, previous: 1, until: Until::after(Duration::from_secs(60), now(0)) });
    let standing = if waits { Standing::Pending } else { Standing::Confirmed };
    let applied = Generation { standing, ..generation(2, How::Apply) };
    history.record(applied, Content::Sent(bundle("b", "1")), is_read, pending, Care::Must).unwrap();
    history
}

/// What a start uses when the configuration file says this.
fn chosen(disk: &FakeDisk, config: &str, list: &str) -> String {
    match choose(&open(&disk.after_kill()), Some((&bundle(config, list), Mode::Enforce)), now(1)) {
        Choice::File(mode, why) => format!("file {mode:?} {why:?}"),
        Choice::Kept(generation, why) => format!("{} {why:?}", generation.number),
        other => format!("{other:?}"),
    }
}
