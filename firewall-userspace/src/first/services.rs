//! Which services there are: what listens for others, and what profiles want.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use firewall_common::abi::{MAX_LOCAL_ADDRESSES, MAX_SERVICES};

use super::{FirstSight, FoundService, Profile, Skipped, names};
use crate::{
    host::{
        connections::{Listening, OpenSocket},
        devices::LinkType,
        processes::SocketHolder,
    },
    policy::Protocol,
};

/// Programs that listen in the place of others: a port of one has nothing to do with the next.
const STAND_INS: [&str; 9] =
    ["systemd", "init", "inetd", "xinetd", "docker-proxy", "rootlessport", "conmon", "slirp4netns", "pasta"];

/// Most lines that say who listens.
const MOST_LINES: usize = 8;

/// What listens at one port, at addresses of one program.
struct ListeningProgram<'s> {
    protocol: Protocol,
    port: u16,
    /// None for all addresses.
    addresses: BTreeSet<IpAddr>,
    sockets: Vec<&'s OpenSocket>,
}

/// What ports of one service have in common: its name, its protocol, its addresses, and its port where others are not to join.
type Common = (String, Protocol, BTreeSet<IpAddr>, Option<u16>);

/// Services by name, and sockets that get none.
pub fn find(sight: &FirstSight, profiles: &BTreeSet<Profile>) -> (Vec<FoundService>, Vec<Skipped>) {
    let mut skipped = BTreeSet::new();
    let mut by_port: BTreeMap<(Protocol, u16), Vec<&OpenSocket>> = BTreeMap::new();
    for socket in &sight.sockets {
        let Listening { protocol, local } = socket.listening;
        match unserved(sight, socket) {
            Some(why) => {
                skipped.insert(Skipped {
                    what: format!("{protocol} {local}"),
                    why: format!("{}: {why}", sight.who(socket)),
                });
            }
            None => by_port.entry((protocol, local.port())).or_default().push(socket),
        }
    }
    let mut common: BTreeMap<Common, Vec<ListeningProgram<'_>>> = BTreeMap::new();
    for listener in by_port.into_iter().flat_map(|(port, sockets)| listeners(sight, port, sockets)) {
        common.entry(in_common(sight, &listener)).or_default().push(listener);
    }
    let (mut services, mut taken, mut local) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut at_port: BTreeMap<(Protocol, u16), usize> = BTreeMap::new();
    for listener in common.values().flatten() {
        *at_port.entry((listener.protocol, listener.port)).or_default() += 1;
    }
    for ((program, protocol, addresses, _), listeners) in common {
        let ports: BTreeSet<u16> = listeners.iter().map(|listener| listener.port).collect();
        let is_ssh = is_ssh(sight, protocol, ports.first().copied().unwrap_or_default());
        let program = Some(program.as_str()).filter(|program| !program.is_empty() && !STAND_INS.contains(program));
        let name = match is_ssh {
            true => names::unique("ssh", protocol, &taken),
            false => names::name(protocol, &ports, program, &taken),
        };
        // One that is alone at its ports needs no addresses; those of all services have a limit.
        let is_alone = ports.iter().all(|port| at_port.get(&(protocol, *port)) == Some(&1));
        let fits = local.union(&addresses).count() <= MAX_LOCAL_ADDRESSES;
        let addresses = if is_alone && !fits { BTreeSet::new() } else { addresses };
        let with_these: BTreeSet<IpAddr> = local.union(&addresses).copied().collect();
        if services.len() >= MAX_SERVICES || with_these.len() > MAX_LOCAL_ADDRESSES {
            let why =
                format!("a configuration has at most {MAX_SERVICES} services with {MAX_LOCAL_ADDRESSES} addresses");
            skipped.extend(ports.iter().map(|port| Skipped { what: format!("{protocol} {port}"), why: why.clone() }));
            continue;
        }
        local = with_these;
        taken.insert(name.clone());
        let reasons = reasons(sight, &listeners);
        services.push(FoundService { name, protocol, ports, addresses, is_ssh, reasons });
    }
    for profile in profiles {
        add(sight, *profile, &mut services, &mut taken);
    }
    services.sort_by(|one, other| one.name.cmp(&other.name));
    (services, skipped.into_iter().collect())
}

/// Adds what a profile wants and no service has yet.
fn add(sight: &FirstSight, profile: Profile, services: &mut Vec<FoundService>, taken: &mut BTreeSet<String>) {
    for (protocol, mut ports) in profile.ports(sight) {
        ports.retain(|port| !services.iter().any(|one| one.protocol == protocol && one.ports.contains(port)));
        if ports.is_empty() || services.len() >= MAX_SERVICES {
            continue;
        }
        let name = names::unique(profile.label(), protocol, taken);
        taken.insert(name.clone());
        services.push(FoundService {
            name,
            protocol,
            ports,
            addresses: BTreeSet::new(),
            is_ssh: profile == Profile::Ssh,
            reasons: vec![format!("profile {}: nobody listens there yet", profile.label())],
        });
    }
}

/// What listens at one port: one at all addresses, or one for each program at its own addresses.
fn listeners<'s>(
    sight: &FirstSight,
    (protocol, port): (Protocol, u16),
    sockets: Vec<&'s OpenSocket>,
) -> Vec<ListeningProgram<'s>> {
    if sockets.iter().any(|socket| socket.listening.local.ip().is_unspecified()) {
        return vec![ListeningProgram { protocol, port, addresses: BTreeSet::new(), sockets }];
    }
    // An address that several have is that of the first.
    let mut owners: BTreeMap<IpAddr, String> = BTreeMap::new();
    let mut by_program: BTreeMap<String, ListeningProgram<'_>> = BTreeMap::new();
    for socket in sockets {
        let address = socket.listening.local.ip();
        let program = || sight.holder(socket).map(|holder| holder.name.clone()).unwrap_or_default();
        let owner = owners.entry(address).or_insert_with(program).clone();
        let new = || ListeningProgram { protocol, port, addresses: BTreeSet::new(), sockets: Vec::new() };
        let listener = by_program.entry(owner).or_insert_with(new);
        listener.addresses.insert(address);
        listener.sockets.push(socket);
    }
    by_program.into_values().collect()
}

fn in_common(sight: &FirstSight, listener: &ListeningProgram<'_>) -> Common {
    let ListeningProgram { protocol, port, addresses, sockets } = listener;
    let program = sockets.iter().find_map(|socket| sight.holder(socket)).map(|holder| holder.name.clone());
    let program = program.unwrap_or_default();
    if is_ssh(sight, *protocol, *port) {
        return ("sshd".to_owned(), *protocol, addresses.clone(), None);
    }
    let is_alone = program.is_empty() || STAND_INS.contains(&&*program);
    (program, *protocol, addresses.clone(), is_alone.then_some(*port))
}

fn is_ssh(sight: &FirstSight, protocol: Protocol, port: u16) -> bool {
    protocol == Protocol::Tcp && sight.ssh.ports.contains(&port)
}

/// Why a socket gets no service; `None` when it gets one.
fn unserved(sight: &FirstSight, socket: &OpenSocket) -> Option<&'static str> {
    let Listening { protocol, local } = socket.listening;
    let (address, port) = (local.ip(), local.port());
    let program = sight.holder(socket).map_or("", |holder| &holder.name);
    let at_device = sight.devices.at(socket.device);
    let is_off = |ifindex: u32| {
        sight.devices.at(ifindex).is_some_and(|one| one.link_type != LinkType::Ethernet || sight.is_inner(one))
    };
    let mut owners = sight.addresses.iter().filter(|one| one.address == address).map(|one| one.ifindex).peekable();
    if address.is_loopback() || at_device.is_some_and(|device| device.link_type == LinkType::Loopback) {
        return Some("this host alone reaches it");
    }
    if address.is_multicast() {
        return Some("it is a group of the local network");
    }
    if is_off(socket.device) || owners.peek().is_some() && owners.all(is_off) {
        return Some("it is behind an interface that is not filtered: a tunnel, or a bridge of guests or containers");
    }
    if protocol == Protocol::Udp {
        let is_tunnel = names::known(protocol, port).is_some() || sight.wireguard_ports().contains(&port);
        match port {
            68 | 546 => return Some("it is a client of DHCP, whose replies are essential"),
            5353 | 5355 => return Some("it asks for names in the local network"),
            123 if program == "ntpd" => return Some("replies of time servers come there"),
            _ if sight.given.contains(port) && !is_tunnel => {
                return Some("the kernel chose the port: it asks others, and serves nobody");
            }
            _ => {}
        }
    }
    (port == 5355).then_some("it asks for names in the local network")
}

/// Who listens where.
fn reasons(sight: &FirstSight, listeners: &[ListeningProgram<'_>]) -> Vec<String> {
    let sockets = listeners.iter().flat_map(|listener| &listener.sockets);
    let lines: BTreeSet<(u16, String)> = sockets
        .map(|socket| {
            let local = socket.listening.local;
            (local.port(), format!("{} listens at {local}", sight.who(socket)))
        })
        .collect();
    let more = lines.len().saturating_sub(MOST_LINES);
    let mut lines: Vec<String> = lines.into_iter().map(|(_, line)| line).take(MOST_LINES).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let is_random =
        |listener: &ListeningProgram<'_>| listener.protocol == Protocol::Tcp && sight.given.contains(listener.port);
    if listeners.iter().any(is_random) {
        lines.push("the kernel may have chosen a port of these, and choose another one after a restart".into());
    }
    lines
}

impl FirstSight {
    /// The program of a socket: of several the one that is not there to listen for others, and of those the oldest.
    fn holder(&self, socket: &OpenSocket) -> Option<&SocketHolder> {
        let all = self.holders.get(&socket.inode)?;
        all.iter().find(|holder| !STAND_INS.contains(&&*holder.name)).or_else(|| all.first())
    }

    /// `nginx, pid 812`.
    fn who(&self, socket: &OpenSocket) -> String {
        match self.holder(socket) {
            Some(SocketHolder { process, name }) => format!("{name}, pid {process},"),
            None if socket.inode == 0 => "the kernel".to_owned(),
            None => "a program that this user may not see".to_owned(),
        }
    }
}
