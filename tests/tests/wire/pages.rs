//! The pages for operators in docs/: each command is run, and its answer is the one that the page shows.
//!
//! `PORTCULLIS_BLESS=1 cargo xtask test --wire pages` writes the answers anew.

use std::time::Duration;

use anyhow::Result;
use firewall_tests::{
    lab::{FRIEND4, Lab},
    netns::Netns,
    nginx::Nginx,
    page::Page,
    running::{Running, wait_until},
};

/// Addresses of other machines, behind the gateway of the host.
const OTHERS: [&str; 6] =
    ["203.0.113.7", "203.0.113.9", "203.0.113.130", "198.51.100.66", "198.51.100.77", "198.51.100.90"];

/// How long Prometheus may take to start and to scrape.
const SCRAPED: Duration = Duration::from_secs(20);

#[test]
fn every_command_of_the_upgrade_has_the_answer_that_the_page_shows() -> Result<()> {
    let lab = network()?;
    let page = Page::open(&lab, "upgrade.md")?;
    let _web = Nginx::start(&lab, &[80])?;
    page.start()?;
    page.check()
}

#[test]
fn every_command_behind_a_proxy_has_the_answer_that_the_page_shows() -> Result<()> {
    let lab = network()?;
    let page = Page::open(&lab, "behind-a-proxy.md")?.with_prompt("cdn", &lab.peer);
    let published = lab.trial.folder().join("published");
    let publisher = format!("server {{ listen 80; default_type text/plain; root {}; }}", published.display());
    lab.trial.write("published/ips.txt", &page.block("text")?)?;
    lab.trial.write("cdn-sync", &page.block("sh")?)?;
    let _publisher = serve(&lab, &lab.peer, "publisher", &publisher)?;
    let _web = Nginx::start(&lab, &[80, 443])?;
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

/// nginx with these servers, once it listens.
fn serve(lab: &Lab, host: &Netns, name: &str, servers: &str) -> Result<Running> {
    let folder = lab.trial.folder().display();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {folder}/{name}-{part};\n"))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {folder}/{name}.pid;\nevents {{}}\n\
         http {{\naccess_log off;\n{folders}{servers}\n}}\n"
    );
    let config = lab.trial.write(&format!("{name}.conf"), &text)?;
    let mut command = host.command("nginx");
    command.arg("-p").arg(lab.trial.folder()).arg("-c").arg(config).args(["-e", "stderr"]);
    let mut running = Running::start(&lab.trial, name, command)?;
    let pid = lab.trial.folder().join(format!("{name}.pid"));
    // It is written once the sockets listen.
    wait_until("an nginx that listens", SCRAPED, || {
        running.must_run()?;
        Ok(pid.exists().then_some(()))
    })?;
    Ok(running)
}

