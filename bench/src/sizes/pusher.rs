//! A client that pushes over the socket, and what the kernel says of the memory of the daemon.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    os::unix::net::UnixStream,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use firewall_tests::until::Until;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{interrupt, rounds::Sample};

/// How long the daemon may take for anything.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Before the first address that is pushed: those of 10.0.0.0/8 follow.
const BEFORE_FIRST: u32 = 0x0a00_0000;

/// An answer, as far as it is looked at.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status code; 0 when there was none.
    pub status: u16,
    /// Octets with the header.
    pub octets: usize,
}

/// How long pushes of one entry took, in milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PushWaits {
    /// How many there were.
    pub count: usize,
    /// How many of them were refused.
    pub refused: usize,
    /// Of the middle one.
    pub p50_ms: f64,
    /// What 99 of 100 did not exceed.
    pub p99_ms: f64,
    /// Of the longest one.
    pub most_ms: f64,
}

/// One push after the other, each of an address that was not pushed before, from any number of threads.
pub struct Pusher<'a> {
    socket: &'a Path,
    next: AtomicU32,
}

impl<'a> Pusher<'a> {
    /// One for the daemon at this socket.
    pub fn new(socket: &'a Path) -> Self {
        Self { socket, next: AtomicU32::new(1) }
    }

    /// Pushes until `work` is over: what that gave, and how long the pushes took. Between two of them is a `pause`.
    ///
    /// # Errors
    /// That of `work`, or when the daemon cannot be reached.
    pub fn beside<T>(&self, pause: Duration, work: impl FnOnce() -> Result<T>) -> Result<(T, PushWaits)> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let until = Until(&over);
            let pushes = scope.spawn(|| self.again_and_again(&over, pause));
            let result = work();
            drop(until);
            let waits = pushes.join().map_err(|_| anyhow!("a thread that pushed panicked"))?;
            Ok((result?, waits?))
        })
    }

    /// Pushes a second that are taken of this many clients.
    ///
    /// # Errors
    /// When the daemon cannot be reached.
    pub fn rate(&self, clients: usize, time: Duration) -> Result<f64> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let until = Until(&over);
            let begin = Instant::now();
            let push = || self.again_and_again(&over, Duration::ZERO);
            let clients: Vec<_> = (0..clients).map(|_| scope.spawn(push)).collect();
            while begin.elapsed() < time && interrupt::check().is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
            drop(until);
            let mut taken = 0;
            for client in clients {
                let waits = client.join().map_err(|_| anyhow!("a thread that pushed panicked"))??;
                taken += waits.count - waits.refused;
            }
            interrupt::check()?;
            Ok(taken as f64 / begin.elapsed().as_secs_f64())
        })
    }

    fn again_and_again(&self, over: &AtomicBool, pause: Duration) -> Result<PushWaits> {
        let (mut sample, mut refused) = (Sample::default(), 0);
        while !over.load(Ordering::Relaxed) {
            let address = Ipv4Addr::from(BEFORE_FIRST + self.next.fetch_add(1, Ordering::Relaxed));
            let entry = json!({"list": "blocked", "prefix": address, "ttl": "1h"});
            let body = json!({"add": [entry], "layer": "ban"}).to_string();
            let begin = Instant::now();
            let answer = post(self.socket, &body)?;
            sample.push(begin.elapsed().as_secs_f64() * 1e3);
            refused += usize::from(answer.status != 200);
            thread::sleep(pause);
        }
        let (p50_ms, p99_ms) = (sample.median(), sample.percentile(99));
        Ok(PushWaits { count: sample.count(), refused, p50_ms, p99_ms, most_ms: sample.max() })
    }
}

/// Posts a push. A daemon may answer before it has read everything, and end the connection.
///
/// # Errors
/// When the daemon cannot be reached.
pub fn post(socket: &Path, body: &str) -> Result<Answered> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST /v1/entries HTTP/1.1\r\nHost: portcullis\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let (mut first, mut octets, mut buffer) = (Vec::new(), 0, vec![0; 64 << 10]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                octets += length;
                if first.len() < 64 {
                    first.extend_from_slice(buffer.get(..length.min(64)).unwrap_or_default());
                }
            }
            // Cut after the answer, because not all of the request was read.
            Err(_) if octets > 0 => break,
            Err(error) => return Err(error).context("the daemon did not answer"),
        }
    }
    if octets == 0 {
        sent.context("the daemon did not take the request")?;
    }
    let status = String::from_utf8_lossy(&first).split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answered { status: status.unwrap_or(0), octets })
}

/// A figure of `/proc/PID/status` that is in KiB, such as `VmRSS`, in MiB.
///
/// # Errors
/// When the kernel does not tell.
pub fn memory_mib(process: u32, name: &str) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {name}"))? / 1024.0)
}

/// From here on `VmHWM` is the most of what comes (proc(5), `clear_refs`, 5).
///
/// # Errors
/// When the kernel refuses.
pub fn forget_peak(process: u32) -> Result<()> {
    let path = format!("/proc/{process}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("cannot write to {path}"))
}
