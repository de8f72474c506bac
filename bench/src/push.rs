//! How soon a push is visible: from the start of the write to the list table until another CPU, which judges one frame
//! after another, judges by it.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use firewall_common::abi::{XDP_DROP, XDP_PASS};
use firewall_tests::{live, random::Random, trial::Trial};
use firewall_userspace::{
    lists::members::{Member, Members},
    policy::Prefix,
};
use serde::{Deserialize, Serialize};

use crate::{
    bpf,
    cases::{Case, Situation, short},
    effort::Effort,
    frame::{self, Family},
    interrupt,
    prefixes::Prefixes,
    rounds::Sample,
    subject::{Prepared, Subject},
};

/// What pushes into a long list came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pushes {
    /// Prefixes in the list.
    pub prefixes: usize,
    /// Microseconds until another CPU judged by the change.
    pub visible_us: Sample,
    /// Microseconds that the write took.
    pub write_us: Sample,
}

impl fmt::Display for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (visible, write) = (&self.visible_us, &self.write_us);
        write!(f, "push/{}  visible after {:.1} us", short(self.prefixes), visible.median())?;
        write!(f, " (p99 {:.1}, max {:.1}), write {:.1} us", visible.percentile(99), visible.max(), write.median())
    }
}

/// Pushes, half of which add a prefix and half take it away again.
const WHOLE: usize = 1000;
const QUICK: usize = 100;

/// How long a change may stay unseen before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A frame to be judged until the action is this one.
struct Watch {
    frame: Vec<u8>,
    wanted: u32,
}

/// Pushes from the thread that calls, and watches on another CPU.
///
/// # Errors
/// When the kernel refuses something, or a change is never seen.
pub fn measure(effort: Effort, watcher_cpu: usize) -> Result<Pushes> {
    let case = Case { family: Family::V4, situation: Situation::Listed, prefixes: effort.longest };
    let trial = Trial::begin()?;
    let mut prefixes = Prefixes::new(case.family, case.prefixes, effort.seed);
    fs::write(trial.folder().join("list.txt"), prefixes.text()).context("cannot write the list")?;
    let outside = prefixes.outside();
    drop(prefixes);
    let prepared = Prepared::read(&case.policy(), trial.folder())?;
    let mut members = prepared.members();
    let mut subject = Subject::portcullis(&prepared)?;
    let program = subject.descriptor()?.try_clone_to_owned().context("cannot share the program")?;

    let watched = AtomicBool::new(false);
    let (ask, asked) = mpsc::channel::<Watch>();
    let (tell, told) = mpsc::channel::<Instant>();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(program, watcher_cpu, asked, tell, &watched));
        let pushes = (|| {
            let frame = frame::build(case.family, case.segment());
            let mut random = Random::part(effort.seed, 3);
            let mut pushes =
                Pushes { prefixes: case.prefixes, visible_us: Sample::default(), write_us: Sample::default() };
            let count = if effort == Effort::QUICK { QUICK } else { WHOLE };
            for source in outside.iter().take(count / 2) {
                let prefix = prefix(*source, &mut random)?;
                for wanted in [XDP_PASS, XDP_DROP] {
                    interrupt::check()?;
                    let frame = frame::with_source(&frame, case.family, *source);
                    watched.store(false, Ordering::Release);
                    ask.send(Watch { frame, wanted }).map_err(|_| anyhow!("nobody watches"))?;
                    while !watched.load(Ordering::Acquire) {
                        if watcher.is_finished() {
                            bail!("nobody watches");
                        }
                        std::hint::spin_loop();
                    }
                    let start = Instant::now();
                    push(&mut subject, &mut members, prefix, wanted == XDP_PASS)?;
                    pushes.write_us.push(start.elapsed().as_secs_f64() * 1e6);
                    let seen = told.recv_timeout(PATIENCE).map_err(|_| anyhow!("no frame was judged by a push"))?;
                    pushes.visible_us.push(seen.saturating_duration_since(start).as_secs_f64() * 1e6);
                }
            }
            Ok(pushes)
        })();
        drop(ask);
        watcher.join().map_err(|_| anyhow!("the watcher panicked"))??;
        pushes
    })
}

fn push(subject: &mut Subject, members: &mut Members, prefix: Prefix, add: bool) -> Result<()> {
    let member = if add { Member { lists: 1, ..Member::default() } } else { Member::default() };
    members.set(prefix, member);
    subject.update(members, prefix)
}

/// A prefix around a source outside of the list: a host, or one somewhat wider.
fn prefix(source: u128, random: &mut Random) -> Result<Prefix> {
    let length = *random.pick(&[32, 32, 30, 28]);
    let address = source as u32 >> (32 - length) << (32 - length);
    Ok(Prefix::new(IpAddr::V4(Ipv4Addr::from(address)), length as u8)?)
}

/// Judges the frame of each watch until it gets the action that is waited for.
fn watch(
    program: OwnedFd,
    cpu: usize,
    asked: mpsc::Receiver<Watch>,
    tell: mpsc::Sender<Instant>,
    watched: &AtomicBool,
) -> Result<()> {
    live::pin_to(cpu)?;
    for Watch { frame, wanted } in asked {
        let end = Instant::now() + PATIENCE;
        loop {
            let action = bpf::run(program.as_fd(), &frame, 1)?.action;
            let now = Instant::now();
            if action == wanted && watched.load(Ordering::Relaxed) {
                // Nobody listens any more only when the other side has failed, and tells so itself.
                let _ = tell.send(now);
                break;
            }
            watched.store(true, Ordering::Release);
            if now > end {
                break;
            }
        }
    }
    Ok(())
}
