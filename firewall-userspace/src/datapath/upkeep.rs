//! Interfaces and pins are brought in line on whichever thread, while the filter itself is busy.

use super::{Attachments, PinFolder, Upkeep};

/// Where a program is attached, and where that is pinned: shared by those who bring it in line.
#[derive(Debug)]
pub(super) struct Upheld {
    pub(super) attachments: Attachments,
    pub(super) pins: PinFolder,
}

impl Upkeep for Upheld {
    fn follow(&self, retries: bool) -> bool {
        self.attachments.follow(&self.pins, retries)
    }
}
