//! The table of cases, and the table against the second reading of the contract.

use std::collections::BTreeSet;

use firewall_common::{Action, Family, Verdict, judge};
use firewall_tests::{
    cases::{Case, Scenario, Wanted, scenarios},
    model::Model,
    show::{hex, scapy},
    spec,
};

#[test]
fn every_case_has_its_verdict() {
    let wrong = failures(|scenario| {
        let cases = scenario.cases.iter();
        cases.filter_map(|case| check(case, &model(scenario))).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What makes it right to run them through one generation of the kernel program.
#[test]
fn cases_of_a_scenario_do_not_disturb_each_other() {
    let wrong = failures(|scenario| {
        if scenario.alone {
            return Vec::new();
        }
        let forwards = model(scenario);
        let backwards = model(scenario);
        let mut wrong: Vec<_> = scenario.cases.iter().filter_map(|case| check(case, &forwards)).collect();
        wrong.extend(scenario.cases.iter().rev().filter_map(|case| check(case, &backwards)));
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_second_reading_of_the_contract_agrees_with_the_table() {
    let wrong = failures(|scenario| {
        let mut wrong = Vec::new();
        for case in &scenario.cases {
            let said = spec::judge(&scenario.policy, &scenario.own, &case.frame);
            let verdict = without_state(case.wanted.verdict, scenario.host_default_drop);
            if said.verdict != verdict
                || said.family != case.wanted.family
                || said.service.as_deref() != case.wanted.service
            {
                wrong.push(failure(case, &format!("{said:?}")));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the verdict would be without limits, caps and `host_default = "drop"`.
fn without_state(verdict: Verdict, host_default_drop: bool) -> Verdict {
    match verdict {
        Verdict::EssentialLimited => Verdict::Essential,
        Verdict::OverPackets | Verdict::OverBytes | Verdict::OverConnections => Verdict::Accepted,
        Verdict::HostDefault if host_default_drop => Verdict::NoService,
        verdict => verdict,
    }
}

#[test]
fn every_verdict_has_a_case_that_ends_in_it() {
    let seen: BTreeSet<Verdict> =
        scenarios().iter().flat_map(|scenario| &scenario.cases).map(|case| case.wanted.verdict).collect();
    let missing: Vec<_> = Verdict::ALL.iter().filter(|verdict| !seen.contains(verdict)).collect();
    // A table that is missing cannot be had from a policy; tests/kernel/internal.rs takes one away.
    assert_eq!(missing, [&Verdict::Internal]);
}

#[test]
fn every_verdict_of_an_ip_packet_is_seen_in_both_families() {
    let seen: BTreeSet<(Verdict, bool)> = scenarios()
        .iter()
        .flat_map(|scenario| &scenario.cases)
        .filter(|case| case.wanted.family != Family::Other)
        .map(|case| (case.wanted.verdict, case.wanted.family == Family::Ipv6))
        .collect();
    for verdict in Verdict::ALL {
        if !matches!(verdict, Verdict::NotIp | Verdict::VlanDepth | Verdict::Internal) {
            assert!(seen.contains(&(*verdict, false)), "{verdict:?} is not seen in IPv4");
            assert!(seen.contains(&(*verdict, true)), "{verdict:?} is not seen in IPv6");
        }
    }
}

#[test]
fn facts_are_told_once_and_there_are_many() {
    let scenarios = scenarios();
    let mut facts = BTreeSet::new();
    for case in scenarios.iter().flat_map(|scenario| &scenario.cases) {
        assert!(facts.insert(case.fact), "told twice: {}", case.fact);
    }
    assert!(facts.len() >= 160, "only {} cases", facts.len());
    println!("{} cases in {} scenarios", facts.len(), scenarios.len());
}

/// The consequences, written by hand once more.
#[test]
fn these_verdicts_pass_and_all_others_drop() {
    let passing: Vec<_> = Verdict::ALL.iter().filter(|verdict| verdict.action() == Action::Pass).collect();
    use Verdict::{Accepted, Essential, FragmentAdmitted, Looped, Management, NoService, NotIp};
    assert_eq!(passing, [&NotIp, &Essential, &Management, &NoService, &FragmentAdmitted, &Accepted, &Looped]);
}

fn failures(check: impl Fn(&Scenario) -> Vec<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for scenario in scenarios() {
        wrong.extend(check(&scenario).iter().map(|text| format!("{}: {text}", scenario.name)));
    }
    wrong
}

fn model(scenario: &Scenario) -> Model {
    let model = Model::new(&scenario.policy, &scenario.own);
    if scenario.host_default_drop { model.with_host_default_drop() } else { model }
}

fn check(case: &Case, model: &Model) -> Option<String> {
    for frame in &case.before {
        judge(frame.as_slice(), model);
    }
    let judgement = judge(case.frame.as_slice(), model);
    let Wanted { verdict, family, service, limit } = case.wanted;
    let right = judgement.verdict == verdict
        && judgement.family == family
        && model.service_name(judgement.service) == service
        && model.limit_name(judgement.limit) == limit
        && judgement.frame_length.is_none_or(|length| length == case.frame.len());
    let got = || {
        format!(
            "{judgement:?} (service {:?}, limit {:?})",
            model.service_name(judgement.service),
            model.limit_name(judgement.limit)
        )
    };
    (!right).then(|| failure(case, &got()))
}

fn failure(case: &Case, got: &str) -> String {
    format!(
        "{}\n  wanted {:?}\n  got    {got}\n  {}\n  {}",
        case.fact,
        case.wanted,
        scapy(&case.frame),
        hex(&case.frame)
    )
}
