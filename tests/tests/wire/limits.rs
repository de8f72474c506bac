//! Limits under load from two CPUs at once.

use std::{
    net::IpAddr,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use aya::maps::{Map, MapData, PerCpuArray};
use firewall_common::{
    Family, Verdict,
    abi::{counter_index, maps},
};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    lab::{FRIEND4, HOST_MAC, HOST4, Lab, PEER_MAC, Plan, STRANGER4},
    live::{LiveFrames, Pace, cpus},
    nginx::{Curl, Nginx},
    packet::Packet,
    running::wait_until,
    scrape::packets,
    traffic::{RawSocket, bind, receive},
};

use crate::policy::{DATA, datagram};

const RATE: u64 = 5_000;
const BURST: u64 = 2_500;
const TIME: Duration = Duration::from_secs(5);

const POLICY: &str = r#"
[limits.each]
packets = { rate = 5000, per = "1s", burst = 2500 }

[services.data]
protocol = "udp"
ports = [9000]
limit = "each"
"#;

#[test]
fn ten_times_a_limit_from_two_cpus_passes_at_its_rate_and_half_of_it_passes_whole() -> Result<()> {
    let lab = Lab::with(Plan { queues: 2, alone: true, ..Plan::default() })?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let receiver = receive(&lab, HOST4, DATA)?;
    let frames = [datagram(STRANGER4, DATA).build()];
    let (two, live, never) = (cpus(2)?, LiveFrames::new()?, AtomicBool::new(false));
    let before = daemon.metrics()?;

    // Ten times the limit in sum.
    let pace = Pace { rate: 5 * RATE, time: TIME };
    let (flood, paced) = thread::scope(|scope| {
        let flood = scope.spawn(|| live.send(&lab, &frames, &two, pace, &never));
        let paced = scope.spawn(|| send_paced(&lab, RATE / 2));
        let join = || anyhow!("a sender panicked");
        anyhow::Ok((flood.join().map_err(|_| join())??, paced.join().map_err(|_| join())??))
    })?;
    let offered: u64 = flood.iter().map(|one| one.frames).sum();
    // What the host was too slow to take never reached the firewall.
    let lost = lab.lost()?;
    let judged = daemon.judged(&before, offered + paced - lost.live - lost.sent)?;
    let settled = Instant::now();
    let start = flood.iter().map(|one| one.start).min().context("two generators")?;
    let end = flood.iter().map(|one| one.end).max().context("two generators")?;

    let arrived = receiver.finish()?;
    let of = |source: &str| arrived.get(&source.parse::<IpAddr>().expect("an address")).copied().unwrap_or_default();
    let (passed, paced_arrived) = (of(STRANGER4), of(FRIEND4));
    println!(
        "offered {offered} in {:?}, passed {passed}; paced {paced}, arrived {paced_arrived}; {lost:?}",
        end - start
    );
    assert!(offered >= 45 * RATE, "{offered} frames in 5 s are not ten times the limit");
    assert!(flood.iter().all(|one| one.frames > 10 * RATE), "{flood:?}");

    // Strict: the window is from before the first frame to when all had been counted.
    let most = BURST + (RATE as f64 * (settled - start).as_secs_f64()) as u64;
    assert!(passed <= most, "{passed} packets passed, {most} may in {:?}", settled - start);
    let promised = BURST as f64 + RATE as f64 * (end - start).as_secs_f64();
    assert!(passed as f64 >= 0.9 * promised, "{passed} packets passed of {promised}");
    assert_eq!(paced_arrived, paced - lost.sent, "a source at half of its limit loses nothing to the firewall");
    assert!(lost.sent * 20 < paced && lost.live * 20 < offered, "this machine is too busy for this test: {lost:?}");

    let (all, over) = (passed + paced_arrived, offered - lost.live - passed);
    assert_eq!(judged, packets([("ipv4 pass accepted", all), ("ipv4 drop over_packets", over)]));
    let after = daemon.metrics()?;
    let limit = |verdict| {
        let labels = [("limit", "each"), ("verdict", verdict)];
        after.count("portcullis_limit_packets_total", &labels)
    };
    assert_eq!((limit("pass"), limit("drop")), (all, over));
    let cpus = dropped_by_cpu(daemon.site())?;
    assert!(cpus.iter().filter(|count| **count > 0).count() >= 2, "only one CPU judged: {cpus:?}");
    Ok(())
}

#[test]
fn a_byte_limit_holds_on_the_wire() -> Result<()> {
    let lab = Lab::new()?;
    let policy = r#"
[limits.each]
bytes = { rate = "1kB", per = "1h", burst = "10kB" }

[services.data]
protocol = "udp"
ports = [9000]
limit = "each"
"#;
    let daemon = Daemon::start(&lab, policy)?;
    let before = daemon.metrics()?;
    let receiver = receive(&lab, HOST4, DATA)?;
    let sender = bind(&lab.peer, STRANGER4, 0)?;
    for _ in 0..100 {
        // 42 octets of headers: ten frames of 1000 octets in the burst, and one octet in 3.6 s afterwards.
        sender.send_to(&[0; 958], (HOST4, DATA))?;
    }
    let judged = daemon.judged(&before, 100)?;
    assert_eq!(judged, packets([("ipv4 pass accepted", 10), ("ipv4 drop over_bytes", 90)]));
    let bytes = daemon.metrics()?.bytes_since(&before);
    assert_eq!(bytes, packets([("ipv4 pass accepted", 10_000), ("ipv4 drop over_bytes", 90_000)]));
    assert_eq!(receiver.finish()?.values().sum::<u64>(), 10);
    Ok(())
}

#[test]
fn connections_over_their_limit_are_refused_and_count_by_source() -> Result<()> {
    let lab = Lab::new()?;
    let policy = r#"
[limits.each]
connections = { rate = 1, per = "1h", burst = 3 }

[services.web]
protocol = "tcp"
ports = [80]
limit = "each"
"#;
    let daemon = Daemon::start(&lab, policy)?;
    let _nginx = Nginx::start(&lab, &[80])?;
    let url = format!("http://{HOST4}/");
    let friend = Curl::new(&lab.peer).from(FRIEND4);
    for request in 1..=3 {
        assert_eq!(friend.get(&url)?, Ok(()), "request {request}");
    }
    let before = daemon.metrics()?;
    let fourth = Packet::v4(FRIEND4, HOST4).macs(HOST_MAC, PEER_MAC).tcp(40_000, 80).flags("S");
    RawSocket::open(&lab.peer)?.send(&fourth.build())?;
    let judged = wait_until("a verdict on the fourth", LIMIT, || {
        let mut judged = daemon.metrics()?.packets_since(&before);
        // The last packets of the third request may have come after the look before.
        judged.remove("ipv4 pass accepted");
        Ok((!judged.is_empty()).then_some(judged))
    })?;
    assert_eq!(judged, packets([("ipv4 drop over_connections", 1)]));
    assert_eq!(Curl::new(&lab.peer).from(STRANGER4).get(&url)?, Ok(()), "another source has a limit of its own");
    Ok(())
}

/// Sends at an even pace at most, also after this thread had to wait: what is late is not made up for. How many.
fn send_paced(lab: &Lab, rate: u64) -> Result<u64> {
    let socket = bind(&lab.peer, FRIEND4, 0)?;
    let interval = Duration::from_nanos(1_000_000_000 / rate);
    let end = Instant::now() + TIME;
    let (mut sent, mut next) = (0, Instant::now());
    while next < end {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        socket.send_to(&[0x5a; 32], (HOST4, DATA)).context("cannot send")?;
        sent += 1;
        next = next.max(Instant::now()) + interval;
    }
    Ok(sent)
}

/// Packets over the limit by the CPU that judged them.
fn dropped_by_cpu(site: &Site) -> Result<Vec<u64>> {
    let path = site.shared_map(maps::COUNTERS);
    let counters: PerCpuArray<_, [u64; 2]> = Map::from_map_data(MapData::from_pin(path)?)?.try_into()?;
    let counts = counters.get(&counter_index(0, Family::Ipv4, Verdict::OverPackets), 0)?;
    Ok(counts.iter().map(|[packets, _]| *packets).collect())
}
