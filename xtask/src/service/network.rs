//! The wires of the machine: its `eth0` leads to a host of friends and of strangers.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::lab::Namespace;

/// The machine.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Somebody who may use it.
pub const FRIEND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Somebody who is denied.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 66);

/// Two network namespaces and the wire between them.
pub struct Wires {
    /// That of the machine.
    pub server: Namespace,
    /// Where everybody else is.
    pub outside: Namespace,
}

impl Wires {
    /// Makes them.
    pub fn make() -> Result<Self> {
        let name = |part| format!("portcullis-service-{part}-{}", std::process::id());
        let (server, outside) = (Namespace::create(name("server"))?, Namespace::create(name("outside"))?);
        server.ip(&["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", outside.name()])?;
        for (namespace, addresses) in [(&server, &[SERVER][..]), (&outside, &[FRIEND, STRANGER])] {
            for address in addresses {
                namespace.ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            }
            namespace.ip(&["link", "set", "dev", "eth0", "up"])?;
        }
        server.ip(&["route", "add", "default", "via", &FRIEND.to_string()])?;
        Ok(Self { server, outside })
    }

    /// Whether `source` gets a page from the web server of the machine.
    pub fn gets_a_page(&self, source: Ipv4Addr) -> Result<bool> {
        let mut curl = self.outside.command("curl")?;
        let (source, url) = (source.to_string(), format!("http://{SERVER}/"));
        curl.args(["--silent", "--output", "/dev/null", "--max-time", "2", "--interface", &source, &url]);
        Ok(curl.status()?.success())
    }

    /// What `ip` says of `eth0` of the machine, as far as an XDP program is concerned; `None` without one.
    pub fn program(&self) -> Result<Option<String>> {
        let link = self.server.ip(&["-details", "link", "show", "dev", "eth0"])?;
        Ok(link.lines().find_map(|line| line.trim().strip_prefix("prog/xdp")).map(|program| program.trim().to_owned()))
    }
}
