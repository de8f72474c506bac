//! Many packets of a stranger and some of a friend, while something happens to the machine: which of them arrive?

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};

use super::network::{FRIEND, SERVER, STRANGER, Wires};
use crate::paced;

/// Where it goes to.
pub const PORT: u16 = 5000;
/// Packets a second of the stranger, and of the friend.
const PACES: [u64; 2] = [48_000, 2_000];
/// Longest time in which packets are sent.
const LIMIT: Duration = Duration::from_secs(60);
/// Holds everything that may arrive while nobody reads.
const RECEIVE_BUFFER: usize = 64 << 20;
/// How long packets may be on their way when the last was sent.
const SILENCE: Duration = Duration::from_millis(300);

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
    paced::prepare(&receiver, RECEIVE_BUFFER, SILENCE)?;
    let lost_before = lost_on_wire(wires)?;
    let over = AtomicBool::new(false);
    let sender = |address| wires.outside.enter(bind(address, 0))?.context("cannot bind outside");
    let sockets = [sender(STRANGER)?, sender(FRIEND)?];
    let (done, [stranger, friend], time) = thread::scope(|scope| {
        let over = &over;
        let arriving = scope.spawn(|| {
            let mut arrived = [0; 2];
            paced::receive(&receiver, over, |source| arrived[usize::from(source.ip() != STRANGER)] += 1)?;
            Ok::<_, anyhow::Error>(arrived)
        });
        let sending = [0, 1].map(|index| {
            let (socket, pace) = (&sockets[index], PACES[index]);
            let goes_on = |_| !over.load(Ordering::Relaxed);
            scope.spawn(move || paced::send(socket, (SERVER, PORT).into(), pace, pace * LIMIT.as_secs(), goes_on))
        });
        let done = meanwhile();
        over.store(true, Ordering::Relaxed);
        let sent = sending.map(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?);
        let arrived = arriving.join().map_err(|_| anyhow!("the receiver panicked"))??;
        let [stranger, friend] = sent;
        let ((stranger, time), (friend, _)) = (stranger?, friend?);
        let came = [Came { sent: stranger, arrived: arrived[0] }, Came { sent: friend, arrived: arrived[1] }];
        Ok::<_, anyhow::Error>((done?, came, time))
    })?;
    Ok((done, Traffic { stranger, friend, lost_on_wire: lost_on_wire(wires)? - lost_before, time }))
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
