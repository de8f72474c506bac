//! Established connections that processes of their own hold: one process may not have so many files open.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use firewall_tests::lab::{HOST4, INTERFACE, Lab};
use nix::{
    libc::linger,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt::Linger},
    },
};

/// What one process holds: both ends of each connection.
#[derive(Args, Debug)]
pub struct Held {
    /// How many connections
    #[arg(long)]
    count: usize,
}

/// The processes; their connections end with this.
#[derive(Debug)]
pub struct Holders(Vec<Child>);

/// Connections of one process.
const EACH: usize = 7_500;

/// Files that it has open besides the connections.
const OTHER_FILES: usize = 100;

/// Sources of the connections: 198.51.100.1 and those that follow.
const SOURCES: usize = 10;

/// The service.
const PORT: u16 = 443;

impl Holders {
    /// Makes so many connections to the service of the lab.
    ///
    /// # Errors
    /// When not all of them are made.
    pub fn connect(lab: &Lab, count: usize) -> Result<Self> {
        lab.host.ip(&format!("route replace 198.51.100.0/24 dev {INTERFACE}"))?;
        for source in 1..=SOURCES {
            lab.peer.ip(&format!("address replace 198.51.100.{source}/32 dev {INTERFACE}"))?;
        }
        let listener = lab.host.enter(|| TcpListener::bind((HOST4, PORT)).context("cannot listen"))??;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut holders = Self(Vec::new());
        let mut left = count;
        while left > 0 {
            let each = left.min(EACH);
            left -= each;
            let mut command = lab.peer.command(&program);
            command.args(["hold", "--count", &each.to_string()]).stdout(Stdio::piped());
            command.stdin(OwnedFd::from(listener.try_clone().context("cannot share the listener")?));
            holders.0.push(command.spawn().context("cannot run a process that holds connections")?);
        }
        for child in &mut holders.0 {
            let mut line = String::new();
            let said = child.stdout.take().context("a process without output")?;
            BufReader::new(said).read_line(&mut line).context("cannot read what it says")?;
            ensure!(line == "held\n", "a process did not make its connections");
        }
        Ok(holders)
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Makes connections to the service, accepts as many from the listener that standard input is, says so, and holds them until
/// it is killed.
///
/// # Errors
/// When a connection cannot be made.
pub fn hold(held: &Held) -> Result<()> {
    raise_open_files((2 * held.count + OTHER_FILES) as u64)?;
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut ends = Vec::with_capacity(held.count);
    for number in 0..held.count {
        let ours = connect_one(number)?;
        // Perhaps that of another process, which then accepts ours.
        let (theirs, _) = listener.accept().context("cannot accept")?;
        ends.push((ours, theirs));
    }
    let mut output = io::stdout();
    output.write_all(b"held\n")?;
    output.flush()?;
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// A connection from one of the sources, in turn.
fn connect_one(number: usize) -> Result<TcpStream> {
    let host: Ipv4Addr = HOST4.parse()?;
    let [a, b, c, d] = host.octets();
    let source = (1 + number % SOURCES) as u8;
    // Ended by a reset, it is gone at once, and the kernel does not walk past it for another minute.
    let at_once = linger { l_onoff: 1, l_linger: 0 };
    let stream = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&stream, Linger, &at_once).context("cannot set how a connection ends")?;
    bind(stream.as_raw_fd(), &SockaddrIn::new(198, 51, 100, source, 0)).context("cannot bind a source")?;
    connect(stream.as_raw_fd(), &SockaddrIn::new(a, b, c, d, PORT))
        .with_context(|| format!("connection {number} from 198.51.100.{source} to {HOST4}:{PORT}"))?;
    Ok(TcpStream::from(stream))
}

fn raise_open_files(wanted: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot ask how many files may be open")?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard.max(wanted))
        .with_context(|| format!("cannot have {wanted} files open"))
}
