//! Made-up hosts, and what is proposed for them.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::{
    host::{
        addresses::InterfaceAddress,
        connections::{Listening, OpenSocket, of_ssh},
        devices::{Device, Devices, LinkType, XdpSupport},
        processes::SocketHolder,
    },
    policy::{Mode, Policy},
};

fn device(name: &str, ifindex: u32, kind: Option<&str>) -> Device {
    Device {
        name: name.into(),
        ifindex,
        kind: kind.map(str::to_owned),
        driver: Some(kind.unwrap_or("virtio_net").to_owned()),
        is_physical: kind.is_none(),
        is_up: true,
        mtu: 1500,
        xdp: Some(XdpSupport { native: kind.is_none(), several_buffers: true }),
        ..Device::default()
    }
}

/// A host with these interfaces and sockets: protocol, local address, inode.
fn host(devices: Vec<Device>, addresses: &[(u32, &str)], sockets: &[(Protocol, &str, u32)]) -> FirstSight {
    let address = |(ifindex, text): &(u32, &str)| InterfaceAddress {
        ifindex: *ifindex,
        address: text.parse().unwrap(),
        length: 24,
    };
    let socket = |(protocol, local, inode): &(Protocol, &str, u32)| OpenSocket {
        listening: Listening { protocol: *protocol, local: local.parse().unwrap() },
        inode: *inode,
        device: 0,
    };
    FirstSight {
        devices: Devices::of(devices),
        addresses: addresses.iter().map(address).collect(),
        sockets: sockets.iter().map(socket).collect(),
        ..FirstSight::default()
    }
}

fn held(sight: &mut FirstSight, inode: u32, holders: &[(u32, &str)]) {
    let holder = |(process, name): &(u32, &str)| SocketHolder { process: *process, name: (*name).to_owned() };
    sight.holders.insert(inode, holders.iter().map(holder).collect());
}

/// What `check` reads of it; no warning is said of it.
fn read(policy: &FirstPolicy, sight: &FirstSight) -> Policy {
    let text = policy.text();
    let loaded = FirstPolicy::read(&text, &sight.given).unwrap_or_else(|report| panic!("{report}\n{text}"));
    let warned: Vec<String> = loaded.warnings.warnings().map(|one| one.title()).collect();
    let is_expected = |title: &String| policy.services.is_empty() && title.contains("no service is protected");
    assert!(warned.iter().all(is_expected), "{warned:?}\n{text}");
    loaded.policy
}

fn names(sight: &FirstSight) -> Vec<String> {
    propose(sight, &BTreeSet::new()).interfaces.into_iter().map(|one| one.name).collect()
}

use Protocol::{Tcp, Udp};

#[test]
fn what_listens_for_others_becomes_services_and_what_asks_others_does_not() {
    let mut sight = host(
        vec![device("eth0", 2, None)],
        &[(2, "192.0.2.10")],
        &[
            (Tcp, "0.0.0.0:80", 10),
            (Tcp, "[::]:443", 11),
            (Tcp, "0.0.0.0:22", 12),
            (Tcp, "127.0.0.1:5432", 13),
            (Tcp, "192.0.2.10:53", 14),
            (Udp, "192.0.2.10:53", 15),
            (Udp, "0.0.0.0:68", 16),
            (Udp, "0.0.0.0:40000", 17),
            (Udp, "0.0.0.0:51820", 0),
            (Udp, "0.0.0.0:5353", 18),
            (Tcp, "0.0.0.0:8080", 19),
            (Tcp, "0.0.0.0:8081", 20),
        ],
    );
    for (inode, name) in [(10, "nginx"), (11, "nginx"), (12, "sshd"), (14, "named"), (15, "named"), (17, "chronyd")] {
        held(&mut sight, inode, &[(1, "systemd"), (800 + inode, name)]);
    }
    held(&mut sight, 19, &[(900, "docker-proxy")]);
    held(&mut sight, 20, &[(901, "docker-proxy")]);
    sight.ssh.ports = [22].into();
    let policy = propose(&sight, &BTreeSet::new());
    let told: Vec<_> = policy
        .services
        .iter()
        .map(|one| (&*one.name, one.protocol, one.ports.iter().copied().collect::<Vec<_>>(), one.addresses.len()))
        .collect();
    assert_eq!(
        told,
        [
            ("dns", Tcp, vec![53], 1),
            ("dns-udp", Udp, vec![53], 1),
            ("nginx", Tcp, vec![80, 443], 0),
            ("ssh", Tcp, vec![22], 0),
            ("tcp-8080", Tcp, vec![8080], 0),
            ("tcp-8081", Tcp, vec![8081], 0),
            ("wireguard", Udp, vec![51820], 0),
        ]
    );
    let text = policy.text();
    assert!(text.contains("# nginx, pid 811, listens at [::]:443\n"), "{text}");
    assert!(text.contains("#   udp 0.0.0.0:68: ") && text.contains("this host alone reaches it"), "{text}");
    let read = read(&policy, &sight);
    assert_eq!(read.mode, Mode::Observe);
    assert!(read.services.iter().all(|one| one.allow.is_none() && one.limit.is_some() && one.deny.len() == 1));
    assert!(read.management.is_empty());
}

#[test]
fn of_what_sees_one_packet_twice_one_is_named_and_bridges_of_containers_are_not() {
    let docker = || device("docker0", 5, Some("bridge"));
    let guest = || Device { controller: Some(5), ..device("veth1", 6, Some("veth")) };
    let addresses = [(2, "192.0.2.10"), (5, "172.17.0.1")];
    let mut sight = host(vec![device("eth0", 2, None), docker(), guest()], &addresses, &[(Udp, "172.17.0.1:53", 7)]);
    assert_eq!(names(&sight), ["eth0"]);
    assert!(propose(&sight, &BTreeSet::new()).services.is_empty(), "what only containers reach is no service");
    sight.uplinks = [5].into();
    assert_eq!(names(&sight), ["docker0", "eth0"], "the default route counts");
    assert_eq!(names(&host(vec![docker(), guest()], &addresses, &[])), ["docker0"], "there is nothing else");
    // The bridge has the address, and the packets come in through its port.
    let port = Device { controller: Some(9), ..device("eth0", 2, None) };
    let bridged = host(vec![port, device("br0", 9, Some("bridge"))], &[(9, "192.0.2.10")], &[]);
    assert_eq!(names(&bridged), ["eth0"]);
    // Between the bridge and its port is a team, which is not filtered itself.
    let port = Device { controller: Some(8), ..device("eth0", 2, None) };
    let team = Device { controller: Some(9), ..device("team0", 8, Some("team")) };
    let teamed = host(vec![port, team, device("br0", 9, Some("bridge"))], &[(9, "192.0.2.10")], &[]);
    assert_eq!(names(&teamed), ["eth0"]);
    let vlan = Device { parent: Some(2), ..device("eth0.5", 3, Some("vlan")) };
    assert_eq!(names(&host(vec![device("eth0", 2, None), vlan], &[(3, "192.0.2.10")], &[])), ["eth0"]);
}

#[test]
fn ports_in_a_row_are_a_range_and_one_that_the_kernel_may_have_chosen_is_told() {
    let sockets = [(Tcp, "0.0.0.0:8443", 1), (Tcp, "0.0.0.0:8444", 2), (Tcp, "0.0.0.0:40000", 3)];
    let mut sight = host(vec![device("eth0", 2, None)], &[(2, "192.0.2.10")], &sockets);
    for inode in 1..=3 {
        held(&mut sight, inode, &[(7, "rpc")]);
    }
    let policy = propose(&sight, &BTreeSet::new());
    let text = policy.text();
    assert!(text.contains("ports = [\"8443-8444\", 40000]\n"), "{text}");
    assert!(text.contains("# the kernel may have chosen a port of these"), "{text}");
    read(&policy, &sight);
}

#[test]
fn tunnels_that_the_kernel_opens_beside_wireguard_are_not_of_it() {
    let all = vec![device("eth0", 2, None), device("wg0", 3, Some("wireguard"))];
    let sockets = [(Udp, "0.0.0.0:51821", 0), (Udp, "0.0.0.0:8472", 0), (Udp, "0.0.0.0:53", 7)];
    assert_eq!(host(all, &[], &sockets).wireguard_ports(), [51821].into());
}

#[test]
fn tunnels_and_odd_names_are_left_out_with_the_reason() {
    let tun = Device { link_type: LinkType::Other(0xfffe), ..device("tun0", 3, Some("tun")) };
    let odd = device("a\u{1b}[31m", 4, None);
    let other = Device { other_names: vec!["lan".into()], ..device("b\u{7}", 5, None) };
    let all = [(2, "192.0.2.10"), (3, "10.8.0.1"), (4, "10.9.0.1"), (5, "10.10.0.1")];
    let sight = host(vec![device("e\"\\th", 2, None), tun, odd, other], &all, &[(Tcp, "0.0.0.0:80", 1)]);
    let policy = propose(&sight, &BTreeSet::new());
    let read = read(&policy, &sight);
    assert_eq!(read.interfaces.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["e\"\\th", "lan"]);
    let text = policy.text();
    assert!(text.contains("interface tun0: its packets have no Ethernet header"), "{text}");
    assert!(text.contains("a configuration cannot write its name"), "{text}");
    assert!(!text.chars().any(|symbol| symbol.is_control() && symbol != '\n'), "{text:?}");
}

#[test]
fn a_driver_without_native_mode_gets_the_generic_one_and_the_reason() {
    let slow = Device { xdp: Some(XdpSupport { native: false, several_buffers: false }), ..device("eth0", 2, None) };
    let unknown = Device { xdp: None, ..device("eth1", 3, None) };
    let sight = host(vec![slow, unknown], &[(2, "192.0.2.10"), (3, "192.0.3.10")], &[]);
    let policy = propose(&sight, &BTreeSet::new());
    let modes: Vec<_> = policy.interfaces.iter().map(|one| one.mode).collect();
    assert_eq!(modes, [AttachMode::Generic, AttachMode::Auto]);
    assert!(policy.text().contains("# generic: virtio_net has no native XDP\n"), "{}", policy.text());
}

#[test]
fn only_the_connection_that_is_typed_into_is_management_and_others_are_suggested() {
    let mut sight = host(vec![device("eth0", 2, None)], &[(2, "192.0.2.10")], &[(Tcp, "0.0.0.0:22", 1)]);
    sight.ssh = SshSight {
        caller: of_ssh("203.0.113.7 50412 192.0.2.10 22"),
        is_established: Some(true),
        ports: [22].into(),
        sources: ["203.0.113.7".parse().unwrap(), "198.51.100.66".parse().unwrap()].into(),
    };
    let managed = |sight: &FirstSight| -> Vec<String> {
        let policy = propose(sight, &BTreeSet::new());
        read(&policy, sight).management.iter().map(|prefix| prefix.to_string()).collect()
    };
    assert_eq!(managed(&sight), ["203.0.113.7/32"]);
    let text = propose(&sight, &BTreeSet::new()).text();
    assert!(
        text.contains("# Perhaps \"198.51.100.66\": is connected to sshd now, perhaps without having logged in."),
        "{text}"
    );
    sight.ssh.is_established = Some(false);
    assert_eq!(managed(&sight), [""; 0], "an address of before may be somebody else's by now");
    sight.ssh.is_established = None;
    assert_eq!(managed(&sight), ["203.0.113.7/32"], "the kernel does not tell");
    sight.ssh.caller = of_ssh("fe80::1%eth0 1 fe80::2%eth0 22");
    assert_eq!(managed(&sight), [""; 0], "a link-local address is nobody's in particular");
}

#[test]
fn a_profile_adds_what_nobody_serves_yet_and_no_port_twice() {
    let mut sight = host(vec![device("eth0", 2, None)], &[(2, "192.0.2.10")], &[(Tcp, "0.0.0.0:443", 1)]);
    held(&mut sight, 1, &[(7, "caddy")]);
    let policy = propose(&sight, &Profile::all());
    let told: Vec<_> = policy.services.iter().map(|one| format!("{} {:?}", one.name, one.ports)).collect();
    assert_eq!(
        told,
        [
            "api {8443}",
            "dns {53}",
            "dns-udp {53}",
            "https {443}",
            "ssh {22}",
            "web {80}",
            "web-udp {443}",
            "wireguard {51820}"
        ]
    );
    read(&policy, &sight);
    sight.sockets.clear();
    let one = propose(&sight, &[Profile::Quic].into());
    assert_eq!(one.services.len(), 1);
    assert_eq!(read(&one, &sight).services[0].protocol, Udp);
}

impl Profile {
    fn all() -> BTreeSet<Self> {
        use clap::ValueEnum as _;
        Self::value_variants().iter().copied().collect()
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("eth0".to_owned()),
        Just("lo".to_owned()),
        Just("sshd".to_owned()),
        proptest::collection::vec(any::<char>(), 0..18).prop_map(|symbols| symbols.into_iter().collect()),
        proptest::collection::vec(
            proptest::sample::select(vec!['"', '\\', '\n', '\'', '#', '\u{1b}', 'a', '[']),
            1..16
        )
        .prop_map(|symbols| symbols.into_iter().collect()),
    ]
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        proptest::sample::select(vec![
            "0.0.0.0",
            "::",
            "127.0.0.1",
            "192.0.2.10",
            "fe80::1",
            "2001:db8::1",
            "224.0.0.251"
        ])
        .prop_map(|text| text.parse::<IpAddr>().unwrap()),
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(octets).to_canonical()),
    ]
}

fn any_device() -> impl Strategy<Value = Device> {
    let kind =
        proptest::sample::select(vec![None, Some("bridge"), Some("veth"), Some("vlan"), Some("bond"), Some("vrf")]);
    let link_type = proptest::sample::select(vec![
        LinkType::Ethernet,
        LinkType::Ethernet,
        LinkType::Loopback,
        LinkType::Other(778),
    ]);
    let index = || proptest::option::of(1..8_u32);
    (any_name(), any_name(), kind, link_type, any::<bool>(), index(), index(), any::<bool>()).prop_map(
        |(name, other, kind, link_type, is_up, controller, parent, native)| Device {
            other_names: vec![other],
            link_type,
            is_up,
            controller,
            parent,
            xdp: Some(XdpSupport { native, several_buffers: native }),
            ..device(&name, 0, kind)
        },
    )
}

fn any_sight() -> impl Strategy<Value = FirstSight> {
    let port = prop_oneof![1..=u16::MAX, proptest::sample::select(vec![22_u16, 53, 68, 80, 443, 5353, 51820])];
    let socket = (any::<bool>(), any_address(), port, 0..6_u32, 0..8_u32);
    let holders = proptest::collection::vec((1..6_u32, 1..100_u32, any_name()), 0..8);
    let address = (1..8_u32, any_address());
    (
        proptest::collection::vec(any_device(), 0..7),
        proptest::collection::vec(address, 0..8),
        proptest::collection::btree_set(1..8_u32, 0..2),
        proptest::collection::vec(socket, 0..40),
        holders,
        (
            proptest::option::of(any_address()),
            proptest::option::of(any::<bool>()),
            proptest::collection::btree_set(any_address(), 0..12),
        ),
    )
        .prop_map(|(mut devices, addresses, uplinks, sockets, holders, (caller, is_established, sources))| {
            let mut names = BTreeSet::new();
            for (ifindex, device) in (1..).zip(&mut devices) {
                device.ifindex = ifindex;
                // The kernel gives no name twice.
                if !names.insert(device.name.clone()) {
                    device.name = format!("a{ifindex}");
                }
                device.other_names.retain(|name| names.insert(name.clone()));
            }
            let sockets = sockets.into_iter().map(|(is_tcp, address, port, inode, device)| OpenSocket {
                listening: Listening {
                    protocol: if is_tcp { Tcp } else { Udp },
                    local: SocketAddr::new(address, port),
                },
                inode,
                device,
            });
            let mut sight = FirstSight { uplinks, sockets: sockets.collect(), ..host(devices, &[], &[]) };
            sight.addresses = addresses
                .into_iter()
                .map(|(ifindex, address)| InterfaceAddress { ifindex, address, length: 24 })
                .collect();
            for (inode, process, name) in holders {
                sight.holders.entry(inode).or_default().insert(SocketHolder { process, name });
            }
            sight.ssh.caller = caller.and_then(|source| of_ssh(&format!("{source} 1 192.0.2.10 22")));
            sight.ssh.is_established = is_established;
            sight.ssh.sources = sources;
            sight.ssh.ports = [22].into();
            sight
        })
}

proptest! {
    #[test]
    fn whatever_a_host_is_like_its_configuration_can_be_read_and_has_no_control_character(
        sight in any_sight(),
        profiles in proptest::bool::ANY,
    ) {
        let profiles = if profiles { Profile::all() } else { BTreeSet::new() };
        let policy = propose(&sight, &profiles);
        for shown in [policy.text(), policy.summary()] {
            prop_assert!(!shown.chars().any(|symbol| symbol.is_control() && symbol != '\n'), "{shown:?}");
        }
        if !policy.interfaces.is_empty() {
            let read = read(&policy, &sight);
            prop_assert_eq!(read.mode, Mode::Observe);
            prop_assert_eq!(read.interfaces.len(), policy.interfaces.len());
            prop_assert_eq!(read.services.len(), policy.services.len());
            let pairs = sight.devices.doubled(read.interfaces.iter().map(|one| &*one.name));
            prop_assert!(pairs.is_empty(), "{pairs:?}");
        }
    }
}

#[test]
fn a_program_at_more_addresses_than_there_may_be_is_protected_at_all_of_them() {
    let at: Vec<String> = (0..300).map(|one| format!("198.51.{}.{}", 100 + one / 250, 1 + one % 250)).collect();
    let addresses: Vec<(u32, &str)> = at.iter().map(|address| (2, &**address)).collect();
    let listening: Vec<String> = at.iter().map(|address| format!("{address}:443")).collect();
    let sockets: Vec<_> = (10..).zip(&listening).map(|(inode, local)| (Tcp, &**local, inode)).collect();
    let mut sight = host(vec![device("eth0", 2, None)], &addresses, &sockets);
    (10..310).for_each(|inode| held(&mut sight, inode, &[(800, "haproxy")]));
    let policy = propose(&sight, &BTreeSet::new());
    let [service] = &policy.services[..] else { panic!("{:?}", policy.services) };
    assert_eq!((service.ports.len(), service.addresses.len(), policy.skipped.len()), (1, 0, 0));
    read(&policy, &sight);
}
