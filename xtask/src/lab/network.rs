//! The namespaces of the lab and the link between them.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::namespace::Namespace;

/// A host of the lab, with its addresses on `eth0`. From RFC 5737's TEST-NET-2 and RFC 3849's prefix.
pub struct Host {
    /// Its name, as people are shown it.
    pub name: &'static str,
    /// IPv4 address.
    pub v4: Ipv4Addr,
    /// IPv6 address.
    pub v6: Ipv6Addr,
}

/// The protected host.
pub const HOST: Host = host("host", 1);
/// A client.
pub const CLIENT_A: Host = host("client-a", 10);
/// Another one.
pub const CLIENT_B: Host = host("client-b", 20);
/// Sends more than it may.
pub const ATTACKER: Host = host("attacker", 66);

/// Holds both clients, not the attacker.
pub const WIDE_PREFIX_V4: &str = "198.51.100.0/27";
/// Likewise.
pub const WIDE_PREFIX_V6: &str = "2001:db8::/123";

const HOSTS: [&Host; 4] = [&HOST, &CLIENT_A, &CLIENT_B, &ATTACKER];

const fn host(name: &'static str, number: u8) -> Host {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number as u16);
    Host { name, v4: Ipv4Addr::new(198, 51, 100, number), v6 }
}

/// The namespaces, linked.
pub struct Network {
    switch: Namespace,
    hosts: Vec<(&'static str, Namespace)>,
}

impl Network {
    /// Makes all namespaces and links them.
    pub fn create(kind: &str) -> Result<Self> {
        let name = |part: &str| format!("{}{part}", super::trace::prefix(kind));
        let switch = Namespace::create(name("switch"))?;
        switch.ip(&["link", "add", "name", "bridge", "type", "bridge", "stp_state", "0", "mcast_snooping", "0"])?;
        switch.ip(&["link", "set", "dev", "bridge", "up"])?;
        let mut network = Self { switch, hosts: Vec::new() };
        for host in HOSTS {
            let namespace = Namespace::create(name(host.name))?;
            network.link(host, &namespace)?;
            network.hosts.push((host.name, namespace));
        }
        Ok(network)
    }

    /// A cable from the switch to the host. The port is named after what is at its other end.
    fn link(&self, host: &Host, namespace: &Namespace) -> Result<()> {
        let port = host.name;
        self.switch.ip(&[
            "link",
            "add",
            "name",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            namespace.name(),
        ])?;
        namespace.ip(&["address", "add", &format!("{}/24", host.v4), "dev", "eth0"])?;
        namespace.ip(&["address", "add", &format!("{}/64", host.v6), "dev", "eth0", "nodad"])?;
        self.switch.ip(&["link", "set", "dev", port, "master", "bridge", "up"])?;
        namespace.ip(&["link", "set", "dev", "eth0", "up"])?;
        Ok(())
    }

    /// Namespace of a host.
    pub fn namespace(&self, host: &Host) -> &Namespace {
        let found = self.hosts.iter().find(|(name, _)| *name == host.name);
        &found.expect("every host of HOSTS has a namespace, and there are no others").1
    }

    /// The namespace that links the others.
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }

    /// Names of all namespaces.
    pub fn names(&self) -> Vec<String> {
        let hosts = self.hosts.iter().map(|(_, namespace)| namespace);
        hosts.chain([&self.switch]).map(|namespace| namespace.name().to_owned()).collect()
    }
}
