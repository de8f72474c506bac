//! The file of a first configuration, which takes nobody's place but that of one without a setting.

use std::{
    error, fmt,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process,
};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::files;

/// Permissions of the file: everybody may check it, and it has no secrets.
const MODE: u32 = 0o644;

/// Largest file that is looked at for a setting.
const LARGEST: u64 = 1 << 20;

/// What is where the file is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPlace {
    /// Nothing.
    Free,
    /// A file without a setting, as the package of Portcullis puts it there.
    Empty,
}

/// Why the file was not written.
#[derive(Debug)]
pub enum FirstFileError {
    /// Something is there.
    Taken {
        /// Where.
        path: PathBuf,
        /// What.
        why: String,
    },
    /// The system refused.
    System {
        /// Where.
        path: PathBuf,
        /// What was attempted.
        attempt: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl FirstPlace {
    /// Looks at `path`.
    ///
    /// # Errors
    /// When something is there that must stay, or it cannot be read.
    pub fn look(path: &Path) -> Result<Self, FirstFileError> {
        let taken = |why: &str| FirstFileError::Taken { path: path.to_owned(), why: why.to_owned() };
        let failed = |source| FirstFileError::System { path: path.to_owned(), attempt: "read", source };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Free),
            Err(error) => return Err(failed(error)),
            Ok(found) if !found.is_file() => return Err(taken("it is no regular file")),
            Ok(found) if found.len() > LARGEST => return Err(taken("it is there already")),
            Ok(_) => {}
        }
        let mut octets = Vec::new();
        let file = files::open_regular(path).map_err(failed)?;
        file.take(LARGEST).read_to_end(&mut octets).map_err(failed)?;
        let has_setting =
            |text: &str| text.lines().map(str::trim_start).any(|line| !line.is_empty() && !line.starts_with('#'));
        match std::str::from_utf8(&octets) {
            Ok(text) if !has_setting(text) => Ok(Self::Empty),
            _ => Err(taken("it is there already, with settings")),
        }
    }

    /// Writes `text` to `path`, where [`look`](Self::look) found this: all of it or nothing, on disk when it returns. What somebody
    /// put there meanwhile stays.
    ///
    /// # Errors
    /// When something else is there by now, or the system refuses.
    pub fn write(self, path: &Path, text: &str) -> Result<(), FirstFileError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |attempt| move |source| FirstFileError::System { path: path.to_owned(), attempt, source };
        fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = folder.join(format!(".{name}.init-{}", process::id()));
        let new = Beside::make(&beside, text).map_err(failed("write"))?;
        let placed = match self {
            Self::Free => renameat2(AT_FDCWD, &*beside, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE),
            Self::Empty => renameat2(AT_FDCWD, &*beside, AT_FDCWD, path, RenameFlags::RENAME_EXCHANGE),
        };
        placed.map_err(|error| match error {
            nix::errno::Errno::EEXIST | nix::errno::Errno::ENOENT => {
                FirstFileError::Taken { path: path.to_owned(), why: "somebody changed it meanwhile".into() }
            }
            error => failed("write")(error.into()),
        })?;
        if self == Self::Empty && !matches!(Self::look(&beside), Ok(Self::Empty)) {
            // Somebody wrote a setting into it between the look and now: that one comes back.
            if let Err(error) = renameat2(AT_FDCWD, &*beside, AT_FDCWD, path, RenameFlags::RENAME_EXCHANGE) {
                // Theirs is beside, and stays.
                std::mem::forget(new);
                return Err(FirstFileError::System { path: beside, attempt: "put back", source: error.into() });
            }
            return Err(FirstFileError::Taken { path: path.to_owned(), why: "somebody changed it meanwhile".into() });
        }
        drop(new);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write"))
    }
}

/// A file beside the one to be written; what has its name at the end is removed.
struct Beside<'p>(&'p Path);

impl<'p> Beside<'p> {
    fn make(path: &'p Path, text: &str) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
        let made = Self(path);
        file.write_all(text.as_bytes())?;
        // Whatever the mask of the caller.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()?;
        Ok(made)
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        // It has another name by now where all went well.
        let _ = fs::remove_file(self.0);
    }
}

impl fmt::Display for FirstFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { path, why } => {
                let path = path.display();
                write!(
                    f,
                    "cannot write {path}: {why}, and `init` never overwrites one\nhint: `portcullis init --config OTHER` writes \
                     another file, `portcullis init --dry-run | diff {path} -` compares"
                )
            }
            Self::System { path, attempt, source } => {
                write!(f, "cannot {attempt} {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str("\nhint: run the command as root"),
                    _ => f.write_str("\nhint: `portcullis init --dry-run` prints the configuration"),
                }
            }
        }
    }
}

impl error::Error for FirstFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    struct FirstFolder(PathBuf);

    impl FirstFolder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("portcullis-first-{name}-{}", process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        /// Everything in it, by name.
        fn files(&self) -> Vec<(String, String)> {
            let file = |entry: io::Result<fs::DirEntry>| {
                let entry = entry.unwrap();
                (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).unwrap())
            };
            fs::read_dir(&self.0).unwrap().map(file).collect()
        }
    }

    impl Drop for FirstFolder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn is_taken(result: Result<impl fmt::Debug, FirstFileError>) -> bool {
        matches!(result, Err(FirstFileError::Taken { .. }))
    }

    #[test]
    fn a_file_is_made_with_its_folder_and_everybody_may_read_it() {
        let folder = FirstFolder::new("made");
        let path = folder.0.join("etc").join("x.toml");
        assert_eq!(FirstPlace::look(&path).unwrap(), FirstPlace::Free);
        FirstPlace::Free.write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, MODE);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_with_a_setting_is_never_replaced_and_one_with_none_is() {
        let folder = FirstFolder::new("kept");
        let path = folder.0.join("x.toml");
        for empty in ["", "# a\n\n  # b\r\n\t\n"] {
            fs::write(&path, empty).unwrap();
            let place = FirstPlace::look(&path).unwrap();
            assert_eq!(place, FirstPlace::Empty, "{empty:?}");
            place.write(&path, "new").unwrap();
            assert_eq!(folder.files(), [("x.toml".into(), "new".into())]);
        }
        for full in [&b"# a\nx = 1\n"[..], b"[policy]", b"\xff"] {
            fs::write(&path, full).unwrap();
            assert!(is_taken(FirstPlace::look(&path)), "{full:?}");
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(is_taken(FirstPlace::look(&path)), "a link, whatever it leads to");
    }

    #[test]
    fn what_somebody_writes_between_the_look_and_the_write_stays() {
        let folder = FirstFolder::new("raced");
        let path = folder.0.join("x.toml");
        fs::write(&path, "theirs = 1").unwrap();
        for place in [FirstPlace::Free, FirstPlace::Empty] {
            assert!(is_taken(place.write(&path, "new")), "{place:?}");
            assert_eq!(folder.files(), [("x.toml".into(), "theirs = 1".into())], "{place:?}");
        }
        fs::remove_file(&path).unwrap();
        assert!(is_taken(FirstPlace::Empty.write(&path, "new")));
        assert!(folder.files().is_empty());
    }
}
