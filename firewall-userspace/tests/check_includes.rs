//! A configuration in several files: what it means, and where its messages point.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use firewall_userspace::config::{Bundle, BundledFile, Loaded, Report, load, load_bundle, load_regular};
use nix::sys::stat::Mode;

/// The main file; what it needs besides is in others.
const MAIN: &str =
    "include = [\"conf.d/*.toml\"]\n[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [\"198.51.100.1\"]\n";

const LISTS: &str = "[lists.a]\nfile = \"a.txt\"\n[limits.l]\npackets = { rate = 5 }\n[policy]\nmode = \"observe\"\n";

const SERVICES: &str = "[services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\nlimit = \"l\"\n[[interface]]\nname = \"eth1\"\n\
                        [[test]]\nname = \"t\"\nsource = \"192.0.2.1\"\nprotocol = \"tcp\"\nport = 443\nexpect = \"pass\"\n";

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = Self(env::temp_dir().join(format!("portcullis-includes-{name}-{}", process::id())));
        fs::create_dir_all(folder.0.join("conf.d")).expect("a folder");
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    /// The configuration in three files.
    fn good(name: &str) -> Self {
        let files = [("p.toml", MAIN), ("conf.d/10-l.toml", LISTS), ("conf.d/20-s.toml", SERVICES)];
        Self::new(name, &[&files[..], &[("conf.d/a.txt", "192.0.2.0/24\n")]].concat())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a file");
    }

    fn main(&self) -> PathBuf {
        self.0.join("p.toml")
    }

    /// Everything that is said, with paths from this folder.
    fn said(&self) -> Vec<String> {
        let report = load(&self.main()).map_or_else(|report| report, |loaded| loaded.warnings);
        self.lines(&report)
    }

    fn lines(&self, report: &Report) -> Vec<String> {
        let folder = format!("{}/", self.0.display());
        let line = |one: &firewall_userspace::config::Diagnostic| one.to_string().replace(&folder, "");
        report.diagnostics().iter().map(line).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn good(folder: &Folder) -> Loaded {
    load(&folder.main()).expect("a configuration without mistakes")
}

#[test]
fn what_is_included_is_read_as_if_it_stood_in_the_configuration() {
    let folder = Folder::good("same");
    let loaded = good(&folder);
    assert_eq!(folder.lines(&loaded.warnings), [""; 0]);
    let names: Vec<_> = loaded.files.iter().map(|file| file.strip_prefix(&folder.0).unwrap().to_owned()).collect();
    assert_eq!(names, ["p.toml", "conf.d/10-l.toml", "conf.d/20-s.toml", "conf.d/a.txt"].map(PathBuf::from));
    let one = "[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"eth1\"\n[policy]\nmanagement = [\"198.51.100.1\"]\n\
               mode = \"observe\"\n[lists.a]\nentries = [\"192.0.2.0/24\"]\n[limits.l]\npackets = { rate = 5 }\n[services.s]\n\
               protocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\nlimit = \"l\"\n";
    folder.write("one.toml", one);
    assert_eq!(loaded.policy, load(&folder.0.join("one.toml")).unwrap().policy);
    assert_eq!(loaded.tests.len(), 1);
}

#[test]
fn a_bundle_has_the_included_files_and_is_read_without_them() {
    let folder = Folder::good("bundle");
    let loaded = good(&folder);
    fs::remove_dir_all(folder.0.join("conf.d")).unwrap();
    let sent = serde_json::to_string(&loaded.bundle).unwrap();
    let bundle: Bundle = serde_json::from_str(&sent).unwrap();
    assert_eq!(bundle, loaded.bundle);
    let again = load_bundle(&bundle).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((again.policy, again.bundle), (loaded.policy, loaded.bundle));
    let octets = MAIN.len() + LISTS.len() + SERVICES.len() + "192.0.2.0/24\n".len();
    assert_eq!(bundle.octets(), octets as u64);
}

#[test]
fn a_bundle_of_a_daemon_that_knew_no_includes_is_read_and_one_without_any_is_like_it() {
    let old = r#"{"name":"/p.toml","config":"[[interface]]\nname = \"eth0\"\n","files":[]}"#;
    let bundle: Bundle = serde_json::from_str(old).unwrap();
    assert!(load_bundle(&bundle).is_ok());
    assert_eq!(serde_json::to_string(&bundle).unwrap(), old);
}

#[test]
fn a_bundle_lacks_no_file_and_has_none_besides() {
    let folder = Folder::good("uninvited");
    let whole = good(&folder).bundle;
    let file = |name: &str| BundledFile { path: format!("{}/{name}", folder.0.display()), text: String::new() };
    for (name, stranger) in [
        ("other.toml", true),
        ("conf.d/b.txt", true),
        ("p.toml", true),
        ("conf.d/30.toml", false),
        ("conf.d/x/30.toml", true),
    ] {
        let mut bundle = whole.clone();
        bundle.included.push(file(name));
        let said = load_bundle(&bundle).map(drop).map_err(|report| folder.lines(&report));
        let wanted = format!(
            "{name}: include: {}/{name} came with the configuration, which does not include it",
            folder.0.display()
        );
        let wanted = wanted.replace(&format!("{}/", folder.0.display()), "");
        assert_eq!(said, if stranger { Err(vec![wanted]) } else { Ok(()) }, "{name}");
    }
    let mut bundle = whole;
    bundle.config = bundle.config.replace("conf.d/*.toml", "conf.d/20-s.toml\", \"conf.d/10-l.toml\", \"gone.toml");
    assert_eq!(
        folder.lines(&load_bundle(&bundle).unwrap_err()),
        ["p.toml:1:52: include[2]: the file gone.toml did not come with the configuration"]
    );
}

#[test]
fn every_message_points_into_the_file_that_it_is_about() {
    let folder = Folder::good("places");
    folder.write(
        "conf.d/10-l.toml",
        "# äöü\n[lists.a]\nentires = []\n[lists.unused]\n[limits.l]\nbytes = { rate = \"9B\" }\n",
    );
    folder.write(
        "conf.d/20-s.toml",
        "[services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"b\"]\n[services.t]\nprotocol = \"tcp\"\n  ports = [442, 443]\n[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"eth2\"\nmode = \"nativ\"\n",
    );
    folder.write("conf.d/30-t.toml", "[services.u]\nports = [443]\nprotocol = \"tcp\"\n[[test]]\nname = 7\n");
    assert_eq!(
        folder.said(),
        [
            "conf.d/10-l.toml:3:1: lists.a.entires: unknown key",
            "conf.d/10-l.toml:6:18: limits.l.bytes.rate: a burst of 9 bytes is smaller than one full frame (1,514 octets), so such frames \
             never pass",
            "conf.d/20-s.toml:4:10: services.s.allow[0]: no list is called `b`",
            "conf.d/20-s.toml:7:17: services.t.ports[1]: tcp port 443 belongs to `services.s` already (line 3)",
            "conf.d/20-s.toml:9:8: interface[1].name: `eth0` is named twice (first in p.toml:3:8)",
            "conf.d/20-s.toml:12:8: interface[2].mode: `nativ` is not known; expected \"native\", \"generic\" or \"auto\"",
            "conf.d/30-t.toml:2:10: services.u.ports[0]: tcp port 443 belongs to `services.s` already (conf.d/20-s.toml:3:10)",
            "conf.d/30-t.toml:2:10: services.u.ports[0]: tcp port 443 belongs to `services.t` already (conf.d/20-s.toml:7:17)",
            "conf.d/30-t.toml:4:1: test[0].source: this key is required",
            "conf.d/30-t.toml:4:1: test[0].protocol: this key is required",
            "conf.d/30-t.toml:4:1: test[0].expect: this key is required",
            "conf.d/30-t.toml:5:8: test[0].name: expected what the test says, found an integer",
        ]
    );
    let report = load(&folder.main()).unwrap_err();
    assert!(report.render(false).contains("3 | entires = []"), "{report}");
    assert!(report.diagnostics()[0].hint.as_deref() == Some("did you mean `entries`?"));
    let json = serde_json::to_value(report.to_json(&folder.main())).unwrap();
    let first = &json["errors"][0];
    assert_eq!((&first["line"], &first["column"]), (&3.into(), &1.into()));
    assert!(first["file"].as_str().unwrap().ends_with("conf.d/10-l.toml"), "{first}");
}

#[test]
fn a_syntax_error_is_told_in_its_file_and_hides_nothing_in_another() {
    let folder = Folder::good("syntax");
    folder.write("conf.d/10-l.toml", "[lists.a]\nentries = \nfile = \"a.txt\"\n");
    folder.write("conf.d/20-s.toml", "[services.s]\nprotocol = \"tpc\"\nports = [443]\n");
    assert_eq!(
        folder.said(),
        [
            "conf.d/10-l.toml:2:11: a value is missing",
            "conf.d/20-s.toml:2:12: services.s.protocol: `tpc` is not known; expected \"tcp\" or \"udp\""
        ]
    );
}

#[test]
fn what_two_files_say_is_refused_with_both_places() {
    let folder = Folder::good("twice");
    folder.write(
        "conf.d/15.toml",
        "[policy]\nfragments = \"drop\"\n  mode = \"enforce\"\nmanagement = []\n[lists.a]\n[limits]\nl.packets.rate = 1\n[services.s]\nprotocol = \"tcp\"\nports = [443]\n[drift]\n",
    );
    folder.write("conf.d/16.toml", "interface = { name = \"x\" }\n");
    folder.write("conf.d/17.toml", "include = []\nnonsense = 1\n");
    folder.write("conf.d/18.toml", "nonsense = 1\n");
    let twice = "this is written in two files (first in";
    assert_eq!(
        folder.said(),
        [
            format!("conf.d/15.toml:3:3: policy.mode: {twice} conf.d/10-l.toml:6:1)"),
            format!("conf.d/15.toml:4:1: policy.management: {twice} p.toml:5:1)"),
            format!("conf.d/15.toml:5:8: lists.a: {twice} conf.d/10-l.toml:1:8)"),
            format!("conf.d/15.toml:7:1: limits.l: {twice} conf.d/10-l.toml:3:9)"),
            "conf.d/16.toml:1:13: interface: this is a table, and an array in p.toml:2:3".into(),
            "conf.d/17.toml:1:1: include: an included file cannot include others".into(),
            "conf.d/17.toml:2:1: nonsense: unknown key".into(),
            format!("conf.d/18.toml:1:1: nonsense: {twice} conf.d/17.toml:2:1)"),
            format!("conf.d/20-s.toml:1:11: services.s: {twice} conf.d/15.toml:8:11)"),
        ]
    );
}

#[test]
fn a_pattern_may_match_nothing_and_a_path_must_be_there() {
    let folder = Folder::new("nothing", &[("p.toml", MAIN)]);
    folder.write("conf.d/.hidden.toml", "nonsense");
    folder.write("conf.d/a.toml~", "nonsense");
    folder.write("conf.d/a.toml.dpkg-old", "nonsense");
    assert_eq!(good(&folder).files.len(), 1);
    fs::remove_dir_all(folder.0.join("conf.d")).unwrap();
    assert_eq!(good(&folder).files.len(), 1, "nor has a folder to be there");
    folder.write("conf.d", "a file");
    let said = folder.said();
    assert!(said[0].starts_with("p.toml:1:12: include[0]: cannot list the folder conf.d: Not a directory"), "{said:?}");

    folder.write("p.toml", &MAIN.replace("\"conf.d/*.toml\"", "\"conf.d\", \"gone.toml\", \"*.toml\", 7, \"a/*/b\""));
    folder.write("conf.d", "[policy]\nmode = \"observe\"\n");
    assert_eq!(
        folder.said(),
        [
            "p.toml:1:22: include[1]: cannot read gone.toml: No such file or directory (os error 2)",
            "p.toml:1:35: include[2]: the configuration includes itself",
            "p.toml:1:45: include[3]: expected a path or a pattern, for example \"conf.d/*.toml\", found an integer",
            "p.toml:1:48: include[4]: `a/*/b` has a `*` or a `?` in the name of a folder",
        ]
    );
}

#[test]
fn a_file_that_two_patterns_match_is_read_once_and_names_are_in_the_order_of_octets() {
    let folder = Folder::new("order", &[("p.toml", &MAIN.replace("*.toml\"", "b.toml\", \"conf.d/*.toml\""))]);
    for name in ["B", "b", "a", "ä", "10", "9"] {
        folder.write(&format!("conf.d/{name}.toml"), &format!("[[interface]]\nname = \"{name}\"\n"));
    }
    let names: Vec<_> = good(&folder).policy.interfaces.into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["eth0", "b", "10", "9", "B", "a", "ä"]);
}

#[test]
fn files_and_octets_have_a_limit() {
    let folder = Folder::new("limits", &[("p.toml", MAIN)]);
    for number in 0..257 {
        folder.write(&format!("conf.d/{number:03}.toml"), "");
    }
    assert_eq!(folder.said()[0], "p.toml:1:12: include[0]: more than 256 files are included");
    fs::remove_file(folder.0.join("conf.d/256.toml")).unwrap();
    assert_eq!(good(&folder).bundle.included.len(), 256);
    for number in 0..3 {
        folder.write(&format!("conf.d/{number:03}.toml"), &"#\n".repeat(3 << 20));
    }
    let said = folder.said();
    assert_eq!(
        said[0],
        "p.toml:1:12: include[0]: with conf.d/002.toml, the configuration is longer than 16,777,216 octets"
    );
}

#[test]
fn a_file_that_is_not_utf8_or_too_deep_is_told_in_its_place() {
    let folder = Folder::new("odd", &[("p.toml", MAIN)]);
    fs::write(folder.0.join("conf.d/a.toml"), b"# x\n# caf\xe9\n").unwrap();
    assert_eq!(folder.said()[0], "conf.d/a.toml:2:6: include[0]: conf.d/a.toml is not UTF-8: octet 0xe9");
    for text in
        ["[".repeat(100_000), format!("a{} = 1\n", ".a".repeat(100_000)), format!("a = {}", "[{a=".repeat(50_000))]
    {
        folder.write("conf.d/a.toml", &text);
        assert!(folder.said()[0].starts_with("conf.d/a.toml:1:"));
    }
    folder.write("conf.d/a.toml", "\u{feff}[policy]\r\nmode = \"observe\"\r\n");
    good(&folder);
}

#[test]
fn a_daemon_includes_regular_files_only() {
    let folder = Folder::new("pipe", &[("p.toml", MAIN)]);
    nix::unistd::mkfifo(&folder.0.join("conf.d/a.toml"), Mode::S_IRWXU).unwrap();
    let said = folder.lines(&load_regular(&folder.main()).unwrap_err());
    assert_eq!(said, ["p.toml:1:12: include[0]: cannot read conf.d/a.toml: it is a named pipe and no regular file"]);
}

#[test]
fn a_test_that_fails_is_told_in_the_included_file() {
    let folder = Folder::good("failing");
    folder.write("conf.d/20-s.toml", &SERVICES.replace("expect = \"pass\"", "expect = \"drop\""));
    let check = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).arg(Path::new("p.toml")).current_dir(&folder.0).output().unwrap()
    };
    let output = check(&["check", "--tests"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("--> conf.d/20-s.toml:13:10"), "{told}");
    let json: serde_json::Value = serde_json::from_slice(&check(&["check", "--tests", "-o", "json"]).stdout).unwrap();
    let test = &json["tests"][0];
    assert_eq!((&test["file"], &test["line"]), (&"conf.d/20-s.toml".into(), &13.into()), "{json}");
}
