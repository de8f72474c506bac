//! How much is measured: whole or quick.

use serde::{Deserialize, Serialize};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Rounds of each case.
    pub rounds: usize,
    /// Frames of each program in a round.
    pub frames: u32,
    /// Longest list.
    pub longest: usize,
    /// Seed of lists, sources and orders.
    pub seed: u64,
}

impl Effort {
    /// For figures that are quoted.
    pub const WHOLE: Self = Self { rounds: 9, frames: 300_000, longest: 1_000_000, seed: 1 };
    /// For trying.
    pub const QUICK: Self = Self { rounds: 3, frames: 200_000, longest: 100_000, seed: 1 };
}
