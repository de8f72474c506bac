//! Interleaved rounds: every round runs every program of a case once, in another order, so that what disturbs the
//! machine for a while disturbs all of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use firewall_tests::random::Random;
use serde::{Deserialize, Serialize};

use crate::interrupt;

/// What one program needed, over all rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// The middle one, 0 without any.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match (sorted.get(middle), sorted.get(middle.wrapping_sub(1))) {
            (Some(one), Some(other)) if sorted.len().is_multiple_of(2) => (one + other) / 2.0,
            (Some(one), _) => *one,
            (None, _) => 0.0,
        }
    }

    /// The least one.
    pub fn min(&self) -> f64 {
        self.sorted().first().copied().unwrap_or_default()
    }

    /// The greatest one.
    pub fn max(&self) -> f64 {
        self.sorted().last().copied().unwrap_or_default()
    }

    /// The one that so many of a hundred do not exceed.
    pub fn percentile(&self, of_hundred: usize) -> f64 {
        let sorted = self.sorted();
        let index = (sorted.len() * of_hundred).div_ceil(100).saturating_sub(1);
        sorted.get(index).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Calls `run` for every name in `count` rounds.
///
/// # Errors
/// When one fails, or somebody wants an end.
pub fn interleave<N: Copy + Ord + std::fmt::Debug>(
    names: &[N],
    count: usize,
    random: &mut Random,
    mut run: impl FnMut(N) -> Result<f64>,
) -> Result<BTreeMap<N, Sample>> {
    let mut samples: BTreeMap<N, Sample> = BTreeMap::new();
    let mut order = names.to_vec();
    for _ in 0..count {
        for index in (1..order.len()).rev() {
            order.swap(index, random.below(index + 1));
        }
        for name in &order {
            interrupt::check()?;
            let value = run(*name).with_context(|| format!("{name:?}"))?;
            samples.entry(*name).or_default().push(value);
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample(values.to_vec())
    }

    #[test]
    fn middle_and_percentiles_are_those_of_the_sorted_values() {
        assert_eq!(sample(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(sample(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!(sample(&[]).median(), 0.0);
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(sample(&hundred).percentile(99), 99.0);
        assert_eq!(sample(&hundred).percentile(100), 100.0);
    }

    #[test]
    fn every_round_has_every_program_once() {
        let mut seen = Vec::new();
        let samples = interleave(&["a", "b", "c"], 4, &mut Random::new(1), |name| {
            seen.push(name);
            Ok(1.0)
        });
        assert!(samples.unwrap().values().all(|sample| sample.count() == 4));
        assert!(seen.chunks(3).all(|round| ["a", "b", "c"].iter().all(|name| round.contains(name))));
    }
}
