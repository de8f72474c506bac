//! Frames in more than one buffer (XDP fragments): jumbo frames, and drivers whose first buffer is short.

use anyhow::{Context, Result};
use firewall_tests::{
    cases::scenarios,
    kernel::{Kernel, SHORTEST_FRAME, Snapshot, action, add, difference},
    packet::Packet,
    peek::packet_end,
    show::{hex, scapy},
};

/// Loopback of the namespace in which the test runs, which every kernel takes as interface of a test run.
const LOOPBACK: u32 = 1;

/// Ends of headers, and places inside them.
const FIRST_BUFFERS: [usize; 10] = [14, 20, 33, 34, 40, 53, 54, 57, 60, 70];

/// Some drivers put little or nothing into the first buffer (mlx5 with striding receive queues); since 6.18 the kernel can
/// do so in a test run. Every header is then read across buffers at some length.
#[test]
fn a_short_first_buffer_changes_no_verdict() -> Result<()> {
    if !kernel_is_at_least(6, 18)? {
        println!("not shown: kernels before 6.18 do not split a frame where they are told");
        return Ok(());
    }
    let mut ran = 0;
    for scenario in scenarios() {
        // Cases with frames before them have state.
        let cases: Vec<_> = scenario
            .cases
            .iter()
            .filter(|case| case.before.is_empty() && case.wanted.limit.is_none() && case.frame.len() > SHORTEST_FRAME)
            .collect();
        if scenario.alone || scenario.host_default_drop || cases.is_empty() {
            continue;
        }
        let kernel = Kernel::load(&scenario.policy, &scenario.own)?;
        for case in cases {
            // No driver splits a frame behind its packet: octets there are padding of a short frame.
            let end = packet_end(&case.frame).unwrap_or(usize::MAX).min(case.frame.len());
            let before = kernel.snapshot()?;
            let mut wanted = Snapshot::new();
            for first_buffer in FIRST_BUFFERS.into_iter().filter(|octets| *octets < end) {
                let context =
                    || format!("{}, {first_buffer} octets in the first buffer\n{}", case.fact, scapy(&case.frame));
                let action = kernel.run_in_context(&case.frame, first_buffer, LOOPBACK).with_context(context)?;
                assert_eq!(action, kernel.action_of(case.wanted.verdict, case.wanted.service), "{}", context());
                add(&mut wanted, kernel.moved_by(&case.wanted, case.frame.len()));
                ran += 1;
            }
            let moved = difference(&before, &kernel.snapshot()?);
            assert_eq!(moved, wanted, "{}\n{}\n{}", case.fact, scapy(&case.frame), hex(&case.frame));
        }
    }
    assert!(ran > 1000, "only {ran}");
    Ok(())
}

/// From one buffer to many: every length around the ends of the buffers, which are 4096 octets, the first one less.
#[test]
fn frames_of_every_number_of_buffers_are_judged_and_counted_whole() -> Result<()> {
    let scenario = scenarios().into_iter().next().context("there is a scenario")?;
    let kernel = Kernel::load(&scenario.policy, &scenario.own)?;
    let lengths = (3500..3540).chain(7600..7630).chain([9014, 16_000, 32_000, 60_000, 65_549]);
    for length in lengths {
        for packet in [Packet::v4("198.18.0.1", "192.0.2.10"), Packet::v6("2001:db8:ffff::1", "2001:db8:1::10")] {
            let packet = packet.tcp(1, 80);
            let headers = packet.build().len();
            let frame = packet.clone().payload(length - headers).build();
            let before = kernel.snapshot()?;
            let got = kernel.run(&frame).with_context(|| format!("{length} octets"))?;
            let moved = difference(&before, &kernel.snapshot()?);
            let octets: Vec<u64> = moved.values().map(|[_, octets]| *octets).collect();
            assert_eq!(got, action::PASS, "{length} octets");
            assert_eq!(octets, [length as u64; 2], "{length} octets: {moved:?}");
            // One octet less than the packet says.
            let before = kernel.snapshot()?;
            let got = kernel.run(&frame[..length - 1])?;
            let moved = difference(&before, &kernel.snapshot()?);
            let octets: Vec<u64> = moved.values().map(|[_, octets]| *octets).collect();
            assert_eq!(got, action::DROP, "{} octets", length - 1);
            assert_eq!(octets, [length as u64 - 1], "{moved:?}");
        }
    }
    Ok(())
}

fn kernel_is_at_least(major: u32, minor: u32) -> Result<bool> {
    let name = nix::sys::utsname::uname()?;
    let release = name.release().to_str().context("the kernel release is text")?;
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(is_major)), Some(Ok(is_minor))) = (numbers.next(), numbers.next()) else {
        anyhow::bail!("cannot read the kernel release {release}");
    };
    Ok((is_major, is_minor) >= (major, minor))
}
