//! Starts that are refused: with words, exit code 4, and nothing changed.

use std::fs;

use anyhow::{Context, Result};
use firewall_common::abi::ABI_VERSION;
use firewall_tests::{
    bpf::{Constant, XdpAction},
    daemon::{Daemon, Site},
    lab::{FOE4, FRIEND4, HOST4, INTERFACE, Lab},
    traffic::Probe,
};
use nix::net::if_::if_nametoindex;

use crate::policy::{DATA, POLICY};

#[test]
fn a_foreign_program_is_left_alone() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let foreign = Constant::load(XdpAction::Pass)?;

    let link = lab.host.enter(|| foreign.attach(if_nametoindex(INTERFACE)?))??;
    let id = lab.program_id()?.context("the foreign program is not attached")?;
    let named = format!("another XDP program is there: program {id} (tag ");
    let number = link.id()?;
    let (by, off) = (
        format!(", native, link {number}, held by process "),
        format!("`bpftool link detach id {number}` takes it off"),
    );
    let start = "cannot attach to eth0 in native mode: ";
    let hint = "hint: portcullis replaces no program of others; ";
    site.attempt(&lab)?.assert_refused(&[start, &named, &by, hint, &off]);
    assert_eq!(lab.program_id()?, Some(id), "it is still the foreign one");
    assert!(site.is_gone(), "{}", left(&site));
    drop(link);
    lab.wait_until_detached(INTERFACE)?;

    // The same without a link, as older tools attach.
    fs::create_dir_all(lab.trial.pins())?;
    let pin = lab.trial.pins().join("foreign");
    foreign.pin(&pin)?;
    let attached = lab.host.ip(&format!("link set dev {INTERFACE} xdpdrv pinned {}", pin.display()));
    attached?;
    let id = lab.program_id()?.context("the foreign program is not attached")?;
    let named = format!("another XDP program is there: program {id} (tag ");
    let by = format!(", native, attached without a link, pinned at {}", pin.display());
    site.attempt(&lab)?.assert_refused(&[start, &named, &by, hint, "`ip link set dev eth0 xdpdrv off` takes it off"]);
    assert_eq!(lab.program_id()?, Some(id), "it is still the foreign one");
    assert!(site.is_gone(), "{}", left(&site));
    lab.host.ip(&format!("link set dev {INTERFACE} xdpdrv off"))?;

    let daemon = Daemon::start_at(&lab, site)?;
    assert_ne!(lab.program_id()?, Some(id));
    drop(daemon);
    Ok(())
}

#[test]
fn generic_mode_refuses_a_foreign_program_in_the_driver() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(&format!("[[interface]]\nname = \"eth0\"\nmode = \"generic\"\n{POLICY}"))?;
    let foreign = Constant::load(XdpAction::Pass)?;
    let _link = lab.host.enter(|| foreign.attach(if_nametoindex(INTERFACE)?))??;
    site.attempt(&lab)?.assert_refused(&[
        "cannot attach to eth0 in generic mode",
        "another XDP program is there: ",
        ", native, link ",
    ]);
    assert!(site.is_gone(), "{}", left(&site));
    Ok(())
}

#[test]
fn a_reload_with_a_new_interface_that_is_not_there_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = Daemon::start(&lab, POLICY)?;
    daemon.site().configure(&format!("[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"eth7\"\n{POLICY}"))?;
    let said = daemon.cli(&["reload"])?;
    assert_eq!(said.code, 4, "{said:?}");
    for words in ["cannot attach to eth7: there is no such interface", "hint: `ip link` lists"] {
        assert!(said.stderr.contains(words), "{words:?} is not in {said:?}");
    }
    assert_eq!(daemon.status()?["interfaces"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[test]
fn pins_belong_on_a_bpf_file_system() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site { pins: lab.trial.folder().join("pins"), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    site.attempt(&lab)?
        .assert_refused(&["it is not on a BPF file system", "hint: mount -t bpf -o mode=700 bpf /sys/fs/bpf"]);
    assert_eq!(lab.attached()?, None);
    assert!(site.is_gone(), "{}", left(&site));
    Ok(())
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = Daemon::start(&lab, POLICY)?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    let first = daemon.site().clone();
    let (generation, program) = (daemon.generation()?, lab.program_id()?);
    let folder = lab.trial.folder();
    let other = Site {
        config: folder.join("other.toml"),
        socket: folder.join("other.sock"),
        pins: lab.trial.pins().join("other"),
        state: folder.join("other-state"),
    };
    let elsewhere = format!("[admin]\nlisten = \"127.0.0.1:9292\"\n{POLICY}");

    let same_pins = Site { pins: first.pins.clone(), ..other.clone() };
    let same_state = Site { state: first.state.clone(), ..other.clone() };
    let same_socket = Site { socket: first.socket.clone(), ..other.clone() };
    let cases: [(&Site, &str, &[&str]); 5] = [
        (&same_pins, &elsewhere, &["another process holds it", "hint: a portcullis daemon runs on this host"]),
        (
            &same_state,
            &elsewhere,
            &["cannot lock the state folder", "another process holds it", "hint: another portcullis"],
        ),
        (&same_socket, &elsewhere, &["another daemon answers there", "hint: stop it"]),
        (&other, POLICY, &["cannot serve metrics at 127.0.0.1:9191", "hint: another daemon or program has this port"]),
        (
            &other,
            &elsewhere,
            &[
                "cannot attach to eth0 in native mode: a program of Portcullis is there: `firewall` (program ",
                "hint: `kill ",
                "ends the daemon that holds it; then `portcullis run --pin-directory ",
            ],
        ),
    ];
    for (site, policy, words) in cases {
        site.configure(policy)?;
        site.attempt(&lab)?.assert_refused(words);
        assert!(!other.pins.exists() && !other.socket.exists(), "left after {words:?}: {}", left(&other));
        daemon.must_run()?;
        assert!(first.socket.exists() && first.link().exists(), "after {words:?}");
        assert!(first.pins.join(format!("v{ABI_VERSION}/maps/COUNTERS")).exists(), "after {words:?}");
        assert_eq!((daemon.generation()?, lab.program_id()?), (generation, program), "after {words:?}");
        assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false), "after {words:?}");
    }
    daemon.site().configure(POLICY)?;
    daemon.reload()?;
    assert_eq!(daemon.metrics()?.value("portcullis_config_last_reload_successful", &[]), Some(1.0));
    daemon.stop()
}

/// What a refused start left, for people.
fn left(site: &Site) -> String {
    let names = |folder: &str| {
        let entries = fs::read_dir(site.pins.join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect::<Vec<_>>()
    };
    let socket = site.socket.exists();
    format!(
        "pins {:?}, links {:?}, maps {:?}, socket {socket}",
        site.pins,
        names(&format!("v{ABI_VERSION}/links")),
        names(&format!("v{ABI_VERSION}/maps"))
    )
}
