//! Many packets of a stranger and some of a friend, while something happens to the machine: which of them arrive?

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use super::network::{FRIEND, SERVER, STRANGER, Wires};

/// Where it goes to.
pub const PORT: u16 = 5000;
/// Packets a second of the stranger, and of the friend.
const PACES: [(Ipv4Addr, u64); 2] = [(STRANGER, 48_000), (FRIEND, 2_000)];
/// Longest time in which packets are sent.
const LIMIT: Duration = Duration::from_secs(60);
/// How long packets may be on their way when the last was sent.
const SILENCE: Duration = Duration::from_millis(300);
const PAYLOAD: [u8; 32] = [0x5a; 32];

/// What came of one sender.
#[derive(Debug, Default)]
pub struct Came {
    /// Packets sent.
    pub sent: u64,
    /// Those that arrived.
    pub arrived: u64,
}

/// What came of all.
#[derive(Debug)]
pub struct Traffic {
    pub stranger: Came,
    pub friend: Came,
    /// Packets that the wire itself had no room for.
    pub lost_on_wire: u64,
    /// How long it was sent.
    pub time: Duration,
}

/// Sends while `meanwhile` goes on, and counts what arrives.
pub fn during<T>(wires: &Wires, meanwhile: impl FnOnce() -> Result<T>) -> Result<(T, Traffic)> {
    let bind = |address: Ipv4Addr, port| move || UdpSocket::bind((address, port));
    let receiver = wires.server.enter(bind(SERVER, PORT))?.context("cannot bind in the machine")?;
    setsockopt(&receiver, RcvBufForce, &(64 << 20)).context("cannot enlarge the receive buffer")?;
    receiver.set_read_timeout(Some(SILENCE)).context("cannot set a time limit for the receiver")?;
    let lost_before = lost_on_wire(wires)?;
    let (over, sent) = (AtomicBool::new(false), [AtomicU64::new(0), AtomicU64::new(0)]);
    let start = Instant::now();
    let (done, arrived) = thread::scope(|scope| {
        let arriving = scope.spawn(|| count(&receiver, &over));
        let mut sending = Vec::new();
        for ((address, pace), sent) in PACES.into_iter().zip(&sent) {
            let socket = wires.outside.enter(bind(address, 0))?.context("cannot bind outside")?;
            let over = &over;
            sending.push(scope.spawn(move || send(&socket, pace, over, sent)));
        }
        let done = meanwhile();
        over.store(true, Ordering::Relaxed);
        for sender in sending {
            sender.join().map_err(|_| anyhow!("a sender panicked"))??;
        }
        let arrived = arriving.join().map_err(|_| anyhow!("the receiver panicked"))??;
        Ok::<_, anyhow::Error>((done?, arrived))
    })?;
    let time = start.elapsed();
    let [stranger, friend] =
        [0, 1].map(|index| Came { sent: sent[index].load(Ordering::Relaxed), arrived: arrived[index] });
    Ok((done, Traffic { stranger, friend, lost_on_wire: lost_on_wire(wires)? - lost_before, time }))
}

fn send(socket: &UdpSocket, pace: u64, over: &AtomicBool, count: &AtomicU64) -> Result<()> {
    let start = Instant::now();
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) && start.elapsed() < LIMIT {
        let due = start.elapsed().as_micros() as u64 * pace / 1_000_000 + 1;
        while sent < due {
            socket.send_to(&PAYLOAD, SocketAddr::from((SERVER, PORT))).context("cannot send to the machine")?;
            sent += 1;
        }
        count.store(sent, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Counts packets of each sender until they are over and none has come for a while.
fn count(socket: &UdpSocket, over: &AtomicBool) -> Result<[u64; 2]> {
    let mut arrived = [0; 2];
    loop {
        let was_over = over.load(Ordering::Relaxed);
        match socket.recv_from(&mut [0; PAYLOAD.len()]) {
            Ok((_, from)) if from.ip() == IpAddr::from(STRANGER) => arrived[0] += 1,
            Ok(_) => arrived[1] += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock && was_over => return Ok(arrived),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error).context("cannot receive in the machine"),
        }
    }
}

/// Packets that the senders' end of the wire has dropped, because the ring of the other end was full.
fn lost_on_wire(wires: &Wires) -> Result<u64> {
    let mut cat = wires.outside.command("cat")?;
    let text = crate::process::output(cat.arg("/proc/net/dev"))?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:"));
    // Receive has eight columns; of transmit the fourth is `drop` (proc(5)).
    let dropped = line.and_then(|line| line.split_whitespace().nth(11)?.parse().ok());
    dropped.context("cannot read what the wire has dropped")
}
