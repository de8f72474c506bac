//! The instance that explains, against the one that acts.

use anyhow::{Context, Result};
use firewall_common::{Verdict, abi::BucketOutcome};
use firewall_tests::{
    cases::{Case, scenarios},
    draft::{DAY, Draft, LimitDraft, ServiceDraft},
    kernel::{Kernel, SHORTEST_FRAME, action},
    packet::Packet,
    random::{Random, seed},
    show::scapy,
};
use firewall_userspace::datapath::LoadOptions;

fn explained(case: &Case, kernel: &mut Kernel) -> Result<()> {
    for frame in &case.before {
        kernel.run(frame)?;
    }
    let (service, limit) = (kernel.service_id(case.wanted.service), kernel.limit_id(case.wanted.limit));
    let before = kernel.snapshot()?;
    let (action, explanation) = kernel.explain(&case.frame)?;
    assert_eq!(kernel.snapshot()?, before, "{}", case.fact);
    let wanted = (
        kernel.action_of(case.wanted.verdict, case.wanted.service),
        case.wanted.verdict.index(),
        case.wanted.family as u32,
        service.into(),
        limit.into(),
    );
    let got = (action, explanation.verdict, explanation.family, explanation.service, explanation.limit);
    assert_eq!(got, wanted, "{}\n{}", case.fact, scapy(&case.frame));
    Ok(())
}

#[test]
fn every_case_is_explained_with_its_verdict_and_counts_nothing() -> Result<()> {
    let mut explained_cases = 0;
    for scenario in scenarios() {
        let load = || {
            let options = LoadOptions::default();
            let change = |compiled: &mut firewall_userspace::policy::compile::Compiled| {
                compiled.host_default_drop = scenario.host_default_drop;
            };
            Kernel::load_changed(&scenario.policy, &scenario.own, &options, change).context(scenario.name)
        };
        let mut shared = load()?;
        for case in scenario.cases.iter().filter(|case| case.frame.len() >= SHORTEST_FRAME) {
            if scenario.alone {
                explained(case, &mut load()?)?;
            } else {
                explained(case, &mut shared)?;
            }
            explained_cases += 1;
        }
    }
    assert!(explained_cases >= 160, "only {explained_cases} cases");
    Ok(())
}

/// Few sources and small limits, so that all kinds of buckets and verdicts come up.
fn kernel() -> Result<Kernel> {
    let policy = Draft::new()
        .list("friends", &["198.18.0.0/28"])
        .list("foes", &["198.18.0.8"])
        .limit(LimitDraft::new("small").packets(1, DAY, 20).connections(1, DAY, 5))
        .limit(LimitDraft::new("octets").bytes(1, DAY, 3000))
        .service(ServiceDraft::tcp("web", &[80]).deny(&["foes"]).limit("small").limit_for(&[("friends", "octets")]))
        .service(ServiceDraft::udp("dns", &[53]).limit("octets"))
        .service(ServiceDraft::udp("ntp", &[123]).allow(&["friends"]).limit("small"))
        .caps(10, 10, 10, 10);
    Kernel::load(&policy.policy(), &[])
}

fn frame(random: &mut Random) -> Vec<u8> {
    let source = format!("198.18.0.{}", random.below(40));
    let packet = Packet::v4(&source, "192.0.2.10");
    match random.below(8) {
        0..=2 => packet.tcp(1, 80).flags("S").build(),
        3..=4 => packet.tcp(1, 80).flags("A").payload(random.below(1000)).build(),
        5 => packet.udp(1, 53).payload(random.below(1000)).build(),
        6 => packet.udp(1, 123).build(),
        _ => packet.icmp(3, 4).build(),
    }
}

#[test]
fn what_is_explained_is_what_happens_next_and_touches_nothing() -> Result<()> {
    let seed = seed();
    let mut random = Random::part(seed, 1);
    let mut kernel = kernel()?;
    let (mut dropped, mut found) = (0, 0);
    for number in 0..2000 {
        let frame = frame(&mut random);
        let before = if number % 200 == 0 { Some((kernel.rate_state()?, kernel.newcomers()?)) } else { None };
        let (would, explanation) = kernel.explain(&frame)?;
        assert_eq!(kernel.explain(&frame)?.1.verdict, explanation.verdict, "asked again");
        if let Some(before) = before {
            let (state, newcomers) = before;
            for (name, octets) in kernel.rate_state()? {
                assert!(state.get(name) == Some(&octets), "{name} changed");
            }
            assert_eq!(kernel.newcomers()?, newcomers);
        }
        let done = kernel.run(&frame)?;
        assert_eq!(would, done, "PORTCULLIS_SEED={seed}, frame {number}: {explanation:?}\n{}", scapy(&frame));
        dropped += usize::from(done == action::DROP);
        found += usize::from(explanation.bucket == BucketOutcome::Found as u32);
    }
    assert!((200..1800).contains(&dropped), "{dropped} dropped");
    assert!(found > 200, "{found} found");
    Ok(())
}

#[test]
fn what_a_source_has_left_is_told_before_the_packet() -> Result<()> {
    let mut kernel = kernel()?;
    let syn = Packet::v4("198.18.0.30", "192.0.2.10").tcp(1, 80).flags("S").build();
    let (_, first) = kernel.explain(&syn)?;
    assert_eq!(first.bucket, BucketOutcome::Inserted as u32);
    for _ in 0..5 {
        assert_eq!(kernel.run(&syn)?, action::PASS);
    }
    let (would, sixth) = kernel.explain(&syn)?;
    assert_eq!((would, sixth.verdict), (action::DROP, Verdict::OverConnections.index()));
    assert_eq!(sixth.bucket, BucketOutcome::Found as u32);
    let [packets, _, connections] = sixth.tat_ns.map(|tat_ns| tat_ns.saturating_sub(sixth.now_ns));
    let day_ns = DAY.as_nanos() as u64;
    assert_eq!([packets.div_ceil(day_ns), connections.div_ceil(day_ns)], [5, 5]);
    Ok(())
}

#[test]
fn a_push_is_explained_at_once_and_a_larger_table_too() -> Result<()> {
    let mut kernel = kernel()?;
    let frame = Packet::v4("198.18.0.39", "192.0.2.10").udp(1, 123).build();
    assert_eq!(kernel.explain(&frame)?.1.verdict, Verdict::NotAllowed.index());
    let friends = firewall_userspace::lists::members::Member { lists: 0b10, ..Default::default() };
    kernel.push(&[("198.18.0.39".parse()?, friends)])?;
    let (would, explanation) = kernel.explain(&frame)?;
    assert_eq!((would, explanation.lists, explanation.verdict), (action::PASS, 0b10, Verdict::Accepted.index()));
    kernel.replace(&Draft::new().policy(), &[])?;
    assert_eq!(kernel.explain(&frame)?.1.verdict, Verdict::NoService.index());
    Ok(())
}
