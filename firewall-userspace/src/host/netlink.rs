//! What netlink tells of this host: its addresses, which are sources that no packet from outside can have, and that interfaces change.

use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use futures_util::StreamExt;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::TimeVal,
};
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_route::address::{AddressAttribute, AddressFlags, AddressMessage},
};
use tokio::sync::mpsc;

use crate::policy::Prefix;

/// Follows the addresses of the network namespace.
pub struct Addresses {
    handle: Handle,
    events: mpsc::Receiver<()>,
}

/// Follows the interfaces of the network namespace, on a thread of its own: nothing that a runtime is busy with delays it.
#[derive(Debug)]
pub struct Links {
    socket: Socket,
}

/// Why the addresses could not be read.
#[derive(Debug)]
pub enum NetlinkError {
    /// No socket.
    Connect(io::Error),
    /// No socket for changes of interfaces.
    Links(io::Error),
    /// The kernel did not answer the dump.
    Dump(rtnetlink::Error),
}

impl Addresses {
    /// Subscribes to changes.
    ///
    /// # Errors
    /// When there is no netlink socket to have.
    pub fn subscribe() -> Result<Self, NetlinkError> {
        let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, mut messages) = new_multicast_connection(&groups).map_err(NetlinkError::Connect)?;
        let (sender, events) = mpsc::channel(1);
        tokio::spawn(connection);
        tokio::spawn(async move {
            while messages.next().await.is_some() {
                // A full channel already says that there is something new.
                if let Err(mpsc::error::TrySendError::Closed(())) = sender.try_send(()) {
                    break;
                }
            }
        });
        Ok(Self { handle, events })
    }

    /// Waits until addresses may have changed; `None` when netlink is gone.
    pub async fn changed(&mut self) -> Option<()> {
        self.events.recv().await
    }

    /// Forgets a change that was heard of.
    pub fn forget(&mut self) {
        let _ = self.events.try_recv();
    }

    /// Every address of the namespace and the broadcast addresses of its subnets, as host prefixes.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn read(&self) -> Result<BTreeSet<Prefix>, NetlinkError> {
        let mut dump = self.handle.address().get().execute();
        let mut own = BTreeSet::new();
        while let Some(message) = dump.next().await {
            own.extend(own_prefixes(&message.map_err(NetlinkError::Dump)?));
        }
        Ok(own)
    }
}

impl Links {
    /// Subscribes to changes; `longest` is how long [`wait`](Self::wait) waits for one.
    ///
    /// # Errors
    /// When there is no netlink socket to have.
    pub fn subscribe(longest: Duration) -> Result<Self, NetlinkError> {
        let subscribe = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.add_membership(RTNLGRP_LINK)?;
            let seconds = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
            setsockopt(&socket, ReceiveTimeout, &TimeVal::new(seconds, longest.subsec_micros().into()))?;
            Ok(Self { socket })
        };
        subscribe().map_err(NetlinkError::Links)
    }

    /// Waits until interfaces may have changed, or the longest time has passed; whether they may have.
    ///
    /// # Errors
    /// When the kernel does not tell any more.
    pub fn wait(&self) -> io::Result<bool> {
        let mut is_first = true;
        loop {
            // What it says does not matter: a buffer without room takes a part of it, and the kernel forgets the rest.
            let flags = if is_first { 0 } else { libc::MSG_DONTWAIT };
            match self.socket.recv(&mut Vec::with_capacity(64), flags) {
                Ok(_) => is_first = false,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(!is_first),
                    // There were more than there was room for.
                    Some(libc::ENOBUFS) => return Ok(true),
                    Some(libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

/// Group of changes of interfaces (linux/rtnetlink.h).
const RTNLGRP_LINK: u32 = 1;

/// What one address makes impossible as a source.
fn own_prefixes(message: &AddressMessage) -> Vec<Prefix> {
    let mut address = None;
    let mut local = None;
    let mut broadcast = None;
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(found) => address = Some(*found),
            AddressAttribute::Local(found) => local = Some(*found),
            AddressAttribute::Broadcast(found) => broadcast = Some(*found),
            AddressAttribute::Flags(found) => flags = *found,
            _ => {}
        }
    }
    // An address under duplicate address detection is not assigned yet (RFC 4862 section 5.4): the neighbour that has it
    // must be heard.
    if flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic) {
        return Vec::new();
    }
    // On a point-to-point link `Address` is the peer's.
    let Some(own) = local.or(address) else { return Vec::new() };
    let mut prefixes = vec![Prefix::host(own)];
    prefixes.extend(broadcast.map(|broadcast| Prefix::host(broadcast.into())));
    if let IpAddr::V4(own) = own {
        prefixes.extend(subnet_broadcast(own, message.header.prefix_len).map(|last| Prefix::host(last.into())));
    }
    prefixes
}

/// Last address of an IPv4 subnet; none for /31 (RFC 3021) and /32. The kernel treats it as broadcast also when the
/// address was added without one (net/ipv4/fib_frontend.c `fib_add_ifaddr`).
fn subnet_broadcast(address: Ipv4Addr, prefix_length: u8) -> Option<Ipv4Addr> {
    let host_bits = u32::MAX.checked_shr(u32::from(prefix_length)).filter(|_| prefix_length < 31)?;
    Some(Ipv4Addr::from(u32::from(address) | host_bits))
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot follow the addresses of this host: {error}"),
            Self::Links(error) => write!(f, "cannot follow the interfaces of this host: {error}"),
            Self::Dump(error) => write!(f, "cannot read the addresses of this host: {error}"),
        }
    }
}

impl std::error::Error for NetlinkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_subnet_is_its_broadcast() {
        let of =
            |address: &str, length| subnet_broadcast(address.parse().unwrap(), length).map(|last| last.to_string());
        assert_eq!(of("192.0.2.130", 25), Some("192.0.2.255".into()));
        assert_eq!(of("10.0.0.1", 8), Some("10.255.255.255".into()));
        assert_eq!(of("192.0.2.1", 30), Some("192.0.2.3".into()));
        assert_eq!(of("192.0.2.1", 31), None);
        assert_eq!(of("192.0.2.1", 32), None);
    }
}
