//! More packets than a source may send, and the socket that counts which of them arrive.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    lab::{ATTACKER, FLOOD_PORT, HOST, Lab},
    paced,
};

/// Packets sent in all.
const PACKETS: u64 = 60_000;
/// Packets sent per second: twenty times what is let through.
const PACE: u64 = 20_000;
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
    paced::prepare(&receiver, RECEIVE_BUFFER, SILENCE)?;

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let arriving = scope.spawn(|| {
            let mut arrived = 0;
            paced::receive(&receiver, &over, |_| arrived += 1).map(|()| arrived)
        });
        let to = SocketAddr::from((HOST.v4, FLOOD_PORT));
        let sending = scope.spawn(move || paced::send(&sender, to, PACE, PACKETS, |_| true));
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
