//! What the running daemon may do.

use anyhow::{Context as _, Result};

use super::require;
use crate::{report::Report, service::Bench};

/// Most that `systemd-analyze security` may say.
const MOST_EXPOSURE: f64 = 2.0;

/// CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (capability.h).
const CAPABILITIES: u64 = 1 << 39 | 1 << 38 | 1 << 12;

/// Every verb that talks to the daemon, or looks at what it has made, with the exit codes that are fine.
const VERBS: [(&str, &[i32]); 22] = [
    ("status", &[0]),
    ("status -o json", &[0]),
    ("check", &[0]),
    ("diff /etc/portcullis/portcullis.toml", &[0, 1]),
    ("deny add blocked 192.0.2.1 --ttl 1h", &[0]),
    ("deny list blocked", &[0]),
    ("undo --list", &[0]),
    ("deny list blocked --export > /root/blocked.jsonl", &[0]),
    ("deny remove blocked 192.0.2.1", &[0]),
    ("restore /root/blocked.jsonl", &[0]),
    ("explain 192.0.2.1", &[0, 1]),
    ("explain 192.0.2.1 --lists", &[0, 1]),
    ("explain 192.0.2.1 --dport 80 --syn", &[0, 1]),
    ("reload --dry-run", &[0]),
    ("apply /etc/portcullis/portcullis.toml --dry-run", &[0]),
    ("history", &[0]),
    ("rollback --dry-run", &[0]),
    ("mode", &[0]),
    ("doctor", &[0, 1]),
    ("detach --dry-run", &[4]),
    ("state repair", &[4]),
    ("version", &[0]),
];

pub fn all(bench: &mut Bench, report: &mut Report) -> Result<()> {
    let expected = "exposure of at most 2.0; user portcullis; CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN; seccomp and no_new_privs in all threads";
    bench.step(report, "the running daemon is looked at", expected, |bench| {
        let said = bench.machine.run("systemd-analyze security portcullis --no-pager | tail -1")?.text;
        let score = said.split_once("service: ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
        let score = score.with_context(|| format!("no score in {said}"))?;
        let process = bench.machine.ask("systemctl show portcullis --property MainPID --value")?;
        let all = bench.machine.ask(&format!("cat /proc/{process}/task/*/status"))?;
        let values = |key: &str| {
            let lines = all.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            lines.map(|value| value.split_whitespace().next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let same = |key: &str, value: &str| {
            let found = values(key);
            require(!found.is_empty() && found.iter().all(|one| one == value), || {
                format!("{key}: {found:?}, not {value}")
            })
        };
        let user = bench.machine.ask("id --user portcullis")?;
        same("Uid", &user)?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            same(set, &format!("{CAPABILITIES:016x}"))?;
        }
        same("NoNewPrivs", "1")?;
        same("Seccomp", "2")?;
        require(score <= MOST_EXPOSURE, || format!("exposure {score}"))?;
        let sandbox = bench.machine.ask("portcullis status | grep -i '^sandbox'")?;
        require(sandbox.contains("Landlock") && !sandbox.contains("not"), || sandbox.clone())?;
        Ok(format!("exposure {score}; {} threads of user {user}; {sandbox}", values("Uid").len()))
    })?;
    bench.step(report, "every verb is tried", "each ends as it does without a sandbox", |bench| {
        for (verb, fine) in VERBS {
            let said = bench.machine.run(&format!("portcullis {verb}"))?;
            require(fine.contains(&said.code), || {
                format!("`portcullis {verb}`: exit code {}: {}", said.code, said.text)
            })?;
        }
        Ok(format!("{} verbs", VERBS.len()))
    })?;
    group(bench, report)
}

/// Members of the group of the socket look, and change nothing; the daemon gives the socket another group.
fn group(bench: &mut Bench, report: &mut Report) -> Result<()> {
    let expected = "its members look and change nothing; another group is given to the socket";
    bench.step(report, "the group of the socket is used", expected, |bench| {
        require_viewers(bench, "portcullis")?;
        let change = "cp -p /etc/portcullis/portcullis.toml /root/before.toml && usermod --append --groups adm portcullis && \
                      printf '\\n[api]\\ngroup = \"adm\"\\n' >> /etc/portcullis/portcullis.toml && systemctl restart portcullis";
        bench.machine.ask(change)?;
        require_viewers(bench, "adm")?;
        let back = "mv /root/before.toml /etc/portcullis/portcullis.toml && gpasswd --delete portcullis adm && \
                    systemctl restart portcullis";
        bench.machine.ask(back)?;
        require_viewers(bench, "portcullis")?;
        bench.require_enforced()
    })
}

fn require_viewers(bench: &Bench, group: &str) -> Result<()> {
    let as_member = format!("setpriv --reuid=nobody --regid=nogroup --groups={group} portcullis");
    let socket = bench.machine.ask("stat --format '%U %G %a' /run/portcullis/api.sock")?;
    let (looks, changes) = (format!("{as_member} status"), format!("{as_member} mode observe"));
    let (looks, changes) = (bench.machine.run(&looks)?, bench.machine.run(&changes)?);
    let is_so = looks.code == 0 && changes.code == 4 && changes.text.contains("lacks the right to change");
    require(is_so && socket == format!("portcullis {group} 660"), || format!("{socket}; {looks:?}; {changes:?}"))
}
