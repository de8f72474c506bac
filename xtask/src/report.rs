//! How the steps of a demonstration are shown.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt::Interrupted;

/// What a step saw.
pub struct Seen {
    /// In words.
    pub seen: String,
    /// Whether it is what was expected.
    pub as_expected: bool,
}

/// The steps so far.
pub struct Report {
    steps: u32,
    differ: Vec<u32>,
    start: Instant,
}

impl Default for Report {
    fn default() -> Self {
        Self { steps: 0, differ: Vec::new(), start: Instant::now() }
    }
}

impl Report {
    /// Takes a step and shows it. A step that fails differs, and the next one is taken; only an interruption ends it all.
    pub fn step(&mut self, what: &str, expected: &str, take: impl FnOnce() -> Result<Seen>) -> Result<()> {
        self.steps += 1;
        println!("step {}: {what}", self.steps);
        println!("  expected  {expected}");
        let Seen { seen, as_expected } = match take() {
            Ok(seen) => seen,
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => Seen { seen: format!("{error:#}"), as_expected: false },
        };
        println!("  seen      {}", seen.replace('\n', "\n            "));
        println!("  {}", if as_expected { "ok" } else { "DIFFERS" });
        if !as_expected {
            self.differ.push(self.steps);
        }
        Ok(())
    }

    /// Whether a step differs.
    pub fn differs(&self) -> bool {
        !self.differ.is_empty()
    }

    /// The last line, about `what`; an error when a step differs.
    pub fn conclude(self, what: &str) -> Result<()> {
        let seconds = self.start.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        if self.differ.is_empty() {
            println!("{what}: all {} steps as expected in {seconds:.1} s", self.steps);
            return Ok(());
        }
        let differ: Vec<_> = self.differ.iter().map(u32::to_string).collect();
        bail!("{} of {} steps differ: {}", self.differ.len(), self.steps, differ.join(", "));
    }
}
