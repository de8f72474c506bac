//! The XDP programs on one interface, asked without a runtime.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::{TimeVal, TimeValLike},
};
use rtnetlink::packet_route::{RouteNetlinkMessage, link::LinkMessage};

use super::{AttachedProgram, device};

/// How long the kernel may take.
const TIMEOUT_S: i64 = 5;

/// Programs on the interface, in the network namespace of this thread.
///
/// # Errors
/// When there is no such interface, or the kernel does not answer.
pub fn attached_to(ifindex: u32) -> io::Result<Vec<AttachedProgram>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(TIMEOUT_S))?;
    let mut request = LinkMessage::default();
    request.header.index = ifindex;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetLink(request)));
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    socket.send(&octets, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(|error| invalid(error.to_string()))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(device(&link).programs),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(invalid("the kernel tells of something else".to_owned())),
    }
}
