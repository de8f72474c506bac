//! From the package to a filtering service: three commands to an observing one, a fourth to an enforcing one.

use std::time::Instant;

use anyhow::Result;

use super::require;
use crate::{
    report::Report,
    service::{
        Bench,
        network::{FRIEND, STRANGER},
    },
};

pub fn all(bench: &mut Bench, report: &mut Report) -> Result<()> {
    let package = bench.package.clone();
    bench.machine.put(&package, "/root/portcullis.deb")?;
    let start = Instant::now();
    let what = "1st command: apt install ./portcullis.deb";
    bench.step(report, what, "installed, inert: not enabled, not running, nothing attached, no pin", |bench| {
        bench.machine.ask("cd /root && apt-get install --yes ./portcullis.deb")?;
        let unit = bench.machine.run("systemctl is-enabled portcullis; systemctl is-active portcullis")?.text;
        let pins = bench.left()?.pins;
        let program = bench.wires.program()?;
        require(unit == "disabled\ninactive\n" && program.is_none() && pins.is_empty(), || {
            format!("unit: {unit}; program: {program:?}; pins: {pins}")
        })?;
        Ok("disabled, inactive, no program on eth0, no pin".into())
    })?;
    bench.step(
        report,
        "2nd command: portcullis init --yes",
        "a configuration that check --host accepts without a warning",
        |bench| {
            bench.machine.ask("portcullis init --yes")?;
            let checked = bench.machine.run("portcullis check --host")?;
            require(checked.code == 0 && !checked.text.contains("warning"), || checked.text.clone())?;
            Ok(checked.text.trim().to_owned())
        },
    )?;
    bench.step(
        report,
        "3rd command: systemctl enable --now portcullis",
        "observing: attached, and the stranger gets a page",
        |bench| {
            bench.machine.ask("systemctl enable --now portcullis")?;
            let (mode, program) = (bench.mode()?, bench.wires.program()?);
            let told = bench.machine.ask("systemctl show portcullis --property StatusText --value")?;
            let served = bench.wires.gets_a_page(STRANGER)? && bench.wires.gets_a_page(FRIEND)?;
            require(mode == "observe" && program.is_some() && served && told.starts_with("observing eth0"), || {
                format!("mode {mode}, program {program:?}, served {served}; systemd is told: {told}")
            })?;
            Ok(format!("systemd is told: {told}"))
        },
    )?;
    bench.step(
        report,
        "4th command: portcullis mode enforce --confirm 5m; a list, and `confirm`",
        "traffic is judged",
        |bench| {
            bench.machine.ask("portcullis mode enforce --confirm 5m && portcullis confirm")?;
            bench.machine.ask(&format!("portcullis deny add blocked {STRANGER}"))?;
            let program = bench.require_enforced()?;
            Ok(format!("{}; {program}; {} s since the first command", bench.mode()?, start.elapsed().as_secs()))
        },
    )
}
