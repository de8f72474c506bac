//! `portcullis doctor` on a host that is good, and on one that is not.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use firewall_tests::{
    bpf::{Constant, XdpAction},
    daemon::{Daemon, Said, Site, said},
    lab::{INTERFACE, Lab},
    trial::binary,
};
use nix::net::if_::if_nametoindex;

use crate::policy::POLICY;

#[test]
fn the_doctor_finds_a_good_host_good_and_names_what_is_in_the_way() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let examine = |arguments: &[&str]| -> Result<Said> {
        said(lab.host.command(binary()?).arg("doctor").arg("--config").arg(&site.config).args(arguments))
    };
    let good = examine(&[])?;
    assert_eq!(good.code, 0, "{good:?}");
    for found in ["ok eth0 native XDP veth: yes", "ok eth0 MTU 1500", "ok eth0 link up"] {
        assert!(good.squeezed().contains(found), "{found}: {}", good.stdout);
    }
    assert!(!good.stdout.contains("fail") && !good.stdout.contains("coverage"), "{}", good.stdout);

    let missing = examine(&["eth7"])?;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.squeezed().contains("fail eth7 interface there is no such interface"), "{}", missing.stdout);

    lab.host.ip("link add spare0 type veth peer name spare1")?;
    lab.host.ip("link set dev spare0 up")?;
    let foreign = Constant::load(XdpAction::Pass)?;
    let link = lab.host.enter(|| foreign.attach(if_nametoindex(INTERFACE)?))??;
    let bad = examine(&["-o", "json"])?;
    assert_eq!(bad.code, 1, "{bad:?}");
    let json: serde_json::Value = serde_json::from_str(&bad.stdout)?;
    assert_eq!(json["schema"], "portcullis.doctor/v1");
    let level = |subject: &str, check: &str| {
        let checks = json["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut found = checks.iter().filter(|one| one["subject"] == subject && one["check"] == check);
        found.next().and_then(|one| one["level"].as_str()).map(str::to_owned)
    };
    assert_eq!(level("spare0", "coverage").as_deref(), Some("warn"));
    assert_eq!(level(INTERFACE, "XDP program").as_deref(), Some("fail"));
    assert_eq!(level(INTERFACE, "coverage"), None);
    drop(link);
    lab.wait_until_detached(INTERFACE)?;

    let daemon = Daemon::start(&lab, POLICY)?;
    let ours = examine(&[INTERFACE])?;
    assert_eq!(ours.code, 0, "{ours:?}");
    assert!(ours.squeezed().contains("ok eth0 XDP program ours: `firewall` (program "), "{}", ours.stdout);
    drop(daemon);
    Ok(())
}

#[test]
fn the_doctor_knows_our_program_by_name_and_tag_and_says_what_it_may_not_read() -> Result<()> {
    let lab = Lab::new()?;
    let found = |command: &mut Command| -> Result<(String, String)> {
        let said = said(command.arg("doctor").arg(INTERFACE).args(["--output", "json"]))?;
        let json: serde_json::Value = serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))?;
        let checks = json["checks"].as_array().context("no checks")?;
        let one = checks.iter().find(|one| one["check"] == "XDP program").context("no program is told")?;
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        Ok((text("level"), text("found")))
    };
    // Anybody may give a program our name.
    let foreign = Constant::named(XdpAction::Pass, "firewall")?;
    let link = lab.host.enter(|| foreign.attach(if_nametoindex(INTERFACE)?))??;
    let (level, text) = found(&mut lab.host.command(binary()?))?;
    assert!(level == "fail" && text.starts_with("`firewall` (program ") && text.ends_with("not replaced"), "{text}");
    drop(link);
    lab.wait_until_detached(INTERFACE)?;

    let _daemon = Daemon::start(&lab, POLICY)?;
    let (level, text) = found(&mut lab.host.command(binary()?))?;
    assert!(level == "ok" && text.starts_with("ours: `firewall` (program "), "{text}");
    assert!(text.contains("pinned at ") && text.contains("held by process "), "{text}");
    // Where it was built another user may not look.
    let program = lab.trial.folder().join("portcullis");
    fs::copy(binary()?, &program)?;
    let mut other = lab.host.command("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
    let (level, text) = found(&mut other)?;
    assert!(level == "warn" && text.starts_with("a program whose name this user may not read: program "), "{text}");
    Ok(())
}
