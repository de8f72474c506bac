//! Packets at a pace, and who counts those that arrive.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use crate::interrupt;

/// Octets behind the UDP header.
const PAYLOAD: [u8; 64] = [0x5a; 64];
/// Between two looks at what is due.
const GLANCE: Duration = Duration::from_millis(1);

/// Makes `socket` one that holds so many octets, and looks up after so long without a packet.
///
/// # Errors
/// When the kernel refuses.
pub fn prepare(socket: &UdpSocket, octets: usize, silence: Duration) -> Result<()> {
    setsockopt(socket, RcvBufForce, &octets).context("cannot enlarge the receive buffer")?;
    socket.set_read_timeout(Some(silence)).context("cannot set a time limit for the receiver")
}

/// Sends `pace` packets a second as long as `goes_on` says so of what was sent until then; at most `most`. How many, and in what time.
///
/// # Errors
/// When a packet cannot be sent, or a signal came.
pub fn send(
    socket: &UdpSocket,
    to: SocketAddr,
    pace: u64,
    most: u64,
    goes_on: impl Fn(u64) -> bool,
) -> Result<(u64, Duration)> {
    let start = Instant::now();
    let mut sent = 0;
    while sent < most && goes_on(sent) {
        interrupt::check()?;
        let due = (start.elapsed().as_micros() as u64 * pace / 1_000_000 + 1).min(most);
        while sent < due {
            socket.send_to(&PAYLOAD, to).with_context(|| format!("cannot send to {to}"))?;
            sent += 1;
        }
        thread::sleep(GLANCE);
    }
    Ok((sent, start.elapsed()))
}

/// Tells `arrived` of the source of each packet, until it is `over` and none has come for a while.
///
/// # Errors
/// When the socket cannot be read.
pub fn receive(socket: &UdpSocket, over: &AtomicBool, mut arrived: impl FnMut(SocketAddr)) -> Result<()> {
    loop {
        let was_over = over.load(Ordering::Relaxed);
        match socket.recv_from(&mut [0; PAYLOAD.len()]) {
            Ok((_, source)) => arrived(source),
            Err(error) if error.kind() == ErrorKind::WouldBlock && was_over => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error).context("cannot receive what is sent"),
        }
    }
}
