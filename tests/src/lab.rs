//! Two namespaces on one veth pair: `host`, which Portcullis protects, and `peer`, which has every other address.
//!
//! Both ends are called `eth0`. Nothing leaves these namespaces: no route and no link leads to the machine's own.

use std::{
    net::IpAddr,
    process::Command,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    netns::{Netns, output},
    running::wait_until,
    trial::Trial,
};

/// The host.
pub const HOST4: &str = "192.0.2.10";
/// The host.
pub const HOST6: &str = "2001:db8:1::10";
/// A source that policies admit.
pub const FRIEND4: &str = "192.0.2.2";
/// A source that policies admit.
pub const FRIEND6: &str = "2001:db8:1::2";
/// A source that policies say nothing about.
pub const STRANGER4: &str = "192.0.2.3";
/// A source that policies say nothing about.
pub const STRANGER6: &str = "2001:db8:1::3";
/// A source that policies refuse.
pub const FOE4: &str = "192.0.2.66";
/// A source that policies refuse.
pub const FOE6: &str = "2001:db8:1::66";
/// A source that administers the host.
pub const MANAGER4: &str = "192.0.2.4";
/// A source that administers the host.
pub const MANAGER6: &str = "2001:db8:1::4";

/// The interface at both ends.
pub const INTERFACE: &str = "eth0";
/// MAC address of the host.
pub const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
/// MAC address of the peer.
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x02];

const PEERS: [&str; 8] = [FRIEND4, FRIEND6, STRANGER4, STRANGER6, FOE4, FOE6, MANAGER4, MANAGER6];

/// How long the kernel may take to free a link that nobody holds any more.
const DETACH_LIMIT: Duration = Duration::from_secs(5);

/// Held by every lab, for writing by one that wants the machine for itself.
static MACHINE: RwLock<()> = RwLock::new(());

/// The namespaces and the cable between them.
#[derive(Debug)]
pub struct Lab {
    /// Where the daemon runs.
    pub host: Netns,
    /// Where everything else sends from.
    pub peer: Netns,
    /// Names and folders.
    pub trial: Trial,
    plan: Plan,
    _turn: Turn,
}

/// What a lab is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Largest packet.
    pub mtu: u32,
    /// Receive queues of the host. With one, packets are judged in the order in which they were sent.
    pub queues: u32,
    /// Whether no other test may run meanwhile.
    pub alone: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { mtu: 1500, queues: 1, alone: false }
    }
}

/// The leave to load the machine.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its end")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// Packets that got lost between the peer and the program of the host, because it was too slow to take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Frames made by the kernel.
    pub live: u64,
    /// Packets of sockets.
    pub sent: u64,
}

impl Lab {
    /// Makes the namespaces and links them by an ordinary cable.
    ///
    /// # Errors
    /// When this is not root, or `ip` refuses.
    pub fn new() -> Result<Self> {
        Self::with(Plan::default())
    }

    /// Makes the namespaces and links them.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with(plan: Plan) -> Result<Self> {
        let turn = if plan.alone {
            Turn::Alone(MACHINE.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Turn::Shared(MACHINE.read().unwrap_or_else(PoisonError::into_inner))
        };
        let trial = Trial::begin()?;
        let host = Netns::create(&trial, "host")?;
        let peer = Netns::create(&trial, "peer")?;
        let lab = Self { host, peer, trial, plan, _turn: turn };
        lab.lay_cable()?;
        Ok(lab)
    }

    /// Links the namespaces: once more, after the cable was cut.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn lay_cable(&self) -> Result<()> {
        let Self { host, peer, .. } = self;
        let end = |namespace: &Netns, mac: [u8; 6]| {
            let Plan { mtu, queues, .. } = self.plan;
            let (name, mac) = (namespace.name(), mac.map(|octet| format!("{octet:02x}")).join(":"));
            format!("name {INTERFACE} address {mac} mtu {mtu} numrxqueues {queues} numtxqueues {queues} netns {name}")
        };
        let words = format!("link add {} type veth peer {}", end(host, HOST_MAC), end(peer, PEER_MAC));
        output(Command::new("ip").args(words.split_whitespace()))?;
        for address in PEERS {
            add_address(peer, address)?;
        }
        for address in [HOST4, HOST6] {
            add_address(host, address)?;
        }
        for namespace in [host, peer] {
            namespace.ip(&format!("link set dev {INTERFACE} up"))?;
        }
        Ok(())
    }

    /// Removes both ends of the cable.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn cut_cable(&self) -> Result<()> {
        self.host.ip(&format!("link delete dev {INTERFACE}")).map(drop)
    }

    /// How `ip` names the program on the host's interface: `xdp`, `xdpgeneric`, or not at all.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn attached(&self) -> Result<Option<String>> {
        self.attached_to(INTERFACE)
    }

    /// The same for another interface of the host.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn attached_to(&self, interface: &str) -> Result<Option<String>> {
        let shown = self.host.ip(&format!("-details link show dev {interface}"))?;
        Ok(shown.split_whitespace().find(|word| word.starts_with("xdp")).map(str::to_owned))
    }

    /// Waits until no program is on this interface of the host: the kernel frees a link some time after its last user
    /// is gone.
    ///
    /// # Errors
    /// When there still is one after a while.
    pub fn wait_until_detached(&self, interface: &str) -> Result<()> {
        let is_free = || Ok(self.attached_to(interface)?.is_none().then_some(()));
        wait_until(&format!("{interface} without a program"), DETACH_LIMIT, is_free)
    }

    /// Packets lost so far.
    ///
    /// # Errors
    /// When `ip` does not tell.
    pub fn lost(&self) -> Result<Lost> {
        let dropped = |namespace: &Netns, direction: &str| {
            let shown = namespace.ip(&format!("-json -statistics link show dev {INTERFACE}"))?;
            let shown: serde_json::Value = serde_json::from_str(&shown)?;
            shown[0]["stats64"][direction]["dropped"].as_u64().context("`ip` does not tell how much was dropped")
        };
        // The host knows of frames only, the peer of all (drivers/net/veth.c `veth_get_stats64`).
        let live = dropped(&self.host, "rx")?;
        Ok(Lost { live, sent: dropped(&self.peer, "tx")?.saturating_sub(live) })
    }

    /// Identifier of the program on the host's interface.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn program_id(&self) -> Result<Option<u32>> {
        let shown = self.host.ip(&format!("-details link show dev {INTERFACE}"))?;
        let mut words = shown.split_whitespace().skip_while(|word| !word.starts_with("prog/")).skip(2);
        Ok(words.next().and_then(|id| id.parse().ok()))
    }
}

fn add_address(namespace: &Netns, address: &str) -> Result<()> {
    let is_v4 = address.parse::<IpAddr>()?.is_ipv4();
    let length = if is_v4 { "/24" } else { "/64 nodad" };
    namespace.ip(&format!("address add {address}{length} dev {INTERFACE}")).map(drop)
}
