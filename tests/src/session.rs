//! An open TCP connection between the two ends of the cable.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

use crate::{lab::Lab, running::wait_until, traffic::uninterrupted};

/// How long an octet may take that is let through.
const ARRIVAL: Duration = Duration::from_secs(5);

/// For how long nothing comes from a connection that is cut off.
const SILENCE: Duration = Duration::from_millis(500);

/// How long the handshake may take: a SYN that was lost is sent again after a second (RFC 6298 section 2).
const CONNECT: Duration = Duration::from_secs(10);

/// How long it may take until a connection that was cut off goes on. TCP waits twice as long after each loss (RFC 6298 section 5.5): 25 s
/// lie between the seventh and the eighth attempt.
const RECOVERY: Duration = Duration::from_secs(120);

/// A connection, held open at both ends, and the socket that listens.
#[derive(Debug)]
pub struct Session {
    /// The end of the peer.
    there: TcpStream,
    /// The end of the host.
    here: TcpStream,
    _listener: TcpListener,
}

impl Session {
    /// Has the host listen at an IPv4 address and port, and connects there from a source of the peer.
    ///
    /// # Errors
    /// When the connection is not let through.
    pub fn open(lab: &Lab, source: &str, host: &str, port: u16) -> Result<Self> {
        let listener = lab.host.enter(|| TcpListener::bind((host, port)))?;
        let listener = listener.with_context(|| format!("cannot listen at {host}:{port}"))?;
        let (source, host): (Ipv4Addr, Ipv4Addr) = (source.parse()?, host.parse()?);
        let client = lab.peer.enter(|| {
            let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
            let stream = TcpStream::from(socket);
            stream.set_write_timeout(Some(CONNECT))?;
            connect(stream.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(host, port)))?;
            stream.set_nodelay(true)?;
            anyhow::Ok(stream)
        })??;
        let (server, _) = listener.accept()?;
        Ok(Self { there: client, here: server, _listener: listener })
    }

    /// Has the peer listen at an IPv4 address and port of its own, and connects there from the host.
    ///
    /// # Errors
    /// When the connection is not let through.
    pub fn open_outgoing(lab: &Lab, server: &str, port: u16) -> Result<Self> {
        let listener = lab.peer.enter(|| TcpListener::bind((server, port)))?;
        let listener = listener.with_context(|| format!("cannot listen at {server}:{port}"))?;
        let server = listener.local_addr()?;
        let here = lab.host.enter(|| TcpStream::connect_timeout(&server, CONNECT))??;
        let (there, _) = listener.accept()?;
        there.set_nodelay(true)?;
        Ok(Self { there, here, _listener: listener })
    }

    /// The port of the host.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn port_here(&self) -> Result<u16> {
        Ok(self.here.local_addr()?.port())
    }

    /// Both ends, as messages name them: `192.0.2.2:40000 -> 192.0.2.10:22`.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn ends(&self) -> Result<String> {
        Ok(format!("{} -> {}", self.there.local_addr()?, self.there.peer_addr()?))
    }

    /// The same as `SSH_CONNECTION` has it.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn ssh_connection(&self) -> Result<String> {
        let words = |end: SocketAddr| format!("{} {}", end.ip(), end.port());
        Ok(format!("{} {}", words(self.there.local_addr()?), words(self.there.peer_addr()?)))
    }

    /// Whether an octet from the peer arrives.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn is_alive(&mut self) -> Result<bool> {
        self.arrives(ARRIVAL)
    }

    /// Whether no octet from the peer arrives for a while.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn is_cut_off(&mut self) -> Result<bool> {
        Ok(!self.arrives(SILENCE)?)
    }

    /// Waits until octets arrive that did not.
    ///
    /// # Errors
    /// When none does, or the connection has ended.
    pub fn recovers(&mut self) -> Result<()> {
        wait_until("the connection goes on", RECOVERY, || Ok((!self.is_cut_off()?).then_some(())))
    }

    fn arrives(&mut self, limit: Duration) -> Result<bool> {
        self.here.set_read_timeout(Some(limit))?;
        self.there.write_all(b".")?;
        match uninterrupted(|| self.here.read(&mut [0; 64])) {
            Ok(octets) => Ok(octets > 0),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error).context("the connection ended"),
        }
    }
}
