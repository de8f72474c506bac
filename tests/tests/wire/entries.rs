//! Pushed entries: how long they last, and what other layers have to say.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    running::wait_until,
    traffic::Probe,
};

use crate::policy::{DATA, POLICY};

/// How late an entry may end: a second (docs/limits.md), and what a machine takes that is busy with other tests.
const LATE: Duration = Duration::from_secs(10);

#[test]
fn an_entry_with_a_time_to_live_ends_on_time_and_not_before() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert!(probe.arrives(FRIEND4)?);
    let asked = Instant::now();
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--ttl", "20s", "--comment", "for a while"])?;
    let answered = Instant::now();
    assert!(!probe.arrives(FRIEND4)?, "the answer promises that it is in force");
    let listed = daemon.ok(&["deny", "list", "foes"])?;
    assert!(listed.contains("for a while"), "{listed}");

    wait_for_the_end(&probe, asked, answered, Duration::from_secs(20))?;
    wait_until("an entry that is gone", LATE, || {
        let listed = daemon.ok(&["deny", "list", "foes"])?;
        Ok((!listed.contains("for a while")).then_some(()))
    })
}

#[test]
fn adding_an_entry_again_refreshes_its_time_to_live() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--ttl", "10s"])?;
    let asked = Instant::now();
    let again = daemon.ok(&["deny", "add", "foes", FRIEND4, "--ttl", "15s"])?;
    let answered = Instant::now();
    assert!(again.contains("0 added, 1 refreshed, 0 removed, 0 unchanged"), "{again}");
    wait_for_the_end(&probe, asked, answered, Duration::from_secs(15))?;

    // Without a time to live it stays.
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--ttl", "1s"])?;
    let asked = Instant::now();
    daemon.ok(&["deny", "add", "foes", FRIEND4])?;
    while asked.elapsed() < Duration::from_millis(1300) {
        ensure!(!probe.arrives(FRIEND4)?, "an entry without a time to live ended after {:?}", asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn removing_what_the_configuration_also_holds_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["deny", "add", "foes", FOE4])?;
    for counts in ["0 added, 1 removed, 0 unchanged", "0 added, 0 removed, 1 unchanged"] {
        let said = daemon.cli(&["deny", "remove", "foes", FOE4])?;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.contains(counts), "{counts:?} is not in {said:?}");
        assert!(
            said.stderr.contains("192.0.2.66/32 stays in `foes`: `foes` has 192.0.2.66/32 (configuration)"),
            "{said:?}"
        );
        assert!(!probe.arrives(FOE4)?, "the configuration still holds it");
    }
    daemon.ok(&["allow", "add", "friends", STRANGER4])?;
    assert!(probe.arrives(STRANGER4)?);
    let said = daemon.cli(&["allow", "remove", "friends", STRANGER4])?;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    assert!(!probe.arrives(STRANGER4)?);
    Ok(())
}

/// Waits until the friend gets through: `ttl` after `asked` at the earliest, and soon after `answered` and `ttl`.
pub fn wait_for_the_end(probe: &Probe, asked: Instant, answered: Instant, ttl: Duration) -> Result<()> {
    let mut last = Instant::now();
    wait_until("the end of an entry", ttl + 2 * LATE, || {
        last = Instant::now();
        Ok(probe.arrives(FRIEND4)?.then_some(()))
    })?;
    println!("ended after {:?}", asked.elapsed());
    assert!(asked.elapsed() >= ttl, "it ended {:?} too early", ttl - asked.elapsed());
    assert!(last < answered + ttl + LATE, "it ended {:?} late", last - (answered + ttl));
    Ok(())
}
