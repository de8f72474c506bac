//! What a daemon that is stopped leaves: how long the journal is, so that the next one notices when it was cut meanwhile.
//!
//! A daemon of before ignores the file. It does no harm when it stays: a journal that has grown since is no shorter.

use serde::{Deserialize, Serialize};

use super::recover::Journal;
use crate::state::{disk::Disk, error::StoreError, whole};

/// Its name, and the one that it has while it is written.
const NAME: &str = "stopped";
const UNFINISHED: &str = "stopped.tmp";

/// What is in the file: one frame of JSON.
#[derive(Deserialize, Serialize)]
struct Mark {
    journal: u64,
    length: u64,
}

/// Writes it.
///
/// # Errors
/// When the disk refuses.
pub fn write<D: Disk>(disk: &D, journal: Journal) -> Result<(), StoreError> {
    whole::write(disk, NAME, UNFINISHED, &Mark { journal: journal.number, length: journal.length })
}

/// What it says; `None` when it is not there, or says nothing that can be understood.
pub fn read<D: Disk>(disk: &D) -> Option<Journal> {
    whole::read(disk, NAME).map(|Mark { journal: number, length }| Journal { number, length })
}

/// Removes it, before anything is written.
///
/// # Errors
/// When the disk refuses.
pub fn remove<D: Disk>(disk: &D) -> std::io::Result<()> {
    disk.remove(NAME)
}
