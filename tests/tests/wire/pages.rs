//! The pages for operators in docs/: each command is run, and its answer is the one that the page shows.
//!
//! `PORTCULLIS_BLESS=1 cargo xtask test --wire pages` writes the answers anew.

use anyhow::Result;
use firewall_tests::{
    lab::{FRIEND4, Lab},
    nginx::Nginx,
    page::Page,
};

/// Addresses of other machines, behind the gateway of the host.
const OTHERS: [&str; 6] =
    ["203.0.113.7", "203.0.113.9", "203.0.113.130", "198.51.100.66", "198.51.100.77", "198.51.100.90"];

#[test]
fn every_command_of_the_upgrade_has_the_answer_that_the_page_shows() -> Result<()> {
    let lab = network()?;
    let page = Page::open(&lab, "upgrade.md")?;
    let _web = Nginx::start(&lab, &[80])?;
    page.start()?;
    page.check()
}

#[test]
fn every_trouble_is_caused_and_mended_as_the_page_shows() -> Result<()> {
    let lab = network()?;
    let page = Page::open(&lab, "troubleshooting.md")?;
    let _web = Nginx::start(&lab, &[80, 22])?;
    page.start()?;
    page.check()
}

/// A host, and other networks behind its gateway.
fn network() -> Result<Lab> {
    let lab = Lab::new()?;
    for address in OTHERS {
        lab.peer.ip(&format!("address add {address}/32 dev eth0"))?;
    }
    lab.host.ip(&format!("route add default via {FRIEND4}"))?;
    Ok(lab)
}

