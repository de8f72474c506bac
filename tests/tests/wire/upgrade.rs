//! One build of the daemon takes over from another under a flood.

use std::{
    collections::BTreeMap, fs, net::IpAddr, path::Path, process::Command, sync::atomic::AtomicBool, thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use firewall_tests::{
    daemon::{Daemon, Site},
    lab::{FOE4, HOST4, Lab, Plan, STRANGER4},
    live::{LiveFrames, Pace, cpus},
    traffic::receive,
    trial::binary,
    until::Until,
};

use crate::policy::{DATA, datagram};

/// Frames per second, half of them from the foe and half from a stranger who has one burst.
const RATE: u64 = 100_000;
const BURST: u64 = 1000;

/// Both refuse the foe by different lists, and give the stranger the same limit.
const OLD: &str = r#"
[lists.foes]
entries = ["192.0.2.66"]
[limits.once]
packets = { rate = 1, per = "1h", burst = 1000 }
[services.data]
protocol = "udp"
ports = [9000]
deny = ["foes"]
limit = "once"
"#;
const NEW: &str = r#"
[lists.enemies]
entries = ["192.0.2.64/26", "2001:db8:66::/48"]
[limits.a_new_one]
packets = { rate = 1, per = "1s", burst = 1 }
[limits.once]
packets = { rate = 1, per = "1h", burst = 1000 }
[services.another]
protocol = "tcp"
ports = [80]
limit = "a_new_one"
[services.data]
protocol = "udp"
ports = [9000]
deny = ["enemies"]
limit = "once"
"#;

#[test]
fn builds_that_take_over_from_each_other_under_a_flood_let_nothing_through_and_lose_no_count() -> Result<()> {
    let lab = Lab::with(Plan { queues: 2, alone: true, ..Plan::default() })?;
    let site = Site::of(&lab.trial);
    // Another file, as an upgrade leaves it; a fresh program and another policy in any case.
    let old = lab.trial.folder().join("portcullis-old");
    fs::copy(binary()?, &old)?;
    let start = |binary: &Path, policy: &str| {
        site.configure(policy)?;
        let mut command: Command = lab.host.command(binary);
        command.arg("run").arg("--config").arg(&site.config).arg("--pin-directory").arg(&site.pins);
        Daemon::start_by(&lab, site.clone(), command)
    };
    let new = binary()?;
    let mut daemon = start(&old, OLD)?;
    let receiver = receive(&lab, HOST4, DATA)?;
    let frames = [datagram(FOE4, DATA).build(), datagram(STRANGER4, DATA).build()];
    let (two, live, over) = (cpus(2)?, LiveFrames::new()?, AtomicBool::new(false));
    let before = daemon.metrics()?;

    let pace = Pace { rate: RATE / 2, time: Duration::from_secs(60) };
    let (sent, daemon) = thread::scope(|scope| {
        let until = Until(&over);
        let sending = scope.spawn(|| live.send(&lab, &frames, &two, pace, &over));
        let swapped = (|| {
            for turn in 0..6 {
                // Asked to end, and killed.
                if turn % 2 == 0 {
                    daemon.stop()?
                } else {
                    daemon.kill()?
                }
                thread::sleep(Duration::from_millis(300));
                let (binary, policy) = if turn % 2 == 0 { (&new, NEW) } else { (&old, OLD) };
                daemon = start(binary, policy)?;
            }
            anyhow::Ok(daemon)
        })();
        drop(until);
        let sent = sending.join().map_err(|_| anyhow!("the generator panicked"))??;
        anyhow::Ok((sent, swapped?))
    })?;
    let frames: u64 = sent.iter().map(|one| one.frames).sum();
    let time = sent.iter().map(|one| (one.end - one.start).as_secs_f64()).fold(0.0, f64::max);
    // What the host was too slow to take never reached the firewall.
    let lost = lab.lost()?;
    let judged = daemon.judged(&before, frames - lost.live)?;
    println!("{frames} frames in {time:.1} s over six daemons: {judged:?}; {lost:?}");
    ensure!(frames as f64 >= 0.8 * RATE as f64 * time, "{frames} frames in {time} s are no flood");

    let arrived = receiver.finish()?;
    let stranger: IpAddr = STRANGER4.parse()?;
    assert_eq!(arrived, BTreeMap::from([(stranger, BURST)]), "nothing of the foe, one burst of the stranger");
    let counted = |verdict: &str| judged.get(&format!("ipv4 {verdict}")).copied().unwrap_or_default();
    assert_eq!(counted("pass accepted"), BURST);
    assert!(counted("drop denied") > 0 && counted("drop over_packets") > 0, "{judged:?}");
    assert_eq!(judged.values().sum::<u64>(), frames - lost.live, "every frame is counted once: {judged:?}");
    Ok(())
}
