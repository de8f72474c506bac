//! Nanoseconds per frame: `BPF_PROG_TEST_RUN` of each program behind the same scrambler.

use std::{
    collections::{BTreeMap, HashSet},
    fmt, fs,
    os::fd::AsFd as _,
};

use anyhow::{Context as _, Result, ensure};
use firewall_common::abi::{XDP_DROP, XDP_PASS};
use firewall_tests::{random::Random, trial::Trial};
use serde::{Deserialize, Serialize};

use crate::{
    bpf::{self, Program},
    cases::{Case, Situation},
    effort::Effort,
    frame,
    prefixes::Prefixes,
    rounds::{Sample, interleave},
    scrambler::{Scrambler, Sources, constant},
    subject::{Prepared, Subject},
};

/// A program that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// Nothing but `XDP_DROP`: the floor.
    BareDrop,
    /// Nothing but `XDP_PASS`.
    BarePass,
    /// The program of Portcullis.
    Portcullis,
    /// The same with LPM_TRIE, LRU_HASH and ktime.
    Reference,
}

/// What a case came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// The case.
    pub case: Case,
    /// Nanoseconds per frame by program, one a round.
    pub ns: BTreeMap<Contender, Sample>,
    /// Of a hundred frames, how many passed, by packet program, one a round.
    pub passed_percent: BTreeMap<Contender, Sample>,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareDrop => "bare drop",
            Self::BarePass => "bare pass",
            Self::Portcullis => "portcullis",
            Self::Reference => "reference",
        })
    }
}

/// Sources that are looked at before a case is timed.
const CHECKED: usize = 10_000;

impl Measured {
    /// Median above that of the bare drop in the same run; `None` when the program did not run.
    pub fn net(&self, contender: Contender) -> Option<f64> {
        Some(self.ns.get(&contender)?.median() - self.ns.get(&Contender::BareDrop)?.median())
    }
}

/// One line: medians, and what they are above the bare drop.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20}", self.name)?;
        for (contender, sample) in &self.ns {
            let net = self.net(*contender).unwrap_or_default();
            write!(f, "  {contender} {:.0} ({net:+.0}, {:.0}-{:.0})", sample.median(), sample.min(), sample.max())?;
        }
        Ok(())
    }
}

/// Measures one case.
///
/// # Errors
/// When the kernel refuses something, or a program judges frames in another way than it should.
pub fn measure(case: Case, effort: Effort, reference: &[u8]) -> Result<Measured> {
    let trial = Trial::begin()?;
    let mut prefixes = Prefixes::new(case.family, case.prefixes, effort.seed);
    fs::write(trial.folder().join("list.txt"), prefixes.text()).context("cannot write the list of a case")?;
    let table = match case.situation {
        Situation::Flood => None,
        Situation::Unlisted => Some(prefixes.outside()),
        _ => Some(prefixes.inside()),
    };
    let sources = match &table {
        Some(table) => Sources::table(case.family, table)?,
        None => Sources::fresh(case.family)?,
    };
    drop(prefixes);
    let prepared = Prepared::read(&case.policy(), trial.folder())?;
    let bench = Bench {
        case,
        frame: frame::build(case.family, case.segment()),
        frames: effort.frames,
        bare: [constant(XDP_DROP)?, constant(XDP_PASS)?],
        portcullis: Subject::portcullis(&prepared)?,
        reference: Subject::reference(&prepared, reference)?,
    };
    drop(prepared);
    let contenders = [Contender::BareDrop, Contender::BarePass, Contender::Portcullis, Contender::Reference];
    let scramblers: BTreeMap<_, _> = contenders
        .into_iter()
        .map(|contender| Ok((contender, bench.scrambler(&sources, contender)?)))
        .collect::<Result<_>>()?;
    let scrambler = |contender| scramblers.get(&contender).context("a program without a scrambler");
    let seen = scrambler(Contender::BarePass)?.next_sources(case.family, &bench.frame, CHECKED)?;
    check_sources(&seen, table.as_deref())?;
    drop(table);
    let mut random = Random::part(effort.seed, 1);
    let mut passed_percent: BTreeMap<Contender, Sample> = BTreeMap::new();
    let run = |contender| {
        let (ns, passed) = bench.run(contender, scrambler(contender)?)?;
        if let Some(passed) = passed {
            passed_percent.entry(contender).or_default().push(passed);
        }
        Ok(ns)
    };
    // A first round fills caches and rate states: after it a source that is over its rate stays over it.
    for contender in contenders {
        bpf::run(scrambler(contender)?.as_fd(), &bench.frame, effort.frames)?;
    }
    let ns = interleave(&contenders, effort.rounds, &mut random, run).with_context(|| case.to_string())?;
    Ok(Measured { name: case.to_string(), case, ns, passed_percent })
}

/// Checks that sources are those of the table, or all different without one.
fn check_sources(seen: &[u128], table: Option<&[u128]>) -> Result<()> {
    match table {
        Some(table) => ensure!(table.starts_with(seen), "frames do not have the sources of the table"),
        None => ensure!(seen.iter().collect::<HashSet<_>>().len() == seen.len(), "a fresh source came twice"),
    }
    Ok(())
}

/// The programs of one case.
struct Bench {
    case: Case,
    frame: Vec<u8>,
    frames: u32,
    bare: [Program; 2],
    portcullis: Subject,
    reference: Subject,
}

impl Bench {
    fn scrambler(&self, sources: &Sources, contender: Contender) -> Result<Scrambler> {
        let [drop, pass] = &self.bare;
        let program = match contender {
            Contender::BareDrop => drop.as_fd(),
            Contender::BarePass => pass.as_fd(),
            Contender::Portcullis => self.portcullis.descriptor()?,
            Contender::Reference => self.reference.descriptor()?,
        };
        Scrambler::new(sources, program)
    }

    /// Nanoseconds per frame, and how many of a hundred frames a packet program passed.
    fn run(&self, contender: Contender, scrambler: &Scrambler) -> Result<(f64, Option<f64>)> {
        let run = || bpf::run(scrambler.as_fd(), &self.frame, self.frames);
        let bare = |action| {
            let run = run()?;
            ensure!(run.action == action, "a bare program returned {}", run.action);
            Ok((f64::from(run.ns), None))
        };
        let judge = |subject: &Subject| {
            let family = self.case.family.of_packet();
            let before = subject.judged(family)?;
            let run = run()?;
            let judged = subject.judged(family)?.since(&before);
            judged.check(self.case.verdicts(), u64::from(self.frames))?;
            Ok((f64::from(run.ns), Some(judged.passed_percent())))
        };
        match contender {
            Contender::BareDrop => bare(XDP_DROP),
            Contender::BarePass => bare(XDP_PASS),
            Contender::Portcullis => judge(&self.portcullis),
            Contender::Reference => judge(&self.reference),
        }
    }
}
