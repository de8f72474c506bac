//! Names of the files of the log, and the file that says how far it goes.

use std::io;

use serde::{Deserialize, Serialize};

use super::record::{AuditHash, ChainLink};
use crate::state::disk::{Disk, DiskFile as _};

/// The file that says what the last line is.
pub(super) const HEAD: &str = "head";

/// Its name until it is whole.
const UNFINISHED_HEAD: &str = "head.new";

/// Most octets of it.
const MAX_HEAD: usize = 256;

/// The file whose first line has the number `seq`. In the order of their names files follow each other.
pub(super) fn segment_name(seq: u64) -> String {
    format!("audit-{seq:020}.jsonl")
}

/// Number of the first line of the file that is called so; `None` when it is none of the log.
pub(super) fn first_seq(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    let seq = digits.parse().ok()?;
    (name == segment_name(seq)).then_some(seq)
}

/// Numbers of the first lines of all files of the log among `names`, in order.
pub(super) fn segments(names: &[String]) -> Vec<u64> {
    let mut segments: Vec<u64> = names.iter().filter_map(|name| first_seq(name)).collect();
    segments.sort_unstable();
    segments
}

/// What the file [`HEAD`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadFile {
    /// It is not there.
    Missing,
    /// It is not what was written.
    Unreadable,
    /// The last line, when it was written.
    Says(ChainLink),
}

#[derive(Deserialize, Serialize)]
struct Head {
    seq: u64,
    hash: AuditHash,
}

impl HeadFile {
    /// What `octets` of it say.
    pub(super) fn parse(octets: &[u8]) -> Self {
        match serde_json::from_slice(octets) {
            Ok(Head { seq, hash }) if octets.len() <= MAX_HEAD => Self::Says(ChainLink { seq, hash }),
            _ => Self::Unreadable,
        }
    }

    /// What it says on `disk`.
    ///
    /// # Errors
    /// When the disk does not tell.
    pub(super) fn read<D: Disk>(disk: &D) -> io::Result<Self> {
        match disk.read(HEAD) {
            Ok(octets) => Ok(Self::parse(&octets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Missing),
            Err(error) => Err(error),
        }
    }

    /// What it says, if anything.
    pub(super) fn link(self) -> Option<ChainLink> {
        match self {
            Self::Says(link) => Some(link),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

/// Says that `link` is the last line; a loss of power leaves this or what was said before.
///
/// # Errors
/// When the disk refuses. What was said before is said then.
pub(super) fn write_head<D: Disk>(disk: &D, link: ChainLink) -> io::Result<()> {
    let mut octets = serde_json::to_vec(&Head { seq: link.seq, hash: link.hash })?;
    octets.push(b'\n');
    let write = || {
        let mut file = disk.create(UNFINISHED_HEAD)?;
        file.append(&octets)?;
        file.sync()?;
        disk.rename(UNFINISHED_HEAD, HEAD)
    };
    write().inspect_err(|_| drop(disk.remove(UNFINISHED_HEAD)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_log_gives_are_files_of_the_log() {
        assert_eq!(segment_name(17), "audit-00000000000000000017.jsonl");
        for seq in [1, 17, u64::MAX] {
            assert_eq!(first_seq(&segment_name(seq)), Some(seq));
        }
        let others =
            ["head", "audit-17.jsonl", "audit-0000000000000000001x.jsonl", "audit-00000000000000000017.jsonl.gz"];
        assert_eq!(segments(&others.map(str::to_owned)), [0_u64; 0]);
    }
}
