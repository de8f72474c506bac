//! Reading the log back, the newest line first.

use std::{
    io::{self, Read as _},
    path::Path,
};

use jiff::{SignedDuration, Timestamp};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};

use super::{
    files::{segment_name, segments},
    record::{AuditRecord, AuditWhat, read_record},
};
use crate::files::{names_in, open_regular_at};

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Not before.
    pub since: Option<Timestamp>,
    /// By whom.
    pub who: Option<String>,
    /// What.
    pub what: Option<AuditWhat>,
    /// At most so many lines.
    pub limit: usize,
    /// Only lines before the one of this number.
    pub before: Option<u64>,
}

/// The newest lines that were looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The newest first.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins ([`AuditQuery::before`]); `None` when there is none.
    pub next: Option<u64>,
}

/// Lines that are looked at for one page.
const LOOKED_AT: usize = 200_000;

/// Octets of a file that are read: more than any has.
const MOST_OF_FILE: u64 = 64 << 20;

/// How far a clock may have been set back between two lines so that the older one is still found.
const SET_BACK: SignedDuration = SignedDuration::from_hours(1);

/// Reads the log in `folder`, which a daemon may write meanwhile. Lines that are not as they were written are left out: that is for
/// [`verify`](super::verify()).
///
/// # Errors
/// When it cannot be read.
pub fn read_back(folder: &Path, query: &AuditQuery) -> io::Result<AuditPage> {
    let mut page = AuditPage::default();
    let mut looked_at = 0;
    let all = segments(&names_in(folder));
    for first in all.iter().rev().filter(|first| query.before.is_none_or(|before| **first < before)) {
        let path = folder.join(segment_name(*first));
        let opened = open_regular_at(AT_FDCWD, &path, OFlag::O_RDONLY, AtFlags::AT_SYMLINK_NOFOLLOW);
        let mut octets = Vec::new();
        match opened {
            Ok(file) => drop(file.take(MOST_OF_FILE).read_to_end(&mut octets)?),
            // The daemon has removed it: nothing is before it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(page),
            Err(error) => return Err(error),
        }
        let mut newest = None;
        for line in octets.split_inclusive(|octet| *octet == b'\n').rev() {
            let Some(record) = read_record(line).filter(|one| query.before.is_none_or(|before| one.seq < before))
            else {
                continue;
            };
            newest.get_or_insert(record.time);
            if page.records.len() == query.limit || looked_at == LOOKED_AT {
                page.next = Some(record.seq + 1);
                return Ok(page);
            }
            looked_at += 1;
            if query.wants(&record) {
                page.records.push(record);
            }
        }
        let begin = query.since.and_then(|since| since.checked_sub(SET_BACK).ok());
        if begin.zip(newest).is_some_and(|(begin, newest)| newest < begin) {
            return Ok(page);
        }
    }
    Ok(page)
}

impl AuditQuery {
    fn wants(&self, record: &AuditRecord) -> bool {
        self.since.is_none_or(|since| record.time >= since)
            && self.who.as_ref().is_none_or(|who| *who == record.who)
            && self.what.is_none_or(|what| what == record.what)
    }
}
