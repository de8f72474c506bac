//! Packets per second through a veth pair: frames made by the kernel on one side, a filter on the other.
//!
//! Each filter has a namespace of its own. One CPU, that of the thread that calls, does all the work, maker and receiver
//! in turn, so nothing is lost and the time of a frame is that of making, handing over and filtering it.
//!
//! - In: an [`Effort`] and the object of the reference program.
//! - Out: packets per second with each filter, [`Wire`].
//! - Owner: the measurement; its namespaces and links are gone when it ends.

mod filter;
mod link;

use std::{
    collections::BTreeMap,
    fmt, fs,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{netns::Netns, random::Random, trial::Trial};
use serde::{Deserialize, Serialize};

pub use filter::FilterKind;
use filter::{Filter, Ingredients};
use link::Cable;

use crate::{
    bpf::{self, Program},
    cases::{Case, Situation, short},
    effort::Effort,
    frame::{self, Family},
    prefixes::Prefixes,
    rounds::{Sample, interleave},
    scrambler::Sources,
    subject::Prepared,
};

/// What the filters came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wire {
    /// Prefixes in the list; sources are outside of it, and all frames are dropped.
    pub prefixes: usize,
    /// Packets per second by filter, one a round.
    pub rates: BTreeMap<FilterKind, Sample>,
}

/// How long a round of one filter is.
const WHOLE_ROUND: Duration = Duration::from_secs(1);
const QUICK_ROUND: Duration = Duration::from_millis(200);

/// Frames by which the speed of a filter is estimated.
const TRY: u32 = 20_000;

/// Most frames in a round.
const MOST: f64 = 50_000_000.0;

/// Of a thousand frames, how many may be lost on the way to the filter.
const LOST: u64 = 1;

/// One filter behind a cable.
struct Lane {
    filter: Filter,
    cable: Cable,
    sender: Program,
    frames: u32,
}

impl Wire {
    /// Rate of one filter relative to another.
    pub fn ratio(&self, one: FilterKind, other: FilterKind) -> Option<f64> {
        Some(self.rates.get(&one)?.median() / self.rates.get(&other)?.median())
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wire/{}", short(self.prefixes))?;
        for (kind, rate) in &self.rates {
            write!(f, "  {kind} {:.2} Mpps", rate.median() / 1e6)?;
        }
        Ok(())
    }
}

/// Measures all filters on the same prefixes with the same frames.
///
/// # Errors
/// When the kernel refuses something, or a filter does not do its job.
pub fn measure(effort: Effort, reference: &[u8]) -> Result<Wire> {
    let family = Family::V4;
    let case = Case { family, situation: Situation::Unlisted, prefixes: effort.longest };
    let round = if effort == Effort::QUICK { QUICK_ROUND } else { WHOLE_ROUND };
    let trial = Trial::begin()?;
    let mut prefixes = Prefixes::new(family, case.prefixes, effort.seed);
    fs::write(trial.folder().join("list.txt"), prefixes.text()).context("cannot write the list")?;
    let sources = Sources::table(family, &prefixes.outside())?;
    let prepared = Prepared::read(&case.policy(), trial.folder())?;
    let ingredients = Ingredients { prepared: &prepared, reference, prefixes: &prefixes, folder: trial.folder() };

    let generator = Netns::create(&trial, "generator")?;
    let mut lanes = BTreeMap::new();
    for (number, kind) in FilterKind::ALL.into_iter().enumerate() {
        let cable = Cable::new(&trial, &generator, number)?;
        let filter = Filter::install(kind, &cable, &ingredients).with_context(|| format!("cannot set up {kind}"))?;
        let sender = sources.sender(cable.generator_index(&generator)?)?;
        lanes.insert(kind, Lane { filter, cable, sender, frames: TRY });
    }
    let frame = frame::build(family, case.segment());
    let run = |lane: &Lane| lane.run(&generator, &frame, case);
    for lane in lanes.values_mut() {
        run(lane)?;
        let rate = run(lane)?;
        lane.frames = (rate * round.as_secs_f64()).clamp(f64::from(TRY), MOST) as u32;
    }
    let mut random = Random::part(effort.seed, 2);
    let rates = interleave(&FilterKind::ALL, effort.rounds, &mut random, |kind| {
        run(lanes.get(&kind).context("a filter without a cable")?)
    })?;
    Ok(Wire { prefixes: case.prefixes, rates })
}

impl Lane {
    /// Packets per second.
    fn run(&self, generator: &Netns, frame: &[u8], case: Case) -> Result<f64> {
        let dropped = self.filter.dropped(&self.cable, case)?;
        let received = self.cable.received()?;
        let elapsed = generator.enter(|| {
            let start = Instant::now();
            bpf::run_live(self.sender.as_fd(), frame, self.frames).map(|()| start.elapsed())
        })??;
        let received = self.cable.received()? - received;
        let sent = u64::from(self.frames);
        ensure!(received + sent * LOST / 1000 >= sent, "of {sent} frames {received} came through the cable");
        if let (Some(before), Some(after)) = (dropped, self.filter.dropped(&self.cable, case)?) {
            ensure!(after - before == received, "of {received} frames {} were dropped as they should", after - before);
        }
        Ok(received as f64 / elapsed.as_secs_f64())
    }
}
