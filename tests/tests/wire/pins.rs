//! Pin folders: whose they are, and what a daemon of another user makes of them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use firewall_common::abi::{ABI_VERSION, maps};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Said, Site, said},
    lab::{FOE4, FRIEND4, HOST4, Lab},
    mounted::PinMount,
    running::{Running, wait_until},
    traffic::Probe,
    trial::binary,
};

use crate::{
    flood,
    policy::{DATA, POLICY},
};

/// `nobody` of Debian.
const NOBODY: u32 = 65_534;

/// A site whose pins are on a BPF file system of its own.
fn site_on(lab: &Lab, mode: &str) -> Result<(PinMount, Site)> {
    let mount = PinMount::mount(&lab.trial, mode)?;
    let site = Site { pins: mount.path().join("portcullis"), ..Site::of(&lab.trial) };
    site.configure(POLICY)?;
    Ok((mount, site))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(|| format!("cannot chmod {}", path.display()))
}

/// The folders of a daemon that are there.
fn folders(site: &Site) -> Vec<PathBuf> {
    let own = site.pins.join(format!("v{ABI_VERSION}"));
    let parts = ["maps", "links", "lock", "borrowed"].map(|part| own.join(part));
    [site.pins.clone(), own].into_iter().chain(parts).filter(|folder| folder.exists()).collect()
}

fn assert_refused(said: &Said, path: &Path, words: &[&str]) {
    assert_eq!(said.code, 4, "{said:?}");
    let start = format!("cannot trust {}: ", path.display());
    for words in std::iter::once(&*start).chain(words.iter().copied()) {
        assert!(said.stderr.contains(words), "{words:?} is not in {said:?}");
    }
}

#[test]
fn what_another_user_could_change_is_refused_by_name_and_left_alone() -> Result<()> {
    let lab = Lab::new()?;
    let (mount, site) = site_on(&lab, "1777")?;
    let refused = |path: &Path, words: &[&str]| -> Result<()> {
        for said in [site.attempt(&lab)?, site.detach(&[])?, site.detach(&["--dry-run"])?] {
            assert_refused(&said, path, words);
        }
        assert_eq!(lab.attached()?, None);
        Ok(())
    };

    // Everybody may make a folder on such a file system, and wait there for root.
    fs::create_dir(&site.pins)?;
    chown(&site.pins, Some(NOBODY), Some(NOBODY))?;
    let hint = format!("`chown -R root {0}; chmod -R go-rwx {0}`", site.pins.display());
    refused(&site.pins, &["it belongs to nobody, and this process runs as root\nhint: ", &hint])?;
    chown(&site.pins, Some(0), Some(0))?;
    set_mode(&site.pins, 0o777)?;
    refused(&site.pins, &["others may write to it (mode 0777)\nhint: "])?;
    set_mode(&site.pins, 0o755)?;
    let own = site.pins.join(format!("v{ABI_VERSION}"));
    fs::create_dir(&own)?;
    chown(&own, Some(NOBODY), Some(NOBODY))?;
    refused(&own, &["it belongs to nobody"])?;
    chown(&own, Some(0), Some(0))?;
    let links = own.join("links");
    symlink(mount.path(), &links)?;
    refused(&links, &["it is a symbolic link"])?;
    fs::remove_dir_all(&site.pins)?;

    let real = mount.path().join("real");
    fs::create_dir(&real)?;
    symlink(&real, &site.pins)?;
    refused(&site.pins, &["it is a symbolic link"])?;
    fs::remove_file(&site.pins)?;

    // What lies above counts as well: whoever may write there swaps the folder for another.
    let above = Site { pins: real.join("portcullis"), ..site.clone() };
    set_mode(&real, 0o777)?;
    let words = ["others may replace what lies in it (it belongs to root, mode 0777)\nhint: `chmod go-w "];
    assert_refused(&above.attempt(&lab)?, &real, &words);
    chown(&real, Some(NOBODY), Some(NOBODY))?;
    set_mode(&real, 0o755)?;
    assert_refused(&above.attempt(&lab)?, &real, &["(it belongs to nobody, mode 0755)\nhint: `chown root "]);

    // And a pin, which a daemon would take over.
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    daemon.kill()?;
    let program = lab.program_id()?;
    let pin = site.shared_map(maps::COUNTERS);
    chown(&pin, Some(NOBODY), None)?;
    for said in [site.attempt(&lab)?, site.detach(&[])?] {
        assert_refused(&said, &pin, &["it belongs to nobody"]);
    }
    assert_eq!(lab.program_id()?, program, "it filters on");
    chown(&pin, Some(0), None)?;
    ensure!(site.detach(&[])?.code == 0);
    lab.wait_until_detached("eth0")
}

#[test]
fn folders_that_were_open_to_others_are_closed_without_a_gap_and_a_lock_of_others_does_not_count() -> Result<()> {
    let lab = Lab::new()?;
    let (_mount, site) = site_on(&lab, "1777")?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    for folder in folders(&site) {
        let facts = fs::metadata(&folder)?;
        assert_eq!((facts.mode() & 0o7777, facts.uid()), (0o700, 0), "{}", folder.display());
    }
    let (leaked, sent) = flood::leaked_while(&lab, |sent| {
        daemon.kill()?;
        // As builds before this one left them: open, and locked by whoever came first.
        let own = site.pins.join(format!("v{ABI_VERSION}"));
        fs::remove_dir(own.join("lock"))?;
        folders(&site).iter().try_for_each(|folder| set_mode(folder, 0o755))?;
        let mut squatter = Command::new("setpriv");
        squatter.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig", "KILL", "--"]);
        let held = lab.trial.write("held", "")?;
        fs::remove_file(&held)?;
        let shout = format!("echo held; exec sleep {}", LIMIT.as_secs() * 3);
        squatter.arg("flock").arg("--no-fork").arg(&own).args(["sh", "-c", &shout]);
        let squatter = Running::start(&lab.trial, "squatter", squatter)?;
        wait_until("a lock of another user", LIMIT, || Ok(squatter.log().contains("held").then_some(())))?;
        let mut next = Daemon::start_at(&lab, site.clone())?;
        ensure!(next.log().contains("is locked by a process of another user"), "{}", next.log());
        for folder in folders(&site) {
            ensure!(fs::metadata(&folder)?.mode() & 0o7777 == 0o700, "{}", folder.display());
        }
        // The lock of a daemon counts all the same, and who has it is told.
        let said = site.detach(&[])?;
        ensure!(said.code == 4 && said.stderr.contains("another process holds it: process "), "{said:?}");
        sent.more()?;
        next.stop()
    })?;
    assert!(leaked.is_empty(), "of {sent} packets leaked {leaked:?}");
    assert_eq!(site.detach(&[])?.code, 0);
    assert!(!site.pins.exists());
    Ok(())
}

/// What a daemon needs, as /proc/PID/status shows it: `CAP_BPF`, `CAP_PERFMON` and `CAP_NET_ADMIN`.
const THREE: &str = "000000c000001000";

/// A command of `nobody` in the namespace of the host, with exactly the three capabilities of the daemon.
fn as_nobody(lab: &Lab, program: &Path) -> Command {
    let mut command = lab.host.command("setpriv");
    let three = "-all,+bpf,+perfmon,+net_admin";
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["--inh-caps", three, "--ambient-caps", three, "--bounding-set", three]);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

#[test]
fn a_user_with_exactly_three_capabilities_takes_over_what_root_hands_it_and_needs_no_more() -> Result<()> {
    let lab = Lab::new()?;
    let (mount, site) = site_on(&lab, "700")?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    daemon.kill()?;
    drop(daemon);

    // Where it was built that user may not look, nor write where root's daemon has its files.
    let program = lab.trial.folder().join("portcullis");
    fs::copy(binary()?, &program)?;
    set_mode(&program, 0o755)?;
    let folder = lab.trial.folder().join("user");
    fs::create_dir(&folder)?;
    chown(&folder, Some(NOBODY), Some(NOBODY))?;
    let site = Site { socket: folder.join("api.sock"), state: folder.join("state"), ..site };
    site.configure(POLICY)?;
    let run = || {
        let mut command = as_nobody(&lab, &program);
        command.arg("run").arg("--config").arg(&site.config).arg("--pin-directory").arg(&site.pins);
        command
    };
    let status = said(as_nobody(&lab, Path::new("cat")).arg("/proc/self/status"))?;
    assert!(status.stdout.contains(&format!("CapEff:\t{THREE}\n")), "{status:?}");
    let refused = said(&mut run())?;
    assert_eq!(refused.code, 4, "{refused:?}");
    let words = format!("hint: {} belongs to another user: ", mount.path().display());
    assert!(refused.stderr.contains(&words), "{refused:?}");
    set_mode(mount.path(), 0o755)?;
    let refused = said(&mut run())?;
    assert_refused(&refused, &site.pins, &["it belongs to root, and this process runs as nobody\nhint: "]);

    // Root hands it over, by the words of the hint.
    let hint = refused.stderr.split('`').nth(1).context("no command in the hint")?;
    assert!(said(Command::new("sh").args(["-c", hint]))?.code == 0, "{hint}");
    let program_of_root = lab.program_id()?;
    let mut next = Daemon::start_by(&lab, site.clone(), run())?;
    assert_ne!(lab.program_id()?, program_of_root, "it has taken over");
    assert_eq!(next.metrics()?.reason("denied"), 1, "counters go on");
    let sandbox = &next.status()?["sandbox"];
    println!("{sandbox}");
    assert_eq!((&sandbox["user"], &sandbox["seccomp"]), (&NOBODY.into(), &true.into()), "{sandbox}");
    assert_eq!(sandbox["capabilities"], serde_json::json!(["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]), "{sandbox}");
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    for _ in 0..2 {
        let explained = next.cli(&["explain", FRIEND4, "--dport", "80", "--syn"])?;
        assert_eq!(explained.code, 0, "{explained:?}");
        assert_eq!(next.cli(&["explain", FOE4, "--dport", "80", "--syn"])?.code, 1);
        next.ok(&["allow", "add", "friends", "203.0.113.0/24"])?;
        next.reload()?;
    }
    drop(probe);
    lab.cut_cable()?;
    lab.lay_cable()?;
    wait_until("an interface that is filtered again", LIMIT, || Ok(lab.program_id()?.map(drop)))?;
    let probe = Probe::new(&lab, HOST4, DATA, FRIEND4)?;
    assert_eq!((probe.arrives(FRIEND4)?, probe.arrives(FOE4)?), (true, false));
    next.stop()?;
    assert!(!next.log().contains("not permitted"), "{}", next.log());

    let mut detach = as_nobody(&lab, &program);
    let told = said(detach.arg("detach").arg("--pin-directory").arg(&site.pins))?;
    assert_eq!(told.code, 0, "{told:?}");
    lab.wait_until_detached("eth0")?;
    // The folder itself stands in one of root's.
    assert!(fs::read_dir(&site.pins)?.next().is_none(), "{told:?}");
    Ok(())
}
