//! From a file to enforcing: the daemon's start and reload with a long list, against `nft -f` with the same prefixes.

use std::{
    fmt, fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use firewall_common::{
    Verdict,
    abi::{ABI_VERSION, maps},
};
use firewall_tests::{
    daemon::Site,
    lab::{Lab, STRANGER4, STRANGER6},
    netns::output,
    running::Running,
    traffic::RawSocket,
};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::{
    cases::{Case, Situation, short},
    counters::Counters,
    effort::Effort,
    frame::{self, Family},
    interrupt, netfilter,
    prefixes::Prefixes,
    rounds::Sample,
};

/// Times for the lists of one family.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Family of the list.
    pub family: Family,
    /// Prefixes in the list.
    pub prefixes: usize,
    /// Seconds from the start of `portcullis run` until a frame was judged by the list.
    pub start_s: Sample,
    /// Seconds from SIGHUP until a frame was judged by the new list.
    pub reload_s: Sample,
    /// Seconds that `nft -f` took.
    pub nft_s: Sample,
}

const WHOLE_ROUNDS: usize = 3;
const QUICK_ROUNDS: usize = 1;

/// How long a daemon may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two probes.
const PAUSE: Duration = Duration::from_millis(1);

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, reload, nft) = (self.start_s.median(), self.reload_s.median(), self.nft_s.median());
        write!(f, "load/{}/{}", self.family.name(), short(self.prefixes))?;
        write!(f, "  portcullis run {start:.2} s, reload {reload:.2} s, nft -f {nft:.2} s")
    }
}

/// Times starts, reloads and nft in turn.
///
/// # Errors
/// When something is refused, or does not happen in time.
pub fn measure(family: Family, effort: Effort) -> Result<Load> {
    let case = Case { family, situation: Situation::Unlisted, prefixes: effort.longest };
    let first = Prefixes::new(family, case.prefixes, effort.seed);
    let second = Prefixes::new(family, case.prefixes, effort.seed + 1);
    let mut load = Load {
        family,
        prefixes: case.prefixes,
        start_s: Sample::default(),
        reload_s: Sample::default(),
        nft_s: Sample::default(),
    };
    let rounds = if effort == Effort::QUICK { QUICK_ROUNDS } else { WHOLE_ROUNDS };
    for _ in 0..rounds {
        interrupt::check()?;
        let [start, reload] = daemon(case, &first, &second)?;
        load.start_s.push(start);
        load.reload_s.push(reload);
        load.nft_s.push(nft(&first)?);
    }
    Ok(load)
}

/// Seconds of a start with the first list, and of a reload with the second.
fn daemon(case: Case, first: &Prefixes, second: &Prefixes) -> Result<[f64; 2]> {
    let stranger = if matches!(case.family, Family::V4) { STRANGER4 } else { STRANGER6 };
    let lab = Lab::new()?;
    let list = lab.trial.write("list.txt", &first.text())?;
    let site = Site::of(&lab.trial);
    // The reload replaces the whole list.
    let policy = format!("{}[guard]\nshrink_percent = 100\n", case.policy());
    site.configure(&policy.replace("list.txt", &list.to_string_lossy()))?;
    let probe = Probe::new(&lab, case.family, stranger)?;

    let command = site.command(&lab.host)?;
    let begin = Instant::now();
    let mut running = Running::start(&lab.trial, "portcullis", command)?;
    // No list has the stranger, so what drops it is this policy.
    probe.wait(&site, Verdict::NotAllowed, &mut running)?;
    let start = begin.elapsed().as_secs_f64();

    // The second list has it, so what passes it is the second list.
    fs::write(&list, format!("{}{stranger}\n", second.text())).context("cannot write the second list")?;
    let begin = Instant::now();
    running.signal(Signal::SIGHUP)?;
    probe.wait(&site, Verdict::Accepted, &mut running)?;
    Ok([start, begin.elapsed().as_secs_f64()])
}

/// Sends one frame after another from a stranger, and looks how they are judged.
pub struct Probe {
    socket: RawSocket,
    frame: Vec<u8>,
    family: firewall_common::Family,
}

impl Probe {
    /// A stranger at the other end of the cable.
    ///
    /// # Errors
    /// When this is not root.
    pub fn new(lab: &Lab, family: Family, stranger: &str) -> Result<Self> {
        let source = stranger.parse::<std::net::IpAddr>().context("a stranger without an address")?;
        let source = match source {
            std::net::IpAddr::V4(address) => u32::from(address).into(),
            std::net::IpAddr::V6(address) => address.into(),
        };
        let frame = frame::with_source(&frame::build(family, frame::Segment::Syn), family, source);
        Ok(Self { socket: RawSocket::open(&lab.peer)?, frame, family: family.of_packet() })
    }

    /// Until a frame has this verdict.
    ///
    /// # Errors
    /// When none has in time.
    pub fn wait(&self, site: &Site, verdict: Verdict, running: &mut Running) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let path = site.pins.join(format!("v{ABI_VERSION}")).join("maps").join(maps::COUNTERS);
        let mut counters: Option<Counters> = None;
        while Instant::now() < end {
            interrupt::check()?;
            self.socket.send(&self.frame)?;
            if counters.is_none() && path.exists() {
                // There is a moment between the pin and a map that can be opened.
                counters = Counters::open(&path).ok();
            }
            if let Some(counters) = &counters
                && counters.judged(self.family)?.of(verdict) > 0
            {
                return Ok(());
            }
            running.must_run()?;
            thread::sleep(PAUSE);
        }
        bail!("no frame was judged {} within {} s", verdict.label(), PATIENCE.as_secs())
    }
}

/// Seconds of `nft -f` in a namespace of its own.
fn nft(prefixes: &Prefixes) -> Result<f64> {
    let lab = Lab::new()?;
    let rules = lab.trial.write("rules.nft", &netfilter::nftables_rules(prefixes, "eth0"))?;
    lab.host.enter(|| {
        let begin = Instant::now();
        output(Command::new("nft").arg("-f").arg(&rules))?;
        Ok(begin.elapsed().as_secs_f64())
    })?
}
