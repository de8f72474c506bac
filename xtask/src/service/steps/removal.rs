//! Removed, installed again, purged.

use anyhow::Result;

use super::{left::Left, require};
use crate::{report::Report, service::Bench};

pub fn all(bench: &mut Bench, report: &mut Report, before: &Left) -> Result<()> {
    let expected = "says that it detached; nothing filters; configuration, state and user stay";
    bench.step(report, "apt remove portcullis", expected, |bench| {
        // What an administrator has set for commands of their own does not reach the scripts of the package.
        let said = bench
            .machine
            .ask("PORTCULLIS_OUTPUT=json PORTCULLIS_PIN_DIRECTORY=/root apt-get remove --yes portcullis")?;
        let told = said.lines().find(|line| line.contains("detached from")).unwrap_or_default().to_owned();
        let (left, program) = (bench.left()?, bench.wires.program()?);
        require(told.contains("eth0") && program.is_none() && left.pins.is_empty(), || {
            format!("program {program:?}, pins {}: {said}", left.pins)
        })?;
        let stays = ["/etc/portcullis", "/var/lib/portcullis"].iter().all(|folder| left.files.contains(folder));
        require(stays && !left.names.is_empty() && !left.files.contains("/usr/bin/portcullis"), || {
            format!("{left:?}")
        })?;
        Ok(told)
    })?;
    bench.step(
        report,
        "installed again",
        "filters at once as before: it was enabled, and its lists are there",
        |bench| {
            bench.machine.ask("cd /root && apt-get install --yes ./newer.deb")?;
            let enabled = bench.machine.run("systemctl is-enabled portcullis")?.text;
            require(enabled.trim() == "enabled", || enabled.clone())?;
            bench.machine.ask("systemctl start portcullis")?;
            bench.require_enforced()
        },
    )?;
    bench.step(report, "apt purge portcullis", "nothing is left: no file, user, group, pin or program", |bench| {
        bench.machine.ask("systemctl disable --quiet probe; rm -f /etc/systemd/system/probe.service")?;
        bench.machine.ask("apt-get purge --yes portcullis")?;
        let (left, program) = (bench.left()?, bench.wires.program()?);
        require(left == *before && program.is_none(), || {
            format!("program {program:?}, left {left:?}, before {before:?}")
        })?;
        Ok(format!("{} files, as before the installation", left.files.lines().count()))
    })
}
