//! Netlink: questions and their answers, and messages as octets with attributes.
//!
//! Attributes are read by their number, so that a kernel which tells more, or something unknown, is understood all the same.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netlink_packet_core::{
    DefaultNla, Emitable as _, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable, NlaBuffer, NlasIterator,
};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_sys::Socket;
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::{TimeVal, TimeValLike},
};

/// Octets of the largest part of an answer: what the kernel makes at most (`NLMSG_GOODSIZE` and `min_dump_alloc`,
/// net/netlink/af_netlink.c).
const ANSWER: usize = 1 << 16;

/// How long the kernel may take for the next part of its answer.
const TIMEOUT_S: i64 = 5;

/// A netlink socket of one protocol, in the network namespace of the thread that opened it.
pub struct NetlinkSocket(Socket);

/// A message whose protocol is read elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// Its type, as the netlink header has it.
    pub kind: u16,
    /// What follows that header.
    pub octets: Vec<u8>,
}

impl NetlinkSocket {
    /// Opens it.
    ///
    /// # Errors
    /// When there is no socket to have.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(TIMEOUT_S))?;
        Ok(Self(socket))
    }

    /// What the one answer to `question` has behind its header.
    ///
    /// # Errors
    /// When the kernel refuses or does not answer.
    pub fn ask(&mut self, question: RawMessage) -> io::Result<Vec<u8>> {
        self.send(question, 0)?;
        let mut answer = Vec::with_capacity(ANSWER);
        self.0.recv(&mut answer, 0)?;
        match NetlinkMessage::<RawMessage>::deserialize(&answer).map_err(io::Error::other)?.payload {
            NetlinkPayload::InnerMessage(message) => Ok(message.octets),
            NetlinkPayload::Error(error) => Err(error.to_io()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Shows every message of the answer to `question` to `visit`.
    ///
    /// # Errors
    /// When the kernel refuses, does not answer, or stops before the end.
    pub fn dump<M>(&mut self, question: M, mut visit: impl FnMut(M)) -> io::Result<()>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        self.dump_while(question, |message| {
            visit(message);
            true
        })
    }

    /// The same as long as `visit` wants more. The socket has the rest of the answer then, and is of no use any more.
    ///
    /// # Errors
    /// As for [`dump`](Self::dump).
    pub fn dump_while<M>(&mut self, question: M, mut visit: impl FnMut(M) -> bool) -> io::Result<()>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        self.send(question, NLM_F_DUMP)?;
        let mut part = Vec::with_capacity(ANSWER);
        loop {
            part.clear();
            self.0.recv(&mut part, 0)?;
            let mut rest = part.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other)?;
                match message.payload {
                    NetlinkPayload::InnerMessage(message) => {
                        let wants_more = visit(message);
                        if !wants_more {
                            return Ok(());
                        }
                    }
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::Done(done) => return ended(done.code),
                    _ => {}
                }
                // Messages are aligned to four octets (netlink(7)); one of length 0 would never end.
                let length = (message.header.length as usize).next_multiple_of(4).max(4);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }

    fn send<M: NetlinkSerializable>(&mut self, question: M, flags: u16) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        self.0.send(&octets, 0).map(drop)
    }
}

/// How a dump ended: the kernel says at its end what stopped it, as a negative errno (net/netlink/af_netlink.c `netlink_dump_done`).
fn ended(code: i32) -> io::Result<()> {
    if code < 0 { Err(io::Error::from_raw_os_error(code.saturating_neg())) } else { Ok(()) }
}

/// Attributes in `octets`; what is no attribute ends them.
pub fn attributes(octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(octets).map_while(|one| whole(one.ok()?))
}

fn whole(attribute: NlaBuffer<&[u8]>) -> Option<(u16, &[u8])> {
    let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
    // Kind and length come first.
    attribute.into_inner().get(4..length).map(|value| (kind, value))
}

/// The first attribute of this kind.
pub fn attribute(octets: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(octets).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

/// Attributes as a message has them.
pub fn encoded(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut octets = vec![0; attributes.buffer_len()];
    attributes.emit(&mut octets);
    octets
}

/// The family of an address, and its octets.
pub fn family_and_octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    }
}

/// An address; `None` when it has neither four octets nor sixteen.
pub fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into())
}

/// A number of four octets.
pub fn number(octets: &[u8]) -> Option<u32> {
    octets.try_into().ok().map(u32::from_ne_bytes)
}

/// A text that ends in a zero.
pub fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_end_matches('\0').to_owned()
}

impl NetlinkSerializable for RawMessage {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.octets.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(&self.octets) {
            *to = *from;
        }
    }
}

impl NetlinkDeserializable for RawMessage {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, octets: payload.to_vec() })
    }
}
