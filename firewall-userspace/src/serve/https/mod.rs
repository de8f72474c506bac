//! The API over TCP: HTTPS, and a port that sends whoever comes without to it.
//!
//! In: connections at the addresses of `[api]`, which may come later than the daemon, and a router. Out: requests with what is known of
//! the other end, each with its limits of size and time. It owns sockets and connections; certificates are `tls`'s, and who asks is
//! found out by the router.

mod connection;
mod exchanges;
mod listener;
mod redirect;
mod sockets;
mod spawner;

use std::net::{IpAddr, SocketAddr};

pub use self::{
    listener::{LocalAddress, NetworkPeer, serve, source_of},
    redirect::serve as serve_redirect,
    sockets::{Sockets, unbound},
};
pub use super::tls::PresentedCertificate;
use crate::policy::HttpsSettings;

/// Whether `host`, as a URL has it, is a name or an address by which this host is served; `to` is where the connection came in.
pub fn serves_host(https: &HttpsSettings, to: Option<SocketAddr>, host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_own = |address: IpAddr| {
        to.is_some_and(|to| to.ip().to_canonical() == address) || https.listen.iter().any(|at| at.ip() == address)
    };
    https.hosts.iter().any(|name| name.eq_ignore_ascii_case(host)) || literal.parse().is_ok_and(is_own)
}

#[cfg(test)]
mod tests;
