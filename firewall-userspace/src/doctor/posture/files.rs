//! Who could change what the daemon believes, or read what it keeps secret.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Group, Uid, User};

use crate::{
    config::Loaded,
    doctor::Check,
    policy::{ApiSettings, KeyPlace, KeySource},
};

/// Group and others may write.
const WRITABLE: u32 = 0o022;

/// Others may read, write or execute.
const OTHERS: u32 = 0o007;

/// Only the owner may, and the group may read.
const SECRET: u32 = 0o037;

/// Only the owner removes what is in the folder (inode(7)).
const STICKY: u32 = 0o1000;

/// The user of the packaged daemon.
const USER: &str = "portcullis";

/// What is wrong with files, or that nothing is.
pub(super) fn checks(config: &Path, loaded: &Loaded) -> Vec<Check> {
    let mut found = Vec::new();
    let api = &loaded.policy.api;
    let read: BTreeSet<PathBuf> =
        loaded.files.iter().cloned().chain([config.to_owned()]).chain(believed(api)).collect();
    read.iter().for_each(|path| found.extend(may_not_be_changed(path)));
    secret_keys(api).for_each(|path| found.extend(may_not_be_read(path)));
    let state = &loaded.policy.state.directory;
    found.extend(state_folder(state));
    found.extend(socket(api));
    if found.is_empty() {
        let what = format!("{} files, the state folder and the socket belong to root or the daemon alone", read.len());
        found.push(Check::ok("host", "files", what));
    }
    found
}

/// Files whose content decides who is let in.
fn believed(api: &ApiSettings) -> impl Iterator<Item = PathBuf> {
    let https = api.https.iter().flat_map(|https| https.client_ca.iter().chain(&https.client_crl).cloned());
    let keys = api.jwt.iter().filter_map(|jwt| match &jwt.keys {
        KeySource::File(path) => Some(path.clone()),
        KeySource::Url(_) => None,
    });
    https.chain(keys).chain(api.signers.values().map(|signer| signer.key.clone()))
}

fn secret_keys(api: &ApiSettings) -> impl Iterator<Item = &Path> {
    api.https.iter().filter_map(|https| match &https.key {
        KeyPlace::File(path) => Some(path.as_path()),
        KeyPlace::Credential(_) => None,
    })
}

/// Somebody besides root and the user of the daemon could change the file, or put another in its place.
fn may_not_be_changed(path: &Path) -> Vec<Check> {
    let subject = path.display().to_string();
    let Ok(real) = fs::canonicalize(path) else {
        return vec![Check::note(&subject, "files", "it cannot be looked at: not there, or no right to")];
    };
    let mut found = Vec::new();
    for (at, is_folder) in real.ancestors().enumerate().map(|(depth, at)| (at, depth > 0)) {
        let Ok(file) = fs::metadata(at) else { continue };
        if is_folder && file.mode() & STICKY != 0 {
            continue;
        }
        if let Some(who) = who_may_write(&file) {
            let found_here = format!("{who} may change {}", at.display());
            let fix = format!("chown root:root {0} && chmod go-w {0}", at.display());
            found.push(Check::fail(&subject, "files", found_here, fix));
        }
    }
    found
}

/// Who besides root and the user of the daemon may write.
fn who_may_write(file: &Metadata) -> Option<String> {
    if !is_trusted(file.uid()) {
        return Some(format!("the user {}", user(file.uid())));
    }
    let mode = file.mode();
    if mode & 0o002 != 0 {
        return Some("everybody".into());
    }
    (mode & WRITABLE != 0 && file.gid() != 0).then(|| format!("the group {}", group(file.gid())))
}

/// Somebody besides the owner and a group could read the file.
fn may_not_be_read(path: &Path) -> Option<Check> {
    let subject = path.display().to_string();
    let file = match fs::metadata(path) {
        Ok(file) => file,
        Err(error) => return Some(Check::note(&subject, "keys", format!("it cannot be looked at: {error}"))),
    };
    let fix = format!("chown root:{USER} {0} && chmod 0640 {0}", path.display());
    if !is_trusted(file.uid()) {
        return Some(Check::fail(&subject, "keys", format!("it belongs to the user {}", user(file.uid())), fix));
    }
    let found = format!("others may read or change the key: mode {:04o}", file.mode() & 0o7777);
    (file.mode() & SECRET & !0o030 != 0 || file.mode() & 0o020 != 0).then(|| Check::fail(&subject, "keys", found, fix))
}

/// Whoever may write here decides what was pushed, which policy comes back, and which tokens there are.
fn state_folder(folder: &Path) -> Vec<Check> {
    let subject = folder.display().to_string();
    let mut found = may_not_be_changed(folder);
    found.iter_mut().for_each(|check| check.check = "state");
    let Ok(files) = fs::read_dir(folder) else { return found };
    let open: Vec<String> = files
        .filter_map(Result::ok)
        .filter_map(|file| Some((file.file_name(), fs::symlink_metadata(file.path()).ok()?)))
        .filter(|(_, file)| who_may_write(file).is_some() || file.is_file() && file.mode() & OTHERS != 0)
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    if !open.is_empty() {
        let fix = format!("chmod -R go-rwx {}", folder.display());
        let what = format!("others may read or change {}", crate::text::shown::few(&open, 5));
        found.push(Check::fail(&subject, "state", what, fix));
    }
    found
}

/// Everybody could connect: who they are is asked, and still each asks for room.
fn socket(api: &ApiSettings) -> Option<Check> {
    let path = &api.socket.path;
    let file = fs::symlink_metadata(path).ok()?;
    let fix = format!("restart the daemon, which gives the socket the mode {:04o}", api.socket.mode.bits());
    let subject = path.display().to_string();
    if !file.file_type().is_socket() {
        return Some(Check::fail(&subject, "socket", "it is no socket", "look who has put it there"));
    }
    let found = format!("everybody may connect: mode {:04o}", file.mode() & 0o7777);
    (file.mode() & OTHERS != 0).then(|| Check::fail(&subject, "socket", found, fix))
}

fn is_trusted(uid: u32) -> bool {
    let own = || User::from_name(USER).ok().flatten().is_some_and(|user| user.uid.as_raw() == uid);
    uid == 0 || own()
}

fn user(uid: u32) -> String {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    known.map_or_else(|| uid.to_string(), |user| user.name)
}

fn group(gid: u32) -> String {
    let known = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    known.map_or_else(|| gid.to_string(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use std::{env, fs::Permissions, os::unix::fs::PermissionsExt as _, process};

    use super::*;

    #[test]
    fn a_file_that_others_may_change_is_found_and_so_is_a_folder_above_it() {
        let folder = env::temp_dir().join(format!("portcullis-posture-{}", process::id()));
        fs::create_dir_all(folder.join("in")).unwrap();
        let file = folder.join("in/x.toml");
        fs::write(&file, "").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        set(&folder, 0o755);
        set(&folder.join("in"), 0o755);
        set(&file, 0o644);
        let found = || {
            let here = may_not_be_changed(&file).into_iter().filter(|check| check.found.contains("posture"));
            here.map(|check| check.found).collect::<Vec<_>>()
        };
        let is_ours = is_trusted(fs::metadata(&file).unwrap().uid());
        if is_ours {
            assert_eq!(found(), [""; 0]);
        }
        set(&file, 0o646);
        assert!(found().iter().any(|words| words.contains("x.toml")), "{:?}", found());
        set(&file, 0o644);
        set(&folder.join("in"), 0o777);
        assert!(found().iter().any(|words| words.ends_with("/in")), "{:?}", found());
        set(&folder.join("in"), 0o1777);
        assert_eq!(found().iter().filter(|words| words.starts_with("everybody")).count(), 0, "sticky");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_key_is_for_its_owner_and_a_group_that_only_reads() {
        let file = env::temp_dir().join(format!("portcullis-posture-key-{}.pem", process::id()));
        fs::write(&file, "").unwrap();
        let is_ours = is_trusted(fs::metadata(&file).unwrap().uid());
        for (mode, is_good) in
            [(0o600, true), (0o640, true), (0o400, true), (0o644, false), (0o660, false), (0o604, false)]
        {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(may_not_be_read(&file).is_none(), is_good && is_ours, "{mode:o}");
        }
        fs::remove_file(&file).unwrap();
    }
}
