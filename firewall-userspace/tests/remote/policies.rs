//! `portcullis reload`, `rollback`, `history` and `diff`.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{CONFIG, Daemon, Fake, portcullis, seen, timeless, words};

#[test]
fn a_reload_prints_its_generation_and_its_warnings() {
    let seen = Daemon::start(Fake::default()).run(&["reload"]);
    let warnings = words(&["warning: the list `blocked` is empty"]);
    assert_eq!(seen, (0, words(&["generation 9: configuration loaded"]), warnings));
}

#[test]
fn a_reload_says_what_changed() {
    let changes = vec!["~ services.api.ports: [\"443\"] -> [\"8443\"]".to_owned(), "12 more: entries added".into()];
    let daemon = Daemon::start(Fake { changes, ..Fake::default() });
    let (code, stdout, _) = daemon.run(&["reload"]);
    let wanted = words(&[
        "generation 9: configuration loaded: 2 things changed",
        "~ services.api.ports: [\"443\"] -> [\"8443\"]",
        "12 more: entries added",
    ]);
    assert_eq!((code, stdout), (0, wanted));
}

#[test]
fn what_is_applied_is_sent_with_the_files_that_it_includes() {
    let daemon = Daemon::start(Fake::default());
    let folder = daemon.folder.path();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    fs::create_dir(folder.join("conf.d")).unwrap();
    write("new.toml", "include = [\"conf.d/*.toml\"]\n[[interface]]\nname = \"eth0\"\n");
    let lists = "[lists.a]\nfile = \"a.txt\"\n[services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\n";
    write("conf.d/10.toml", lists);
    write("conf.d/a.txt", "192.0.2.0/24\n");
    let file = folder.join("new.toml");
    let (code, _, stderr) = daemon.run(&["apply", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    let applied = daemon.applied.lock().unwrap();
    assert_eq!(applied[..], [firewall_userspace::config::load(&file).unwrap().bundle]);
    let [included] = &applied[0].included[..] else { panic!("{applied:?}") };
    assert_eq!((&*included.text, Path::new(&included.path)), (lists, &*folder.join("conf.d/10.toml")));
}

#[test]
fn the_dry_run_of_a_rollback_names_its_target() {
    let (code, stdout, _) = Daemon::start(Fake::default()).run(&["rollback", "--dry-run"]);
    let wanted = "no difference from generation 8
dry run: would roll back to generation 3 (apply by root, 2026-11-21T10:00:00Z ~, from /root/new.toml); nothing was changed
";
    assert_eq!((code, &*timeless(&stdout)), (0, wanted));
}

#[test]
fn a_generation_is_shown_with_its_facts_and_is_toml() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["history", "show", "4"]);
    let facts = "\
# generation 4, in force
# since  2026-11-21T10:00:00Z ~
# by  root
# how  apply
# changes  1 setting changed
# from  /root/new.toml

# Ours
include = [\"/root/conf.d/*.toml\"]
[[interface]]
name = \"eth0\"
";
    assert_eq!((code, &*stderr), (0, ""));
    assert!(timeless(&stdout).starts_with(facts), "{stdout}");
    let included = "\n# included /root/conf.d/a.toml\n#   [drift]\n#   interval = \"11s\"\n";
    assert!(stdout.contains(included), "{stdout}");
    assert!(stdout.contains("\n# list file /root/list.txt: 12 lines\n#   192.0.2.1\n"), "{stdout}");
    assert!(stdout.ends_with("#   192.0.2.10\n#   2 more lines; `-o json` has all of them\n"), "{stdout}");
    let file = daemon.folder.path().join("shown.toml");
    fs::write(&file, &stdout).unwrap();
    let (code, _, stderr) = seen(&portcullis(&["check", file.to_str().unwrap()]).output().unwrap());
    assert_eq!(code, 0, "{stderr}");

    let (code, json, _) = daemon.run(&["history", "show", "3", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["schema"], &json["active"]), (0, &"portcullis.generation/v1".into(), &false.into()));
    assert_eq!(json["policy"]["settings"]["services.api.ports"], serde_json::json!(["443"]));
    assert_eq!(json["bundle"]["files"][0]["path"], "/root/list.txt");
}

#[test]
fn two_generations_are_compared_as_a_file_is() {
    let daemon = Daemon::start(Fake::default());
    let wanted =
        words(&["~ services.api.ports: [\"443\"] -> [\"8443\"]", "differs from generation 3: 1 setting changed"]);
    assert_eq!(daemon.run(&["history", "diff", "3", "4"]), (1, wanted, String::new()));
    let same = words(&["no difference from generation 4"]);
    assert_eq!(daemon.run(&["history", "diff", "4", "4"]), (0, same, String::new()));
    let (code, json, _) = daemon.run(&["history", "diff", "4", "3", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["schema"], &json["policy_generation"]), (1, &"portcullis.diff/v1".into(), &4.into()));
    let gone =
        words(&["error: there is no generation 77; kept are 3, 4, 5", "hint: `portcullis history` shows what is kept"]);
    assert_eq!(daemon.run(&["history", "diff", "3", "77"]), (5, String::new(), gone.clone()));
    assert_eq!(daemon.run(&["history", "show", "77"]), (5, String::new(), gone));
    let (code, stdout, stderr) = daemon.run(&["history", "diff", "3", "5"]);
    assert_eq!((code, &*stdout), (5, ""));
    assert!(stderr.ends_with("error: this daemon cannot use the configuration of generation 5\n"), "{stderr}");
    let (code, stdout, stderr) = daemon.run(&["history", "show", "5"]);
    assert!(
        code == 0 && stdout.ends_with("more lines; `-o json` has all of them\n") && stderr.contains("mode"),
        "{stderr}"
    );
    assert_eq!(daemon.run(&["history", "show", "seven"]).0, 2);
}

#[test]
fn a_configuration_that_is_live_differs_in_nothing() {
    let daemon = Daemon::start(Fake::default());
    let same = words(&["no difference from generation 7"]);
    assert_eq!(daemon.run(&["diff", CONFIG]), (0, same, String::new()));
}

#[test]
fn a_difference_is_told_entry_by_entry_and_is_exit_code_1() {
    let daemon = Daemon::start(Fake::default());
    let text = fs::read_to_string(CONFIG).unwrap();
    let text = text.replace("\"203.0.113.0/24\"", "\"192.0.2.1\"").replace("deny = [\"blocked\"]\n", "");
    let lists = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lists/");
    let file = daemon.folder.path().join("new.toml");
    fs::write(&file, text.replace("lists/", lists)).unwrap();
    let file = file.to_str().unwrap();
    let wanted = words(&[
        "- services.api.deny = [\"blocked\"]",
        "- lists.partners 203.0.113.0/24",
        "+ lists.partners 192.0.2.1/32",
        "differs from generation 7: 1 setting removed; 1 entry added, 1 removed",
    ]);
    assert_eq!(daemon.run(&["diff", file]), (1, wanted, String::new()));

    let (code, json, stderr) = daemon.run(&["diff", file, "-o", "json"]);
    assert_eq!((code, &*stderr), (1, ""));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["same"]), (&"portcullis.diff/v1".into(), &false.into()));
    assert_eq!(json["lists"]["partners"]["removed"], serde_json::json!(["203.0.113.0/24"]));
}

#[test]
fn a_comparison_that_cannot_be_made_is_an_exit_code_above_1() {
    let daemon = Daemon::start(Fake::default());
    let (code, stdout, stderr) = daemon.run(&["diff", "/nowhere.toml"]);
    assert_eq!((code, &*stdout), (5, ""));
    assert!(stderr.ends_with("error: /nowhere.toml cannot be used: 1 error\n"), "{stderr}");
    let (code, ..) = seen(&portcullis(&["diff", CONFIG, "--socket", "/nowhere.sock"]).output().unwrap());
    assert_eq!(code, 3);
}
