//! Acts on what netlink tells, and tells the controller.

use std::{
    collections::BTreeSet,
    thread::{self, Builder},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    controller::{Controller, LateUpkeep},
    host::netlink::{Addresses, Links},
    policy::Prefix,
};

/// Events that come in this time are answered by one dump: an interface that comes up sends several.
const SETTLE: Duration = Duration::from_millis(20);

/// A dump although nothing was heard: netlink drops events when its buffer overflows.
const RESYNC: Duration = Duration::from_secs(30);

/// How often interfaces and pins are looked at although nothing was heard: a file system says nothing of pins that are removed.
pub const LOOK: Duration = Duration::from_secs(1);

/// Tells `controller` whenever the addresses change, until it ends.
pub async fn addresses(mut addresses: Addresses, controller: Controller, mut known: BTreeSet<Prefix>) {
    loop {
        if let Ok(None) = tokio::time::timeout(RESYNC, addresses.changed()).await {
            tracing::error!("netlink is gone; the addresses of this host are no longer followed");
            return;
        }
        tokio::time::sleep(SETTLE).await;
        addresses.forget();
        match addresses.read().await {
            Ok(own) if own == known => {}
            Ok(own) => {
                match controller.own_addresses(own.iter().copied().collect()).await {
                    Ok(true) => known = own,
                    // Tried again, at the latest when all is read anew.
                    Ok(false) => {}
                    Err(_) => return,
                }
            }
            Err(error) => tracing::warn!(%error, "cannot read the addresses of this host; trying again"),
        }
    }
}

/// Brings interfaces and pins in line at once whenever interfaces change, and regularly, on a thread of its own: an interface that is
/// new is open until then, and the controller may be busy. Tells `controller` what came of it. Ends with that thread, or at once where
/// there is none to be had.
pub async fn links(links: Links, upkeep: LateUpkeep, controller: Controller) {
    let (running, ended) = oneshot::channel::<()>();
    let follow = move || {
        let _running = running;
        follow_links(&links, &upkeep, &controller);
    };
    match Builder::new().name("interfaces".into()).spawn(follow) {
        Ok(_) => drop(ended.await),
        Err(error) => tracing::error!(%error, "cannot follow the interfaces of this host"),
    }
}

fn follow_links(links: &Links, upkeep: &LateUpkeep, controller: &Controller) {
    let mut is_deaf = false;
    loop {
        let has_heard = links.wait().unwrap_or_else(|error| {
            if !is_deaf {
                tracing::error!(%error, "netlink says nothing of interfaces any more; they are looked at each second");
            }
            is_deaf = true;
            thread::sleep(LOOK);
            true
        });
        // Nothing filters before there is a policy.
        let Some(upkeep) = upkeep.get() else { continue };
        let Some(upkeep) = upkeep.upgrade() else { return };
        if upkeep.follow(has_heard) && !controller.note_interfaces() {
            return;
        }
    }
}
