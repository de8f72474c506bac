//! Reloads: all of the new policy or all of the old one, at every packet.

use std::{fs, net::IpAddr, path::Path, sync::atomic::AtomicBool, thread, time::Duration};

use anyhow::{Context, Result, anyhow};
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FRIEND4, HOST4, Lab, Plan, STRANGER4},
    live::{LiveFrames, Pace, cpus},
    traffic::{Probe, receive},
    until::Until,
};

use crate::policy::{DATA, POLICY, datagram};

/// A configuration with a dozen mistakes, one of them in a file it names.
const MISTAKES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../firewall-userspace/tests/data");

const SUCCESSFUL: &str = "portcullis_config_last_reload_successful";

#[test]
fn a_file_full_of_mistakes_changes_nothing_and_a_good_one_keeps_pushed_entries() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    let arrive =
        || [FRIEND4, STRANGER4, FOE4].into_iter().map(|source| probe.arrives(source)).collect::<Result<Vec<_>>>();
    assert_eq!(arrive()?, [true, true, false]);
    assert_eq!(daemon.metrics()?.value(SUCCESSFUL, &[]), Some(1.0));
    let program = lab.program_id()?;

    let mistakes = Path::new(MISTAKES);
    let bad_list = fs::read_to_string(mistakes.join("lists/one-bad-line.txt"))?;
    lab.trial.write("lists/one-bad-line.txt", &bad_list)?;
    fs::copy(mistakes.join("mistakes.toml"), &daemon.site().config)?;
    let generation = daemon.generation()?;
    daemon.reload()?;
    let after = daemon.metrics()?;
    assert_eq!(after.value(SUCCESSFUL, &[]), Some(0.0));
    assert_eq!(after.count("portcullis_config_reloads_total", &[("result", "failure")]), 1);
    let log = daemon.log();
    assert!(log.contains("ERROR") && log.contains("the old policy goes on"), "{log}");
    for place in ["interface[0].mode", "lists.blocked.file"] {
        assert!(log.contains(place), "{place} is not in the log:\n{log}");
    }
    assert_eq!(arrive()?, [true, true, false], "the old policy filters on");
    assert_eq!((daemon.generation()?, lab.program_id()?), (generation, program));
    assert_eq!(daemon.status()?["reload"]["successful"], false);
    let said = daemon.cli(&["reload"])?;
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.stderr.contains("interface[0].mode"), "{said:?}");

    daemon.site().configure(&POLICY.replace("\"192.0.2.2\"", "\"192.0.2.66\"").replace("deny = [\"foes\"]", ""))?;
    daemon.reload()?;
    assert_eq!(daemon.metrics()?.value(SUCCESSFUL, &[]), Some(1.0));
    assert_eq!(daemon.status()?["reload"]["successful"], true);
    assert_eq!(arrive()?, [false, true, true], "the new policy filters, and the pushed entry is still there");
    assert!(daemon.generation()? > generation);
    assert_ne!(lab.program_id()?, program, "a new generation is a new program");
    Ok(())
}

#[test]
fn a_configuration_that_fails_its_own_test_is_refused_and_the_old_policy_goes_on() -> Result<()> {
    let lab = Lab::new()?;
    let test = format!(
        "[[test]]\nname = \"friends are heard\"\nsource = \"{FRIEND4}\"\nprotocol = \"udp\"\nport = {DATA}\nexpect = \"accepted\"\n"
    );
    let mut daemon = Daemon::start(&lab, &format!("{POLICY}{test}"))?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(probe.arrives(FRIEND4)?);
    let program = lab.program_id()?;

    let without_friends = POLICY.replace(&format!("\"{FRIEND4}\""), &format!("\"{STRANGER4}\""));
    assert_ne!(without_friends, POLICY);
    daemon.site().configure(&format!("{without_friends}{test}"))?;
    let said = daemon.cli(&["reload"])?;
    assert_eq!(said.code, 5, "{said:?}");
    let failure = "the test `friends are heard` fails: expected accepted, got drop (not_allowed)";
    assert!(said.stderr.contains(failure), "{said:?}");
    daemon.reload()?;
    assert!(daemon.log().contains(failure), "{}", daemon.log());
    assert!(probe.arrives(FRIEND4)?, "the old policy filters on");
    assert_eq!(lab.program_id()?, program);

    daemon.stop()?;
    let mut next = Daemon::start_at(&lab, daemon.site().clone())?;
    assert!(next.log().contains(failure), "{}", next.log());
    assert!(probe.arrives(FRIEND4)?, "the old policy filters on");
    next.stop()
}

#[test]
fn thirty_reloads_under_traffic_let_nothing_through_and_count_every_packet() -> Result<()> {
    let lab = Lab::with(Plan { alone: true, ..Plan::default() })?;
    // Both admit the friend and refuse the foe, for different reasons.
    let denies = POLICY;
    let does_not_allow = &POLICY.replace("deny = [\"foes\"]", "");
    let mut daemon = Daemon::start(&lab, denies)?;
    let receiver = receive(&lab, HOST4, DATA)?;
    let frames = [datagram(FRIEND4, DATA).build(), datagram(FOE4, DATA).build()];
    let (one, live, over) = (cpus(1)?, LiveFrames::new()?, AtomicBool::new(false));
    let before = daemon.metrics()?;

    let pace = Pace { rate: 20_000, time: Duration::from_secs(60) };
    let sent = thread::scope(|scope| {
        let until = Until(&over);
        let sending = scope.spawn(|| live.send(&lab, &frames, &one, pace, &over));
        let reloads = (|| {
            for policy in [does_not_allow, denies].into_iter().cycle().take(30) {
                daemon.site().configure(policy)?;
                daemon.reload()?;
            }
            anyhow::Ok(())
        })();
        drop(until);
        let sent = sending.join().map_err(|_| anyhow!("the generator panicked"))??;
        reloads?;
        anyhow::Ok(sent[0].frames)
    })?;
    // What the host was too slow to take never reached the firewall.
    let lost = lab.lost()?;
    let judged = daemon.judged(&before, sent - lost.live)?;
    println!("{sent} frames over 30 reloads: {judged:?}; {lost:?}");
    assert_eq!(daemon.metrics()?.count("portcullis_config_reloads_total", &[("result", "success")]), 31);

    let friend: IpAddr = FRIEND4.parse()?;
    let arrived = receiver.finish()?;
    assert_eq!(arrived.keys().collect::<Vec<_>>(), [&friend], "nothing of the foe arrived");
    let counted = |verdict: &str| judged.get(&format!("ipv4 {verdict}")).copied().unwrap_or_default();
    let (denied, not_allowed) = (counted("drop denied"), counted("drop not_allowed"));
    assert!(denied > 0 && not_allowed > 0, "both policies judged: {judged:?}");
    assert_eq!(counted("pass accepted"), arrived[&friend], "what passes arrives");
    assert_eq!(counted("pass accepted") + denied + not_allowed, sent - lost.live, "every frame is counted: {judged:?}");
    assert!(arrived[&friend] + lost.live >= sent / 2, "every frame of the friend passes");
    assert!(lost.live * 20 < sent, "this machine is too busy for this test: {lost:?}");
    Ok(())
}

#[test]
fn a_reload_never_changes_the_mode_of_an_attached_interface() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let generic = format!("[[interface]]\nname = \"eth0\"\nmode = \"generic\"\n{POLICY}");
    daemon.site().configure(&generic)?;
    daemon.reload()?;
    assert_eq!(daemon.metrics()?.value(SUCCESSFUL, &[]), Some(0.0));
    assert_eq!(lab.attached()?.context("nothing is attached")?, "xdp");
    assert!(daemon.log().contains("cannot change the attach mode of eth0"), "{}", daemon.log());
    Ok(())
}
