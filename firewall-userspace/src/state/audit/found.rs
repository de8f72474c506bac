//! What a start finds of the log: where the chain goes on, and what is wrong with its end.

use std::io;

use super::{
    files::{HeadFile, segment_name},
    record::{ChainLink, read_line},
};
use crate::{state::disk::Disk, text::shown::counted};

/// The end of the log, as it is on the disk.
#[derive(Debug, Default)]
pub(super) struct FoundEnd {
    /// The last line, which the next one follows; with a [`flaw`](Self::flaw) not of the file that is there.
    pub(super) last: Option<ChainLink>,
    /// Number of the first line of the last file; `None` without one.
    pub(super) segment: Option<u64>,
    /// Octets of that file that are whole lines.
    pub(super) whole: u64,
    /// Octets behind them: what a daemon was writing when it was killed.
    pub(super) torn: u64,
    /// Files in which nothing is: one that was begun and given up may be there, or be back after a loss of power.
    pub(super) empty: Vec<u64>,
    /// What else is not as it was left, in words. Nothing of it is mended.
    pub(super) flaw: Option<String>,
}

/// Reads the files of the log from the one that has the line of `head` on. `segments` are the numbers of their first lines.
///
/// # Errors
/// When the disk refuses.
pub(super) fn find<D: Disk>(disk: &D, segments: &[u64], head: HeadFile) -> io::Result<FoundEnd> {
    let (mut all, mut empty) = (segments.to_vec(), Vec::new());
    while let Some(last) = all.last().copied()
        && disk.read(&segment_name(last))?.is_empty()
    {
        all.pop();
        empty.push(last);
    }
    let segments: &[u64] = &all;
    let link = head.link();
    let from = link.map_or(segments.len(), |link| segments.partition_point(|first| *first <= link.seq));
    let from = from.saturating_sub(1);
    let mut reader = LineReader::before(segments.get(from).copied(), link);
    for (index, first) in segments.iter().enumerate().skip(from) {
        let octets = disk.read(&segment_name(*first))?;
        if octets.is_empty() {
            empty.push(*first);
            continue;
        }
        reader.read(*first, &octets, index + 1 == segments.len());
    }
    let LineReader { mut found, last, head_is_there, .. } = reader;
    found.last = last;
    found.segment = segments.last().copied();
    found.empty = empty;
    judge(&mut found, segments, head, head_is_there);
    Ok(found)
}

/// Goes from line to line.
struct LineReader {
    found: FoundEnd,
    last: Option<ChainLink>,
    head: Option<ChainLink>,
    /// Whether the line of the head is the one that it says; `None` until it came.
    head_is_there: Option<bool>,
}

impl LineReader {
    fn before(first: Option<u64>, head: Option<ChainLink>) -> Self {
        // Where the chain is known before the first line that is read, that line has to follow it.
        let begins = |link: &ChainLink| first.is_none_or(|first| first == link.seq + 1);
        let last = head.filter(begins).or((first == Some(1)).then_some(ChainLink::START));
        let head_is_there = head.filter(begins).map(|_| true);
        Self { found: FoundEnd::default(), last, head, head_is_there }
    }

    fn read(&mut self, first: u64, octets: &[u8], is_last: bool) {
        self.found.whole = 0;
        let expected = self.last.map_or(first, |last| last.seq + 1);
        if expected != first {
            self.note(|| format!("lines {expected} to {} are gone", first.saturating_sub(1)));
            self.last = None;
        }
        let mut offset = 0;
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            let read = read_line(line);
            let follows = read.filter(|read| match self.last {
                Some(last) => read.seq == last.seq + 1 && read.prev == last.hash,
                None => offset > 0 || read.seq == first,
            });
            if follows.is_none() && self.found.flaw.is_none() {
                let rest = octets.get(offset..).unwrap_or_default();
                if is_last && is_torn(rest) {
                    self.found.torn = rest.len() as u64;
                    return;
                }
                self.note(|| format!("{} is not as it was written at octet {offset}", segment_name(first)));
            }
            offset += line.len();
            self.found.whole = offset as u64;
            if let Some(read) = read {
                self.last = Some(ChainLink { seq: read.seq, hash: read.hash });
                if let Some(head) = self.head.filter(|head| head.seq == read.seq) {
                    self.head_is_there = Some(head.hash == read.hash);
                }
            }
        }
    }

    fn note(&mut self, words: impl FnOnce() -> String) {
        self.found.flaw.get_or_insert_with(words);
    }
}

/// Whether `rest` is what a kill or a loss of power leaves of lines that were being written: without an end, or with zeros where the file
/// system has not written them.
fn is_torn(rest: &[u8]) -> bool {
    !rest.contains(&b'\n') || rest.contains(&0)
}

/// Compares what was found with what `head` says.
fn judge(found: &mut FoundEnd, segments: &[u64], head: HeadFile, head_is_there: Option<bool>) {
    let seq = found.last.map_or(0, |last| last.seq);
    let against = match head {
        HeadFile::Missing if segments.is_empty() && found.empty.is_empty() => None,
        HeadFile::Missing => Some("the file `head` is gone".to_owned()),
        HeadFile::Unreadable => Some("the file `head` is not as it was written".to_owned()),
        HeadFile::Says(head) if head.seq == 0 => None,
        HeadFile::Says(head) if head.seq > seq || segments.is_empty() => {
            let missing = head.seq.saturating_sub(if segments.is_empty() { 0 } else { seq });
            let missing = counted(usize::try_from(missing).unwrap_or(usize::MAX), "line");
            Some(format!("the last {missing} of {} are gone", head.seq))
        }
        HeadFile::Says(head) if head_is_there != Some(true) => {
            Some(format!("line {} is not the one that `head` says", head.seq))
        }
        HeadFile::Says(_) => None,
    };
    let head = head.link();
    let is_of_head = against.is_none() || head.is_none();
    if let Some(against) = against {
        found.flaw.get_or_insert(against);
    }
    if found.flaw.is_none() {
        found.last = found.last.or(head).or(segments.is_empty().then_some(ChainLink::START));
        return;
    }
    // What is wrong stays to be seen: the next line follows what the daemon wrote, and not what somebody made of it.
    found.torn = 0;
    let highest = segments.iter().chain(&found.empty).max().copied();
    let numbers = [seq, head.map_or(0, |head| head.seq), highest.unwrap_or(0)];
    let before = if is_of_head { found.last.or(head) } else { head };
    let hash = before.unwrap_or(ChainLink::START).hash;
    found.last = Some(ChainLink { seq: numbers.into_iter().fold(0, u64::max), hash });
}
