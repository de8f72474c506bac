//! Whose a pin folder is: the user's that this process runs as, and nobody else's. For root it may be the user's of the service.
//!
//! In: a folder on a BPF file system. Out: the same folder with mode 0700, or why what lies in it cannot be believed. Whoever
//! may write there can take a filter off or give the daemon maps of his own. Links in the file system are never followed.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::geteuid,
};

use super::{DatapathError, Distrust, pin_error};
use crate::files::{GROUP_WRITES, NotOwn, OTHERS_WRITE, PERMISSIONS, STICKY, names_in, own_or_of_service};

/// Mode of every folder that is made here.
const FOLDER_MODE: u32 = 0o700;

/// What lies on the way to a pin folder, and what it has to be.
enum WayPart {
    /// Above it, or the BPF file system itself.
    Above,
    /// The pin folder.
    Own,
}

/// The way to `base` through its BPF file system, top first.
///
/// # Errors
/// When it is on none, or this user may not look.
fn way(base: &Path) -> Result<Vec<(PathBuf, WayPart)>, DatapathError> {
    let none = || DatapathError::NoBpffs { folder: base.to_owned() };
    let base = std::path::absolute(base).map_err(pin_error("find the folder", base))?;
    let root = base.ancestors().filter(|folder| is_bpffs(folder)).last().ok_or_else(none)?;
    let rest = base.strip_prefix(root).unwrap_or(Path::new(""));
    // A link outside of the file system may lead into the middle of it.
    let root = fs::canonicalize(root).map_err(pin_error("find the folder", root))?;
    let above = root.ancestors().filter(|folder| is_bpffs(folder)).map(Path::to_owned);
    let mut way: Vec<_> = above.map(|folder| (folder, WayPart::Above)).collect();
    way.reverse();
    let mut folder = root;
    for part in rest {
        folder.push(part);
        way.push((folder.clone(), WayPart::Above));
    }
    // What is the file system itself belongs to others, too.
    if let [_, .., (_, place)] = way.as_mut_slice() {
        *place = WayPart::Own;
    }
    Ok(way)
}

fn is_bpffs(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|status| status.filesystem_type() == BPF_FS_MAGIC)
}

/// The root of the BPF file system that `base` is or would be on, with its permissions; `None` when there is none.
pub(crate) fn root_of(base: &Path) -> Option<(PathBuf, u32)> {
    let (root, _) = way(base).ok()?.into_iter().next()?;
    let mode = fs::metadata(&root).ok()?.mode() & PERMISSIONS;
    Some((root, mode))
}

/// Makes `base` and what is missing above it, and believes none of it that is not this user's alone.
///
/// # Errors
/// When it is on no BPF file system, or another user could change what is in it.
pub(super) fn make(base: &Path) -> Result<(), DatapathError> {
    for (folder, place) in way(base)? {
        let is_made = make_one(&folder)?;
        match place {
            WayPart::Above if !is_made => require_above(&folder)?,
            _ => tighten(&folder)?,
        }
    }
    Ok(())
}

/// Makes folders in a folder that is this user's alone, and these too.
///
/// # Errors
/// When one is not.
pub(super) fn make_in(folder: &Path, parts: &[&str]) -> Result<(), DatapathError> {
    for path in std::iter::once(folder.to_owned()).chain(parts.iter().map(|part| folder.join(part))) {
        make_one(&path)?;
        tighten(&path)?;
    }
    Ok(())
}

/// Refuses what [`make`] would refuse; nothing is changed, and what is not there is no fault.
///
/// # Errors
/// Those of [`make`].
pub(super) fn look(base: &Path) -> Result<(), DatapathError> {
    for (folder, place) in way(base)? {
        let Some(()) = found(&folder)? else { return Ok(()) };
        match place {
            WayPart::Above => require_above(&folder)?,
            WayPart::Own => require_own(&folder)?,
        }
    }
    Ok(())
}

/// Gives a folder of one ABI version, and the folders in it that are there, the mode they have to have; it need not be there.
///
/// # Errors
/// When one is not this user's alone, or a pin in it is not.
pub(super) fn tighten_version(folder: &Path, parts: &[&str]) -> Result<(), DatapathError> {
    version(folder, parts, tighten)
}

/// Refuses what [`tighten_version`] would refuse; nothing is changed.
///
/// # Errors
/// Those of [`tighten_version`].
pub(super) fn look_version(folder: &Path, parts: &[&str]) -> Result<(), DatapathError> {
    version(folder, parts, require_own)
}

fn version(
    folder: &Path,
    parts: &[&str],
    require: impl Fn(&Path) -> Result<(), DatapathError>,
) -> Result<(), DatapathError> {
    if found(folder)?.is_none() {
        return Ok(());
    }
    require(folder)?;
    for part in parts.iter().map(|part| folder.join(part)) {
        if found(&part)?.is_some() {
            require(&part)?;
            names_in(&part).iter().try_for_each(|name| require_pin(&part.join(name)))?;
        }
    }
    Ok(())
}

/// Makes a folder; whether it was not there.
fn make_one(folder: &Path) -> Result<bool, DatapathError> {
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(pin_error("create the folder", folder)(error)),
    }
}

/// `None` when nothing is there.
fn found(path: &Path) -> Result<Option<()>, DatapathError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(pin_error("look at", path)(error)),
        Ok(_) => Ok(Some(())),
    }
}

/// What lies above is root's or this user's, and nobody else replaces what is in it.
fn require_above(folder: &Path) -> Result<(), DatapathError> {
    let facts = facts(folder)?;
    let (owner, mode) = (facts.uid(), facts.mode() & PERMISSIONS);
    let is_ours = owner == 0 || owner == geteuid().as_raw();
    match facts.file_type() {
        kind if kind.is_symlink() => Err(distrust(folder, Distrust::Link)),
        kind if !kind.is_dir() => Err(distrust(folder, Distrust::Kind)),
        _ if is_ours && (mode & (GROUP_WRITES | OTHERS_WRITE) == 0 || mode & STICKY != 0) => Ok(()),
        _ => Err(distrust(folder, Distrust::Above(owner, mode))),
    }
}

fn require_own(folder: &Path) -> Result<(), DatapathError> {
    let facts = facts(folder)?;
    judge(&facts, facts.is_dir()).map_or(Ok(()), |fault| Err(distrust(folder, fault)))
}

fn require_pin(path: &Path) -> Result<(), DatapathError> {
    let facts = facts(path)?;
    judge(&facts, facts.is_file()).map_or(Ok(()), |fault| Err(distrust(path, fault)))
}

/// What is wrong with something that has to be this user's alone.
fn judge(facts: &fs::Metadata, is_kind: bool) -> Option<Distrust> {
    match own_or_of_service(facts.uid(), facts.mode()) {
        _ if facts.file_type().is_symlink() => Some(Distrust::Link),
        Err(NotOwn::Owner(owner)) => Some(Distrust::Owner(owner)),
        _ if !is_kind => Some(Distrust::Kind),
        Err(NotOwn::Writable(mode)) => Some(Distrust::Writable(mode)),
        Ok(()) => None,
    }
}

/// The same, and others may not even look into it from now on: whoever can open a folder can lock it.
fn tighten(folder: &Path) -> Result<(), DatapathError> {
    require_own(folder)?;
    if facts(folder)?.mode() & PERMISSIONS == FOLDER_MODE {
        return Ok(());
    }
    // Nobody else can have replaced it: that was seen of everything above it.
    let mode = fs::Permissions::from_mode(FOLDER_MODE);
    fs::set_permissions(folder, mode).map_err(pin_error("close to others the folder", folder))
}

fn facts(path: &Path) -> Result<fs::Metadata, DatapathError> {
    fs::symlink_metadata(path).map_err(pin_error("look at", path))
}

fn distrust(path: &Path, fault: Distrust) -> DatapathError {
    DatapathError::Untrusted { path: path.to_owned(), fault }
}

#[cfg(test)]
mod tests {
    use super::{super::scratch::Scratch, *};

    #[test]
    fn a_folder_of_others_or_one_that_others_write_to_is_not_believed() {
        let folder = Scratch::new("trust");
        let path = folder.path().join("pins");
        make_one(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        tighten(&path).unwrap();
        assert_eq!(facts(&path).unwrap().mode() & PERMISSIONS, FOLDER_MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        let fault = |result: Result<(), DatapathError>| match result {
            Err(DatapathError::Untrusted { fault, .. }) => Some(fault),
            _ => None,
        };
        assert_eq!(fault(tighten(&path)), Some(Distrust::Writable(0o770)));
        assert_eq!(fault(require_above(&path)), Some(Distrust::Above(geteuid().as_raw(), 0o770)));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(fault(require_above(&path)), None, "nobody replaces what is another's there");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(fault(require_own(&link)), Some(Distrust::Link));
        assert_eq!(fault(require_above(&link)), Some(Distrust::Link));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(fault(require_own(&file)), Some(Distrust::Kind));
    }
}
