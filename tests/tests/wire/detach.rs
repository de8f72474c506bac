//! `portcullis detach`: when it answers the filter is off, and what filters on is told.

use std::fs;

use anyhow::{Context as _, Result};
use aya::programs::links::PinnedLink;
use firewall_tests::{
    daemon::{Daemon, Said, Site, said},
    lab::{FOE4, FRIEND4, HOST4, INTERFACE, Lab},
    traffic::Probe,
    trial::binary,
};
use serde_json::Value;

use crate::policy::{DATA, POLICY};

/// Runs it in the namespace of the host, where it sees the interfaces.
fn detach(lab: &Lab, site: &Site, arguments: &[&str]) -> Result<Said> {
    said(lab.host.command(binary()?).arg("detach").arg("--pin-directory").arg(&site.pins).args(arguments))
}

fn link(site: &Site) -> Result<PinnedLink> {
    let path = site.link();
    PinnedLink::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))
}

#[test]
fn detach_answers_when_the_program_is_off_whoever_holds_its_link() -> Result<()> {
    let lab = Lab::new()?;
    for _ in 0..5 {
        let mut daemon = Daemon::start(&lab, POLICY)?;
        daemon.kill()?;
        let _held = link(daemon.site())?;
        let said = detach(&lab, daemon.site(), &[])?;
        assert_eq!(lab.attached()?, None, "{said:?}");
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.starts_with("detached from eth0\n"), "{said:?}");
    }
    Ok(())
}

#[test]
fn detach_names_what_filters_on_and_who_holds_it() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let program = lab.program_id()?.context("no program")?;
    let named = format!("eth0 is still filtered by a program of Portcullis: `firewall` (program {program}, ");
    let tell = |site: &Site, words: &[&str]| -> Result<()> {
        for arguments in [&[][..], &["--dry-run"]] {
            let said = detach(&lab, site, arguments)?;
            assert_eq!(said.code, 1, "{said:?}");
            assert!(!said.stdout.contains("nothing was attached"), "{said:?}");
            assert!(said.stdout.contains(&named), "{said:?}");
            for words in words {
                assert!(said.stderr.contains(words), "{words:?} is not in {said:?}");
            }
        }
        let json: Value = serde_json::from_str(&detach(&lab, site, &["-o", "json"])?.stdout)?;
        let left = &json["remaining"][0];
        assert_eq!(
            (&left["interface"], &left["program"], &left["ours"]),
            (&"eth0".into(), &program.into(), &true.into())
        );
        assert!(!probe.arrives(FOE4)?, "and it does filter");
        Ok(())
    };

    // A daemon with another folder of pins.
    let other = Site { pins: lab.trial.pins().join("other"), ..daemon.site().clone() };
    let at = format!("then `portcullis run --pin-directory {}`", daemon.site().pins.display());
    tell(&other, &["hint: `kill ", &at])?;
    assert!(!other.pins.exists());

    // A link that has no pin any more.
    let held = link(daemon.site())?;
    daemon.kill()?;
    let site = daemon.site().clone();
    fs::remove_dir_all(&site.pins)?;
    let kill = format!("hint: `kill {}` ends", std::process::id());
    tell(&site, &[&kill])?;
    drop(held);
    lab.wait_until_detached(INTERFACE)?;
    let said = detach(&lab, &site, &[])?;
    assert_eq!((said.code, said.stdout.trim()), (0, "nothing was attached"), "{said:?}");
    Ok(())
}
