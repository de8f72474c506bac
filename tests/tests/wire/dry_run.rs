//! Questions: what would change is said, and nothing does.

use std::fs;

use anyhow::Result;
use firewall_tests::{
    daemon::Daemon,
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    traffic::Probe,
};

use crate::policy::{DATA, POLICY};

#[test]
fn a_dry_run_tells_every_change_and_makes_none() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    daemon.ok(&["allow", "add", "friends", "198.51.100.7"])?;
    let (revision, program) = (daemon.generation()?, lab.program_id()?);
    let generation = daemon.status()?["policy_generation"].clone();
    let entries = daemon.ok(&["allow", "list", "-o", "json"])?;

    let told = daemon.ok(&["allow", "add", "friends", STRANGER4, "198.51.100.7", "--ttl", "1h", "--dry-run"])?;
    let wanted = "+ friends 192.0.2.3/32\n~ friends 198.51.100.7/32\n\
                  dry run: 1 to add, 1 to refresh, 0 to remove, 0 unchanged; nothing was changed\n";
    assert_eq!(told, wanted);
    let told = daemon.ok(&["allow", "remove", "friends", "198.51.100.7", "198.51.100.8", "--dry-run"])?;
    let wanted = "- friends 198.51.100.7/32\ndry run: 0 to add, 1 to remove, 1 unchanged; nothing was changed\n";
    assert_eq!(told, wanted);

    let old = fs::read_to_string(&daemon.site().config)?;
    fs::write(&daemon.site().config, old.replace("\"192.0.2.66\"", "\"192.0.2.2\""))?;
    let told = daemon.ok(&["reload", "--dry-run"])?;
    let wanted = format!(
        "- lists.foes 192.0.2.66/32\n+ lists.foes 192.0.2.2/32\n\
         differs from generation {generation}: 1 entry added, 1 removed\ndry run: nothing was changed\n"
    );
    assert_eq!(told, wanted);
    fs::write(&daemon.site().config, "nonsense")?;
    assert_eq!(daemon.cli(&["reload", "--dry-run"])?.code, 5);

    assert_eq!(
        [FRIEND4, STRANGER4, FOE4].map(|source| probe.arrives(source).ok()),
        [Some(true), Some(false), Some(false)]
    );
    assert_eq!((daemon.generation()?, lab.program_id()?), (revision, program));
    assert_eq!(daemon.ok(&["allow", "list", "-o", "json"])?, entries);
    assert_eq!(daemon.status()?["reload"]["successful"], true, "a question that is answered with no is no failure");
    Ok(())
}

#[test]
fn a_dry_run_of_detach_leaves_the_filter() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let site = daemon.site().clone();
    let detach = |arguments: &[&str]| site.detach(arguments);
    assert_eq!(detach(&["--dry-run"])?.code, 4, "a daemon has the folder");
    daemon.kill()?;
    let told = detach(&["--dry-run"])?;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stdout.starts_with("dry run: would detach from eth0\nwould remove of ABI version "), "{told:?}");
    assert!(lab.attached()?.is_some());
    let told = detach(&[])?;
    assert_eq!((told.code, told.stdout.lines().next()), (0, Some("detached from eth0")), "{told:?}");
    lab.wait_until_detached("eth0")?;
    assert_eq!(detach(&["--dry-run"])?.stdout, "nothing was attached\n");
    assert!(!daemon.site().pins.exists(), "nothing is left, also not by the question");
    Ok(())
}

#[test]
fn a_list_that_would_lose_most_of_its_entries_stays_unless_it_is_forced() -> Result<()> {
    let lab = Lab::new()?;
    let entries: Vec<String> = (0..100).map(|n| format!("\"198.51.100.{n}\"")).collect();
    let policy =
        |entries: &[String]| POLICY.replace("\"192.0.2.66\"", &format!("\"192.0.2.66\", {}", entries.join(", ")));
    let mut daemon = Daemon::start(&lab, &policy(&entries))?;
    let program = lab.program_id()?;

    daemon.site().configure(&policy(&entries[..30]))?;
    let refused = daemon.cli(&["reload"])?;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("list `foes` would lose 70 of its 102 entries"), "{refused:?}");
    assert_eq!(daemon.cli(&["reload", "--dry-run"])?, refused, "the question has the same answer");
    daemon.reload()?;
    assert!(daemon.log().contains("list `foes` would lose 70 of its 102 entries"), "{}", daemon.log());
    assert_eq!(lab.program_id()?, program);

    assert!(daemon.ok(&["reload", "--dry-run", "--force"])?.contains("70 entries removed"));
    assert_eq!(lab.program_id()?, program);
    daemon.ok(&["reload", "--force"])?;
    assert_ne!(lab.program_id()?, program);
    Ok(())
}
