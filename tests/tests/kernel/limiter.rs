//! The limiter in the kernel, on the kernel's clock.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use firewall_common::{Family, Verdict};
use firewall_tests::{
    draft::{DAY, Draft, LimitDraft, ServiceDraft},
    kernel::{Kernel, Snapshot, action, difference, verdict_counter},
    packet::Packet,
    random::{Random, seed},
};

/// A policy with one UDP service on port 1 under `limit`.
fn kernel(limit: LimitDraft) -> Result<Kernel> {
    let service = ServiceDraft::udp("service", &[1]).limit("limit");
    Kernel::load(&Draft::new().limit(limit).service(service).policy(), &[])
}

/// The promise holds to within one tick of the kernel's clock, at `CONFIG_HZ=100` at most.
const LONGEST_TICK: Duration = Duration::from_millis(10);

fn from(source: &str) -> Packet {
    Packet::v4(source, "192.0.2.10").udp(1, 1)
}

fn passed(kernel: &Kernel, frame: &[u8], times: usize) -> Result<usize> {
    let mut passed = 0;
    for _ in 0..times {
        passed += usize::from(kernel.run(frame)? == action::PASS);
    }
    Ok(passed)
}

#[test]
fn of_many_packets_at_once_exactly_the_burst_passes() -> Result<()> {
    for burst in [1, 2, 3, 10, 999] {
        let kernel = kernel(LimitDraft::new("limit").packets(1, DAY, burst))?;
        let frame = from("198.18.0.1").build();
        assert_eq!(passed(&kernel, &frame, 3000)?, burst as usize);
        assert_eq!(passed(&kernel, &from("198.18.0.2").build(), 3000)?, burst as usize, "another source");
    }
    Ok(())
}

#[test]
fn of_many_bytes_at_once_exactly_the_burst_passes() -> Result<()> {
    let kernel = kernel(LimitDraft::new("limit").bytes(1000, DAY, 100_000))?;
    // 1600 frames of 62 octets are 99,200; after 12 of 64 octets there are 32 left.
    let frame = from("198.18.0.1").payload(20).build();
    assert_eq!(frame.len(), 62);
    assert_eq!(passed(&kernel, &frame, 1600)?, 1600);
    assert_eq!(passed(&kernel, &from("198.18.0.1").payload(22).build(), 100)?, 12);
    assert_eq!(passed(&kernel, &frame, 100)?, 0);
    Ok(())
}

#[test]
fn what_was_spent_comes_back_at_the_rate() -> Result<()> {
    // One packet in 50 ms: the loop below takes microseconds.
    let interval = Duration::from_millis(50);
    let kernel = kernel(LimitDraft::new("limit").packets(1, interval, 10))?;
    let frame = from("198.18.0.1").build();
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < interval * 10 {
        count += passed(&kernel, &frame, 100)?;
        thread::sleep(Duration::from_millis(1));
    }
    // Also what came back while this thread had to wait.
    count += passed(&kernel, &frame, 100)?;
    let most = 10 + ((start.elapsed() + LONGEST_TICK).as_nanos() / interval.as_nanos()) as usize;
    assert!((18..=most).contains(&count), "{count} of at most {most}");
    Ok(())
}

/// Random sources come 99 times as often as 10,000 that have spent their burst: hardly one of these gets another one, and
/// none that is in a list.
#[test]
fn a_spoofed_flood_gives_nobody_a_fresh_burst() -> Result<()> {
    const SOURCES: usize = 10_000;
    const FLOOD: usize = 99;
    const VISITS: usize = 6_000;
    let policy = Draft::new()
        .list("partners", &["10.0.0.0/8"])
        .limit(LimitDraft::new("limit").packets(1, DAY, 2))
        .service(ServiceDraft::udp("public", &[1]).limit("limit"))
        .service(ServiceDraft::udp("private", &[2]).allow(&["partners"]).limit("limit"))
        .policy();
    let kernel = Kernel::load(&policy, &[])?;
    let template = Packet::v4("198.18.0.1", "192.0.2.10").udp(1, 1).build();
    let frame = |network: u8, number: usize, port: u8| {
        let mut frame = template.clone();
        let [_, a, b, c] = (number as u32).to_be_bytes();
        frame[26..30].copy_from_slice(&[network, a, b, c]);
        frame[37] = port;
        frame
    };
    for number in 0..SOURCES {
        assert_eq!(passed(&kernel, &frame(100, number, 1), 3)?, 2, "stranger {number} has its burst");
        assert_eq!(passed(&kernel, &frame(10, number, 2), 3)?, 2, "partner {number} has its burst");
    }
    let mut random = Random::new(seed());
    let (mut strangers, mut partners) = (0, 0);
    for visit in 0..VISITS {
        for _ in 0..FLOOD {
            let network = 101 + random.octet() % 100;
            kernel.run(&frame(network, random.number() as usize & 0xff_ffff, 1))?;
        }
        strangers += passed(&kernel, &frame(100, visit * 7 % SOURCES, 1), 1)?;
        partners += passed(&kernel, &frame(10, visit * 7 % SOURCES, 2), 1)?;
    }
    assert!(strangers * 1000 <= VISITS, "{strangers} of {VISITS} visits of strangers found their state gone");
    assert_eq!(partners, 0, "a partner's state was gone");
    Ok(())
}

/// One source from all CPUs at once, as fast as they can.
#[test]
fn a_source_on_two_cpus_never_exceeds_its_limit() -> Result<()> {
    for (rate, burst) in [(1000, 1000), (100_000, 1000), (1_000_000, 100)] {
        let kernel = kernel(LimitDraft::new("limit").packets(rate, Duration::from_secs(1), burst))?;
        let frame = from("198.18.0.1").build();
        let before = kernel.snapshot()?;
        let start = Instant::now();
        on_two_cpus(|_| {
            while start.elapsed() < Duration::from_secs(1) {
                kernel.run_repeatedly(&frame, 10_000)?;
            }
            Ok(())
        })?;
        let elapsed = start.elapsed() + LONGEST_TICK;
        let [passed, refused] = counted(&before, &kernel.snapshot()?);
        let most = burst as f64 + rate as f64 * elapsed.as_secs_f64();
        println!("{rate}/s, burst {burst}: {passed} of at most {most:.0} passed, {refused} refused");
        assert!(passed as f64 <= most, "{passed} passed of at most {most}");
        // What is not asked for while both CPUs are elsewhere for longer than the burst lasts is gone, by design; only
        // the first burst lasts long enough to be sure of the rest.
        let least = if burst == rate { most * 0.9 } else { burst as f64 };
        assert!(passed as f64 > least, "only {passed} passed of {most}");
        assert!(refused > passed, "the source was not faster than its limit");
    }
    Ok(())
}

#[test]
fn a_source_at_half_its_limit_loses_nothing_beside_a_flood() -> Result<()> {
    let interval = Duration::from_micros(500);
    let kernel = kernel(LimitDraft::new("limit").packets(1, interval, 20))?;
    let flood = from("198.18.0.1").build();
    let calm = from("198.18.0.2").build();
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let before = kernel.snapshot()?;
    let lost = on_two_cpus(|cpu| {
        let mut lost = 0;
        if cpu == 0 {
            let mut sent = 0;
            let mut next = start;
            while next < start + second {
                while Instant::now() < next {
                    thread::yield_now();
                }
                lost += usize::from(kernel.run(&calm)? != action::PASS);
                sent += 1;
                // Half the rate, also after this thread had to wait: what is late is not made up for.
                next = next.max(Instant::now()) + interval * 2;
            }
            assert!(sent > 100, "only {sent} packets were sent");
        } else {
            while start.elapsed() < second {
                kernel.run_repeatedly(&flood, 5000)?;
            }
        }
        Ok(lost)
    })?;
    let [_, refused] = counted(&before, &kernel.snapshot()?);
    assert!(refused > 10_000, "the flood was none: {refused}");
    assert_eq!(lost, [0, 0]);
    Ok(())
}

#[test]
fn a_cap_is_exact_for_the_whole_host() -> Result<()> {
    let kernel = Kernel::load(&Draft::new().caps(1, 1, 7, 1).policy(), &[])?;
    let mut passes = 0;
    for host in 0..200 {
        let error = Packet::v4(&format!("198.18.0.{host}"), "192.0.2.10").icmp(3, 4).build();
        passes += usize::from(kernel.run(&error)? == action::PASS);
    }
    assert_eq!(passes, 7);
    Ok(())
}

/// Packets that passed, and that were over their rate.
fn counted(before: &Snapshot, after: &Snapshot) -> [u64; 2] {
    let moved = difference(before, after);
    [Verdict::Accepted, Verdict::OverPackets]
        .map(|verdict| moved.get(&verdict_counter(0, Family::Ipv4, verdict)).map_or(0, |[packets, _]| *packets))
}

/// Runs `work` on CPU 0 and on CPU 1 at once.
fn on_two_cpus<T: Send>(work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|cpu| {
                let work = &work;
                scope.spawn(move || {
                    pin_to(cpu)?;
                    work(cpu)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread failed"))?).collect()
    })
}

fn pin_to(cpu: usize) -> Result<()> {
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu)?;
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)
        .with_context(|| format!("cannot run on CPU {cpu}: this test wants two"))
}
