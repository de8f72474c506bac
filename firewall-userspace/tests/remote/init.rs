//! `portcullis init`, as far as it does not depend on the host.

use std::fs;

use crate::support::{Folder, portcullis, seen};

#[test]
fn init_writes_nothing_where_nobody_can_be_asked() {
    let folder = Folder::new();
    let file = folder.path().join("portcullis.toml");
    for (more, document) in [(&[][..], ""), (&["-o", "json"], "portcullis.error/v1")] {
        let mut command = portcullis(&["init", "--config"]);
        let (code, stdout, stderr) = seen(&command.arg(&file).args(more).output().unwrap());
        assert_eq!((code, stdout.is_empty()), (2, document.is_empty()));
        assert!(stdout.contains(document), "{stdout}");
        assert!(stderr.contains("nobody can be asked") && stderr.contains("`--yes` writes it"), "{stderr}");
        assert!(!file.exists());
    }
}

#[test]
fn init_leaves_a_file_with_a_setting_alone() {
    let folder = Folder::new();
    let file = folder.path().join("portcullis.toml");
    fs::write(&file, "[drift]\n").unwrap();
    let (code, stdout, stderr) = seen(&portcullis(&["init", "--yes", "--config"]).arg(&file).output().unwrap());
    assert_eq!((code, &*stdout), (4, ""));
    assert!(stderr.starts_with("error: cannot write ") && stderr.contains("with settings"), "{stderr}");
    assert!(stderr.contains("\nhint: `portcullis init --config OTHER`"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "[drift]\n");
}
