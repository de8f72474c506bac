//! Packets that must not arrive, without an end, while the daemon is killed, replaced or started again.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use firewall_tests::{
    daemon::LIMIT,
    lab::{FOE4, HOST4, Lab},
    running::wait_until,
    traffic::{Arrived, Receiver, bind},
};

use crate::policy::DATA;

/// Sends as the foe until `over`.
pub fn send(lab: &Lab, over: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let socket = bind(&lab.peer, FOE4, 0)?;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..50 {
            socket.send_to(&[0x5a; 32], (HOST4, DATA)).context("cannot send")?;
        }
        sent.fetch_add(50, Ordering::Relaxed);
        // Leaves the CPU to those who restart.
        thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

/// Waits until so many packets are sent.
pub fn wait_for(sent: &AtomicU64, wanted: u64) -> Result<()> {
    wait_until("packets that are sent", LIMIT, || Ok((sent.load(Ordering::Relaxed) >= wanted).then_some(())))
}

/// Sends as the foe while `work` is done, and at least 1000 packets before and behind it: what arrived, and how many were sent.
pub fn leaked_while(lab: &Lab, work: impl FnOnce() -> Result<()>) -> Result<(Arrived, u64)> {
    let receiver = Receiver::start(lab, HOST4, DATA)?;
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let flood = scope.spawn(|| send(lab, &over, &sent));
        let more = || wait_for(&sent, sent.load(Ordering::Relaxed) + 1000);
        let done = more().and_then(|()| work()).and_then(|()| more());
        over.store(true, Ordering::Relaxed);
        flood.join().map_err(|_| anyhow!("the flood panicked"))??;
        done
    })?;
    Ok((receiver.finish()?, sent.into_inner()))
}
