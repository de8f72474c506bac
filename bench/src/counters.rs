//! The counters of a packet program, by the pin that both programs have.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use aya::maps::{Map, MapData, PerCpuArray};
use firewall_common::{Action, Family, Verdict, abi::counter_index};

/// The verdict counters of the first interface.
pub struct Counters(PerCpuArray<MapData, [u64; 2]>);

/// Frames by verdict.
#[derive(Clone, Debug)]
pub struct Judged(Vec<(Verdict, u64)>);

/// How many of a thousand frames may be judged in another way: those at the edge of a rate.
const TOLERATED: u64 = 1;

impl Counters {
    /// Opens them.
    ///
    /// # Errors
    /// When nothing is pinned there.
    pub fn open(pin: &Path) -> Result<Self> {
        let data = MapData::from_pin(pin).with_context(|| format!("cannot open {}", pin.display()))?;
        Ok(Self(Map::from_map_data(data)?.try_into()?))
    }

    /// Frames judged so far.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn judged(&self, family: Family) -> Result<Judged> {
        let count = |verdict: &Verdict| {
            let values = self.0.get(&counter_index(0, family, *verdict), 0)?;
            Ok((*verdict, values.iter().map(|[packets, _]| packets).sum()))
        };
        Verdict::ALL.iter().map(count).collect::<Result<_>>().map(Judged)
    }
}

impl Judged {
    /// Frames of one verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.0.iter().find(|(one, _)| *one == verdict).map_or(0, |(_, count)| *count)
    }

    /// What was judged since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().zip(&before.0).map(|(now, then)| (now.0, now.1.wrapping_sub(then.1))).collect())
    }

    /// How many of a hundred passed.
    pub fn passed_percent(&self) -> f64 {
        let sum = |keep: &dyn Fn(Verdict) -> bool| -> u64 {
            self.0.iter().filter(|(verdict, _)| keep(*verdict)).map(|(_, count)| count).sum()
        };
        100.0 * sum(&|verdict| verdict.action() == Action::Pass) as f64 / sum(&|_| true) as f64
    }

    /// Checks that these are `count` frames, all judged as one of `wanted`.
    ///
    /// # Errors
    /// One that names what else happened.
    pub fn check(&self, wanted: &[Verdict], count: u64) -> Result<()> {
        let right: u64 = wanted.iter().map(|verdict| self.of(*verdict)).sum();
        let all: u64 = self.0.iter().map(|(_, count)| count).sum();
        if all == count && right + count * TOLERATED / 1000 >= count {
            return Ok(());
        }
        let told = self.0.iter().filter(|(_, count)| *count > 0);
        let told: Vec<_> = told.map(|(verdict, count)| format!("{count} {}", verdict.label())).collect();
        let wanted: Vec<_> = wanted.iter().map(|verdict| verdict.label()).collect();
        bail!("of {count} frames that should be judged {}: {}", wanted.join(" or "), told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_judged_otherwise_are_named_unless_they_are_very_few() {
        let judged = |wrong| Judged(vec![(Verdict::Accepted, 10_000 - wrong), (Verdict::NotAllowed, wrong)]);
        assert!(judged(10).check(&[Verdict::Accepted], 10_000).is_ok());
        let error = judged(11).check(&[Verdict::Accepted], 10_000).unwrap_err().to_string();
        assert!(error.contains("11 not_allowed"), "{error}");
        assert!(judged(0).check(&[Verdict::Accepted], 10_001).is_err());
        assert_eq!(judged(100).passed_percent(), 99.0);
        assert_eq!(judged(100).since(&judged(40)).of(Verdict::NotAllowed), 60);
    }
}
