//! Frames out of the peer's end of the cable at a high rate, made in the kernel (`BPF_F_TEST_XDP_LIVE_FRAMES`).

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::{
    net::if_::if_nametoindex,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    bpf::{Constant, XdpAction},
    lab::{INTERFACE, Lab},
};

/// Between two batches.
const TICK: Duration = Duration::from_millis(1);

/// A generator of frames. They arrive at the host only while it has a program in its driver.
#[derive(Debug)]
pub struct LiveFrames {
    program: Constant,
}

/// How many frames, and when.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Frames per second.
    pub rate: u64,
    /// For how long at most.
    pub time: Duration,
}

/// What a generator did.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Frames.
    pub frames: u64,
    /// When the first was about to be made.
    pub start: Instant,
    /// When the last had been made.
    pub end: Instant,
}

impl LiveFrames {
    /// Loads the program that sends every frame out of the interface it seems to have come from.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> Result<Self> {
        Ok(Self { program: Constant::load(XdpAction::Transmit)? })
    }

    /// Sends `frames` in turn, each on a thread of its own CPU among `cpus`, at `pace` on each, until `over`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(
        &self,
        lab: &Lab,
        frames: &[Vec<u8>],
        cpus: &[usize],
        pace: Pace,
        over: &AtomicBool,
    ) -> Result<Vec<Sent>> {
        thread::scope(|scope| {
            let sending = cpus.iter().map(|cpu| scope.spawn(|| self.send_on(lab, frames, *cpu, pace, over)));
            let sending: Vec<_> = sending.collect();
            sending.into_iter().map(|one| one.join().map_err(|_| anyhow!("a generator panicked"))?).collect()
        })
    }

    fn send_on(&self, lab: &Lab, frames: &[Vec<u8>], cpu: usize, pace: Pace, over: &AtomicBool) -> Result<Sent> {
        ensure!(!frames.is_empty(), "there is no frame to send");
        pin_to(cpu)?;
        lab.peer.enter_for_good()?;
        let interface = if_nametoindex(INTERFACE)?;
        let start = Instant::now();
        let mut end = start;
        let mut sent = 0;
        let mut turns = frames.iter().cycle();
        loop {
            let elapsed = start.elapsed();
            if elapsed >= pace.time || over.load(Ordering::Relaxed) {
                return Ok(Sent { frames: sent, start, end });
            }
            let due = (elapsed.as_nanos() * u128::from(pace.rate) / 1_000_000_000) as u64;
            let each = (due - sent) / frames.len() as u64;
            if each > 0 {
                for frame in turns.by_ref().take(frames.len()) {
                    self.program.run_live(frame, interface, u32::try_from(each)?)?;
                    sent += each;
                }
                end = Instant::now();
            }
            thread::sleep(TICK);
        }
    }
}

/// The first `count` CPUs this process may use.
///
/// # Errors
/// When there are fewer.
pub fn cpus(count: usize) -> Result<Vec<usize>> {
    let usable = sched_getaffinity(Pid::from_raw(0)).context("cannot ask which CPUs there are")?;
    let all = (0..CpuSet::count()).filter(|cpu| usable.is_set(*cpu).unwrap_or(false));
    let first: BTreeSet<usize> = all.take(count).collect();
    ensure!(first.len() == count, "this test needs {count} CPUs and may use {first:?}");
    Ok(first.into_iter().collect())
}

/// Keeps the thread that calls on one CPU.
///
/// # Errors
/// When it may not be used.
pub fn pin_to(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot run on CPU {cpu}"))
}
