//! A Debian that runs under a real systemd, in namespaces of its own: what it changes is on a layer of its own, and gone afterwards.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::root;
use crate::{interrupt, process};

/// How long a boot, or a change of a unit, may take.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The script that becomes PID 1.
const INIT: &str = include_str!("init.sh");

/// Where the tree of control groups of version 2 is.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// A machine, which can be switched off and on.
pub struct Machine {
    root: PathBuf,
    layer: PathBuf,
    group: PathBuf,
    network: PathBuf,
    running: Option<PoweredOn>,
}

struct PoweredOn {
    unshare: Child,
    /// PID 1 of the machine, as this process sees it.
    init: u32,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; -1 after a signal.
    pub code: i32,
    /// Standard output, then standard error.
    pub text: String,
}

impl Machine {
    /// A machine on `root`, in the network namespace at `network`, which outlives it. What changes is kept in `layer`.
    pub fn new(root: &Path, layer: PathBuf, network: PathBuf) -> Result<Self> {
        let groups = GROUPS.iter().map(Path::new).find(|folder| folder.join("cgroup.procs").exists());
        let groups = groups.context("there is no tree of control groups of version 2")?;
        let group = groups.join(format!("portcullis-xtask-{}", std::process::id()));
        let machine = Self { root: root.to_owned(), layer, group, network, running: None };
        for folder in ["upper", "work", "root"] {
            fs::create_dir_all(machine.layer.join(folder))
                .with_context(|| format!("cannot make {}", machine.layer.display()))?;
        }
        Ok(machine)
    }

    /// Switches it on, and waits until it has booted.
    pub fn boot(&mut self) -> Result<()> {
        fs::create_dir_all(&self.group).with_context(|| format!("cannot make {}", self.group.display()))?;
        let console = File::create(self.layer.join("console.log")).context("cannot make the log of the console")?;
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.group.display());
        let network = format!("--net={}", self.network.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", "setpriv", "--pdeathsig", "KILL", "--", "nsenter", &network, "--"]);
        command.args([
            "unshare",
            "--pid",
            "--mount",
            "--cgroup",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child=KILL",
            "--",
        ]);
        command.args(["sh", "-c", INIT, "sh"]).args([&self.root, &self.layer]);
        command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        let unshare = command.spawn().with_context(|| format!("cannot run `{}`", process::show(&command)))?;
        let running = self.running.insert(PoweredOn { unshare, init: 0 });
        let id = running.unshare.id();
        let children = PathBuf::from(format!("/proc/{id}/task/{id}/children"));
        let init = interrupt::wait_for(LIMIT, || {
            let children = fs::read_to_string(&children).unwrap_or_default();
            let child = children.split_whitespace().next().and_then(|child| child.parse::<u32>().ok());
            let name = child.map(|child| fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default());
            Ok(child.filter(|_| name.is_some_and(|name| name.trim() == "systemd")))
        })?;
        let Some(init) = init else {
            let console = fs::read_to_string(self.layer.join("console.log")).unwrap_or_default();
            bail!("no systemd came up in the namespaces: {console}");
        };
        running.init = init;
        let is_up = interrupt::wait_for(LIMIT, || {
            let state = self.run("systemctl is-system-running")?.text;
            Ok(matches!(state.trim(), "running" | "degraded").then_some(()))
        })?;
        is_up.with_context(|| format!("the machine did not boot within {} s", LIMIT.as_secs()))
    }

    /// Takes its power.
    pub fn cut_power(&mut self) -> Result<()> {
        let Some(PoweredOn { mut unshare, init }) = self.running.take() else { return Ok(()) };
        // The end of PID 1 is that of all others in its namespace.
        let process = nix::unistd::Pid::from_raw(init.cast_signed());
        if init != 0 {
            let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL);
        } else {
            let _ = unshare.kill();
        }
        unshare.wait().context("cannot wait for the end of the machine")?;
        remove_groups(&self.group)
    }

    /// A shell command inside, with what it said; bounded in time.
    pub fn run(&self, script: &str) -> Result<Said> {
        let Output { status, stdout, stderr } = self.command(script)?.stdin(Stdio::null()).output()?;
        let text = [stdout, stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned()).concat();
        Ok(Said { code: status.code().unwrap_or(-1), text })
    }

    /// What a shell command inside writes; an error when it fails.
    pub fn ask(&self, script: &str) -> Result<String> {
        match self.run(script)? {
            Said { code: 0, text } => Ok(text.trim().to_owned()),
            Said { code, text } => bail!("`{script}` failed with exit code {code}: {}", text.trim()),
        }
    }

    /// Puts a file inside.
    pub fn put(&self, from: &Path, to: &str) -> Result<()> {
        let file = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
        let status = self.command(&format!("cat > {to}"))?.stdin(file).status()?;
        if status.success() { Ok(()) } else { bail!("cannot write {to} in the machine: {status}") }
    }

    fn command(&self, script: &str) -> Result<Command> {
        let running = self.running.as_ref().context("the machine is off")?;
        let mut command = Command::new("timeout");
        command.args([
            "--kill-after=5",
            &LIMIT.as_secs().to_string(),
            "nsenter",
            "--target",
            &running.init.to_string(),
        ]);
        command.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--"]);
        command.args(["env", "-i", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]);
        command.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", script]);
        Ok(command)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.cut_power().and_then(|()| root::remove(&self.layer)) {
            process::warn(&format!("cannot clean up after the machine: {error:#}"));
        }
    }
}

/// Removes a control group and those below it. Processes that were killed may be in it for a moment.
fn remove_groups(group: &Path) -> Result<()> {
    let removed = interrupt::wait_for(LIMIT, || Ok(remove_now(group).ok()))?;
    removed.with_context(|| format!("cannot remove the control group {}", group.display()))
}

fn remove_now(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_now(&path)?;
        }
    }
    fs::remove_dir(group)
}
