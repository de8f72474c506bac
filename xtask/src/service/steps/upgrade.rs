//! Another version, installed under traffic.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use super::{require, traffic};
use crate::{process, report::Report, service::Bench};

/// A service for the packets that are sent meanwhile, as an operator would write it into the file of the package.
const SINK: &str = "\\n[services.sink]\\nprotocol = \"udp\"\\nports = [5000]\\ndeny = [\"blocked\"]\\n";

pub fn all(bench: &mut Bench, report: &mut Report) -> Result<()> {
    let expected =
        "nothing of the stranger arrives, everything of the friend does; counters go on; the edited file stays";
    bench.step(report, "apt install of a newer version under 50,000 packets a second", expected, |bench| {
        bench
            .machine
            .ask(&format!("printf '{SINK}' >> /etc/portcullis/portcullis.toml && systemctl reload portcullis"))?;
        let edited = bench.machine.ask("sha256sum /etc/portcullis/portcullis.toml")?;
        let newer = newer(bench)?;
        bench.machine.put(&newer, "/root/newer.deb")?;
        let counted = |bench: &Bench| -> Result<u64> {
            let text = bench
                .machine
                .ask("curl --silent --fail http://127.0.0.1:9191/metrics | grep '^portcullis_packets_total'")?;
            Ok(text.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
        };
        let before = counted(bench)?;
        let process = bench.machine.ask("systemctl show portcullis --property MainPID --value")?;
        let ((), traffic) = traffic::during(&bench.wires, || {
            bench.machine.ask("cd /root && apt-get install --yes ./newer.deb")?;
            Ok(())
        })?;
        let after = counted(bench)?;
        let traffic::Traffic { stranger, friend, lost_on_wire, time } = &traffic;
        let said = format!(
            "{stranger:?} of the stranger, {friend:?} of the friend in {:.1} s; lost on the wire {lost_on_wire}",
            time.as_secs_f64()
        );
        require(stranger.arrived == 0 && friend.sent > 0, || said.clone())?;
        require(friend.arrived + lost_on_wire >= friend.sent, || said.clone())?;
        require(stranger.sent as f64 / time.as_secs_f64() > 20_000.0, || format!("too little traffic: {said}"))?;
        let through = stranger.sent + friend.sent - lost_on_wire;
        require(after >= before + through, || format!("counters: {before}, then {after}: {said}"))?;
        let now = bench.machine.ask("systemctl show portcullis --property MainPID --value")?;
        require(now != process && now != "0", || format!("the daemon is still process {process}"))?;
        require(bench.machine.ask("sha256sum /etc/portcullis/portcullis.toml")? == edited, || {
            "the file was changed".into()
        })?;
        let version = bench.machine.ask("dpkg-query --show --showformat '${Version}' portcullis")?;
        require(version.ends_with("+newer"), || version.clone())?;
        Ok(said)
    })
}

/// The same package with a higher version. Its configuration file is the same: it never changes, so that dpkg has nothing to ask.
fn newer(bench: &Bench) -> Result<PathBuf> {
    let (folder, file) = (bench.scratch.join("newer"), bench.scratch.join("newer.deb"));
    process::output(Command::new("dpkg-deb").arg("--raw-extract").arg(&bench.package).arg(&folder))?;
    let control = folder.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).context("cannot read the control file of the package")?;
    let version = |line: &str| match line.strip_prefix("Version: ") {
        Some(version) => format!("Version: {version}+newer\n"),
        None => format!("{line}\n"),
    };
    std::fs::write(&control, text.lines().map(version).collect::<String>())?;
    process::output(Command::new("dpkg-deb").args(["--build", "--root-owner-group"]).arg(&folder).arg(&file))?;
    Ok(file)
}
