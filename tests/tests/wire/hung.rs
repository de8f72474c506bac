//! A disk that does not answer: whoever asks is told, and what is due happens at its time.

use std::time::{Duration, Instant};

use anyhow::Result;
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    frozen::FreezableDisk,
    lab::{FRIEND4, HOST4, Lab, STRANGER4},
    running::wait_until,
    traffic::Probe,
};

use crate::policy::{DATA, POLICY};

/// Time to confirm.
const CONFIRM: Duration = Duration::from_secs(4);

#[test]
fn a_frozen_disk_does_not_put_off_a_rollback_and_refuses_pushes_until_it_thaws() -> Result<()> {
    let lab = Lab::new()?;
    let disk = FreezableDisk::mount(&lab.trial)?;
    let site = Site { state: disk.path().join("state"), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    let mut daemon = Daemon::start_at(&lab, site)?;
    daemon.wait_until_kept()?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let asked = Instant::now();
    daemon.ok(&["deny", "add", "foes", FRIEND4, "--confirm", "4s"])?;
    {
        let frozen = disk.freeze()?;
        // Somebody else's push that waits for the disk does not keep the controller beyond that time either.
        let said = daemon.cli(&["allow", "add", "friends", STRANGER4])?;
        assert_eq!(said.code, 4, "{said:?}");
        assert!(said.stderr.contains("journal-0000000001: the disk does not answer"), "{said:?}");
        assert!(said.stderr.contains("hint: look for a file system that is frozen"), "{said:?}");
        wait_until("what was not confirmed to be undone", 10 * CONFIRM, || Ok(probe.arrives(FRIEND4)?.then_some(())))?;
        assert!(asked.elapsed() >= CONFIRM, "it was undone after {:?}", asked.elapsed());
        let listed = daemon.ok(&["deny", "list", "foes"])?;
        assert!(!listed.contains(FRIEND4), "{listed}");
        let said = daemon.cli(&["allow", "add", "friends", STRANGER4])?;
        assert_eq!(said.code, 4, "{said:?}");
        assert_eq!(daemon.get("/readyz")?.status, 200);
        frozen.thaw()?;
    }
    wait_until("a disk that takes pushes", LIMIT, || {
        Ok((daemon.cli(&["allow", "add", "friends", "10.0.0.1"])?.code == 0).then_some(()))
    })?;
    daemon.kill()?;
    let daemon = Daemon::start_at(&lab, daemon.site().clone())?;
    let listed = daemon.ok(&["allow", "list", "friends"])?;
    assert!(listed.contains("10.0.0.1/32") && !listed.contains(STRANGER4), "{listed}");
    assert!(probe.arrives(FRIEND4)? && !probe.arrives(STRANGER4)?, "neither is back");
    Ok(())
}
