//! A cable from the generator to a namespace with a filter.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use firewall_tests::{
    netns::{Netns, output},
    trial::Trial,
};
use nix::net::if_::if_nametoindex;

use crate::frame::{HOST_MAC, HOST_V4};

/// The receiving end of a cable, with the namespace it is in.
#[derive(Debug)]
pub struct Cable {
    generator_end: String,
    /// Where the filter is.
    pub receiver: Netns,
}

/// The interface that is filtered.
pub const INTERFACE: &str = "eth0";

impl Cable {
    /// Makes a namespace and lays a cable to it. With GRO its end takes frames also without an XDP program.
    ///
    /// # Errors
    /// When `ip` or `ethtool` refuses.
    pub fn new(trial: &Trial, generator: &Netns, number: usize) -> Result<Self> {
        let receiver = Netns::create(trial, &format!("receiver{number}"))?;
        let generator_end = format!("g{number}");
        let queues = "numtxqueues 1 numrxqueues 1";
        let mac = HOST_MAC.map(|octet| format!("{octet:02x}")).join(":");
        let words = format!(
            "link add name {generator_end} netns {} {queues} type veth peer name {INTERFACE} address {mac} netns {} {queues}",
            generator.name(),
            receiver.name()
        );
        output(Command::new("ip").args(words.split_whitespace()))?;
        generator.ip(&format!("link set dev {generator_end} up"))?;
        receiver.ip(&format!("address add {HOST_V4}/24 dev {INTERFACE}"))?;
        receiver.ip(&format!("link set dev {INTERFACE} up"))?;
        receiver.enter(|| output(Command::new("ethtool").args(["-K", INTERFACE, "gro", "on"])))??;
        Ok(Self { generator_end, receiver })
    }

    /// Index of the end from which frames are sent.
    ///
    /// # Errors
    /// When it is gone.
    pub fn generator_index(&self, generator: &Netns) -> Result<u32> {
        let index = generator.enter(|| if_nametoindex(self.generator_end.as_str()))?;
        index.with_context(|| format!("there is no interface {}", self.generator_end))
    }

    /// Index of the end that is filtered.
    ///
    /// # Errors
    /// When it is gone.
    pub fn receiver_index(&self) -> Result<u32> {
        self.receiver.enter(|| if_nametoindex(INTERFACE))?.context("there is no interface to filter")
    }

    /// Frames that came through so far.
    ///
    /// # Errors
    /// When `ip` does not tell.
    pub fn received(&self) -> Result<u64> {
        let shown = self.receiver.ip(&format!("-json -statistics link show dev {INTERFACE}"))?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        shown[0]["stats64"]["rx"]["packets"].as_u64().context("`ip` does not tell how many frames came")
    }

    /// IPv4 packets that came as far as the stack (`InReceives`).
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn received_by_ip(&self) -> Result<u64> {
        let text = self.receiver.enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))?;
        let text = text.context("cannot read what IP received")?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
        let position = lines.next().and_then(|names| names.split(' ').position(|name| name == "InReceives"));
        let count = position.and_then(|position| lines.next()?.split(' ').nth(position)?.parse().ok());
        count.context("the kernel does not tell what IP received")
    }
}
