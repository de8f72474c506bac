//! Who administers the host.

use std::net::IpAddr;

use super::SshSight;
use crate::policy::Prefix;

/// Most sources that are suggested.
const MOST_SUGGESTED: usize = 8;

type Named<T> = Vec<(T, String)>;

/// Who is in `management`, and who may be put there. Only the connection that the command is typed into is taken, and only while it is
/// established: whoever else is connected to sshd may still be guessing a password, and an old address may be somebody else's by now.
pub fn of(ssh: &SshSight) -> (Named<Prefix>, Named<IpAddr>) {
    let caller = ssh.caller.map(|caller| caller.source.ip()).filter(|source| can_be_named(*source));
    let (mut management, mut suggested) = (Vec::new(), Vec::new());
    match (caller, ssh.is_established) {
        (Some(source), Some(false)) => {
            suggested.push((source, "SSH_CONNECTION names it, and that connection is not established here".to_owned()));
        }
        (Some(source), _) => {
            management
                .push((Prefix::host(source), "the ssh connection that `portcullis init` was typed into".to_owned()));
        }
        (None, _) => {}
    }
    let others = ssh.sources.iter().filter(|source| Some(**source) != caller && can_be_named(**source));
    let why = "is connected to sshd now, perhaps without having logged in";
    suggested.extend(others.map(|source| (*source, why.to_owned())));
    suggested.truncate(MOST_SUGGESTED);
    (management, suggested)
}

/// Whether it is the address of one host that is not this one. A link-local address is that of another host on each link.
fn can_be_named(source: IpAddr) -> bool {
    let is_link_local = matches!(source, IpAddr::V6(source) if source.is_unicast_link_local());
    !source.is_loopback() && !source.is_unspecified() && !source.is_multicast() && !is_link_local
}
