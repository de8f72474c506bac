//! Tells the controller what netlink tells.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    controller::Controller,
    host::netlink::{Addresses, Links},
    policy::Prefix,
};

/// Events that come in this time are answered by one dump: an interface that comes up sends several.
const SETTLE: Duration = Duration::from_millis(20);

/// A dump although nothing was heard: netlink drops events when its buffer overflows.
const RESYNC: Duration = Duration::from_secs(30);

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

/// Tells `controller` at once whenever interfaces change, until it ends: a new one is open until then.
pub async fn links(mut links: Links, controller: Controller) {
    loop {
        if let Ok(None) = tokio::time::timeout(RESYNC, links.changed()).await {
            tracing::error!("netlink is gone; interfaces that are made anew are not followed");
            return;
        }
        if controller.interfaces().await.is_err() {
            return;
        }
    }
}
