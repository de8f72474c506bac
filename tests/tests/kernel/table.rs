//! The table of cases through the kernel: the action, and the movement of every counter there is.

use anyhow::{Context, Result};
use firewall_tests::{
    cases::{Case, Scenario, scenarios},
    kernel::{Kernel, SHORTEST_FRAME, difference},
    show::{hex, scapy},
};
use firewall_userspace::datapath::LoadOptions;

#[test]
fn every_case_has_its_action_and_moves_exactly_its_counters() -> Result<()> {
    let mut wrong = Vec::new();
    let (mut ran, mut too_short) = (0, 0);
    for scenario in scenarios() {
        let shared = if scenario.alone { None } else { Some(load(&scenario)?) };
        for case in &scenario.cases {
            if case.frame.len() < SHORTEST_FRAME {
                too_short += 1;
                continue;
            }
            let fresh = if shared.is_none() { Some(load(&scenario)?) } else { None };
            let kernel = shared.as_ref().or(fresh.as_ref()).context("one of both is there")?;
            if let Some(failure) = check(case, kernel).with_context(|| case.fact)? {
                wrong.push(format!("{}: {failure}", scenario.name));
            }
            ran += 1;
        }
    }
    println!("{ran} cases; {too_short} frames are too short for the kernel to take");
    assert!(wrong.is_empty(), "{} of {ran} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran >= 160, "only {ran} cases ran");
    assert_eq!(too_short, 2, "the empty frame and the one of 13 octets");
    Ok(())
}

fn load(scenario: &Scenario) -> Result<Kernel> {
    let change = |compiled: &mut firewall_userspace::policy::compile::Compiled| {
        compiled.host_default_drop = scenario.host_default_drop;
    };
    Kernel::load_changed(&scenario.policy, &scenario.own, &LoadOptions::default(), change)
        .with_context(|| format!("scenario {}", scenario.name))
}

fn check(case: &Case, kernel: &Kernel) -> Result<Option<String>> {
    for frame in &case.before {
        kernel.run(frame)?;
    }
    let before = kernel.snapshot()?;
    let action = kernel.run(&case.frame)?;
    let moved = difference(&before, &kernel.snapshot()?);
    let wanted_action = kernel.action_of(case.wanted.verdict, case.wanted.service);
    let wanted_moved = kernel.moved_by(&case.wanted, case.frame.len());
    if action == wanted_action && moved == wanted_moved {
        return Ok(None);
    }
    Ok(Some(format!(
        "{}\n  wanted action {wanted_action}, counters {wanted_moved:?}\n  got    action {action}, counters {moved:?}\n  {}\n  {}",
        case.fact,
        scapy(&case.frame),
        hex(&case.frame)
    )))
}
