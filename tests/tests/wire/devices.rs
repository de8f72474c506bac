//! Interfaces that cannot be filtered, that see one packet twice, or that have another name; and what is said of them.

use std::net::{TcpListener, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use firewall_tests::{
    daemon::{Daemon, LIMIT, Said, Site, said},
    lab::{FOE4, INTERFACE, Lab},
    netns::output,
    running::wait_until,
    trial::binary,
};
use serde_json::Value;

use crate::{
    names::rows,
    policy::{DATA, POLICY, datagram},
};

/// What was filed about a tunnel, without the folders.
const TUNNEL: &str = include_str!("../../../firewall-userspace/tests/data/tun.toml");

/// A verb that takes the configuration as its last word.
fn asked(lab: &Lab, site: &Site, verb: &[&str]) -> Result<Said> {
    said(lab.host.command(binary()?).args(verb).arg(&site.config))
}

/// What `check --host -o json` finds on the host, with its exit code.
fn on_host(lab: &Lab, site: &Site) -> Result<(i32, Vec<Value>)> {
    let told = asked(lab, site, &["check", "--host", "-o", "json"])?;
    let json: Value = serde_json::from_str(&told.stdout).with_context(|| format!("{told:?}"))?;
    ensure!(json["schema"] == "portcullis.check/v1", "{json}");
    Ok((told.code, json["host"].as_array().cloned().context("nothing of the host")?))
}

/// Level and message of the first finding about this.
fn finding(findings: &[Value], look: &str, subject: &str) -> Result<(String, String)> {
    let mut of = findings.iter().filter(|one| one["look"] == look && one["subject"] == subject);
    let found = of.next().with_context(|| format!("nothing about {subject} in {findings:?}"))?;
    let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Ok((word("level"), word("message")))
}

fn interfaces(lines: &[(&str, &str)]) -> String {
    lines.iter().map(|(name, mode)| format!("[[interface]]\nname = \"{name}\"\nmode = \"{mode}\"\n")).collect()
}

#[test]
fn a_tunnel_is_refused_by_name_and_never_advised() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("tuntap add dev tun0 mode tun")?;
    // Another link type, on a device of another kind.
    lab.host.ip("link add gpe0 type vxlan dstport 4790 external gpe")?;
    for tunnel in ["tun0", "gpe0"] {
        lab.host.ip(&format!("link set dev {tunnel} up"))?;
    }
    let site = Site::of(&lab.trial);
    for (tunnel, what) in [("tun0", "(tun, bare IP packets)"), ("gpe0", "(vxlan, bare IP packets)")] {
        site.configure(&TUNNEL.replace("tun0", tunnel))?;
        let run = site.attempt(&lab)?;
        assert_eq!(run.code, 4, "{run:?}");
        let cause = format!("cannot filter {tunnel}: its packets have no Ethernet header {what}");
        for told in [&*cause, "hint: name the interface through which its packets come: eth0;"] {
            assert!(run.stderr.contains(told), "{told} is not in {run:?}");
        }
        assert_eq!(lab.attached_to(tunnel)?, None);
        assert!(site.is_gone(), "pins or a socket are left");

        let (code, findings) = on_host(&lab, &site)?;
        let (level, message) = finding(&findings, "interfaces", &format!("interface {tunnel}"))?;
        assert_eq!((code, &*level), (5, "error"));
        assert!(message.starts_with("cannot be filtered: its packets have no Ethernet header"), "{message}");

        let doctor = asked(&lab, &site, &["doctor", "--config"])?;
        assert_eq!(doctor.code, 1, "{doctor:?}");
        assert!(doctor.squeezed().contains(&format!("fail {tunnel} kind cannot be filtered: ")), "{doctor:?}");
    }
    // Where nobody named it: it is open, and to name it is no advice.
    site.configure(POLICY)?;
    let doctor = asked(&lab, &site, &["doctor", "--config"])?;
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(doctor.squeezed().contains("warn tun0 coverage what arrives here is not filtered, and cannot be"));
    assert!(!doctor.stdout.contains("name = \"tun0\"") && !doctor.stdout.contains("name = \"lo\""), "{doctor:?}");
    Ok(())
}

#[test]
fn an_interface_that_comes_back_as_a_tunnel_is_told_and_the_others_filter_on() -> Result<()> {
    let lab = Lab::new()?;
    let lay = || lab.host.ip("link add x0 type veth peer name x1");
    lay()?;
    let daemon = Daemon::start(&lab, &format!("{}{POLICY}", interfaces(&[("eth0", "native"), ("x0", "auto")])))?;
    let wait_for = |wanted: &str| {
        let is = || Ok((daemon.interface_state("x0")?.as_deref() == Some(wanted)).then_some(()));
        wait_until(&format!("x0 that is {wanted}"), LIMIT, is).with_context(|| daemon.log())
    };
    wait_for("attached")?;
    lab.host.ip("link delete dev x0")?;
    lab.host.ip("tuntap add dev x0 mode tun")?;
    wait_for("refused")?;
    assert_eq!(lab.attached_to("x0")?, None);
    assert!(daemon.log().contains("cannot filter x0: its packets have no Ethernet header"), "{}", daemon.log());
    assert_eq!(daemon.verdict_of(&datagram(FOE4, DATA).build())?, "ipv4 drop denied");
    lab.host.ip("link delete dev x0")?;
    lay()?;
    wait_for("attached")
}

#[test]
fn a_reload_that_names_a_tunnel_is_refused_and_the_old_policy_goes_on() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("tuntap add dev tun0 mode tun")?;
    let daemon = Daemon::start(&lab, POLICY)?;
    for names in [[("eth0", "native"), ("tun0", "auto")], [("eth0", "native"), ("tun0", "generic")]] {
        daemon.site().configure(&format!("{}{POLICY}", interfaces(&names)))?;
        let reload = daemon.cli(&["reload"])?;
        assert_ne!(reload.code, 0, "{reload:?}");
        assert!(reload.stderr.contains("cannot filter tun0: its packets have no Ethernet header"), "{reload:?}");
    }
    assert_eq!(lab.attached_to("tun0")?, None);
    assert_eq!(daemon.verdict_of(&datagram(FOE4, DATA).build())?, "ipv4 drop denied");
    Ok(())
}

#[test]
fn interfaces_that_see_one_packet_twice_are_told_with_the_one_to_name() -> Result<()> {
    let lab = Lab::new()?;
    for words in [
        "link add v0 type veth peer name v1",
        "link add br0 type bridge",
        "link set dev v0 master br0",
        "link add link eth0 name mac0 type macvlan",
        "link set dev v0 up",
        "link set dev v1 up",
        "link set dev br0 up",
        "link set dev mac0 up",
    ] {
        lab.host.ip(words)?;
    }
    let all = [("eth0", "native"), ("v0", "native"), ("br0", "generic"), ("mac0", "generic")];
    let daemon = Daemon::start(&lab, &format!("{}{POLICY}", interfaces(&all)))?;
    let pairs = [("br0 (bridge)", "v0", "br0"), ("mac0 (macvlan)", "eth0", "mac0")];
    for (upper, lower, _) in pairs {
        let told = format!("{upper} sees the packets of {lower} again");
        assert!(daemon.log().contains(&told), "{told} is not in {}", daemon.log());
        assert!(daemon.log().contains(&format!("name {lower} only")), "{}", daemon.log());
    }
    let site = daemon.site().clone();
    let (code, findings) = on_host(&lab, &site)?;
    assert_eq!(code, 0, "{findings:?}");
    let doctor = asked(&lab, &site, &["doctor", "--config"])?;
    for (_, _, subject) in pairs {
        assert_eq!(finding(&findings, "pairs", &format!("interface {subject}"))?.0, "warning");
        assert!(doctor.squeezed().contains(&format!("warn {subject} pair ")), "{doctor:?}");
    }
    assert_eq!(asked(&lab, &site, &["check", "--host", "--strict"])?.code, 5);
    drop(daemon);
    site.detach(&[])?;

    // Advice that is followed makes no pair: what stands on eth0 is not advised, and of bridge and port only the bridge.
    site.configure(POLICY)?;
    let doctor = asked(&lab, &site, &["doctor", "--config"])?;
    let advised: Vec<&str> = doctor.stdout.lines().filter(|line| line.contains(" coverage ")).collect();
    let subjects: Vec<&str> = advised.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(subjects, ["v1", "br0"], "{doctor:?}");
    Ok(())
}

#[test]
fn a_port_whose_bridge_has_a_program_is_refused_with_the_true_cause() -> Result<()> {
    let lab = Lab::new()?;
    for words in ["link add v0 type veth peer name v1", "link add br0 type bridge", "link set dev v0 master br0"] {
        lab.host.ip(words)?;
    }
    let both = interfaces(&[("br0", "generic"), ("v0", "native")]);
    let daemon = Daemon::start(&lab, &format!("{both}{POLICY}"))?;
    assert_eq!(daemon.interface_states()?, rows([("br0", "attached"), ("v0", "refused")]));
    for told in ["cannot attach to v0 in native mode: br0, which stands above it, has an XDP program", "hint: name br0"]
    {
        assert!(daemon.log().contains(told), "{told} is not in {}", daemon.log());
    }
    Ok(())
}

#[test]
fn a_veth_with_too_few_queues_is_refused_with_the_command_that_helps() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link add q0 numrxqueues 1 numtxqueues 1 type veth peer name q1 numrxqueues 4 numtxqueues 4")?;
    let site = Site::of(&lab.trial);
    site.configure(&format!("{}{POLICY}", interfaces(&[("q0", "native")])))?;
    let run = site.attempt(&lab)?;
    assert_eq!(run.code, 4, "{run:?}");
    let cause =
        "cannot attach to q0 in native mode: it has 1 receive queue(s), fewer than the 4 transmit queues of its peer";
    for told in [cause, "hint: ethtool -L q1 tx 1"] {
        assert!(run.stderr.contains(told), "{told} is not in {run:?}");
    }
    let doctor = asked(&lab, &site, &["doctor", "--config"])?;
    assert!(doctor.squeezed().contains("fail q0 native XDP no: it has 1 receive queue(s)"), "{doctor:?}");
    assert_eq!(on_host(&lab, &site)?.0, 5);
    // The advice is right.
    lab.host.enter(|| output(std::process::Command::new("ethtool").args(["-L", "q1", "tx", "1"])))??;
    let _daemon = Daemon::start_at(&lab, site.clone())?;
    assert_eq!(lab.attached_to("q0")?.as_deref(), Some("xdp"));
    Ok(())
}

#[test]
fn an_alternative_name_works_everywhere_and_names_one_interface() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link property add dev eth0 altname wan")?;
    let daemon = Daemon::start(&lab, &format!("{}{POLICY}", interfaces(&[("wan", "native")])))?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    let site = daemon.site().clone();
    let doctor = asked(&lab, &site, &["doctor", "--config"])?;
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(doctor.squeezed().contains("ok eth0 name also called wan"), "{doctor:?}");
    assert!(!doctor.stdout.contains("coverage"), "{doctor:?}");
    assert_eq!(asked(&lab, &site, &["doctor", "wan", "--config"])?.code, 0);
    assert_eq!(on_host(&lab, &site)?.0, 0);

    site.configure(&format!("{}{POLICY}", interfaces(&[("wan", "native"), ("eth0", "native")])))?;
    let (code, findings) = on_host(&lab, &site)?;
    assert_eq!((code, &*finding(&findings, "interfaces", "interface eth0")?.0), (5, "error"));
    let reload = daemon.cli(&["reload"])?;
    assert!(reload.code != 0 && reload.stderr.contains("it is wan by another name"), "{reload:?}");
    Ok(())
}

#[test]
fn a_start_with_two_names_of_one_interface_goes_on_with_the_last_good_policy() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link property add dev eth0 altname wan")?;
    let mut daemon = Daemon::start(&lab, &format!("{}{POLICY}", interfaces(&[("wan", "native")])))?;
    let site = daemon.site().clone();
    daemon.stop()?;
    site.configure(&format!("{}{POLICY}", interfaces(&[("wan", "native"), ("eth0", "native")])))?;
    let daemon = Daemon::start_at(&lab, site.clone())?;
    let status = daemon.status()?;
    let condition = &status["conditions"][0];
    ensure!(condition["code"] == "not_the_file", "{status:#}");
    ensure!(condition.to_string().contains("it is wan by another name, which is configured too"), "{status:#}");
    assert_eq!(status["interfaces"].as_array().map(Vec::len), Some(1), "{status:#}");
    assert_eq!(daemon.interface_state("wan")?.as_deref(), Some("attached"));
    drop(daemon);

    // Where there is nothing to go on with, it filters, and says so.
    site.detach(&[])?;
    std::fs::remove_dir_all(&site.state)?;
    let daemon = Daemon::start_at(&lab, site)?;
    assert_eq!(lab.attached()?.as_deref(), Some("xdp"));
    let told = "one interface has two names in the configuration, and is filtered once";
    ensure!(daemon.log().contains(told), "{}", daemon.log());
    Ok(())
}

#[test]
fn check_host_tells_who_listens_and_needs_no_capability() -> Result<()> {
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(POLICY)?;
    let (code, findings) = on_host(&lab, &site)?;
    assert_eq!(code, 0, "{findings:?}");
    for (service, port) in [("data", "udp 9000"), ("web", "tcp 80")] {
        let told = finding(&findings, "listeners", &format!("service {service}"))?;
        assert_eq!(told, ("warning".into(), format!("nobody on this host listens on {port}")));
    }
    let sockets = lab.host.enter(|| {
        let tcp = ["0.0.0.0:80", "[::]:22", "127.0.0.1:631"].map(TcpListener::bind);
        (tcp, ["0.0.0.0:9000", "192.0.2.10:53"].map(UdpSocket::bind))
    })?;
    assert!(sockets.0.iter().all(Result::is_ok) && sockets.1.iter().all(Result::is_ok), "{sockets:?}");
    let (_, findings) = on_host(&lab, &site)?;
    let notes: Vec<&str> = findings.iter().filter_map(|one| one["message"].as_str()).collect();
    let note = |port: &str| format!("{port} listens and belongs to no service: what is sent there is not filtered");
    assert_eq!(notes, [note("tcp 22"), note("udp 53")]);

    let mut powerless = lab.host.command("setpriv");
    powerless.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(binary()?);
    let told = said(powerless.args(["check", "--host", "--strict"]).arg(&site.config))?;
    assert_eq!((told.code, told.stderr.lines().count()), (0, 2), "{told:?}");
    assert!(told.stdout.ends_with(", 2 notes\n"), "{told:?}");
    Ok(())
}

#[test]
fn the_doctor_tells_of_big_tcp_where_it_matters() -> Result<()> {
    let lab = Lab::new()?;
    lab.host.ip("link set dev eth0 gro_max_size 200000")?;
    let site = Site::of(&lab.trial);
    let told = |mode| {
        site.configure(&format!("{}{POLICY}", interfaces(&[(INTERFACE, mode)])))?;
        anyhow::Ok(asked(&lab, &site, &["doctor", "--config"])?.squeezed())
    };
    let generic = told("generic")?;
    assert!(generic.contains("warn eth0 BIG TCP gro_max_size of eth0 is 200000"), "{generic}");
    assert!(generic.contains("fix: ip link set dev eth0 gro_max_size 65536"), "{generic}");
    assert!(!told("native")?.contains("BIG TCP"));
    Ok(())
}
