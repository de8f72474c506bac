//! Pushes into live tables, and one generation after another.

use std::{thread, time::Duration};

use anyhow::Result;
use firewall_common::{Family, Verdict, judge};
use firewall_tests::{
    draft::{DAY, Draft, LimitDraft, ServiceDraft, prefix},
    generate,
    kernel::{Kernel, action, in_new_namespace, verdict_counter},
    model::Model,
    mutate::Frames,
    packet::Packet,
    random::{Random, seed},
    show::scapy,
};
use firewall_userspace::{
    datapath::LoadOptions,
    lists::members::{Member, Timed},
    policy::{List, Policy, Prefix},
};
use nix::time::{ClockId, clock_gettime};

fn in_list(list: usize) -> Member {
    Member { lists: 1 << list, ..Member::default() }
}

#[test]
fn a_pushed_prefix_holds_for_the_next_packet() -> Result<()> {
    let policy = Draft::new()
        .list("blocked", &[])
        .list("partners", &["203.0.113.0/24", "2001:db8:7::/48"])
        .service(ServiceDraft::tcp("api", &[443]).allow(&["partners"]).deny(&["blocked"]))
        .policy();
    let mut kernel = Kernel::load(&policy, &[])?;
    let (blocked, partners) = (in_list(0), in_list(1));
    let steps: [(&str, Member, u32); 8] = [
        ("198.18.0.1", partners.clone(), action::PASS),
        ("198.18.0.0/24", blocked.clone(), action::DROP),
        ("198.18.0.0/24", Member::default(), action::PASS),
        ("198.18.0.1", partners.union(&blocked), action::DROP),
        ("198.18.0.1", Member::default(), action::DROP),
        ("198.18.0.0/16", partners, action::PASS),
        ("0.0.0.0/0", blocked.clone(), action::DROP),
        ("0.0.0.0/0", Member::default(), action::PASS),
    ];
    let frame = Packet::v4("198.18.0.1", "192.0.2.10").tcp(1, 443).build();
    let frame6 = Packet::v6("2001:db8:7::1", "2001:db8:1::10").tcp(1, 443).build();
    assert_eq!(kernel.run(&frame)?, action::DROP);
    for (text, member, wanted) in steps {
        kernel.push(&[(prefix(text), member.clone())])?;
        assert_eq!(kernel.run(&frame)?, wanted, "{text} {member:?}");
        assert_eq!(kernel.run(&frame6)?, action::PASS, "the other family is not touched");
    }
    kernel.push(&[(prefix("2001:db8:7::1"), blocked)])?;
    assert_eq!(kernel.run(&frame6)?, action::DROP);
    Ok(())
}

/// The program itself ends an entry: nobody does anything between the push and its end.
#[test]
fn an_entry_ends_on_time_without_a_daemon() -> Result<()> {
    let policy = Draft::new()
        .list("blocked", &[])
        .list("partners", &["203.0.113.0/24"])
        .service(ServiceDraft::tcp("api", &[443]).allow(&["partners"]).deny(&["blocked"]))
        .policy();
    let mut kernel = Kernel::load(&policy, &[])?;
    let boot = || clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    let ends = boot()?.as_secs() as u32 + 5;
    let until = |lists| Member { timed: Timed::until(ends, lists), ..Member::default() };
    kernel.push(&[
        (prefix("198.18.0.1"), until(2)),
        (prefix("203.0.113.7"), until(1)),
        (prefix("2001:db8::/32"), until(2)),
    ])?;
    let frames = [
        (Packet::v4("198.18.0.1", "192.0.2.10").tcp(1, 443).build(), action::PASS),
        (Packet::v4("203.0.113.7", "192.0.2.10").tcp(1, 443).build(), action::DROP),
        (Packet::v6("2001:db8::5", "2001:db8:1::10").tcp(1, 443).build(), action::PASS),
    ];
    let opposite = |wanted| if wanted == action::PASS { action::DROP } else { action::PASS };
    let limit = Duration::from_secs(u64::from(ends));
    let mut looks = 0;
    while boot()? + Duration::from_millis(100) < limit {
        let actions = frames.iter().map(|(frame, _)| kernel.run(frame)).collect::<Result<Vec<_>>>()?;
        // Otherwise nobody knows when they were judged.
        if boot()? < limit {
            looks += 1;
            assert_eq!(actions, frames.each_ref().map(|(_, wanted)| *wanted), "before its end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(looks > 0, "this machine is too busy for this test");
    thread::sleep((limit + Duration::from_millis(10)).saturating_sub(boot()?));
    for (frame, wanted) in &frames {
        assert_eq!(kernel.run(frame)?, opposite(*wanted), "after its end");
    }
    Ok(())
}

/// Any pushes: afterwards the kernel judges as a model that was made with their outcome.
#[test]
fn kernel_and_model_agree_after_any_pushes() -> Result<()> {
    let seed = seed();
    for part in 0..20 {
        let mut random = Random::part(seed, part);
        let (mut policy, own) = generate::policy(&mut random);
        if policy.lists.is_empty() {
            continue;
        }
        let mut kernel = Kernel::load(&policy, &own)?;
        for _ in 0..15 {
            let changes: Vec<_> = (0..=random.below(20)).map(|_| change(&mut policy, &mut random)).collect();
            // Own addresses and management prefixes are not pushed: what a prefix is in besides stays.
            let changes: Vec<_> =
                changes.into_iter().map(|prefix| (prefix, member_of(&policy, &own, prefix))).collect();
            kernel.push(&changes)?;
            let model = Model::new(&policy, &own);
            let frames = Frames::new(&policy, &own);
            for _ in 0..200 {
                let frame = frames.next(&mut random, 14);
                let judgement = judge(frame.as_slice(), &model);
                let got = kernel.run(&frame)?;
                assert_eq!(
                    got,
                    kernel.action_of(judgement.verdict, model.service_name(judgement.service)),
                    "PORTCULLIS_SEED={seed}, policy {part}: {judgement:?}\n{}",
                    scapy(&frame)
                );
            }
        }
    }
    Ok(())
}

/// Adds an entry to a list, or takes one away; the prefix that changed.
fn change(policy: &mut Policy, random: &mut Random) -> Prefix {
    let list = random.below(policy.lists.len());
    let entries = &mut policy.lists[list].entries;
    if !entries.is_empty() && random.once_in(2) {
        let position = random.below(entries.len());
        return entries.remove(position);
    }
    let prefix = generate::some_prefix(random);
    if let Err(position) = entries.binary_search(&prefix) {
        entries.insert(position, prefix);
    }
    prefix
}

fn member_of(policy: &Policy, own: &[Prefix], prefix: Prefix) -> Member {
    let holds = |(position, list): (usize, &List)| list.entries.contains(&prefix).then_some(1u64 << position);
    Member {
        lists: policy.lists.iter().enumerate().filter_map(holds).fold(0, |all, one| all | one),
        own: own.contains(&prefix),
        management: policy.management.contains(&prefix),
        ..Member::default()
    }
}

#[test]
fn counters_and_rate_state_live_on_over_generations() -> Result<()> {
    let first = Draft::new()
        .limit(LimitDraft::new("two").packets(1, DAY, 2))
        .service(ServiceDraft::tcp("web", &[80]).limit("two"))
        .policy();
    // Other names before and after: identifiers stay with their names.
    let second = Draft::new()
        .limit(LimitDraft::new("a-limit").packets(1, DAY, 9))
        .limit(LimitDraft::new("two").packets(1, DAY, 2))
        .service(ServiceDraft::tcp("a-service", &[81]).limit("a-limit"))
        .service(ServiceDraft::tcp("web", &[80, 8080]).limit("two"))
        .policy();
    let mut kernel = Kernel::load(&first, &[])?;
    let to = |port| Packet::v4("198.18.0.1", "192.0.2.10").tcp(1, port).build();
    assert_eq!(kernel.run(&to(80))?, action::PASS);
    let before = kernel.snapshot()?;
    kernel.replace(&second, &[])?;
    assert_eq!(kernel.snapshot()?, before, "loading a generation counts nothing");
    assert_eq!(kernel.run(&to(8080))?, action::PASS, "the second packet of the burst");
    assert_eq!(kernel.run(&to(80))?, action::DROP, "the third packet of the burst");
    assert_eq!(kernel.run(&to(81))?, action::PASS, "the new limit is another one");
    let after = kernel.snapshot()?;
    let passed = verdict_counter(0, Family::Ipv4, Verdict::Accepted);
    assert_eq!(after.get(&passed).map(|[packets, _]| *packets), Some(3));
    Ok(())
}

#[test]
fn each_interface_has_counters_of_its_own() -> Result<()> {
    in_new_namespace(|| {
        let link = ["link", "add", "one", "type", "veth", "peer", "name", "two"];
        assert!(std::process::Command::new("ip").args(link).status()?.success(), "ip makes a veth pair");
        let [one, two] = ["one", "two"].map(nix::net::if_::if_nametoindex);
        let interfaces = vec![two?, one?];
        let policy = Draft::new().service(ServiceDraft::tcp("web", &[80])).policy();
        let options = LoadOptions { interfaces: interfaces.clone(), ..LoadOptions::default() };
        let kernel = Kernel::load_changed(&policy, &[], &options, |_| {})?;
        let frame = Packet::v4("198.18.0.1", "192.0.2.10").tcp(1, 80).build();
        for (position, interface) in (0..).zip(interfaces) {
            for _ in 0..=position {
                kernel.run_in_context(&frame, frame.len(), interface)?;
            }
        }
        let counters = kernel.snapshot()?;
        for position in 0..2 {
            let counter = verdict_counter(position, Family::Ipv4, Verdict::Accepted);
            let wanted = u64::from(position) + 1;
            assert_eq!(counters.get(&counter), Some(&[wanted, wanted * frame.len() as u64]), "{counters:?}");
        }
        Ok(())
    })
}
