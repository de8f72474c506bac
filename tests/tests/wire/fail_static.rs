//! What outlives a daemon, and who may take it over.

use std::fs;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, MapInfo};
use firewall_common::abi::{ABI_VERSION, MIN_MEMBER_SETS, maps};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    running::wait_until,
    scrape::Metrics,
    traffic::{Probe, bind, receive},
};

use crate::{
    flood,
    policy::{DATA, POLICY, addresses},
};

/// One burst for each source, and nothing after it.
const LIMITED: &str = r#"
[limits.one]
packets = { rate = 1, per = "1h", burst = 10 }
[services.data]
protocol = "udp"
ports = [9000]
limit = "one"
"#;

/// The same, behind others whose names come first.
const MORE: &str = r#"
[limits.another]
packets = { rate = 1000, per = "1s", burst = 1000 }
[services.bulk]
protocol = "udp"
ports = [9100]
limit = "another"
"#;

#[test]
fn counters_and_buckets_stay_with_their_names_over_a_kill_a_stop_and_another_policy() -> Result<()> {
    let lab = Lab::new()?;
    let receiver = receive(&lab, HOST4, DATA)?;
    let sender = bind(&lab.peer, STRANGER4, 0)?;
    let send = |count| (0..count).try_for_each(|_| sender.send_to(&[0x5a; 32], (HOST4, DATA)).map(drop));
    let seen = |metrics: &Metrics| {
        let of = |name: &str, verdict| metrics.count(name, &[("verdict", verdict), ("limit", "one")]);
        let service =
            |verdict| metrics.count("portcullis_service_packets_total", &[("service", "data"), ("verdict", verdict)]);
        let limit = |verdict| of("portcullis_limit_packets_total", verdict);
        [service("pass"), service("drop"), limit("pass"), limit("drop"), metrics.reason("over_packets")]
    };
    let wait_for = |daemon: &Daemon, wanted: [u64; 5]| {
        let is_there = || Ok((seen(&daemon.metrics()?) == wanted).then_some(()));
        wait_until("these counters", LIMIT, is_there)
            .with_context(|| format!("{:?}, not {wanted:?}", daemon.metrics().map(|one| seen(&one))))
    };

    let mut daemon = Daemon::start(&lab, LIMITED)?;
    send(15)?;
    wait_for(&daemon, [10, 5, 10, 5, 5])?;
    daemon.kill()?;
    // Nobody is there, and the limit holds and counts.
    send(5)?;
    daemon.site().configure(&format!("{MORE}{LIMITED}"))?;
    let mut next = Daemon::start_at(&lab, daemon.site().clone())?;
    send(5)?;
    wait_for(&next, [10, 15, 10, 15, 15])?;
    assert_eq!(next.metrics()?.count("portcullis_service_packets_total", &[("service", "bulk")]), 0);

    next.stop()?;
    send(5)?;
    // Who has gone leaves nothing to who comes.
    next.site().configure(&LIMITED.replace("services.data", "services.other"))?;
    let mut last = Daemon::start_at(&lab, next.site().clone())?;
    send(5)?;
    let others = |daemon: &Daemon| {
        let labels = [("service", "other")];
        anyhow::Ok(daemon.metrics()?.count("portcullis_service_packets_total", &labels))
    };
    wait_until("five packets of a new service", LIMIT, || Ok((others(&last)? == 5).then_some(())))?;
    assert_eq!(last.metrics()?.reason("over_packets"), 25, "the bucket belongs to the limit");
    last.stop()?;
    assert_eq!(receiver.finish()?.values().sum::<u64>(), 10, "one burst, over four daemons");
    Ok(())
}

#[test]
fn a_pinned_map_of_another_shape_is_refused_with_words_and_replaced_on_request() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(!probe.arrives(FOE4)?);
    daemon.kill()?;
    let site = daemon.site().clone();
    let (program, path) = (lab.program_id()?, site.shared_map(maps::SERVICE_COUNTERS));
    let refused = |differs: &str| {
        let said = site.attempt(&lab)?;
        ensure!(said.code == 4, "{said:?}");
        let map = format!("cannot take over the pinned map {}: it ", path.display());
        for words in [&*map, differs, "hint: `portcullis run --replace` starts with fresh maps"] {
            ensure!(said.stderr.contains(words), "{words} is not in {said:?}");
        }
        ensure!(lab.program_id()? == program, "the old program filters on");
        ensure!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?) == (true, false));
        Ok(())
    };

    fs::remove_file(&path)?;
    Array::<_, u64>::create(77, 0)?.pin(&path)?;
    refused("has type array, not type percpu_array; values of 8 octets, not 16; 77 entries, not 514\n")?;
    // Something that is no map at all.
    fs::remove_file(&path)?;
    firewall_tests::bpf::Constant::load(firewall_tests::bpf::XdpAction::Pass)?.pin(&path)?;
    refused("is no map but bpf-prog\n")?;

    let mut command = site.command(&lab.host)?;
    command.arg("--replace");
    let next = Daemon::start_by(&lab, site.clone(), command)?;
    assert!(next.log().contains("replaced all pinned maps"), "{}", next.log());
    assert_eq!(next.metrics()?.reason("denied"), 0, "counters start again");
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    Ok(())
}

#[test]
fn another_abi_version_is_refused_with_words_and_taken_over_without_a_gap_on_request() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, 9001, FRIEND4)?;
    let site = daemon.site().clone();
    let foreign = ABI_VERSION + 1;
    let (ours, theirs) = (site.pins.join(format!("v{ABI_VERSION}")), site.pins.join(format!("v{foreign}")));
    let (leaked, sent) = flood::leaked_while(&lab, |sent| {
        daemon.kill()?;
        // To this build, a program of another version.
        fs::rename(&ours, &theirs)?;
        let program = lab.program_id()?;
        let said = site.attempt(&lab)?;
        ensure!(said.code == 4, "{said:?}");
        let words = format!(
            "cannot take over from a daemon with ABI version {foreign}, this one has {ABI_VERSION}: {} has its pins, it filters eth0\nhint: `portcullis run --replace` takes over without a gap",
            theirs.display()
        );
        ensure!(said.stderr.contains(&words), "{said:?}");
        ensure!(lab.program_id()? == program && theirs.join("maps").join(maps::COUNTERS).exists());
        ensure!(!ours.exists(), "a refused start leaves nothing");

        sent.more()?;
        let mut command = site.command(&lab.host)?;
        command.arg("--replace");
        let mut next = Daemon::start_by(&lab, site.clone(), command)?;
        ensure!(!theirs.exists(), "the pins of the other version are gone");
        ensure!(lab.program_id()? != program);
        ensure!(next.log().contains("removed the pins of another ABI version"), "{}", next.log());
        let before = next.metrics()?.reason("denied");
        sent.more()?;
        ensure!(next.metrics()?.reason("denied") > before);
        next.stop()
    })?;
    assert!(leaked.is_empty(), "of {sent} packets leaked {leaked:?}");

    // What nobody has taken over is removed by name, too.
    fs::rename(&ours, &theirs)?;
    let told = site.detach(&[])?;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stdout.contains(&format!("removed of ABI version {foreign} 1 link: eth0 (native); ")), "{told:?}");
    lab.wait_until_detached("eth0")?;
    assert!(!site.pins.exists());
    assert!(probe.arrives(FOE4)?);
    Ok(())
}

#[test]
fn members_that_have_outgrown_their_rate_table_get_a_larger_one_with_a_word() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let sets = |site: &Site| anyhow::Ok(MapInfo::from_pin(site.shared_map(maps::MEMBERS))?.max_entries());
    let site = daemon.site().clone();
    assert_eq!(sets(&site)?, MIN_MEMBER_SETS);
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(!probe.arrives(FOE4)?);
    daemon.kill()?;
    lab.trial.write("many.txt", &addresses(5 * MIN_MEMBER_SETS as usize))?;
    site.configure(&format!("{POLICY}[lists.many]\nfile = \"many.txt\"\n"))?;
    let next = Daemon::start_at(&lab, site.clone())?;
    assert_eq!(sets(&site)?, 2 * MIN_MEMBER_SETS);
    assert!(next.log().contains("rate state of members starts again"), "{}", next.log());
    assert_eq!(next.metrics()?.reason("denied"), 1, "counters go on");
    Ok(())
}
