//! TCP that the kernel merges to packets longer than 65,535 octets ("BIG TCP"), and a tap that sees how long they are.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::{
    net::if_::if_nametoindex,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
            sockopt::{RcvBufForce, ReceiveTimeout},
        },
        time::{TimeVal, TimeValLike as _},
    },
};

use crate::{
    lab::{INTERFACE, Lab},
    listening::Listening,
    netns::Netns,
    traffic::{bind_to, uninterrupted},
};

/// Longest packet that a lab with merging makes.
pub const LONGEST: u32 = 196_608;

/// How long a transfer may stand still.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a tap waits before it looks whether it is to end.
const SILENCE_MS: i64 = 50;
/// Room for packets that a tap has not read yet.
const RECEIVE_BUFFER: usize = 64 << 20;
/// What is sent at once.
const CHUNK: usize = 1 << 20;

// linux/if_link.h
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GRO_MAX_SIZE: u16 = 58;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
const IFLA_GRO_IPV4_MAX_SIZE: u16 = 64;

/// Lets both ends of the cable make packets of up to [`LONGEST`] octets.
///
/// # Errors
/// When a kernel does not know how.
pub fn allow(lab: &Lab) -> Result<()> {
    for namespace in [&lab.host, &lab.peer] {
        namespace.enter(|| set_limits(if_nametoindex(INTERFACE)?))?.context("cannot allow long packets")?;
    }
    Ok(())
}

/// Asks the kernel itself: the `ip` of Debian 12 has no word for the limits of IPv4.
fn set_limits(interface: u32) -> Result<()> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    // struct ifinfomsg: family, padding, type, index, flags, change.
    let mut body = [&[0u8; 4][..], &interface.to_ne_bytes(), &[0; 8]].concat();
    // Those of IPv4 last: a kernel may set them along with the others.
    for kind in [IFLA_GSO_MAX_SIZE, IFLA_GRO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE] {
        body.extend([8u16.to_ne_bytes(), kind.to_ne_bytes()].concat());
        body.extend(LONGEST.to_ne_bytes());
    }
    let length = (16 + body.len()) as u32;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([libc::RTM_NEWLINK.to_ne_bytes(), flags.to_ne_bytes()].concat());
    message.extend([0; 8]);
    message.extend(body);
    nix::unistd::write(&socket, &message)?;
    let mut answer = [0u8; 256];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // struct nlmsgerr behind the header: the error, negative.
    match answer.get(16..20).filter(|_| length >= 20).and_then(|octets| octets.try_into().ok()).map(i32::from_ne_bytes)
    {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error).into()),
        None => bail!("the kernel answered {length} octets"),
    }
}

/// Sends so many octets over TCP from this source of the peer to a port of the host, which reads them all.
///
/// # Errors
/// When they do not arrive.
pub fn transfer(lab: &Lab, source: &str, host: &str, port: u16, octets: usize) -> Result<()> {
    let (source, host): (IpAddr, IpAddr) = (source.parse()?, host.parse()?);
    let to = SocketAddr::new(host, port);
    let listener = lab.host.enter(|| TcpListener::bind(to))?.context("cannot listen")?;
    let reader = thread::spawn(move || -> io::Result<usize> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(LIMIT))?;
        let (mut buffer, mut read) = (vec![0; CHUNK], 0);
        loop {
            match uninterrupted(|| stream.read(&mut buffer))? {
                0 => return Ok(read),
                length => read += length,
            }
        }
    });
    let sent = lab.peer.enter(|| send(source, to, octets))?;
    if sent.is_err() {
        // The reader may wait for a connection that never came.
        let unspecified = if host.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let _: std::result::Result<_, _> = lab.host.enter(|| TcpStream::connect(SocketAddr::new(unspecified, port)));
    }
    sent.with_context(|| format!("cannot send {octets} octets from {source} to {to}"))?;
    let read = reader.join().map_err(|_| anyhow!("a reader panicked"))??;
    ensure!(read == octets, "{read} of {octets} octets arrived");
    Ok(())
}

fn send(source: IpAddr, to: SocketAddr, octets: usize) -> Result<()> {
    let family = if source.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let address = |address| nix::sys::socket::SockaddrStorage::from(address);
    nix::sys::socket::bind(socket.as_raw_fd(), &address(SocketAddr::new(source, 0)))?;
    setsockopt(&socket, nix::sys::socket::sockopt::SendTimeout, &TimeVal::seconds(LIMIT.as_secs().cast_signed()))?;
    nix::sys::socket::connect(socket.as_raw_fd(), &address(to)).context("cannot connect")?;
    let mut stream = TcpStream::from(socket);
    let chunk = vec![0x5a; CHUNK];
    let mut left = octets;
    while left > 0 {
        let part = left.min(CHUNK);
        stream.write_all(chunk.get(..part).unwrap_or_default())?;
        left -= part;
    }
    Ok(())
}

/// Notes the length of the longest frame that gets past the program on the host's interface.
///
/// # Errors
/// When this is not root.
pub fn tap(host: &Netns) -> Result<Listening<usize>> {
    let socket = host.enter(open)??;
    Ok(Listening::start(move |over| longest(&socket, over)))
}

fn open() -> Result<OwnedFd> {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    bind_to(&socket, if_nametoindex(INTERFACE)?)?;
    setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(SILENCE_MS))?;
    Ok(socket)
}

fn longest(socket: &OwnedFd, over: &AtomicBool) -> io::Result<usize> {
    let mut longest = 0;
    loop {
        let was_over = over.load(Ordering::Relaxed);
        // With this flag the answer is the length of the frame, not what fits.
        match recv(socket.as_raw_fd(), &mut [0; 64], MsgFlags::MSG_TRUNC) {
            Ok(length) => longest = longest.max(length),
            Err(nix::Error::EAGAIN) if was_over => return Ok(longest),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
