//! Who else could change what is in a state folder, or put another in its place.
//!
//! As `StrictModes` of sshd(8) does, but for group root and for folders with the sticky bit, such as /tmp, where nobody renames
//! what belongs to others.

use std::{fs, io, os::fd::AsFd, os::unix::fs::MetadataExt as _, path::Path};

use nix::{
    sys::stat::{FileStat, fstat},
    unistd::geteuid,
};

use super::error::StoreError;
use crate::files::{GROUP_WRITES, NotOwn, OTHERS_WRITE, PERMISSIONS, STICKY, own, private};

/// # Errors
/// When a file of the folder is somebody else's, or others may write to it.
pub fn require_own(file: &FileStat) -> io::Result<()> {
    own(file.st_uid, file.st_mode).map_err(|distrust| io::Error::new(io::ErrorKind::PermissionDenied, distrust))
}

/// # Errors
/// When others may do anything with a file, even read it.
pub fn require_private(file: &FileStat) -> io::Result<()> {
    private(file.st_mode).map_err(|distrust| io::Error::new(io::ErrorKind::PermissionDenied, distrust))
}

/// The folder at `path`, which is open as `handle`, has to belong to who runs this, and nobody else may be able to write to it or to
/// rename it.
///
/// # Errors
/// When that is not so, by name.
pub fn require_own_folder(path: &Path, handle: impl AsFd) -> Result<(), StoreError> {
    let fail = |attempt| move |source| StoreError::Folder { path: path.to_owned(), attempt, source };
    let distrusted = |at: &Path| {
        let (folder, at) = (path.to_owned(), at.to_owned());
        move |distrust| StoreError::Distrusted { folder, at, distrust }
    };
    let found = fstat(handle).map_err(|errno| fail("look at")(errno.into()))?;
    own(found.st_uid, found.st_mode).map_err(distrusted(path))?;
    let written = std::path::absolute(path).map_err(fail("look at"))?;
    let real = fs::canonicalize(path).map_err(fail("look at"))?;
    for above in written.ancestors().chain(real.ancestors().skip(1)) {
        let found = fs::symlink_metadata(above).map_err(fail("look at"))?;
        let is_folder_itself = !found.is_symlink() && above == written;
        if !is_folder_itself {
            may_not_replace(&found).map_err(distrusted(above))?;
        }
    }
    Ok(())
}

/// # Errors
/// When somebody but root, and who runs this, may rename what is in a folder, or lead a symbolic link elsewhere.
fn may_not_replace(found: &fs::Metadata) -> Result<(), NotOwn> {
    let (owner, mode) = (found.uid(), found.mode());
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(NotOwn::Owner(owner));
    }
    // The mode of a symbolic link says nothing.
    let group = if found.gid() == 0 { 0 } else { GROUP_WRITES };
    let is_open = !found.is_symlink() && mode & STICKY == 0 && mode & (group | OTHERS_WRITE) != 0;
    if is_open { Err(NotOwn::Writable(mode & PERMISSIONS)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::PathBuf};

    use super::*;
    use crate::state::disk::{Disk as _, Folder};

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A folder for a state folder; both are gone afterwards.
    fn with_folder(name: &str, test: impl FnOnce(PathBuf)) {
        let above = std::env::temp_dir().join(format!("portcullis-trust-{name}-{}", std::process::id()));
        fs::create_dir(&above).unwrap();
        set_mode(&above, 0o755);
        test(above.join("state"));
        fs::remove_dir_all(&above).unwrap();
    }

    fn said(path: &Path) -> Result<(), String> {
        Folder::open(path).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_folder_that_others_may_write_to_or_replace_is_refused_by_name() {
        with_folder("folder", |state| {
            let above = state.parent().unwrap();
            assert_eq!(said(&state), Ok(()), "it is made");
            assert_eq!(fs::metadata(&state).unwrap().mode() & PERMISSIONS, 0o700);
            for mode in [0o777, 0o770, 0o702] {
                set_mode(&state, mode);
                let (shown, found) = (state.display(), said(&state).unwrap_err());
                let words = format!(
                    "cannot use the state folder {shown}: others may write to it: its mode is {mode:04o}\nhint: look at what is \
                     in it, then `chmod go-w {shown}`"
                );
                assert_eq!(found, words);
            }
            set_mode(&state, 0o755);
            assert_eq!(said(&state), Ok(()), "who reads it changes nothing");
            for (mode, is_fine) in [(0o777, false), (0o1777, true), (0o757, false), (0o755, true)] {
                set_mode(above, mode);
                assert_eq!(said(&state).is_ok(), is_fine, "{mode:o}: {:?}", said(&state));
            }
            set_mode(above, 0o757);
            let found = said(&state).unwrap_err();
            assert!(found.contains(&format!("another could be put in its place in {}", above.display())), "{found}");
            // The way there does not hide what is above the folder.
            let link = above.join("link");
            std::os::unix::fs::symlink("state", &link).unwrap();
            assert!(said(&link).is_err());
            set_mode(above, 0o755);
            assert_eq!(said(&link), Ok(()));
        });
    }

    #[test]
    fn a_file_that_others_may_write_to_or_that_is_none_is_refused() {
        with_folder("file", |state| {
            let folder = Folder::open(&state).unwrap();
            let words = |result: io::Result<Vec<u8>>| result.unwrap_err().to_string();
            drop(folder.create("journal").unwrap());
            assert_eq!(folder.read("journal").unwrap(), b"");
            assert_eq!(folder.names().unwrap(), ["journal"]);
            set_mode(&state.join("journal"), 0o606);
            assert_eq!(words(folder.read("journal")), "others may write to it: its mode is 0606");
            assert!(folder.open("journal").is_err() && folder.create("journal").is_err());
            folder.remove("journal").unwrap();
            nix::unistd::mkfifo(&state.join("journal"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            assert_eq!(words(folder.read("journal")), "it is a named pipe and no regular file");
            assert!(folder.open("journal").is_err() && folder.create("journal").is_err());
        });
    }

    #[test]
    fn a_folder_is_used_by_its_descriptor_and_another_in_its_place_is_noticed() {
        with_folder("place", |state| {
            let folder = Folder::open(&state).unwrap();
            let mut file = folder.create("journal").unwrap();
            folder.write("journal", &mut file, 0, b"four".to_vec()).unwrap();
            folder.look("journal", &mut file, 4).unwrap();
            let strays = |file: &mut fs::File, length| folder.look("journal", file, length).unwrap_err().to_string();
            assert_eq!(strays(&mut file, 5), "somebody else has changed it: it has 4 octets, and 5 were written");
            fs::rename(state.join("journal"), state.join("other")).unwrap();
            assert_eq!(strays(&mut file, 4), "it was removed or renamed while the daemon ran");
            fs::write(state.join("journal"), "four").unwrap();
            assert_eq!(strays(&mut file, 4), "another file has got its name while the daemon ran");
            let aside = state.with_file_name("aside");
            fs::rename(&state, &aside).unwrap();
            assert!(strays(&mut file, 4).starts_with("its folder was removed, renamed or unmounted"));
            let pinned = folder.pinned();
            folder.remake().unwrap();
            assert_eq!((folder.names().unwrap().len(), pinned.names().unwrap().len()), (0, 2));
            assert_eq!((folder.remakes(), pinned.remakes()), (1, 0));
            let second = said(&state).unwrap_err();
            assert!(second.contains("another process holds it"), "{second}");
            folder.remake().unwrap();
            assert_eq!(folder.remakes(), 1, "it is in its place");
        });
    }
}
