//! More packets than a source may send, and the socket that counts which of them arrive.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use crate::{
    interrupt,
    lab::{ATTACKER, FLOOD_PORT, HOST, Lab},
};

/// Packets sent in all.
const PACKETS: u64 = 60_000;
/// Packets sent per second: twenty times what is let through.
const PACE: u64 = 20_000;
/// Octets behind the UDP header.
const PAYLOAD: [u8; 64] = [0x5a; 64];
/// How long the receiver waits for a packet before it looks whether the flood is over.
const SILENCE: Duration = Duration::from_millis(100);
/// Holds every packet the limit lets through.
const RECEIVE_BUFFER: usize = 8 << 20;

/// What came of a flood.
pub struct Flood {
    /// Packets the attacker sent.
    pub sent: u64,
    /// Packets that arrived at the socket behind the firewall.
    pub arrived: u64,
    /// From before the first packet to after the last.
    pub time: Duration,
}

/// Floods the host from the attacker, and meanwhile does `beside` again and again.
pub fn flood(lab: &Lab, mut beside: impl FnMut() -> Result<()>) -> Result<Flood> {
    let bind = |address: Ipv4Addr, port| move || UdpSocket::bind((address, port));
    let receiver = lab.network().namespace(&HOST).enter(bind(HOST.v4, FLOOD_PORT))?.context("cannot bind in host")?;
    let sender = lab.network().namespace(&ATTACKER).enter(bind(ATTACKER.v4, 0))?.context("cannot bind in attacker")?;
    setsockopt(&receiver, RcvBufForce, &RECEIVE_BUFFER).context("cannot enlarge the receive buffer")?;
    receiver.set_read_timeout(Some(SILENCE)).context("cannot set a time limit for the receiver")?;

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let arriving = scope.spawn(|| count(&receiver, &over));
        let sending = scope.spawn(|| send(&sender));
        let mut result = Ok(());
        while result.is_ok() && !sending.is_finished() {
            result = beside();
        }
        let sent = sending.join();
        over.store(true, Ordering::Relaxed);
        let arrived = arriving.join();
        result?;
        let (sent, time) = sent.map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        let arrived = arrived.map_err(|_| anyhow::anyhow!("the receiver panicked"))??;
        Ok(Flood { sent, arrived, time })
    })
}

fn send(socket: &UdpSocket) -> Result<(u64, Duration)> {
    let host = SocketAddr::from((HOST.v4, FLOOD_PORT));
    let start = Instant::now();
    let mut sent = 0;
    while sent < PACKETS {
        interrupt::check()?;
        let due = (start.elapsed().as_micros() as u64 * PACE / 1_000_000 + 1).min(PACKETS);
        while sent < due {
            socket.send_to(&PAYLOAD, host).context("cannot send to host")?;
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok((sent, start.elapsed()))
}

/// Counts packets until the flood is over and none has come for a while.
fn count(socket: &UdpSocket, over: &AtomicBool) -> Result<u64> {
    let mut arrived = 0;
    loop {
        let was_over = over.load(Ordering::Relaxed);
        match socket.recv(&mut [0; PAYLOAD.len()]) {
            Ok(_) => arrived += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if was_over {
                    return Ok(arrived);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot receive in host"),
        }
    }
}
