//! Groups of this host, and of whoever is at the other end of a Unix socket.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::unistd::Group;

/// How long the groups of this host may take to be found.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most groups that are asked for at first; nearly everybody is in fewer.
const FEW: usize = 64;

/// The number of the group that `wanted` names, or is. A directory service that does not answer, as at a boot without a network, is not
/// waited for longer than 2 s.
///
/// # Errors
/// Why there is none, in words.
pub fn number(wanted: &str) -> Result<u32, String> {
    // The largest number is no group: chown(2) takes it for "no change".
    if wanted.bytes().all(|octet| octet.is_ascii_digit())
        && let Ok(number) = wanted.parse()
        && number != u32::MAX
    {
        return Ok(number);
    }
    let (answer, answered) = mpsc::channel();
    let name = wanted.to_owned();
    let asker = thread::Builder::new().name("group".into()).spawn(move || answer.send(Group::from_name(&name)));
    asker.map_err(|error| format!("the groups of this host cannot be read: {error}"))?;
    match answered.recv_timeout(PATIENCE) {
        Ok(Ok(Some(group))) => Ok(group.gid.as_raw()),
        Ok(Ok(None)) => Err("there is no such group (`getent group` lists them)".into()),
        Ok(Err(errno)) => Err(format!("the groups of this host cannot be read: {}", errno.desc())),
        Err(_) => Err(format!("whoever knows the groups of this host did not answer in {} s", PATIENCE.as_secs())),
    }
}

/// The supplementary groups of whoever called connect(2) for `socket`, as the kernel saw them then (SO_PEERGROUPS of unix(7)).
///
/// # Errors
/// When the kernel does not tell.
pub fn of_peer(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; FEW];
    loop {
        let octets = size_of_val(&*groups);
        let mut length = libc::socklen_t::try_from(octets).map_err(io::Error::other)?;
        // SAFETY: `groups` has `length` octets that may be written to, and both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).map_err(io::Error::other)? / size_of::<u32>();
        let error = io::Error::last_os_error();
        match result {
            0 => {
                groups.truncate(count);
                return Ok(groups);
            }
            // ERANGE: `length` says now how many there are (net/core/sock.c sk_getsockopt).
            _ if error.raw_os_error() == Some(libc::ERANGE) && count > groups.len() => groups.resize(count, 0),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd, unix::net::UnixStream};

    use nix::unistd::getgroups;

    use super::*;

    #[test]
    fn a_group_has_a_name_or_a_number() {
        assert_eq!(number("root"), Ok(0));
        assert_eq!(number("4294967294"), Ok(4_294_967_294));
        for none in ["no-such-group-here", "-1", "+7", "4294967295", "4294967296"] {
            assert!(number(none).unwrap_err().contains("there is no such group"), "{none}");
        }
    }

    #[test]
    fn the_peer_has_the_groups_of_whoever_connected() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own: Vec<u32> = getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        assert_eq!(of_peer(one.as_fd()).unwrap(), own);
    }
}
