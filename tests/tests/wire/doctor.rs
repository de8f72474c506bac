//! `portcullis doctor` on a host that is good, and on one that is not.

use anyhow::Result;
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
    // Whatever the width of the columns.
    let has = |said: &Said, found: &str| said.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(found);
    let good = examine(&[])?;
    assert_eq!(good.code, 0, "{good:?}");
    for found in ["ok eth0 native XDP veth: yes", "ok eth0 MTU 1500", "ok eth0 link up"] {
        assert!(has(&good, found), "{found}: {}", good.stdout);
    }
    assert!(!good.stdout.contains("fail") && !good.stdout.contains("coverage"), "{}", good.stdout);

    let missing = examine(&["eth7"])?;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(has(&missing, "fail eth7 interface there is no such interface"), "{}", missing.stdout);

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
    assert!(has(&ours, "ok eth0 XDP program ours"), "{}", ours.stdout);
    drop(daemon);
    Ok(())
}
