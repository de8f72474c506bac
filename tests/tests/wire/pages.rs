//! The pages for operators in docs/: each command is run, and its answer is the one that the page shows.
//!
//! `PORTCULLIS_BLESS=1 cargo xtask test --wire pages` writes the answers anew.

use std::time::Duration;

use anyhow::{Context as _, Result};
use firewall_tests::{
    daemon::said,
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
fn every_command_beside_other_tools_has_the_answer_that_the_page_shows() -> Result<()> {
    let lab = network()?;
    let container = Netns::create(&lab.trial, "container")?;
    join_container(&lab, &container)?;
    let page = Page::open(&lab, "beside.md")?.with_prompt("container", &container).with_prompt("prometheus", &lab.peer);
    let inside = "server { listen 80; return 200 \"hello from the container\\n\"; }";
    let _shop = serve(&lab, &container, "shop", inside)?;
    let web = "server { listen 80; listen 8081; return 200 \"hello\\n\"; }
        server { listen 8082 proxy_protocol; return 200 \"$proxy_protocol_addr\\n\"; }";
    let _web = serve(&lab, &lab.host, "web", web)?;
    let _front = serve(&lab, &lab.host, "front", &page.block("nginx")?)?;
    page.start()?;
    let _prometheus = scrape(&lab, &page.block("yaml")?)?;
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

/// A container as Docker attaches one: a veth pair whose end in the host is a port of the bridge docker0.
fn join_container(lab: &Lab, container: &Netns) -> Result<()> {
    let Lab { host, peer, .. } = lab;
    host.ip("link add docker0 type bridge")?;
    host.ip("address add 172.17.0.1/16 dev docker0")?;
    host.ip(&format!("link add veth7 type veth peer name eth0 netns {}", container.name()))?;
    host.ip("link set dev veth7 master docker0 up")?;
    host.ip("link set dev docker0 up")?;
    container.ip("address add 172.17.0.2/16 dev eth0")?;
    container.ip("link set dev eth0 up")?;
    container.ip("route add default via 172.17.0.1")?;
    peer.ip("route add 172.17.0.0/16 via 192.0.2.10")?;
    host.set("net/ipv4/ip_forward", "1")
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

/// Prometheus at another machine with this configuration, once it has scraped its target.
fn scrape(lab: &Lab, config: &str) -> Result<Running> {
    let config = lab.trial.write("prometheus.yml", config)?;
    let mut command = lab.peer.command("prometheus");
    command.arg("--config.file").arg(config).arg("--storage.tsdb.path").arg(lab.trial.folder().join("tsdb"));
    command.args(["--web.listen-address", "127.0.0.1:9090"]);
    let mut running = Running::start(&lab.trial, "prometheus", command)?;
    let scraped = wait_until("a scrape by Prometheus", SCRAPED, || {
        running.must_run()?;
        let mut query = lab.peer.command("promtool");
        let answer = said(query.args(["query", "instant", "http://127.0.0.1:9090", "up == 1"]))?;
        Ok(answer.stdout.contains("=> 1").then_some(()))
    });
    scraped.with_context(|| running.log())?;
    Ok(running)
}
