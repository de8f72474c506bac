//! Packets that must not arrive, without an end, while the daemon is killed, replaced or started again.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use firewall_tests::{
    daemon::LIMIT,
    lab::{FOE4, HOST4, Lab},
    running::wait_until,
    traffic::bind,
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
