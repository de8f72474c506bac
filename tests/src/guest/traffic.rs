//! Frames from the sender to the protected interface, and what of them got past the program.

use std::{
    io::{ErrorKind, Read as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt::RcvBufForce};

use super::{PROTECTED, SENDER};
use crate::{
    kernel::{Counter, Kernel, Snapshot},
    traffic::{RawSocket, bind_to},
};

/// Between two frames. What the emulation cannot keep up with it would drop, and nobody would count it.
const PAUSE: Duration = Duration::from_millis(1);

/// Room for everything that passes during a step.
const RECEIVE_BUFFER: usize = 16 << 20;

/// How long the kernel may take to free the link of a program that is gone.
const ATTACH_LIMIT: Duration = Duration::from_secs(5);

/// How long the last frame may take until it is counted.
const WIRE_LIMIT: Duration = Duration::from_secs(5);

/// Puts a program on the protected interface, once that of another step has left it.
pub(super) fn attached(mut kernel: Kernel) -> Result<Kernel> {
    let start = Instant::now();
    loop {
        match kernel.attach(PROTECTED) {
            Ok(()) => return Ok(kernel),
            Err(error) if start.elapsed() > ATTACH_LIMIT => return Err(error),
            Err(_) => thread::sleep(10 * PAUSE),
        }
    }
}

/// Frames that were judged, by the counters of their verdicts.
pub(super) fn judged(counted: &Snapshot) -> u64 {
    let verdicts = counted.iter().filter(|(counter, _)| matches!(counter, Counter::Verdict(..)));
    verdicts.map(|(_, [packets, _])| *packets).sum()
}

/// Waits until so many frames have been judged, and the counters stand still.
pub(super) fn wait_for(kernel: &Kernel, frames: u64) -> Result<Snapshot> {
    let start = Instant::now();
    let mut last = kernel.snapshot()?;
    loop {
        let next = kernel.snapshot()?;
        // The counter of the verdict is the first to move.
        if judged(&last) >= frames && next == last {
            return Ok(next);
        }
        let so_far = judged(&next);
        ensure!(start.elapsed() < WIRE_LIMIT, "{so_far} of {frames} frames were counted in {WIRE_LIMIT:?}");
        last = next;
    }
}

/// Frames that are sent until they are told to end.
pub(super) struct Stream {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
}

impl Stream {
    /// Sends `frames` in turn.
    pub(super) fn start(frames: Vec<Vec<u8>>) -> Result<Self> {
        let socket = RawSocket::on(SENDER)?;
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = over.clone();
            move || {
                let mut sent = 0;
                for frame in frames.iter().cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    socket.send(frame)?;
                    sent += 1;
                    thread::sleep(PAUSE);
                }
                Ok(sent)
            }
        });
        Ok(Self { over, thread: Some(thread) })
    }

    /// How many were sent.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a stream is asked once")?;
        thread.join().map_err(|_| anyhow!("the sender panicked"))?
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Sees every frame that the program of the protected interface hands on.
pub(super) struct Capture(std::fs::File);

impl Capture {
    pub(super) fn start() -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
            .context("cannot open a socket to capture with")?;
        bind_to(&socket, nix::net::if_::if_nametoindex(PROTECTED)?).context("cannot bind the capture")?;
        setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).context("cannot enlarge the capture")?;
        Ok(Self(socket.into()))
    }

    /// The frames that came, by what they are equal to; an error when one is equal to none.
    pub(super) fn count(&mut self, known: &[&[u8]]) -> Result<Vec<u64>> {
        let mut counts = vec![0; known.len()];
        let mut buffer = vec![0; 2048];
        loop {
            match self.0.read(&mut buffer) {
                Ok(length) => {
                    let position = known.iter().position(|frame| *frame == &buffer[..length]);
                    counts[position
                        .with_context(|| format!("a frame that nobody sent: {:02x?}", &buffer[..length]))?] += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(counts),
                Err(error) => return Err(error).context("cannot read the capture"),
            }
        }
    }
}
