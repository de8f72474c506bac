//! The schema of the configuration against the reader of it.

mod validator;

use std::{fs, path::Path, process::Command, sync::LazyLock};

use firewall_userspace::config::{Loaded, load_text, schema};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

use self::validator::problems;

/// A configuration without mistakes.
const GOOD: &str = "interface = [{ name = \"eth0\" }]\n[lists.a]\nentries = [\"192.0.2.0/24\"]\n[limits.l]\npackets = { rate = 5 }\n\
                    [services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\nlimit_for = [{ list = \"a\", limit = \"l\" }]\n\
                    [[test]]\nname = \"t\"\nsource = \"192.0.2.1\"\nprotocol = \"tcp\"\nport = 443\nexpect = \"pass\"\n\
                    [api]\nlisten = [\"127.0.0.1:8443\"]\ncertificate = \"/c\"\nkey = \"/k\"\nclient_ca = \"/ca\"\n\
                    jwt = { issuer = \"i\", audience = \"a\", keys = \"/k\", roles = { x = \"operator\" } }\n\
                    signers = { p = { public_key = \"/p\", role = \"operator\" } }\n\
                    [[test]]\nname = \"i\"\nsource = \"192.0.2.1\"\nprotocol = \"icmp\"\nexpect = \"pass\"\n";

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/portcullis.toml");

/// Tables, and the keys that they have in the schema.
const TABLES: &[(&str, &str)] = &[
    ("policy", "/properties/policy"),
    ("guard", "/properties/guard"),
    ("admin", "/properties/admin"),
    ("api", "/properties/api"),
    ("api.jwt", "/properties/api/properties/jwt"),
    ("api.signers.p", "/properties/api/properties/signers/additionalProperties"),
    ("state", "/properties/state"),
    ("drift", "/properties/drift"),
    ("log", "/properties/log"),
    ("essentials", "/properties/essentials"),
    ("essentials.mld", "/properties/essentials/properties/mld"),
    ("lists.a", "/properties/lists/additionalProperties"),
    ("limits.l", "/properties/limits/additionalProperties"),
    ("limits.l.bytes", "/properties/limits/additionalProperties/properties/bytes"),
    ("limits.l.source_prefix", "/properties/limits/additionalProperties/properties/source_prefix"),
    ("services.s", "/properties/services/additionalProperties"),
    ("services.s.limit_for.0", "/properties/services/additionalProperties/properties/limit_for/items"),
    ("interface.0", "/properties/interface/items"),
    ("test.0", "/properties/test/items"),
    ("test.1", "/properties/test/items"),
];

/// Keys that no value is good for there: they need a file, or another protocol.
const OUT_OF_PLACE: [(&str, &str); 6] = [
    ("lists.a", "file"),
    ("test.0", "icmp_type"),
    ("test.0", "icmp_code"),
    ("test.1", "port"),
    ("test.1", "source_port"),
    ("test.1", "flags"),
];

/// Values of every form, good and bad.
const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "20",
    "32",
    "33",
    "50",
    "64",
    "100",
    "101",
    "128",
    "129",
    "255",
    "443",
    "1000",
    "1001",
    "65535",
    "65536",
    "-1",
    "1.5",
    "true",
    "false",
    "1979-05-27",
    "\"\"",
    "\"a\"",
    "\"b\"",
    "\"s\"",
    "\"l\"",
    "\"tcp\"",
    "\"udp\"",
    "\"icmp\"",
    "\"enforce\"",
    "\"observe\"",
    "\"drop\"",
    "\"pass\"",
    "\"source\"",
    "\"native\"",
    "\"auto\"",
    "\"json\"",
    "\"warn\"",
    "\"Native\"",
    "\"500ms\"",
    "\"1s\"",
    "\"1h30m\"",
    "\"1w2d3h4m5s6ms\"",
    "\"0s\"",
    "\"1s1s\"",
    "\"1 s\"",
    "\"10\"",
    "\"20MB\"",
    "\"1500B\"",
    "\"8MiB\"",
    "\"1.5MB\"",
    "\"1 MB\"",
    "\"127.0.0.1:9191\"",
    "\"[::1]:0\"",
    "\"0.0.0.0:1\"",
    "\"/srv/x\"",
    "\"srv\"",
    "\"192.0.2.7\"",
    "\"2001:db8::7\"",
    "[\"syn\"]",
    "[\"SYN\"]",
    "\"0600\"",
    "\"0666\"",
    "\"EXAMPLE\\\\firewall admins\"",
    "[\"192.0.2.1\", \"2001:db8::1\"]",
    "[]",
    "[\"a\"]",
    "[\"b\"]",
    "[443, \"8443-8445\"]",
    "[\"1-\"]",
    "[70000]",
    "[\"192.0.2.0/24\", \"::1\", \"::/0\"]",
    "[\"192.0.2.1/24\"]",
    "[\"::ffff:1.2.3.4\"]",
    "[\"x/8\"]",
    "[1]",
    "[[]]",
    "{}",
    "{ rate = 5 }",
    "{ rate = 0 }",
    "{ rate = \"20MB\", burst = \"1kB\" }",
    "{ rate = 7, per = \"1m\", burst = 9 }",
    "{ rate = 7, pre = \"1m\" }",
    "{ v4 = 24 }",
    "{ v6 = 129 }",
    "[{ list = \"a\", limit = \"l\" }]",
    "[{ list = \"a\" }]",
    "\"operator\"",
    "\"admin\"",
    "\"2h\"",
    "\"credential:api.key\"",
    "\"credential:../key\"",
    "\"https://id.example/keys\"",
    "\"http://id.example/keys\"",
    "[\"127.0.0.1:8443\", \"[::1]:8443\"]",
    "[\"fw1.example.com\"]",
    "[\"fw1.example.com:8443\"]",
    "[\"/crl\"]",
    "[\"crl\"]",
    "[\"https://ops.example.com\"]",
    "[\"https://ops.example.com/\"]",
    "[\"certificate\", \"token\"]",
    "[\"password\"]",
    "[\"ES256\", \"EdDSA\"]",
    "[\"none\"]",
    "[\"runtime\"]",
    "[\"config\"]",
    "[\"allow\", \"remove\"]",
    "{ alice = \"admin\", \"%ops\" = { role = \"operator\", lists = [\"a\"] } }",
    "{ alice = \"root\" }",
    "{ \"dns:a.example\" = \"viewer\" }",
    "{ p = { public_key = \"/p\", role = \"viewer\" } }",
    "{ issuer = \"i\", audience = \"a\", keys = \"/k\", roles = { x = \"viewer\" } }",
];

/// What the binary prints; made once.
static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

fn read(text: &str) -> Option<Loaded> {
    load_text(Path::new("x.toml"), text, Path::new(env!("CARGO_MANIFEST_DIR"))).ok()
}

/// What the schema says; `None` for what is no JSON, such as a date.
fn of_schema(text: &str) -> Option<Vec<String>> {
    let value: toml::Value = toml::from_str(text).ok()?;
    Some(problems(&SCHEMA, &serde_json::to_value(value).ok()?))
}

/// `GOOD` with `key = value` in a table or a row, in place of what it says there.
fn with(table: &str, key: &str, value: &str) -> String {
    let known = "a schema and a document that are known";
    let mut document: toml::Value = toml::from_str(GOOD).expect(known);
    let mut at = &mut document;
    for name in table.split('.') {
        at = match name.parse::<usize>() {
            Ok(row) => at.get_mut(row).expect(known),
            Err(_) => {
                let table = at.as_table_mut().expect(known);
                table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()))
            }
        };
    }
    let at = at.as_table_mut().expect(known);
    if table == "limits.l.bytes" || table == "essentials.mld" {
        at.entry("rate").or_insert(toml::Value::Integer(5));
    }
    let value: toml::Table = toml::from_str(&format!("x = {value}")).expect(known);
    at.insert(key.to_owned(), value["x"].clone());
    toml::to_string(&document).expect(known)
}

fn keys_of(place: &str) -> Vec<String> {
    let schema = schema();
    schema.pointer(place).expect("a schema and a document that are known")["properties"]
        .as_object()
        .expect("a schema and a document that are known")
        .keys()
        .cloned()
        .collect()
}

#[test]
fn the_sample_is_valid_and_names_its_schema() {
    let text = fs::read_to_string(SAMPLE).unwrap();
    assert_eq!(of_schema(&text), Some(vec![]));
    assert_eq!(text.lines().next(), Some("#:schema /usr/share/portcullis/portcullis.schema.json"));
    assert_eq!(of_schema(GOOD), Some(vec![]));
}

#[test]
fn the_command_prints_the_schema_in_any_form() {
    for arguments in [&["schema"][..], &["-o", "json", "schema"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), schema());
    }
}

#[test]
fn every_key_with_every_form_of_value_that_the_reader_takes_the_schema_takes() {
    let mut taken = 0;
    for (table, place) in TABLES {
        for key in keys_of(place).iter().map(String::as_str).chain(["nonsense"]) {
            let mut is_taken = false;
            for value in VALUES {
                let text = with(table, key, value);
                if read(&text).is_some() {
                    assert_eq!(of_schema(&text), Some(vec![]), "{text}");
                    is_taken = true;
                    taken += 1;
                }
            }
            let is_out_of_place = OUT_OF_PLACE.contains(&(*table, key));
            assert!(is_taken != is_out_of_place || key == "nonsense", "no value is good for `{key}` of {table}");
        }
    }
    assert!(taken > 100, "{taken}");
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let policy = read(GOOD).unwrap().policy;
    let mut written = 0;
    for (table, place) in
        TABLES.iter().filter(|(table, _)| !table.contains("bytes") && !table.starts_with("essentials."))
    {
        for key in keys_of(place) {
            let schema = schema();
            let default = &schema.pointer(place).unwrap()["properties"][&key]["default"];
            // An array that is not there is empty; these are there.
            let is_there = [("lists.a", "entries"), ("services.s", "limit_for")].contains(&(*table, &*key));
            if default.is_null() || is_there || OUT_OF_PLACE.contains(&(*table, &*key)) {
                continue;
            }
            let value: toml::Value = serde_json::from_value(default.clone()).unwrap();
            let text = with(table, &key, &value.to_string());
            let loaded = read(&text).unwrap_or_else(|| panic!("refused: {text}"));
            assert_eq!(loaded.policy, policy, "{table}.{key}");
            written += 1;
        }
    }
    assert!(written > 15, "{written}");
}

#[test]
fn what_is_wrong_in_form_both_refuse() {
    for (table, key, value) in [
        ("policy", "nonsense", "1"),
        ("lists.a", "entires", "[]"),
        ("policy", "mode", "\"obsrve\""),
        ("policy", "mode", "true"),
        ("policy", "host_default", "\"drop\""),
        ("policy", "management", "\"192.0.2.1\""),
        ("policy", "management", "[\"example.org\"]"),
        ("services.s", "protocol", "\"icmp\""),
        ("services.s", "ports", "[]"),
        ("services.s", "ports", "[65536]"),
        ("services.s", "ports", "[\"a-b\"]"),
        ("services.s", "allow", "[]"),
        ("services.s", "addresses", "[]"),
        ("services.s", "limit_for", "[{ list = \"a\" }]"),
        ("services", "S", "{ protocol = \"tcp\", ports = [1] }"),
        ("limits.l", "packets", "5"),
        ("limits.l", "packets", "{ rate = 5, per = \"10\" }"),
        ("limits.l", "packets", "{ rate = 5, per = \"1m1h\" }"),
        ("limits.l", "packets", "{ rate = 0 }"),
        ("limits.l", "packets", "{ rate = \"20MB\" }"),
        ("limits.l", "packets", "{ per = \"1s\" }"),
        ("limits.l", "bytes", "{ rate = \"20 MB\" }"),
        ("limits.l", "bytes", "{ rate = \"20Mb\" }"),
        ("limits.l.source_prefix", "v4", "0"),
        ("limits.l.source_prefix", "v6", "129"),
        ("guard", "shrink_percent", "101"),
        ("state", "directory", "\"here\""),
        ("state", "generations", "1"),
        ("state", "snapshot_after", "\"8 MiB\""),
        ("drift", "interval", "10"),
        ("admin", "listen", "\"localhost\""),
        ("api", "socket", "7"),
        ("api", "group", "\"a b\""),
        ("api", "mode", "\"0666\""),
        ("api", "mode", "432"),
    ] {
        let text = with(table, key, value);
        assert!(read(&text).is_none(), "the reader takes {text}");
        assert!(of_schema(&text).is_some_and(|problems| !problems.is_empty()), "the schema takes {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_the_reader_takes_the_schema_takes(settings in vec((select(TABLES), 0_usize..16, select(VALUES)), 0..4)) {
        let mut document: toml::Table = toml::from_str(GOOD).unwrap();
        for ((table, place), key, value) in settings {
            let keys = keys_of(place);
            let one: toml::Table = toml::from_str(&with(table, &keys[key % keys.len()], value)).unwrap();
            let name = table.split('.').next().unwrap();
            document.insert(name.to_owned(), one[name].clone());
        }
        let text = toml::to_string(&document).unwrap();
        if read(&text).is_some() {
            prop_assert_eq!(of_schema(&text), Some(vec![]), "{}", text);
        }
    }
}
