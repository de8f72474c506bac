//! A daemon of root that somebody ran by hand is taken over by the service.

use anyhow::Result;

use super::require;
use crate::{
    report::Report,
    service::{Bench, network::STRANGER},
};

const CONFIG: &str = "[[interface]]\\nname = \"eth0\"\\nmode = \"auto\"\\n[lists.blocked]\\n[services.web]\\nprotocol = \"tcp\"\\nports = [80]\\n\
                      deny = [\"blocked\"]\\n";

pub fn all(bench: &mut Bench, report: &mut Report) -> Result<()> {
    let expected = "it filters on; pins and state are those of the user portcullis, and what was pushed is there";
    bench.step(report, "a daemon that root ran by hand, then the package and its service", expected, |bench| {
        bench.machine.ask(
            "cd /root && rm -rf by-hand && dpkg-deb --extract portcullis.deb by-hand && mkdir -p /etc/portcullis",
        )?;
        bench.machine.ask(&format!("printf '{CONFIG}' > /etc/portcullis/portcullis.toml"))?;
        bench
            .machine
            .ask("systemd-run --quiet --unit by-hand --property Type=notify /root/by-hand/usr/bin/portcullis run")?;
        bench
            .machine
            .ask(&format!("/root/by-hand/usr/bin/portcullis deny add blocked {STRANGER} && systemctl stop by-hand"))?;
        bench.require_enforced()?;
        bench.machine.ask("cd /root && apt-get install --yes -o Dpkg::Options::=--force-confold ./portcullis.deb")?;
        bench.machine.ask("systemctl start portcullis")?;
        let owners = bench.machine.ask("find /sys/fs/bpf/portcullis /var/lib/portcullis -printf '%u\\n' | sort -u")?;
        require(owners == "portcullis", || format!("owners: {owners}"))?;
        bench.require_enforced()
    })
}
