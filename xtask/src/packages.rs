//! The part of setup that runs as root: Debian packages, without starting the daemons they bring.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    interrupt,
    needs::BPFFS,
    process::{find_program, run_shown},
};

const INSTALL: [&str; 4] = ["apt-get", "install", "--yes", "--no-install-recommends"];

/// What [`install`] does, to be typed by hand.
pub fn commands(packages: &[&str], services: &[&str], mount: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if !packages.is_empty() {
        lines.push("apt-get update".to_owned());
        lines.push(format!("{} {}", INSTALL.join(" "), packages.join(" ")));
    }
    if !services.is_empty() {
        lines.push(format!("systemctl disable --now {}", services.join(" ")));
    }
    if mount {
        lines.push(format!("mount -t bpf -o mode=700 bpf {BPFFS}"));
    }
    lines
}

/// Installs packages, keeps their services from running, mounts bpffs. Must run as root.
pub fn install(packages: &[impl AsRef<OsStr>], services: &[impl AsRef<OsStr>], mount: bool) -> Result<()> {
    if !packages.is_empty() {
        install_packages(packages, services)?;
    }
    if mount {
        run_shown(Command::new("mount").args(["-t", "bpf", "-o", "mode=700", "bpf", BPFFS]))?;
    }
    Ok(())
}

fn install_packages(packages: &[impl AsRef<OsStr>], services: &[impl AsRef<OsStr>]) -> Result<()> {
    interrupt::notice()?;
    if let Err(error) = run_shown(&mut apt(&["apt-get", "update"])) {
        eprintln!("warning: {error:#}; going on with the package lists this machine has");
    }
    let held = HeldServices::hold()?;
    run_shown(apt(&INSTALL).args(packages))?;
    drop(held);
    interrupt::check()?;
    if !services.is_empty() && find_program("systemctl").is_some() {
        let now = Path::new("/run/systemd/system").exists().then_some("--now");
        run_shown(Command::new("systemctl").arg("disable").args(now).args(services))?;
    }
    Ok(())
}

fn apt(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(["-q", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]).args(&words[1..]);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

/// Keeps maintainer scripts from starting services for as long as it lives, by Debian's own means: a policy-rc.d
/// that says no (invoke-rc.d(8), exit code 101). A policy that is there already stays.
struct HeldServices;

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl HeldServices {
    fn hold() -> Result<Option<Self>> {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        match file {
            Ok(mut file) => {
                let held = Self;
                io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")
                    .with_context(|| format!("cannot write {POLICY}"))?;
                Ok(Some(held))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot keep services from starting: cannot create {POLICY}"))
            }
        }
    }
}

impl Drop for HeldServices {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(POLICY) {
            eprintln!("warning: cannot remove {POLICY}, which keeps services from starting: {error}");
        }
    }
}
