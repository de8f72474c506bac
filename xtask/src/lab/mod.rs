//! Four hosts on one link, each a network namespace of its own, with nginx in `host` behind Portcullis.
//!
//! ```text
//! client-a --+
//! client-b --+-- switch (bridge) -- eth0 of host: XDP program, then nginx on tcp 80
//! attacker --+
//! ```
//!
//! Nothing leaves these namespaces: no route and no link leads to the machine's own.

mod config;
mod daemon;
mod namespace;
mod network;
mod trace;

use std::{
    fs,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use self::{
    config::ADMIN,
    daemon::Daemon,
    network::Network,
    trace::{Folder, Pins},
};
pub use self::{
    config::{FLOOD_BURST, FLOOD_PORT, FLOOD_RATE},
    namespace::Namespace,
    network::{ATTACKER, CLIENT_A, CLIENT_B, HOST, Host, WIDE_PREFIX_V4, WIDE_PREFIX_V6},
    trace::Trace,
};
use crate::{
    build::{self, Profile},
    interrupt,
    needs::Scope,
    privilege, process, setup,
    tree::Tree,
};

/// How long a daemon may take to answer after its start. The kernel may be busy removing namespaces of an earlier run.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The running lab. What it made is removed when it goes, daemons first.
pub struct Lab {
    portcullis: Daemon,
    nginx: Daemon,
    network: Network,
    pins: Pins,
    folder: Folder,
    binary: PathBuf,
}

impl Lab {
    /// Makes the network and starts nginx and Portcullis in it. `kind` is part of every name it leaves on the machine.
    pub fn start(kind: &str, binary: &Path) -> Result<Self> {
        trace::sweep();
        let folder = Folder::create(kind)?;
        let pins = Pins::reserve(kind);
        let network = Network::create(kind)?;
        let host = network.namespace(&HOST);

        let nginx_config = folder.write("nginx.conf", &config::nginx(folder.path()))?;
        let mut nginx = host.command("nginx")?;
        nginx.arg("-p").arg(folder.path()).arg("-c").arg(nginx_config).arg("-e").arg("stderr");
        let nginx = Daemon::start("nginx", nginx, folder.path())?;

        let policy = folder.write(
            "portcullis.toml",
            &config::portcullis(&folder.path().join(config::SOCKET), &folder.path().join("state")),
        )?;
        let mut portcullis = host.command(binary)?;
        portcullis.arg("run").arg("--config").arg(policy).arg("--pin-directory").arg(pins.path());
        let portcullis = Daemon::start("portcullis", portcullis, folder.path())?;

        let mut lab = Self { portcullis, nginx, network, pins, folder, binary: binary.to_owned() };
        lab.wait_until_ready()?;
        Ok(lab)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for (name, url) in [("nginx", "http://127.0.0.1/".to_owned()), ("portcullis", format!("http://{ADMIN}/readyz"))]
        {
            let ready = interrupt::wait_for(START_LIMIT, || {
                self.check_daemons()?;
                let answer = self.request(&HOST, &url)?;
                Ok((answer == Answer::Status(200)).then_some(()))
            })?;
            if ready.is_none() {
                let log = if name == "nginx" { self.nginx.last_words() } else { self.portcullis.last_words() };
                bail!("{name} does not answer {url} within {} s; its log ends with\n{log}", START_LIMIT.as_secs());
            }
        }
        Ok(())
    }

    /// An error when a daemon has ended by itself.
    pub fn check_daemons(&mut self) -> Result<()> {
        self.nginx.check()?;
        self.portcullis.check()
    }

    /// One request of curl, as typed on a host.
    pub fn request(&self, from: &Host, url: &str) -> Result<Answer> {
        let mut curl = self.network.namespace(from).command("curl")?;
        curl.args(CURL).args(["--write-out", "%{http_code}", "--output", "/dev/null", url]);
        let output = curl.output().with_context(|| format!("cannot run curl in {}", from.name))?;
        interrupt::check()?;
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(match (output.status.code(), said.trim().parse()) {
            (Some(0), Ok(status)) => Answer::Status(status),
            (Some(28), _) => Answer::TimedOut,
            _ => Answer::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        })
    }

    /// The page of metrics, as a scraper on the host gets it.
    pub fn scrape(&self) -> Result<String> {
        let mut curl = self.network.namespace(&HOST).command("curl")?;
        process::output(curl.args(CURL).args(["--fail", &format!("http://{ADMIN}/metrics")]))
    }

    /// Runs `portcullis` as an operator on the host would, and gives what it prints.
    pub fn portcullis(&self, arguments: &[&str]) -> Result<String> {
        process::output(self.portcullis_command().args(arguments))
    }

    /// The start of every `portcullis` command line.
    fn portcullis_command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--socket").arg(self.folder.path().join(config::SOCKET));
        command
    }

    /// Network of the lab.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Asks Portcullis to end, and tells how it ended. Its filter stays.
    pub fn stop_portcullis(&mut self) -> Result<String> {
        self.portcullis.stop()
    }

    /// Takes the filter of a Portcullis that has ended off its interfaces; what `portcullis detach` says.
    pub fn detach(&self) -> Result<String> {
        process::output(Command::new(&self.binary).arg("detach").arg("--pin-directory").arg(self.pins.path()))
    }

    /// What Portcullis logged last.
    pub fn last_words(&self) -> String {
        self.portcullis.last_words()
    }

    /// Everything this lab has made, to see afterwards that it is gone.
    pub fn trace(&self) -> Trace {
        Trace {
            namespaces: self.network.names(),
            processes: vec![self.nginx.process(), self.portcullis.process()],
            paths: vec![self.folder.path().to_owned(), self.pins.path().to_owned()],
        }
    }
}

/// No proxy, no file of the user, one second for a connection: in the lab an answer takes a millisecond.
const CURL: [&str; 9] =
    ["-q", "--silent", "--show-error", "--noproxy", "*", "--connect-timeout", "1", "--max-time", "3"];

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server answered.
    Status(u16),
    /// Nothing came back.
    TimedOut,
    /// Anything else, in curl's words.
    Failed(String),
}

/// The address a URL names, with brackets where they belong.
pub fn url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("http://{address}/"),
        IpAddr::V6(address) => format!("http://[{address}]/"),
    }
}

/// What has to be there before a lab can start: packages, the binary, root. `None` when a run as root has done it all.
pub fn prepare(tree: &Tree, kind: &str, built: Option<PathBuf>) -> Result<Option<PathBuf>> {
    interrupt::notice()?;
    let binary = match built {
        Some(binary) => binary,
        None => {
            setup::ensure(Scope::Demo)?;
            build::build(tree, Profile::Debug)?.portcullis
        }
    };
    if privilege::is_root() {
        return Ok(Some(binary));
    }
    let result = privilege::again_as_root(
        "make namespaces and veth pairs, attach the XDP program, run nginx",
        &[kind.as_ref(), "--built".as_ref(), binary.as_os_str()],
    );
    interrupt::check()?;
    result.map(|()| None)
}

/// `cargo xtask lab`: the lab stays until Ctrl-C or the end of standard input.
pub fn keep_open(tree: &Tree, built: Option<PathBuf>) -> Result<()> {
    const KIND: &str = "lab";
    let Some(binary) = prepare(tree, KIND, built)? else { return Ok(()) };
    let mut lab = Lab::start(KIND, &binary)?;
    let trace = lab.trace();
    let result = wait_for_the_end(&mut lab);
    drop(lab);
    let left = trace.remaining();
    if !left.is_empty() {
        bail!("left behind: {}", left.join(", "));
    }
    eprintln!("everything the lab made is removed");
    match result {
        Err(error) if !error.is::<interrupt::Interrupted>() => Err(error),
        _ => Ok(()),
    }
}

fn wait_for_the_end(lab: &mut Lab) -> Result<()> {
    static ENDED: AtomicBool = AtomicBool::new(false);
    let client = lab.network.namespace(&CLIENT_A).path();
    let host = lab.network.namespace(&HOST).path();
    println!("The lab is up: client-a, client-b and attacker share a link with host. No list has an entry yet.");
    println!("Try, as root:");
    println!("  nsenter --net={} curl --max-time 2 {}", client.display(), url(HOST.v4.into()));
    println!("  {} allow add partners {}", process::show(&lab.portcullis_command()), CLIENT_A.v4);
    println!("  nsenter --net={} curl --silent http://{ADMIN}/metrics", host.display());
    println!("Ctrl-C removes everything.");
    thread::spawn(|| {
        let mut rest = io::stdin().lock();
        let mut byte = [0; 64];
        while matches!(rest.read(&mut byte), Ok(read) if read > 0) {}
        ENDED.store(true, Ordering::Relaxed);
    });
    loop {
        let over = interrupt::wait_for(Duration::from_secs(1), || Ok(ENDED.load(Ordering::Relaxed).then_some(())))?;
        if over.is_some() {
            return Ok(());
        }
        lab.check_daemons()?;
    }
}

/// Frames that the kernel has handed to the interface of the host since it was linked.
pub fn frames_to_host(network: &Network) -> Result<u64> {
    let text = network.switch().enter(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
    let text = text.context("cannot read the interface counters of the switch")?;
    let line =
        text.lines().find_map(|line| line.trim().strip_prefix("host:")).context("the switch has no port to host")?;
    // Eight columns of reception, then of transmission: bytes, packets, ...
    let packets = line.split_whitespace().nth(9).and_then(|number| number.parse().ok());
    packets.with_context(|| format!("cannot read the interface counters of the switch: `{line}`"))
}
