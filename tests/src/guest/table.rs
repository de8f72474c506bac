//! The hand-written packet table on this kernel: every case by `BPF_PROG_TEST_RUN`, and on the wire what needs no rate
//! state and fits on it.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use firewall_userspace::{
    datapath::{Attachments, LoadOptions},
    policy::compile::Compiled,
};

use super::{
    PROTECTED, SENDER,
    report::StepFacts,
    traffic::{attached, judged, wait_for},
};
use crate::{
    cases::{Case, Scenario, scenarios},
    kernel::{Kernel, SHORTEST_FRAME, Snapshot, add, difference},
    show::{hex, scapy},
    traffic::RawSocket,
};

/// Longest frame of an interface with the usual MTU: an Ethernet header and 1500 octets.
const LONGEST_ON_WIRE: usize = 1514;

/// Between two frames on the wire: the emulation must keep up.
const PAUSE: Duration = Duration::from_micros(300);

/// Cases that ran, on the wire too, and those that could not and why.
#[derive(Default)]
struct Tally {
    ran: usize,
    on_wire: u64,
    skipped: BTreeMap<&'static str, usize>,
}

pub(super) fn check() -> Result<StepFacts> {
    let mut tally = Tally::default();
    let socket = RawSocket::on(SENDER)?;
    let options = LoadOptions { interfaces: vec![Attachments::index_of(PROTECTED)?], ..LoadOptions::default() };
    let scenarios = scenarios();
    let mut loaded: Option<(&Scenario, Kernel)> = None;
    for scenario in &scenarios {
        let mut kernel = match loaded.take() {
            Some((other, kernel)) if can_share(other, scenario) => kernel,
            // Whatever is loaded leaves the interface first.
            other => {
                drop(other);
                load(scenario, &options).with_context(|| format!("scenario {}", scenario.name))?
            }
        };
        tally
            .by_test_run(scenario, &mut kernel)
            .and_then(|()| tally.on_wire(scenario, &kernel, &socket))
            .with_context(|| format!("scenario {}", scenario.name))?;
        loaded = Some((scenario, kernel));
    }
    for (reason, cases) in &tally.skipped {
        println!("skipped {cases} cases {reason}");
    }
    let skipped: usize = tally.skipped.values().sum();
    Ok(vec![("cases", tally.ran.to_string()), ("wire", tally.on_wire.to_string()), ("skipped", skipped.to_string())])
}

/// Puts the program of a scenario on the interface.
fn load(scenario: &Scenario, options: &LoadOptions) -> Result<Kernel> {
    let change = |compiled: &mut Compiled| compiled.host_default_drop = scenario.host_default_drop;
    attached(Kernel::load_changed(&scenario.policy, &scenario.own, options, change)?)
}

/// Whether the program of one scenario does for another, whose cases do not care what went before.
fn can_share(one: &Scenario, other: &Scenario) -> bool {
    let judges_alike =
        (&one.policy, &one.own, one.host_default_drop) == (&other.policy, &other.own, other.host_default_drop);
    judges_alike && !other.alone && other.cases.iter().all(is_stateless)
}

fn is_stateless(case: &Case) -> bool {
    case.before.is_empty() && case.wanted.limit.is_none()
}

impl Tally {
    /// The action of each case, and what all of them move.
    fn by_test_run(&mut self, scenario: &Scenario, kernel: &mut Kernel) -> Result<()> {
        let before = kernel.snapshot()?;
        let mut wanted = Snapshot::new();
        for case in &scenario.cases {
            if case.before.iter().chain([&case.frame]).any(|frame| frame.len() < SHORTEST_FRAME) {
                self.skip("by test run: the kernel takes no frame shorter than an Ethernet header");
                continue;
            }
            if scenario.alone {
                kernel.forget_caps()?;
            }
            if !case.before.is_empty() {
                // Nothing is said about what these move.
                let before = kernel.snapshot()?;
                case.before.iter().try_for_each(|frame| kernel.run(frame).map(drop))?;
                add(&mut wanted, difference(&before, &kernel.snapshot()?));
            }
            let action = kernel.run(&case.frame)?;
            let right = kernel.action_of(case.wanted.verdict, case.wanted.service);
            ensure!(
                action == right,
                "{}: action {action}, wanted {right}\n{}\n{}",
                case.fact,
                scapy(&case.frame),
                hex(&case.frame)
            );
            add(&mut wanted, kernel.moved_by(&case.wanted, case.frame.len()));
            self.ran += 1;
        }
        let moved = difference(&before, &kernel.snapshot()?);
        ensure!(moved == wanted, "by test run: {}", unlike(&wanted, &moved));
        Ok(())
    }

    /// What all cases move that can be sent to the interface.
    fn on_wire(&mut self, scenario: &Scenario, kernel: &Kernel, socket: &RawSocket) -> Result<()> {
        let before = kernel.snapshot()?;
        let mut wanted = Snapshot::new();
        let mut sent = 0;
        for case in &scenario.cases {
            if let Some(reason) = obstacle(scenario, case) {
                self.skip(reason);
                continue;
            }
            socket.send(&case.frame).with_context(|| case.fact)?;
            thread::sleep(PAUSE);
            add(&mut wanted, kernel.moved_by(&case.wanted, case.frame.len()));
            sent += 1;
        }
        let moved = difference(&before, &wait_for(kernel, judged(&before) + sent)?);
        ensure!(moved == wanted, "on the wire: {}", unlike(&wanted, &moved));
        self.on_wire += sent;
        Ok(())
    }

    fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }
}

/// Why a case cannot be shown on the wire.
fn obstacle(scenario: &Scenario, case: &Case) -> Option<&'static str> {
    if scenario.alone || !is_stateless(case) {
        Some("on the wire: their rate state is used up by the test run")
    } else if case.frame.len() < SHORTEST_FRAME {
        Some("on the wire: no driver takes a frame shorter than an Ethernet header")
    } else if case.frame.len() > LONGEST_ON_WIRE {
        Some("on the wire: longer than the MTU")
    } else {
        None
    }
}

/// Two movements of counters, where they differ.
fn unlike(wanted: &Snapshot, moved: &Snapshot) -> String {
    let only = |one: &Snapshot, other: &Snapshot| -> Snapshot {
        one.iter().filter(|(counter, count)| other.get(counter) != Some(count)).map(|(c, n)| (c.clone(), *n)).collect()
    };
    format!("wanted {:?}, got {:?}", only(wanted, moved), only(moved, wanted))
}
