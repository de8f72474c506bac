//! `portcullis init` on hosts that are built differently: what it writes is accepted there, and keeps every service reachable.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{
    daemon::{Daemon, Said, Site, said},
    lab::{FRIEND4, HOST4, HOST6, INTERFACE, Lab, STRANGER4, STRANGER6},
    netns::Netns,
    nginx::{Curl, Nginx},
    session::Session,
    traffic::bind,
    trial::binary,
};
use serde_json::Value;

/// How long a connection may take that is let through, and for how long none comes that is not.
const CONNECT: Duration = Duration::from_secs(3);
const SILENCE: Duration = Duration::from_millis(400);

/// A host on which `init` wrote its configuration.
struct Written {
    text: String,
    document: Value,
}

/// Runs `init`, and requires that `check --host --strict` has no word against what it wrote.
fn write(lab: &Lab, connection: Option<&str>) -> Result<Written> {
    let site = Site::of(&lab.trial);
    let run = |arguments: &[&str]| -> Result<Said> {
        let mut command = lab.host.command(binary()?);
        command.env_remove("SSH_CONNECTION").envs(connection.map(|words| ("SSH_CONNECTION", words)));
        said(command.args(arguments))
    };
    let path = site.config.to_str().context("the path is text")?;
    let wrote = run(&["init", "--config", path, "--yes", "-o", "json"])?;
    ensure!(wrote.code == 0, "{wrote:?}");
    let text = fs::read_to_string(&site.config)?;
    let checked = run(&["check", "--host", "--strict", path])?;
    ensure!(checked.code == 0 && !checked.stderr.contains("warning"), "{checked:?}\n{text}");
    let again = run(&["init", "--config", path, "--yes"])?;
    again.assert_refused(&["never overwrites", "--dry-run"]);
    ensure!(fs::read_to_string(&site.config)? == text, "a second run changed the file");
    Ok(Written { text, document: serde_json::from_str(&wrote.stdout)? })
}

impl Written {
    /// Enforces it.
    fn enforce<'l>(&self, lab: &'l Lab) -> Result<Daemon<'l>> {
        ensure!(self.text.contains("\nmode = \"observe\"\n"), "{}", self.text);
        Daemon::start(lab, &self.text.replace("\nmode = \"observe\"\n", "\nmode = \"enforce\"\n"))
    }

    fn interfaces(&self) -> Vec<&str> {
        let all = self.document["interfaces"].as_array().into_iter().flatten();
        all.filter_map(|one| one["name"].as_str()).collect()
    }

    /// `ssh tcp [22]`, by name.
    fn services(&self) -> Vec<String> {
        let all = self.document["services"].as_array().into_iter().flatten();
        let words = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        all.map(|one| format!("{} {} {}", words(one, "name"), words(one, "protocol"), one["ports"])).collect()
    }
}

fn listen(host: &Netns, at: &str) -> Result<TcpListener> {
    host.enter(|| TcpListener::bind(at))?.with_context(|| format!("cannot listen at {at}"))
}

/// Whether a connection from the peer comes about within this time.
fn connects(peer: &Netns, host: &str, port: u16, limit: Duration) -> Result<bool> {
    let address = SocketAddr::new(host.parse::<IpAddr>()?, port);
    peer.enter(|| TcpStream::connect_timeout(&address, limit).is_ok())
}

/// Whether a datagram from this source arrives.
fn arrives(lab: &Lab, service: &UdpSocket, source: &str, host: &str, limit: Duration) -> Result<bool> {
    service.set_read_timeout(Some(limit))?;
    let port = service.local_addr()?.port();
    bind(&lab.peer, source, 0)?.send_to(b"question", (host, port))?;
    Ok(service.recv(&mut [0; 16]).is_ok())
}

/// Nginx at two ports, and somebody who is connected by ssh.
#[test]
fn init_on_a_web_server_keeps_its_ports_and_names_who_is_connected_by_ssh() -> Result<()> {
    let lab = Lab::new()?;
    let _nginx = Nginx::start(&lab, &[80, 443])?;
    let mut ssh = Session::open(&lab, FRIEND4, HOST4, 22)?;
    let written = write(&lab, Some(&ssh.ssh_connection()?))?;
    assert_eq!(written.interfaces(), [INTERFACE]);
    assert_eq!(written.services(), ["nginx tcp [80,443]", "ssh tcp [22]"]);
    assert_eq!(written.document["management"][0], format!("{FRIEND4}/32"));
    let daemon = written.enforce(&lab)?;
    assert!(ssh.is_alive()?);
    let get = |port: u16| {
        let curl = Curl::new(&lab.peer).from(STRANGER4).within(CONNECT);
        curl.get(&format!("http://{HOST4}:{port}/"))
    };
    for port in [80, 443] {
        assert_eq!(get(port)?, Ok(()));
    }
    // They are services, and not only let through for want of one; and the way in stays open.
    daemon.ok(&["deny", "add", "blocked", STRANGER4])?;
    daemon.ok(&["deny", "add", "blocked", FRIEND4, "--force"])?;
    assert!(get(80)?.is_err() && ssh.is_alive()?);
    Ok(())
}

#[test]
fn init_on_a_name_server_keeps_udp_and_makes_no_service_of_what_asks_others() -> Result<()> {
    let lab = Lab::new()?;
    let dns = bind(&lab.host, HOST4, 53)?;
    let tunnel = bind(&lab.host, "0.0.0.0", 51820)?;
    let _client = bind(&lab.host, "0.0.0.0", 40_000)?;
    let _dhcp = bind(&lab.host, "0.0.0.0", 68)?;
    let _local = bind(&lab.host, "127.0.0.1", 323)?;
    let written = write(&lab, None)?;
    assert_eq!(written.services(), ["dns udp [53]", "wireguard udp [51820]"]);
    assert_eq!(written.document["services"][0]["addresses"][0], HOST4);
    assert!(written.text.contains("\nmanagement = []\n"), "{}", written.text);
    let daemon = written.enforce(&lab)?;
    for socket in [&dns, &tunnel] {
        assert!(arrives(&lab, socket, STRANGER4, HOST4, CONNECT)?);
    }
    daemon.ok(&["deny", "add", "blocked", STRANGER4])?;
    for socket in [&dns, &tunnel] {
        assert!(!arrives(&lab, socket, STRANGER4, HOST4, SILENCE)?);
    }
    Ok(())
}

#[test]
fn init_on_a_host_that_serves_by_ipv6_keeps_it_reachable_there() -> Result<()> {
    let lab = Lab::new()?;
    let _one = listen(&lab.host, &format!("[{HOST6}]:8443"))?;
    let _all = listen(&lab.host, "[::]:443")?;
    let udp = bind(&lab.host, HOST6, 443)?;
    let written = write(&lab, None)?;
    let mut ports: Vec<String> =
        written.services().iter().filter_map(|one| one.split_once(' ')).map(|(_, rest)| rest.to_owned()).collect();
    ports.sort();
    assert_eq!(ports, ["tcp [443]", "tcp [8443]", "udp [443]"]);
    let daemon = written.enforce(&lab)?;
    for port in [443, 8443] {
        assert!(connects(&lab.peer, HOST6, port, CONNECT)?, "{port}");
    }
    assert!(connects(&lab.peer, HOST4, 443, CONNECT)?);
    assert!(arrives(&lab, &udp, STRANGER6, HOST6, CONNECT)?);
    daemon.ok(&["deny", "add", "blocked", "2001:db8:1::/64", "--force"])?;
    assert!(!connects(&lab.peer, HOST6, 8443, SILENCE)? && !arrives(&lab, &udp, STRANGER6, HOST6, SILENCE)?);
    Ok(())
}

#[test]
fn init_on_a_bridge_names_the_one_interface_that_sees_every_packet() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link add br0 type bridge")?;
    lab.host.ip(&format!("address flush dev {INTERFACE}"))?;
    lab.host.ip(&format!("link set dev {INTERFACE} master br0"))?;
    lab.host.ip(&format!("address add {HOST4}/24 dev br0"))?;
    lab.host.ip("link set dev br0 up")?;
    lab.host.ip("route add default via 192.0.2.1")?;
    let _nginx = Nginx::start(&lab, &[80])?;
    let written = write(&lab, None)?;
    assert_eq!(written.interfaces(), ["br0"]);
    assert_eq!(written.services(), ["http tcp [80]"]);
    let daemon = written.enforce(&lab)?;
    assert!(connects(&lab.peer, HOST4, 80, CONNECT)?);
    daemon.ok(&["deny", "add", "blocked", FRIEND4])?;
    assert!(!connects(&lab.peer, HOST4, 80, SILENCE)?);
    Ok(())
}

/// A bridge as Docker makes it, with a container behind it that others reach by its own address.
#[test]
fn init_beside_containers_leaves_their_bridge_alone_and_keeps_what_is_published() -> Result<()> {
    let lab = Lab::new()?;
    let container = Netns::create(&lab.trial, "box")?;
    lab.host.ip("link add docker0 type bridge")?;
    lab.host.ip("address add 172.17.0.1/16 dev docker0")?;
    lab.host.ip("link set dev docker0 up")?;
    lab.host.ip(&format!("link add veth1 type veth peer name {INTERFACE} netns {}", container.name()))?;
    lab.host.ip("link set dev veth1 master docker0 up")?;
    lab.host.set("net/ipv4/ip_forward", "1")?;
    container.ip(&format!("address add 172.17.0.2/16 dev {INTERFACE}"))?;
    container.ip(&format!("link set dev {INTERFACE} up"))?;
    container.ip("route add default via 172.17.0.1")?;
    lab.peer.ip(&format!("route add 172.17.0.0/16 via {HOST4}"))?;
    let _inside = listen(&container, "0.0.0.0:8000")?;
    let _published = listen(&lab.host, "0.0.0.0:8080")?;
    let _for_guests = listen(&lab.host, "172.17.0.1:53")?;
    let written = write(&lab, None)?;
    assert_eq!(written.interfaces(), [INTERFACE]);
    let services = written.services();
    assert!(services.len() == 1 && services[0].ends_with(" tcp [8080]"), "{services:?}");
    assert!(written.text.contains("interface docker0: nothing from outside"), "{}", written.text);
    let daemon = written.enforce(&lab)?;
    assert!(connects(&lab.peer, HOST4, 8080, CONNECT)?);
    assert!(connects(&lab.peer, "172.17.0.2", 8000, CONNECT)?, "what is forwarded is no service, and passes");
    assert!(connects(&container, "172.17.0.1", 53, CONNECT)?);
    daemon.ok(&["deny", "add", "blocked", FRIEND4])?;
    assert!(!connects(&lab.peer, HOST4, 8080, SILENCE)?);
    Ok(())
}
