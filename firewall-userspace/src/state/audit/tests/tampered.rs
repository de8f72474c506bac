//! What somebody makes of the files is found at its place.

use proptest::prelude::*;

use super::{SMALL, event, now, open, push, verified};
use crate::state::{
    audit::{
        files::{HEAD, segment_name, segments},
        log::AuditLimits,
        record::{AuditHash, ChainLink, push_line, read_line, read_record},
        verify::{FaultKind, verify_source},
    },
    disk::Disk as _,
    fake::FakeDisk,
};

/// A log of several files, stopped in order.
fn log(lines: u64, limits: AuditLimits) -> FakeDisk {
    let disk = FakeDisk::default();
    let (mut log, flaw) = open(&disk, limits);
    assert_eq!(flaw, None);
    push(&mut log, lines);
    log.close().unwrap();
    disk
}

/// All lines with their files.
fn lines(disk: &FakeDisk) -> Vec<(u64, Vec<u8>)> {
    let files = segments(&disk.names().unwrap());
    let of = |first: &u64| {
        let octets = disk.get(&segment_name(*first));
        octets.split_inclusive(|octet| *octet == b'\n').map(|line| (*first, line.to_vec())).collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

/// Writes lines into the files that they are said to be of.
fn write(disk: &FakeDisk, lines: &[(u64, Vec<u8>)]) {
    for first in segments(&disk.names().unwrap()) {
        let of = lines.iter().filter(|(file, _)| *file == first).flat_map(|(_, line)| line.clone());
        disk.put(&segment_name(first), &of.collect::<Vec<_>>());
    }
}

/// The place of the line at `index`: its file and its number in it.
fn place(lines: &[(u64, Vec<u8>)], index: usize) -> (String, u64) {
    let file = lines[index].0;
    let first = lines.iter().position(|(of, _)| *of == file).unwrap();
    (segment_name(file), (index - first + 1) as u64)
}

fn found(disk: &FakeDisk) -> (FaultKind, (String, u64), Option<u64>) {
    let fault = verified(disk).fault.expect("a fault");
    (fault.kind, (fault.file, fault.line), fault.seq)
}

#[test]
fn a_log_that_nobody_touched_is_as_it_was_written() {
    let disk = log(60, SMALL);
    let all = lines(&disk);
    let found = verified(&disk);
    assert_eq!((&found.fault, found.torn, found.lines), (&None, 0, all.len() as u64));
    assert!(found.files == SMALL.segments, "{found:?}");
    let first = read_record(&all[0].1).unwrap();
    assert!(first.seq > 1 && found.first == Some(first.seq), "the oldest are removed");
    assert_eq!((found.last, found.head), (found.head, found.last));
    let hash = found.last_hash.unwrap();
    assert_eq!(verify_source(&disk, Some(hash)).unwrap().fault, None);
    let other = verify_source(&disk, Some(AuditHash::of(b"other"))).unwrap().fault.unwrap();
    assert_eq!(other.kind, FaultKind::ForeignHead);
}

#[test]
fn files_that_the_daemon_did_not_remove_are_missed() {
    let disk = log(60, SMALL);
    let all = segments(&disk.names().unwrap());
    let first = all[1];
    disk.unlink(&segment_name(all[0]));
    assert_eq!(found(&disk), (FaultKind::Removed, (segment_name(first), 1), Some(1)));
    let disk = log(60, SMALL);
    disk.unlink(&segment_name(all[1]));
    assert_eq!(found(&disk), (FaultKind::Removed, (segment_name(all[2]), 1), Some(all[1])));
    let disk = log(60, SMALL);
    disk.unlink(&segment_name(all[3]));
    assert_eq!(found(&disk).0, FaultKind::Truncated);
    let disk = log(60, SMALL);
    all.iter().for_each(|first| disk.unlink(&segment_name(*first)));
    assert_eq!(found(&disk).0, FaultKind::Truncated);
    let disk = log(60, SMALL);
    disk.unlink(HEAD);
    assert_eq!(found(&disk).0, FaultKind::ForeignHead);
    disk.put(HEAD, b"{}");
    assert_eq!(found(&disk).0, FaultKind::ForeignHead);
    // Of a log that was begun anew.
    disk.put(HEAD, &log(70, SMALL).get(HEAD));
    assert_eq!(found(&disk).0, FaultKind::Truncated);
}

/// The line at `index` says something else, and is hashed anew.
fn forge(all: &mut [(u64, Vec<u8>)], index: usize) -> ChainLink {
    let linked = read_line(&all[index].1).unwrap();
    let mut line = Vec::new();
    let last = ChainLink { seq: linked.seq - 1, hash: linked.prev };
    let link = push_line(&mut line, &event(1_000_000), linked.begins, last);
    all[index].1 = line;
    link
}

#[test]
fn a_line_that_is_hashed_anew_is_found_by_the_next_one_or_by_the_head() {
    let disk = log(60, SMALL);
    let original = lines(&disk);
    for index in 0..original.len() {
        let mut all = original.clone();
        let link = forge(&mut all, index);
        write(&disk, &all);
        let is_last = index + 1 == all.len();
        let kind = if is_last { FaultKind::ForeignHead } else { FaultKind::Changed };
        assert_eq!(found(&disk), (kind, place(&all, index), Some(link.seq)), "line {index} of {}", all.len());
    }
}

#[test]
fn lines_of_a_hundred_thousand_are_found_where_they_were_touched() {
    let disk = log(100_000, AuditLimits { segment: 4 << 20, segments: 64, ..AuditLimits::OF_DAEMON });
    let original = lines(&disk);
    assert!(original.len() > 100_000 && verified(&disk).fault.is_none());
    let index = 77_777;
    let seq = |index: usize| read_line(&original[index].1).map(|line| line.seq);
    let mut all = original.clone();
    all[index].1[20] ^= 1;
    write(&disk, &all);
    assert_eq!(found(&disk), (FaultKind::Changed, place(&all, index), seq(index)));
    let mut all = original.clone();
    all.remove(index);
    write(&disk, &all);
    assert_eq!(found(&disk), (FaultKind::Removed, place(&all, index), seq(index)));
    let mut all = original.clone();
    let line = all[index].1.clone();
    all[index].1 = std::mem::replace(&mut all[index + 5].1, line);
    write(&disk, &all);
    assert_eq!(found(&disk), (FaultKind::Reordered, place(&all, index), seq(index + 5)));
    let mut all = original.clone();
    all.truncate(all.len() - 3);
    write(&disk, &all);
    let fault = verified(&disk).fault.unwrap();
    assert_eq!((fault.kind, fault.seq), (FaultKind::Truncated, seq(original.len() - 3)));
}

/// What somebody does to lines.
#[derive(Clone, Debug)]
enum Touch {
    Flip(usize, usize, u8),
    Remove(usize, usize),
    Swap(usize, usize),
    Repeat(usize, usize),
    Cut(usize),
    Forge(usize),
}

fn touch() -> impl Strategy<Value = Touch> {
    let any = any::<usize>;
    prop_oneof![
        (any(), any(), 0..8_u8).prop_map(|(line, octet, bit)| Touch::Flip(line, octet, bit)),
        (any(), 1..5_usize).prop_map(|(line, count)| Touch::Remove(line, count)),
        (any(), any()).prop_map(|(one, other)| Touch::Swap(one, other)),
        (any(), any()).prop_map(|(from, to)| Touch::Repeat(from, to)),
        (1..9_usize).prop_map(Touch::Cut),
        any().prop_map(Touch::Forge),
    ]
}

/// What has to be found: the kind, and the place of a line among those that are there now.
fn expected(all: &mut Vec<(u64, Vec<u8>)>, touch: &Touch) -> Option<(FaultKind, Option<usize>)> {
    let count = all.len();
    Some(match touch {
        Touch::Flip(line, octet, bit) => {
            let line = line % count;
            let octet = octet % all[line].1.len();
            let was_end = octet + 1 == all[line].1.len();
            all[line].1[octet] ^= 1 << bit;
            // Without its end a line is one with the next, or the last of its file is torn.
            let is_last_of_file = all.get(line + 1).is_none_or(|next| next.0 != all[line].0);
            let kind = if was_end && is_last_of_file { FaultKind::Truncated } else { FaultKind::Changed };
            (kind, Some(line))
        }
        Touch::Remove(line, many) => {
            let line = line % count;
            let many = (*many).min(count - line);
            // Whole files have other tests.
            all.drain(line..line + many);
            if line == all.len() { (FaultKind::Truncated, None) } else { (FaultKind::Removed, Some(line)) }
        }
        Touch::Swap(one, other) => {
            let (one, other) = (one % count, other % count);
            let (one, other) = (one.min(other), one.max(other));
            if one == other {
                return None;
            }
            let line = all[one].1.clone();
            all[one].1 = std::mem::replace(&mut all[other].1, line);
            (FaultKind::Reordered, Some(one))
        }
        Touch::Repeat(from, to) => {
            let (from, to) = (from % count, to % count);
            let (file, line) = (all[to].0, all[from].1.clone());
            all.insert(to, (file, line));
            if from == to { (FaultKind::Reordered, Some(to + 1)) } else { (FaultKind::Reordered, Some(to)) }
        }
        Touch::Cut(many) => {
            all.truncate(count - many.min(&(count - 1)));
            (FaultKind::Truncated, None)
        }
        Touch::Forge(line) => {
            let line = line % count;
            forge(all, line);
            (if line + 1 == count { FaultKind::ForeignHead } else { FaultKind::Changed }, Some(line))
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_touched_is_found_at_its_place(count in 1..60_u64, touch in touch()) {
        let disk = log(count, SMALL);
        let mut all = lines(&disk);
        let Some((kind, index)) = expected(&mut all, &touch) else { return Ok(()) };
        write(&disk, &all);
        let (found_kind, found_place, _) = found(&disk);
        prop_assert_eq!(found_kind, kind, "{:?}", verified(&disk));
        if let Some(index) = index {
            prop_assert_eq!(found_place, place(&all, index), "{:?}", verified(&disk));
        }
        // The next daemon does not mend it, goes on, and it is still to be seen.
        let (mut log, _) = open(&disk, AuditLimits { segments: 64, ..SMALL });
        push(&mut log, 3);
        log.settle().unwrap();
        let after = verified(&disk).fault;
        prop_assert!(after.is_some(), "{:?} {}", touch, now());
    }
}
