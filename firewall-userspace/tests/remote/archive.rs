//! `portcullis support`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::support::{CONFIG, Daemon, Fake, Folder, portcullis, seen, status};

/// Files of an archive by name, without the folder that they are in.
fn files(archive: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        assert!(path.starts_with(path.components().next().unwrap()) && path.components().count() == 2, "{path:?}");
        assert!(path.to_str().unwrap().starts_with("portcullis-support-"), "{path:?}");
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), text);
    }
    files
}

/// The command, which finds neither a daemon's pins nor its journal.
fn support(file: &Path, config: &Path) -> Command {
    let mut command = portcullis(&["support", "--pin-directory", "/nowhere/pins", "--unit", "portcullis-test-none"]);
    command.arg("--file").arg(file).arg("--config").arg(config);
    command
}

#[test]
fn the_archive_has_what_the_daemon_says_and_only_its_owner_can_read_it() {
    let mut status = status();
    let folder = Folder::new();
    let file = folder.path().join("out.tar.gz");
    // The metrics come from where the daemon says that they are.
    let first = Daemon::start(Fake::default());
    status.admin_listen = first.admin;
    let daemon = Daemon::start(Fake { status, ..Fake::default() });
    let mut command = support(&file, Path::new(CONFIG));
    let (code, stdout, stderr) = seen(&command.arg("--socket").arg(&daemon.socket).output().unwrap());
    assert_eq!((code, &*stderr), (0, ""), "{stdout}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let files = files(&file);
    let json = |name: &str| serde_json::from_str::<Value>(&files[name]).unwrap();
    assert_eq!(json("version.json")["schema"], "portcullis.version/v1");
    assert_eq!(json("status.json")["schema"], "portcullis.status/v1");
    assert_eq!(json("history.json")["schema"], "portcullis.history/v1");
    assert_eq!(json("check.json")["schema"], "portcullis.check/v1");
    assert!(json("doctor.json").is_object());
    assert_eq!(files["portcullis.toml"], fs::read_to_string(CONFIG).unwrap());
    assert!(files["metrics.txt"].contains("\nportcullis_build_info{"), "{}", files["metrics.txt"]);
    assert!(files["system.txt"].starts_with("Linux "), "{}", files["system.txt"]);
    // The list of its files is in it, and told.
    for name in files.keys().filter(|name| *name != "contents.txt" && *name != "errors.txt") {
        assert!(files["contents.txt"].contains(name.as_str()) && stdout.contains(name.as_str()), "{name}: {stdout}");
    }
    assert!(files["errors.txt"].starts_with("journal.txt: "), "{}", files["errors.txt"]);
}

#[test]
fn included_files_are_in_the_archive_and_their_secrets_are_not() {
    let folder = Folder::new();
    let (file, config) = (folder.path().join("out.tar.gz"), folder.path().join("portcullis.toml"));
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    fs::write(&config, "include = [\"conf.d/*.toml\"]\n[[interface]]\nname = \"eth0\"\n").unwrap();
    let text = "# token = \"hunter22\"\n[lists.m]\nfile = \"hunter22\"\n";
    fs::write(folder.path().join("conf.d/a.toml"), text).unwrap();
    let (code, stdout, _) = seen(&support(&file, &config).args(["--socket", "/nowhere/api.sock"]).output().unwrap());
    assert_eq!(code, 0, "{stdout}");
    let files = files(&file);
    let shown = &files["included.toml"];
    assert!(shown.contains("conf.d/a.toml\n") && shown.contains("[lists.m]\nfile = \"[removed]\"\n"), "{shown}");
    // What the check says of it names the file that is missing.
    assert!(files["check.json"].contains("lists.m.file"), "{}", files["check.json"]);
    assert!(files.values().all(|text| !text.contains("hunter22")), "{files:?}");
}

#[test]
fn what_cannot_be_had_is_named_and_an_archive_is_made_without_a_daemon() {
    let folder = Folder::new();
    let file = folder.path().join("out.tar.gz");
    let mut command = support(&file, Path::new("/nowhere/portcullis.toml"));
    let (code, stdout, _) = seen(&command.args(["--socket", "/nowhere/api.sock", "-o", "json"]).output().unwrap());
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &document["schema"]), (0, &"portcullis.support/v1".into()));
    let missing: Vec<&str> =
        document["missing"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let wanted = ["portcullis.toml", "included.toml", "status.json", "history.json", "metrics.txt", "journal.txt"];
    assert_eq!(missing, wanted);
    let files = files(&file);
    for name in wanted {
        assert!(files["errors.txt"].contains(&format!("{name}: ")), "{}", files["errors.txt"]);
    }
    assert!(files["errors.txt"].contains("cannot reach the daemon at /nowhere/api.sock"), "{}", files["errors.txt"]);
    // What the file lacks is an answer too.
    assert!(files["check.json"].contains("portcullis.toml") && files.contains_key("version.json"));
}

#[test]
fn no_secret_of_the_configuration_or_the_environment_is_in_the_archive() {
    let folder = Folder::new();
    let (file, config) = (folder.path().join("out.tar.gz"), folder.path().join("portcullis.toml"));
    let text = "# log in with hunter22-planted\npassword = \"hunter22-planted\"\n[[interface]]\nname = \"eth0\"\n\
                [services.api]\nprotocol = \"hunter22-planted\"\n";
    fs::write(&config, text).unwrap();
    let mut command = support(&file, &config);
    command.env("PORTCULLIS_TOKEN", "environment-planted").args(["--socket", "/nowhere"]);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    let files = files(&file);
    assert!(files["portcullis.toml"].contains("password = [removed]\n"), "{}", files["portcullis.toml"]);
    assert!(files["portcullis.toml"].contains("name = \"eth0\"\n"));
    assert!(files["check.json"].contains("password"), "the mistake is told: {}", files["check.json"]);
    for (name, text) in files {
        assert!(!text.contains("planted"), "{name}: {text}");
    }
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let folder = Folder::new();
    let file = folder.path().join("out.tar.gz");
    fs::write(&file, "mine").unwrap();
    let mut command = support(&file, Path::new(CONFIG));
    let (code, stdout, stderr) = seen(&command.args(["--socket", "/nowhere"]).output().unwrap());
    assert_eq!((code, &*stdout), (4, ""));
    assert!(stderr.starts_with("error: cannot write ") && stderr.contains("File exists"), "{stderr}");
    assert!(stderr.contains("\nhint: `--file` names another place"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    // A link would lead elsewhere.
    let link = folder.path().join("link.tar.gz");
    std::os::unix::fs::symlink(folder.path().join("target"), &link).unwrap();
    let mut command = support(&link, Path::new(CONFIG));
    assert_eq!(command.args(["--socket", "/nowhere"]).output().unwrap().status.code(), Some(4));
    assert!(!folder.path().join("target").exists());
}

#[test]
fn by_default_the_archive_is_in_the_current_folder_with_a_name_of_host_and_time() {
    let folder = Folder::new();
    let mut command =
        portcullis(&["support", "--socket", "/nowhere", "--config", CONFIG, "--unit", "portcullis-test-none"]);
    assert_eq!(command.current_dir(folder.path()).output().unwrap().status.code(), Some(0));
    let names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("portcullis-support-") && names[0].ends_with("Z.tar.gz"), "{names:?}");
}
