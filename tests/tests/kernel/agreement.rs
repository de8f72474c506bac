//! The kernel and the model agree on frames that nobody wrote: the action of each, and all counters.
//!
//! `PORTCULLIS_SEED` repeats a run, `PORTCULLIS_FRAMES` lengthens or shortens it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use firewall_common::{Judgement, Verdict, judge};
use firewall_tests::{
    cases::{Wanted, scenarios},
    generate,
    kernel::{Kernel, SHORTEST_FRAME, Snapshot, add, difference},
    model::Model,
    mutate::Frames,
    random::{Random, frames, seed},
    show::{hex, scapy},
};

/// Frames of a run.
const FRAMES: usize = 1_000_000;
/// Policies of a run.
const POLICIES: usize = 50;
/// Policies of a run of merged packets, and frames for each.
const MERGED_POLICIES: u64 = 20;
const MERGED_BATCH: usize = 500;
/// Frames between two looks at the counters.
const BATCH: usize = 1000;

#[test]
fn kernel_and_model_agree_on_odd_frames() -> Result<()> {
    let seed = seed();
    let frames = frames(FRAMES);
    let mut seen: BTreeMap<Verdict, usize> = BTreeMap::new();
    for part in 0..POLICIES {
        let mut random = Random::part(seed, part as u64);
        let (policy, own) = generate::policy(&mut random);
        let kernel = Kernel::load(&policy, &own)?;
        let model = Model::new(&policy, &own);
        let source = Frames::new(&policy, &own);
        let mut left = frames.div_ceil(POLICIES);
        while left > 0 {
            let batch: Vec<_> = (0..left.min(BATCH)).map(|_| source.next(&mut random, SHORTEST_FRAME)).collect();
            left -= batch.len();
            if let Err(error) = run_batch(&kernel, &model, &batch, &mut seen) {
                bail!("PORTCULLIS_SEED={seed}, policy {part} (generate::policy of that part): {error:#}");
            }
        }
    }
    println!("{} frames: {seen:#?}", seen.values().sum::<usize>());
    let reachable = |verdict: &Verdict| {
        !matches!(
            verdict,
            Verdict::EssentialLimited
                | Verdict::OverPackets
                | Verdict::OverBytes
                | Verdict::OverConnections
                | Verdict::HostDefault
                | Verdict::Internal
        )
    };
    if frames >= FRAMES {
        let missing: Vec<_> =
            Verdict::ALL.iter().filter(|verdict| reachable(verdict) && !seen.contains_key(verdict)).collect();
        assert!(missing.is_empty(), "no frame ended in {missing:?}");
    }
    Ok(())
}

/// Frames as long as the kernel merges TCP to, which are too dear for the run above.
#[test]
fn kernel_and_model_agree_on_merged_packets() -> Result<()> {
    let seed = seed();
    let mut seen: BTreeMap<Verdict, usize> = BTreeMap::new();
    for part in 0..MERGED_POLICIES {
        let mut random = Random::part(seed, part);
        let (policy, own) = generate::policy(&mut random);
        let kernel = Kernel::load(&policy, &own)?;
        let model = Model::new(&policy, &own);
        let source = Frames::new(&policy, &own);
        let batch: Vec<_> = (0..MERGED_BATCH).map(|_| source.merged(&mut random)).collect();
        if let Err(error) = run_batch(&kernel, &model, &batch, &mut seen) {
            bail!("PORTCULLIS_SEED={seed}, policy {part} (generate::policy of that part): {error:#}");
        }
    }
    println!("{seen:#?}");
    Ok(())
}

/// The table cut off at every octet of its headers, under the policy it was written for.
#[test]
fn kernel_and_model_agree_on_frames_that_are_cut_off_anywhere() -> Result<()> {
    for scenario in scenarios() {
        if scenario.alone || scenario.host_default_drop || scenario.name == "limits" || scenario.name == "observe" {
            continue;
        }
        let kernel = Kernel::load(&scenario.policy, &scenario.own)?;
        let model = Model::new(&scenario.policy, &scenario.own);
        let mut batch = Vec::new();
        for case in scenario.cases.iter().filter(|case| case.wanted.limit.is_none()) {
            let longest = case.frame.len().min(160);
            batch.extend((SHORTEST_FRAME..=longest).map(|length| case.frame[..length].to_vec()));
        }
        if let Err(error) = run_batch(&kernel, &model, &batch, &mut BTreeMap::new()) {
            bail!("{}: {error:#}", scenario.name);
        }
    }
    Ok(())
}

/// Runs all frames, then compares what was counted; on a difference runs them again one by one to find the first.
fn run_batch(kernel: &Kernel, model: &Model, batch: &[Vec<u8>], seen: &mut BTreeMap<Verdict, usize>) -> Result<()> {
    let before = kernel.snapshot()?;
    let mut wanted = Snapshot::new();
    for frame in batch {
        let judgement = judge(frame.as_slice(), model);
        let action = kernel.run(frame)?;
        if action != kernel.action_of(judgement.verdict, model.service_name(judgement.service)) {
            bail!("the kernel's action is {action}; the model says {judgement:?}\n{}\n{}", scapy(frame), hex(frame));
        }
        *seen.entry(judgement.verdict).or_default() += 1;
        add(&mut wanted, moved(kernel, model, &judgement, frame));
    }
    let counted = difference(&before, &kernel.snapshot()?);
    if counted == wanted {
        return Ok(());
    }
    for frame in batch {
        let judgement = judge(frame.as_slice(), model);
        let before = kernel.snapshot()?;
        kernel.run(frame)?;
        let counted = difference(&before, &kernel.snapshot()?);
        let wanted = moved(kernel, model, &judgement, frame);
        if counted != wanted {
            bail!(
                "the kernel moved {counted:?}, the model {wanted:?}: {judgement:?}\n{}\n{}",
                scapy(frame),
                hex(frame)
            );
        }
    }
    bail!("counters differ, but not for one frame alone: the kernel moved {counted:?}, the model {wanted:?}")
}

fn moved(kernel: &Kernel, model: &Model, judgement: &Judgement, frame: &[u8]) -> Snapshot {
    let wanted = Wanted {
        verdict: judgement.verdict,
        family: judgement.family,
        service: model.service_name(judgement.service),
        limit: model.limit_name(judgement.limit),
    };
    kernel.moved_by(&wanted, frame.len())
}
