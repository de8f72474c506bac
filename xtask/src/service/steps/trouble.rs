//! What goes wrong on a host: a wrong file, a daemon that is killed, a power cut.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::require;
use crate::{interrupt, report::Report, service::Bench};

const BREAK: &str =
    "cp /etc/portcullis/portcullis.toml /root/right.toml && echo '[[interface' >> /etc/portcullis/portcullis.toml";
const MEND: &str = "cp /root/right.toml /etc/portcullis/portcullis.toml";

/// A unit that looks at eth0 at the moment from which on networks may be configured.
const PROBE: &str = "[Unit]\\nDefaultDependencies=no\\nAfter=network-pre.target\\nBefore=network.target\\n[Service]\\nType=oneshot\\n\
                     ExecStart=/bin/sh -c \"ip -details link show eth0 > /run/probe\"\\n[Install]\\nWantedBy=multi-user.target\\n";

pub fn all(bench: &mut Bench, report: &mut Report) -> Result<()> {
    bench.step(
        report,
        "a wrong file; systemctl reload portcullis",
        "the reload fails, the policy before filters on",
        |bench| {
            bench.machine.ask(BREAK)?;
            let reloaded = bench.machine.run("systemctl reload portcullis")?;
            require(reloaded.code != 0, || "the reload succeeded".into())?;
            let seen = bench.require_enforced()?;
            let active = bench.machine.ask("systemctl is-active portcullis")?;
            Ok(format!("exit code {}; {active}; {seen}", reloaded.code))
        },
    )?;
    bench.step(
        report,
        "systemctl restart portcullis, with the wrong file",
        "the last good generation filters",
        |bench| {
            bench.machine.ask("systemctl restart portcullis")?;
            let told = bench.machine.ask("systemctl show portcullis --property StatusText --value")?;
            Ok(format!("{}; systemd is told: {told}", bench.require_enforced()?))
        },
    )?;
    killed(bench, report)?;
    cut_off(bench, report)?;
    bench.step(report, "the right file again; systemctl reload portcullis", "the reload succeeds", |bench| {
        bench.machine.ask(&format!("{MEND} && systemctl reload portcullis"))?;
        bench.require_enforced()
    })
}

fn killed(bench: &mut Bench, report: &mut Report) -> Result<()> {
    bench.step(report, "kill -9 of the daemon", "systemd starts another one; it filters all the while", |bench| {
        let process = |bench: &Bench| bench.machine.ask("systemctl show portcullis --property MainPID --value");
        let before = process(bench)?;
        bench.machine.ask(&format!("kill -9 {before}"))?;
        let meanwhile = bench.wires.program()?.context("no program on eth0 while no daemon runs")?;
        let restarted = interrupt::wait_for(Duration::from_secs(60), || {
            let is_active = bench.machine.run("systemctl is-active portcullis")?.code == 0;
            Ok(if is_active { Some(process(bench)?).filter(|now| *now != before && now != "0") } else { None })
        })?;
        restarted.context("no other daemon came")?;
        Ok(format!("prog/xdp {meanwhile} meanwhile; {}", bench.require_enforced()?))
    })
}

fn cut_off(bench: &mut Bench, report: &mut Report) -> Result<()> {
    bench.step(
        report,
        "a power cut, and a boot with the wrong file",
        "filtered before network-pre.target is reached",
        |bench| {
            bench.machine.ask(&format!(
                "printf '{PROBE}' > /etc/systemd/system/probe.service && systemctl enable probe && sync"
            ))?;
            bench.machine.cut_power()?;
            require(bench.wires.program()?.is_none(), || "the pins outlived the machine".into())?;
            bench.machine.boot()?;
            let probe = bench.machine.ask("cat /run/probe")?;
            require(probe.contains("prog/xdp"), || format!("no program when networks might be configured: {probe}"))?;
            let times = "systemctl show --property ActiveEnterTimestampMonotonic --value";
            let ready = bench.machine.ask(&format!("{times} portcullis; {times} network-pre.target"))?;
            let moments: Vec<u64> = ready.lines().filter_map(|line| line.parse().ok()).collect();
            require(matches!(moments[..], [ready, network] if 0 < ready && ready <= network), || format!("{ready:?}"))?;
            let journal = bench.machine.ask("journalctl --boot --no-pager")?;
            require(!journal.to_lowercase().contains("ordering cycle"), || "systemd broke an ordering cycle".into())?;
            Ok(format!(
                "{} (us since boot: ready, network-pre.target: {})",
                bench.require_enforced()?,
                ready.replace('\n', ", ")
            ))
        },
    )
}
