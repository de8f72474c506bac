//! Datagrams and raw frames between the namespaces.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Write as _},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt::RcvBufForce},
};

use crate::{
    lab::{INTERFACE, Lab},
    listening::Listening,
    netns::Netns,
};

/// Room for whatever the host has not read yet.
const RECEIVE_BUFFER: usize = 64 << 20;

/// How long a receiver waits before it looks whether it is to end.
const SILENCE: Duration = Duration::from_millis(50);

/// How long a marker may take.
const MARKER_LIMIT: Duration = Duration::from_secs(5);

/// The port of markers; no policy of a test has a service there.
const MARKER_PORT: u16 = 9;

/// A socket of a namespace.
///
/// # Errors
/// When the address is not to be had.
pub fn bind(namespace: &Netns, address: &str, port: u16) -> Result<UdpSocket> {
    let address = SocketAddr::new(address.parse()?, port);
    let bound = namespace.enter(|| UdpSocket::bind(address))?;
    let socket = bound.with_context(|| format!("cannot bind {address} in {}", namespace.name()))?;
    setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).context("cannot enlarge a receive buffer")?;
    Ok(socket)
}

/// Counts the datagrams that arrive at a port of the host, by source, until it is asked for them.
///
/// # Errors
/// When the port is not to be had.
pub fn receive(lab: &Lab, address: &str, port: u16) -> Result<Listening<Arrived>> {
    let socket = bind(&lab.host, address, port)?;
    socket.set_read_timeout(Some(SILENCE))?;
    Ok(Listening::start(move |over| count(&socket, over)))
}

/// Datagrams by source address.
pub type Arrived = BTreeMap<IpAddr, u64>;

fn count(socket: &UdpSocket, over: &AtomicBool) -> io::Result<Arrived> {
    let mut arrived = Arrived::new();
    let mut buffer = [0; 16];
    loop {
        let was_over = over.load(Ordering::Relaxed);
        match socket.recv_from(&mut buffer) {
            Ok((_, source)) => *arrived.entry(source.ip()).or_default() += 1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if was_over {
                    return Ok(arrived);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads again when a signal came between: a read that has a limit is not begun again by the kernel (signal(7)).
///
/// # Errors
/// As `read`, but never of the kind `Interrupted`.
pub fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// Tells which datagrams to one port of the host arrive.
#[derive(Debug)]
pub struct Probe<'a> {
    lab: &'a Lab,
    host: IpAddr,
    service: UdpSocket,
    port: u16,
    marked: UdpSocket,
    marker: UdpSocket,
}

impl<'a> Probe<'a> {
    /// Sends to `port` at an address of the host; `witness` is a source of the same family that nothing refuses.
    ///
    /// # Errors
    /// When an address is not to be had.
    pub fn new(lab: &'a Lab, host: &str, port: u16, witness: &str) -> Result<Self> {
        let service = bind(&lab.host, host, port)?;
        service.set_nonblocking(true)?;
        let marked = bind(&lab.host, host, MARKER_PORT)?;
        marked.set_read_timeout(Some(MARKER_LIMIT))?;
        let marker = bind(&lab.peer, witness, 0)?;
        Ok(Self { lab, host: host.parse()?, service, port, marked, marker })
    }

    /// Whether a datagram of 64 octets from `source` arrives.
    ///
    /// # Errors
    /// When nothing arrives at all.
    pub fn arrives(&self, source: &str) -> Result<bool> {
        self.arrives_with(source, 64)
    }

    /// Whether a datagram of so many octets arrives.
    ///
    /// A marker to a port without a service follows it through the one queue there is: when that one has arrived, the
    /// other has, or never will.
    ///
    /// # Errors
    /// When the marker does not arrive.
    pub fn arrives_with(&self, source: &str, octets: usize) -> Result<bool> {
        let sender = bind(&self.lab.peer, source, 0)?;
        sender.send_to(&vec![0x5a; octets], (self.host, self.port)).context("cannot send a probe")?;
        self.marker.send_to(b"marker", (self.host, MARKER_PORT)).context("cannot send a marker")?;
        uninterrupted(|| self.marked.recv(&mut [0; 16])).context("no marker arrived")?;
        let mut buffer = vec![0; 1 << 16];
        match self.service.recv(&mut buffer) {
            Ok(length) => {
                ensure!(length == octets, "{length} of {octets} octets arrived");
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error).context("cannot receive a probe"),
        }
    }
}

/// A socket that sends whole frames from the peer.
#[derive(Debug)]
pub struct RawSocket(std::fs::File);

impl RawSocket {
    /// Opens it on the peer's end of the cable.
    ///
    /// # Errors
    /// When this is not root.
    pub fn open(peer: &Netns) -> Result<Self> {
        peer.enter(|| Self::on(INTERFACE))?
    }

    /// Opens it on an interface of the namespace of this thread.
    ///
    /// # Errors
    /// When this is not root, or there is no such interface.
    pub fn on(interface: &str) -> Result<Self> {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .context("cannot open a raw socket")?;
        bind_to(&socket, if_nametoindex(interface)?).context("cannot bind a raw socket")?;
        Ok(Self(socket.into()))
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = (&self.0).write(frame).context("cannot send a frame")?;
        ensure!(sent == frame.len(), "{sent} of {} octets were sent", frame.len());
        Ok(())
    }
}

/// Makes a packet socket one of an interface.
pub(crate) fn bind_to(socket: &OwnedFd, interface: u32) -> io::Result<()> {
    // SAFETY: an address of a packet socket is integers and octets, for which zeroes are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = interface.cast_signed();
    let length = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: the kernel reads `length` octets of an address that lives until the call returns.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
