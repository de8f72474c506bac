//! What a configuration means, and that the sample shows all of it.

use std::{collections::BTreeSet, net::IpAddr, path::Path, time::Duration};

use toml::de::{DeTable, DeValue};

use super::{Loaded, keys, load, load_text};
use crate::policy::{
    AttachMode, FragmentPolicy, HostDefault, LimitFor, Mode, Policy, Prefix, Protocol, Rate, SocketMode,
};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/portcullis.toml");
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn read(text: &str) -> Policy {
    match load_text(Path::new("x.toml"), text, Path::new(DATA)) {
        Ok(loaded) => loaded.policy,
        Err(report) => panic!("{report}"),
    }
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().expect("a prefix")).collect()
}

fn events(rate: u64, per: Duration, burst: u64) -> Rate {
    Rate::of_events(rate, per, burst).expect("a rate")
}

/// The sample with every setting in use.
fn whole_sample() -> String {
    let text = std::fs::read_to_string(SAMPLE).expect("the sample is there");
    let enabled = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|symbol: char| symbol == '[' || symbol.is_ascii_lowercase()) => {
            format!("{setting}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(enabled).collect()
}

#[test]
fn the_sample_is_ready_to_use() {
    let Loaded { policy, tests, warnings, files, .. } =
        load(Path::new(SAMPLE)).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(files, [Path::new(SAMPLE)]);
    assert_eq!(policy.services.len(), 1);
    assert!(!tests.is_empty());
}

#[test]
fn the_sample_with_every_setting_in_use_is_valid() {
    let text = whole_sample();
    let loaded = load_text(Path::new("x.toml"), &text, Path::new(DATA)).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.files.len(), 3);
    assert_eq!(loaded.policy.interfaces.len(), 2);
}

#[test]
fn the_sample_shows_every_key_and_no_other() {
    let text = whole_sample();
    let (document, errors) = DeTable::parse_recoverable(&text);
    assert_eq!(errors, []);
    let mut shown = BTreeSet::new();
    collect("", &DeValue::Table(document.into_inner()), &mut shown);
    let known: BTreeSet<String> = [
        ("", keys::ROOT),
        ("interface", keys::INTERFACE),
        ("policy", keys::POLICY),
        ("lists.*", keys::LIST),
        ("limits.*", keys::LIMIT),
        ("limits.*.packets", keys::RATE),
        ("limits.*.bytes", keys::BYTE_RATE),
        ("limits.*.connections", keys::RATE),
        ("limits.*.source_prefix", keys::SOURCE_PREFIX),
        ("services.*", keys::SERVICE),
        ("services.*.limit_for", keys::LIMIT_FOR),
        ("essentials", keys::ESSENTIALS),
        ("essentials.neighbour_discovery", keys::RATE),
        ("essentials.mld", keys::RATE),
        ("essentials.icmp_error", keys::RATE),
        ("essentials.dhcp", keys::RATE),
        ("guard", keys::GUARD),
        ("admin", keys::ADMIN),
        ("api", keys::API),
        ("api.roles.*", keys::GRANT),
        ("api.jwt", keys::JWT),
        ("api.signers.*", keys::SIGNER),
        ("state", keys::STATE),
        ("drift", keys::DRIFT),
        ("log", keys::LOG),
        ("test", keys::TEST),
    ]
    .iter()
    .flat_map(|(table, keys)| {
        keys.iter().map(move |key| format!("{table}.{}", key.name).trim_start_matches('.').to_owned())
    })
    .collect();
    assert_eq!(shown, known);
}

/// Every key below `value`; names that the operator chose are `*`.
fn collect(path: &str, value: &DeValue<'_>, shown: &mut BTreeSet<String>) {
    match value {
        DeValue::Table(table) => {
            for (key, value) in table {
                let is_chosen = matches!(
                    path,
                    "lists"
                        | "limits"
                        | "services"
                        | "api.roles"
                        | "api.certificates"
                        | "api.jwt.roles"
                        | "api.signers"
                );
                let key = if is_chosen { "*" } else { &**key.get_ref() };
                let path = format!("{path}.{key}").trim_start_matches('.').to_owned();
                collect(&path, value.get_ref(), shown);
                if !is_chosen {
                    shown.insert(path);
                }
            }
        }
        DeValue::Array(rows) => rows.iter().for_each(|row| collect(path, row.get_ref(), shown)),
        _ => {}
    }
}

#[test]
fn what_is_not_written_has_its_default() {
    let policy = read(
        "[[interface]]\nname = \"eth0\"\n[limits.l]\npackets = { rate = 7 }\n[lists.l]\n[services.s]\nprotocol = \"udp\"\nports = [53]\n",
    );
    assert_eq!(policy.interfaces[0].mode, AttachMode::Native);
    assert_eq!(policy.mode, Mode::Enforce);
    assert_eq!(policy.host_default, HostDefault::Pass);
    assert_eq!(policy.fragments, FragmentPolicy::Drop);
    assert_eq!(policy.management, []);
    assert_eq!(policy.lists[0].entries, []);
    let limit = &policy.limits[0];
    let second = Duration::from_secs(1);
    assert_eq!((limit.packets, limit.bytes, limit.connections), (Some(events(7, second, 7)), None, None));
    assert_eq!((limit.source_v4, limit.source_v6), (32, 64));
    let service = &policy.services[0];
    assert_eq!((&service.allow, &service.deny, service.limit), (&None, &vec![], None));
    assert_eq!((&service.limit_for, &service.addresses), (&vec![], &vec![]));
    let cap = events(1000, second, 1000);
    let caps = policy.essentials;
    assert_eq!([caps.neighbour_discovery, caps.mld, caps.icmp_error, caps.dhcp], [cap; 4]);
    assert_eq!(policy.admin_listen.to_string(), "127.0.0.1:9191");
    assert_eq!(
        (&*policy.api.socket.path, policy.api.socket.mode),
        (Path::new("/run/portcullis/api.sock"), SocketMode::Group)
    );
    assert_eq!(policy.api.socket.group, None);
    assert_eq!(policy.state.directory, Path::new("/var/lib/portcullis"));
    assert_eq!(policy.state.snapshot_after, 8 << 20);
}

#[test]
fn what_is_written_is_what_it_means() {
    let policy = read(
        r#"
        interface = [{ name = "eth1", mode = "generic" }, { name = "eth0", mode = "auto" }]
        policy = { mode = "observe", fragments = "source", host_default = "pass", management = ["::1", "10.0.0.0/8"] }
        [lists]
        b.file = "lists/partners.txt"
        b.entries = ["192.0.2.7", "10.0.0.0/8"]
        a.entries = ["0.0.0.0/0"]
        [limits.two]
        bytes = { rate = "20MB", per = "1m", burst = "40MiB" }
        source_prefix = { v4 = 24 }
        [limits.one]
        connections = { rate = 50, per = "500ms", burst = 100 }
        source_prefix = { v6 = 56 }
        [services.api]
        protocol = "tcp"
        ports = ["8443-8445", 443, 8446]
        allow = ["b"]
        deny = ["a"]
        limit = "two"
        limit_for = [{ list = "b", limit = "one" }]
        addresses = ["192.0.2.10", "2001:db8::1"]
        [essentials]
        mld = { rate = 5, per = "1h", burst = 9 }
        [admin]
        listen = "[::1]:0"
        [api]
        socket = "/tmp/p.sock"
        group = "viewers"
        mode = "0600"
        [state]
        directory = "/tmp/state"
        snapshot_after = "1kB"
        "#,
    );
    let names: Vec<&str> = policy.interfaces.iter().map(|interface| &*interface.name).collect();
    assert_eq!(names, ["eth1", "eth0"]);
    assert_eq!([policy.interfaces[0].mode, policy.interfaces[1].mode], [AttachMode::Generic, AttachMode::Auto]);
    assert_eq!((policy.mode, policy.fragments), (Mode::Observe, FragmentPolicy::Source));
    assert_eq!(policy.management, prefixes(&["10.0.0.0/8", "::1"]));
    assert_eq!(policy.lists.iter().map(|list| &*list.name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(policy.lists[1].entries, prefixes(&["10.0.0.0/8", "192.0.2.7", "2001:db8:7::/48"]));
    assert_eq!(policy.limits.iter().map(|limit| &*limit.name).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(policy.limits[0].connections, Some(events(50, Duration::from_millis(500), 100)));
    assert_eq!((policy.limits[0].source_v4, policy.limits[0].source_v6), (32, 56));
    let bytes = Rate::of_bytes(20_000_000, Duration::from_secs(60), 40 << 20).expect("a rate");
    assert_eq!((policy.limits[1].packets, policy.limits[1].bytes), (None, Some(bytes)));
    assert_eq!((policy.limits[1].source_v4, policy.limits[1].source_v6), (24, 64));
    let service = &policy.services[0];
    assert_eq!((&*service.name, service.protocol), ("api", Protocol::Tcp));
    assert_eq!(service.ports, [443..=443, 8443..=8446]);
    assert_eq!((&service.allow, &service.deny), (&Some(vec![1]), &vec![0]));
    assert_eq!((service.limit, &service.limit_for), (Some(1), &vec![LimitFor { list: 1, limit: 0 }]));
    let addresses: Vec<IpAddr> =
        ["192.0.2.10", "2001:db8::1"].iter().map(|text| text.parse().expect("an address")).collect();
    assert_eq!(service.addresses, addresses);
    assert_eq!(policy.essentials.mld, events(5, Duration::from_secs(3600), 9));
    assert_eq!(policy.admin_listen.to_string(), "[::1]:0");
    assert_eq!((&*policy.api.socket.path, policy.api.socket.mode), (Path::new("/tmp/p.sock"), SocketMode::User));
    assert_eq!(policy.api.socket.group.as_deref(), Some("viewers"));
    assert_eq!((&*policy.state.directory, policy.state.snapshot_after), (Path::new("/tmp/state"), 1000));
}

#[test]
fn a_hundred_thousand_broken_tables_are_refused_without_exhausting_the_stack() {
    for text in
        ["[".repeat(100_000), format!("a{} = 1\n", ".a".repeat(100_000)), format!("a = {}", "[{a=".repeat(50_000))]
    {
        assert!(load_text(Path::new("x.toml"), &text, Path::new("")).is_err());
    }
}

#[test]
fn a_daemon_reads_no_pipe_and_a_command_reads_a_configuration_from_one() {
    let folder = std::env::temp_dir().join(format!("portcullis-config-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    let (pipe, config) = (folder.join("pipe"), folder.join("portcullis.toml"));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let words = |report: super::Report| report.render(false);
    let hint = "a daemon reads regular files only";
    let said = words(super::load_regular(&pipe).expect_err("a pipe"));
    assert!(said.contains("pipe: it is a named pipe and no regular file") && said.contains(hint), "{said}");
    let text = std::fs::read_to_string(SAMPLE).expect("the sample is there");
    std::fs::write(&config, format!("{text}\n[lists.piped]\nfile = \"pipe\"\n")).expect("a file");
    for load in [super::load_regular, load] {
        let said = words(load(&config).expect_err("a pipe"));
        assert!(said.contains("pipe: it is a named pipe") && said.contains("lists.piped.file"), "{said}");
    }

    let at = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(at, "[[interface]]\nname = \"eth7\"\n"));
    let loaded = load(&pipe).unwrap_or_else(|report| panic!("{report}"));
    writer.join().expect("it ends").expect("it writes");
    assert_eq!(loaded.policy.interfaces[0].name, "eth7");
    std::fs::remove_dir_all(folder).expect("it goes");
}
