//! Variants of the program: combinations of facts of a policy that change its code.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use firewall_common::judge;
use firewall_userspace::{
    datapath::{Attachments, LoadOptions},
    lists::members::Member,
    policy::{Policy, Prefix},
};

use super::{
    PROTECTED,
    facts::{self, Facts},
    report::StepFacts,
    traffic::{Stream, attached, judged, wait_for},
};
use crate::{
    cases::{Wanted, scenarios},
    draft::prefix,
    kernel::{Counter, Kernel, SHORTEST_FRAME, Snapshot, add, difference},
    model::Model,
    packet::Packet,
    show::scapy,
};

/// Loopback, from which frames of a test run seem to come.
const LOOPBACK: u32 = 1;

/// In no list, and pushed as an address of the host.
const PUSHED: &str = "198.18.77.1";

/// One of so many variants explains, too.
const EXPLAINED: u32 = 7;

/// What loading them took and gave.
#[derive(Default)]
struct Measured {
    loads: Vec<Duration>,
    instructions: Vec<u32>,
}

/// Swaps each of `variants` for the one before, in the driver, while frames flow; each judges what the model judges, before
/// and after a push.
pub(super) fn check(variants: &[Facts]) -> Result<StepFacts> {
    let (whole, own) = facts::whole()?;
    let frames = frames(&whole, &own);
    let interfaces = vec![LOOPBACK, Attachments::index_of(PROTECTED)?];
    let options = LoadOptions { interfaces, ..LoadOptions::default() };
    // Before the stream, so that no frame comes before there is a program.
    let mut kernel = attached(Kernel::load_changed(&whole, &own, &options, |_| {})?)?;
    let mut measured = Measured::default();

    let stream = Stream::start(vec![Packet::v4("198.18.0.1", "192.0.2.10").udp(1, 81).build()])?;
    let checked = variants.iter().zip(0..).try_for_each(|(facts, number)| {
        let explains = u32::is_multiple_of(number, EXPLAINED);
        let variant = Variant { facts: *facts, policy: facts.policy(&whole)?, own: &own, explains };
        variant.load(&mut kernel, &mut measured)?;
        variant.judge(&frames, &mut kernel).with_context(|| format!("{facts:?}"))
    });
    let sent = stream.finish()?;
    checked?;
    // What test runs moved is counted for the loopback, and stands still.
    let by_test_run = judged(&of_test_runs(kernel.snapshot()?));
    let counted = judged(&wait_for(&kernel, by_test_run + sent)?) - by_test_run;
    ensure!(counted == sent, "{sent} frames were sent to {PROTECTED}, {counted} judged");
    measured.told(sent)
}

/// One variant, and what its model needs.
struct Variant<'a> {
    facts: Facts,
    policy: Policy,
    own: &'a [Prefix],
    /// Whether each frame is also asked about before: for that the program is loaded once more.
    explains: bool,
}

impl Variant<'_> {
    /// Takes the place of the variant before.
    fn load(&self, kernel: &mut Kernel, measured: &mut Measured) -> Result<()> {
        let start = Instant::now();
        let mut is_right = Ok(());
        kernel
            .replace_changed(&self.policy, self.own, |compiled| is_right = self.facts.finish(compiled))
            .with_context(|| format!("{:?}", self.facts))?;
        measured.loads.push(start.elapsed());
        let (instructions, _) = kernel.size()?;
        measured.instructions.push(instructions.context("the kernel does not tell how much it verified")?);
        is_right
    }

    /// Judges `frames`, and one more frame before, during and after a push for its source.
    fn judge(&self, frames: &[Vec<u8>], kernel: &mut Kernel) -> Result<()> {
        let before = of_test_runs(kernel.snapshot()?);
        let pushed = prefix(PUSHED);
        let one = [Packet::v4(PUSHED, "192.0.2.10").tcp(1, 80).build()];
        let own = [self.own, &[pushed]].concat();

        let mut wanted = self.agree(frames, kernel, &self.model(self.own))?;
        kernel.push(&[(pushed, Member { own: true, ..Member::default() })])?;
        add(&mut wanted, self.agree(&one, kernel, &self.model(&own))?);
        kernel.push(&[(pushed, Member::default())])?;
        add(&mut wanted, self.agree(&one, kernel, &self.model(self.own))?);

        let moved = difference(&before, &of_test_runs(kernel.snapshot()?));
        ensure!(moved == wanted, "counters moved by {moved:?}, wanted {wanted:?}");
        Ok(())
    }

    /// Holds the action of each frame against the model; the counters that must move.
    fn agree(&self, frames: &[Vec<u8>], kernel: &mut Kernel, model: &Model) -> Result<Snapshot> {
        let mut moved = Snapshot::new();
        for frame in frames {
            let judgement = judge(frame.as_slice(), model);
            if self.explains {
                let (would, explanation) = kernel.explain(frame)?;
                let (said, right) = (explanation.verdict, judgement.verdict.index());
                let wanted = kernel.action_of(judgement.verdict, model.service_name(judgement.service));
                ensure!((would, said) == (wanted, right), "explained as {explanation:?}, not {judgement:?}");
            }
            let action = kernel.run(frame)?;
            let wanted = kernel.action_of(judgement.verdict, model.service_name(judgement.service));
            ensure!(action == wanted, "action {action} for {judgement:?}\n{}", scapy(frame));
            let said = Wanted {
                verdict: judgement.verdict,
                family: judgement.family,
                service: model.service_name(judgement.service),
                limit: model.limit_name(judgement.limit),
            };
            add(&mut moved, kernel.moved_by(&said, frame.len()));
        }
        Ok(moved)
    }

    fn model(&self, own: &[Prefix]) -> Model {
        let model = Model::new(&self.policy, own);
        if self.facts.host_default_drop { model.with_host_default_drop() } else { model }
    }
}

impl Measured {
    fn told(mut self, sent: u64) -> Result<StepFacts> {
        self.loads.sort();
        let median = self.loads.get(self.loads.len() / 2).context("no variant was loaded")?;
        let range = |values: &[u32]| {
            let ends = values.iter().min().zip(values.iter().max());
            ends.map_or_else(String::new, |(least, most)| format!("{least}..{most}"))
        };
        Ok(vec![
            ("variants", self.loads.len().to_string()),
            ("load_ms", median.as_millis().to_string()),
            ("instructions", range(&self.instructions)),
            ("frames", sent.to_string()),
        ])
    }
}

/// The frames of the table whose judgement leaves no rate state.
fn frames(policy: &Policy, own: &[Prefix]) -> Vec<Vec<u8>> {
    let model = Model::new(policy, own);
    let scenarios = scenarios();
    let all = scenarios.iter().flat_map(|scenario| &scenario.cases).map(|case| case.frame.clone());
    let mut frames: Vec<_> =
        all.filter(|frame| frame.len() >= SHORTEST_FRAME && judge(frame.as_slice(), &model).limit == 0).collect();
    frames.sort();
    frames.dedup();
    frames
}

/// What test runs moved: counters of verdicts of the first interface, and those of services and limits.
fn of_test_runs(mut counted: Snapshot) -> Snapshot {
    counted.retain(|counter, _| !matches!(counter, Counter::Verdict(_, None)));
    counted
}
