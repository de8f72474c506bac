//! What is known of the time, beside the journal. Nothing that was acknowledged is in it: without it, a start believes less.
//!
//! Builds before it leave the file alone.

use jiff::Timestamp;

use crate::{
    clock::{Now, reckoning::KeptReckoning},
    state::{disk::Disk, error::StoreError, whole},
};

/// The file.
const NAME: &str = "clock";

/// The name that it has while it is written.
const UNFINISHED: &str = "clock.tmp";

/// What was kept; `None` when nothing was, or when it cannot be read.
pub fn read<D: Disk>(disk: &D) -> Option<KeptReckoning> {
    whole::read(disk, NAME).map(KeptReckoning::bounded)
}

/// Keeps it, in place of what was kept before.
///
/// # Errors
/// When the disk refuses. What was kept before is there then.
pub fn write<D: Disk>(disk: &D, kept: &KeptReckoning) -> Result<(), StoreError> {
    whole::write(disk, NAME, UNFINISHED, kept)
}

/// Tells the eras of records apart.
#[derive(Debug, Default)]
pub struct Marks {
    kept: Option<(KeptReckoning, Now)>,
}

impl Marks {
    /// For a daemon that reads them `now`.
    pub fn new(kept: Option<&KeptReckoning>, now: Now) -> Self {
        Self { kept: kept.map(|kept| (kept.clone(), now)) }
    }

    /// The era of what is said to be written at `at`.
    pub fn era_of(&self, at: Timestamp) -> u32 {
        self.kept.as_ref().map_or(0, |(kept, now)| kept.era_of(at, *now))
    }

    /// Whether what was kept does not know of a record at this place of the journals.
    pub fn are_before(&self, place: (u64, u64)) -> bool {
        self.kept.as_ref().is_some_and(|(kept, _)| kept.is_before(place))
    }
}
