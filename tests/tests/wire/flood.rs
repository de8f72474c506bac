//! Packets that must not arrive, without an end, while the daemon is killed, replaced or started again.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow};
use firewall_tests::{
    daemon::LIMIT,
    lab::{FOE4, HOST4, Lab},
    running::wait_until,
    traffic::{Arrived, bind, receive},
    until::Until,
};

use crate::policy::DATA;

/// How many packets the foe has sent.
#[derive(Default)]
pub struct Sent(AtomicU64);

impl Sent {
    /// Waits until there are 1000 more.
    pub fn more(&self) -> Result<()> {
        let wanted = self.0.load(Ordering::Relaxed) + 1000;
        wait_until("packets that are sent", LIMIT, || Ok((self.0.load(Ordering::Relaxed) >= wanted).then_some(())))
    }

    fn send(&self, lab: &Lab, over: &AtomicBool) -> Result<()> {
        let socket = bind(&lab.peer, FOE4, 0)?;
        while !over.load(Ordering::Relaxed) {
            // Without a cable there is no way.
            let sent = (0..50).filter(|_| socket.send_to(&[0x5a; 32], (HOST4, DATA)).is_ok()).count();
            self.0.fetch_add(sent as u64, Ordering::Relaxed);
            // Leaves the CPU to those who restart.
            thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }
}

/// Sends as the foe while `work` is done, and at least 1000 packets before and behind it: what arrived, and how many were sent.
pub fn leaked_while(lab: &Lab, work: impl FnOnce(&Sent) -> Result<()>) -> Result<(Arrived, u64)> {
    let receiver = receive(lab, HOST4, DATA)?;
    let (over, sent) = (AtomicBool::new(false), Sent::default());
    thread::scope(|scope| {
        let until = Until(&over);
        let flood = scope.spawn(|| sent.send(lab, &over));
        let done = sent.more().and_then(|()| work(&sent)).and_then(|()| sent.more());
        drop(until);
        flood.join().map_err(|_| anyhow!("the flood panicked"))??;
        done
    })?;
    Ok((receiver.finish()?, sent.0.into_inner()))
}
