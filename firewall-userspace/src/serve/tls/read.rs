//! Files with certificates and keys: how they are opened, and whether they have changed.

use std::{
    fmt, fs, io,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use nix::unistd::geteuid;
use zeroize::Zeroizing;

use crate::{
    files::{self, GROUP_WRITES, OTHERS_WRITE, PERMISSIONS},
    policy::KeyPlace,
};

/// Why a file cannot be used: what was attempted, on what, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// What it is for, such as `certificate`; then its path.
    pub what: String,
    /// Why it cannot be used.
    pub why: String,
    /// What mends it.
    pub hint: Option<String>,
}

/// What a file is for, and how it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The certificate of this host, with its chain.
    Certificate,
    /// Its key.
    Key,
    /// Certificates of those who sign certificates of clients.
    ClientCa,
    /// A revocation list of theirs.
    ClientCrl,
}

impl FileKind {
    /// It in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::ClientCa => "client CA",
            Self::ClientCrl => "revocation list",
        }
    }

    /// Most octets of such a file. A list of a million certificates has 40 MB or so; everything else is small.
    const fn most(self) -> u64 {
        match self {
            Self::Certificate | Self::Key => 1 << 20,
            Self::ClientCa => 4 << 20,
            Self::ClientCrl => 64 << 20,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the {}: {}", self.what, self.why)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for TlsError {}

impl TlsError {
    /// `why` the file of this kind at `path` cannot be used.
    pub fn of(kind: FileKind, path: &Path, why: impl fmt::Display, hint: Option<&str>) -> Self {
        let what = format!("{} {}", kind.words(), path.display());
        Self { what, why: why.to_string(), hint: hint.map(str::to_owned) }
    }
}

/// The path of `place`; `credentials` is the folder of systemd.
///
/// # Errors
/// When there is no such folder, or the name is none.
pub fn path_of(place: &KeyPlace, kind: FileKind, credentials: Option<&Path>) -> Result<PathBuf, TlsError> {
    let name = match place {
        KeyPlace::File(path) => return Ok(path.clone()),
        KeyPlace::Credential(name) => name,
    };
    let error = |why: &str, hint: &str| TlsError {
        what: format!("{} in the credential `{name}`", kind.words()),
        why: why.to_owned(),
        hint: Some(hint.to_owned()),
    };
    let Some(folder) = credentials.filter(|folder| folder.is_absolute()) else {
        let hint = format!(
            "pass it by `LoadCredential={name}:/PATH` in [Service]: `systemctl edit portcullis`, and restart the daemon"
        );
        return Err(error("CREDENTIALS_DIRECTORY is not set: systemd passes no credentials", &hint));
    };
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(error("that is no name of a credential", "use the name before the colon of `LoadCredential=`"));
    }
    Ok(folder.join(name))
}

/// All of a file.
///
/// # Errors
/// When it cannot be read, is no regular file or too large, or is not kept as its kind needs.
pub fn all(kind: FileKind, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let error = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "give the group of the daemon's user the right to read it and to enter its folders, or pass it by \
                 `LoadCredential=`"
            }
            io::ErrorKind::NotFound => "name a file that is there in [api]",
            _ => return TlsError::of(kind, path, error, None),
        };
        TlsError::of(kind, path, error, Some(hint))
    };
    let file = files::open_regular(path).map_err(error)?;
    let facts = file.metadata().map_err(error)?;
    is_kept_well(kind, facts.uid(), facts.mode()).map_err(|(why, hint)| TlsError::of(kind, path, why, Some(hint)))?;
    let most = kind.most();
    // What grows meanwhile is not read on, and a buffer that grows leaves copies of a key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(facts.len().min(most)).unwrap_or(0) + 1));
    file.take(most + 1).read_to_end(&mut text).map_err(error)?;
    match text.len() as u64 {
        0 => Err(TlsError::of(kind, path, "it is empty", None)),
        length if length > most => Err(TlsError::of(kind, path, format!("it is larger than {} MiB", most >> 20), None)),
        _ => Ok(text),
    }
}

/// Whether a file of this owner and this mode may be used; why not, and what mends it.
fn is_kept_well(kind: FileKind, owner: u32, mode: u32) -> Result<(), (String, &'static str)> {
    let shown = mode & PERMISSIONS;
    if kind != FileKind::Key {
        let hint = "let nobody but its owner and its group write to it: `chmod o-w`";
        return match mode & OTHERS_WRITE {
            0 => Ok(()),
            _ => Err((format!("everybody may write to it: its mode is {shown:04o}"), hint)),
        };
    }
    if mode & (OTHERS_MAY | GROUP_WRITES) != 0 {
        let hint = "`chmod 0640` it, with a group that the daemon's user is in, or `chmod 0600`; a key that others have seen is to be \
                    replaced";
        return Err((format!("others may read or change it: its mode is {shown:04o}"), hint));
    }
    if owner != 0 && owner != geteuid().as_raw() {
        let why = format!("it belongs to user {owner}, who is neither root nor the user of the daemon");
        return Err((why, "give it to root: `chown root`"));
    }
    Ok(())
}

/// Everything that others may do with a file who are neither its owner nor in its group.
const OTHERS_MAY: u32 = 0o007;

/// By what a file that was changed or exchanged is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileFacts {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    owner: u32,
    /// When its content and its attributes were changed, in seconds and nanoseconds.
    changed: [(i64, i64); 2],
}

/// How a file and what its name leads to looked at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// The name itself, which may be a symbolic link.
    name: Option<FileFacts>,
    /// Where it leads.
    target: Option<FileFacts>,
}

impl FileFacts {
    fn of(facts: &fs::Metadata) -> Self {
        Self {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            mode: facts.mode(),
            owner: facts.uid(),
            changed: [(facts.mtime(), facts.mtime_nsec()), (facts.ctime(), facts.ctime_nsec())],
        }
    }
}

impl Print {
    /// How `path` looks now. Whatever is not there, or cannot be seen, is none.
    pub fn of(path: &Path) -> Self {
        let name = fs::symlink_metadata(path).ok().as_ref().map(FileFacts::of);
        Self { name, target: fs::metadata(path).ok().as_ref().map(FileFacts::of) }
    }

    /// Whether it was changed so shortly before `now` that it could be changed once more without looking otherwise: the clock of a
    /// file system has steps.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        let step = now.checked_sub(STEP).and_then(|before| before.duration_since(SystemTime::UNIX_EPOCH).ok());
        let before = step.map_or(0, |step| i64::try_from(step.as_secs()).unwrap_or(i64::MAX));
        [self.name, self.target].into_iter().flatten().flat_map(|facts| facts.changed).any(|(at, _)| at >= before)
    }
}

/// The longest step of the clocks of file systems that are in use (FAT).
const STEP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_may_read_or_that_is_somebody_elses_is_refused() {
        let own = geteuid().as_raw();
        for mode in [0o600, 0o640, 0o400, 0o440] {
            assert_eq!(is_kept_well(FileKind::Key, own, 0o10_0000 | mode), Ok(()), "{mode:o}");
            assert_eq!(is_kept_well(FileKind::Key, 0, mode), Ok(()), "{mode:o}");
        }
        for mode in [0o604, 0o644, 0o602, 0o601, 0o660, 0o620] {
            let (why, _) = is_kept_well(FileKind::Key, own, 0o10_0000 | mode).unwrap_err();
            assert_eq!(why, format!("others may read or change it: its mode is {mode:04o}"));
        }
        let (why, _) = is_kept_well(FileKind::Key, own + 1, 0o600).unwrap_err();
        assert!(why.starts_with("it belongs to user"), "{why}");
    }

    #[test]
    fn a_certificate_may_be_read_by_everybody_and_written_by_some() {
        for kind in [FileKind::Certificate, FileKind::ClientCa, FileKind::ClientCrl] {
            assert_eq!(is_kept_well(kind, 12_345, 0o664), Ok(()));
            assert!(is_kept_well(kind, 0, 0o666).is_err());
        }
    }

    #[test]
    fn a_credential_is_a_file_of_its_folder_and_no_other() {
        let of = |name: &str, folder: Option<&str>| {
            path_of(&KeyPlace::Credential(name.into()), FileKind::Key, folder.map(Path::new))
        };
        assert_eq!(of("api.key", Some("/run/credentials/x")), Ok("/run/credentials/x/api.key".into()));
        for name in ["", ".", "..", "a/b", "../key"] {
            assert!(of(name, Some("/run/credentials/x")).is_err(), "{name}");
        }
        for folder in [None, Some("relative")] {
            let error = of("api.key", folder).unwrap_err().to_string();
            assert!(error.contains("CREDENTIALS_DIRECTORY") && error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for_and_a_file_without_an_end_is_not_read() {
        let error = all(FileKind::Certificate, Path::new("/dev/zero")).unwrap_err();
        assert!(error.why.contains("no regular file"), "{error}");
        let error = all(FileKind::Key, Path::new("/nonexistent/key")).unwrap_err();
        assert!(error.to_string().starts_with("cannot use the key /nonexistent/key: "), "{error}");
    }

    #[test]
    fn a_file_is_fresh_for_as_long_as_its_clock_may_stand() {
        let path = std::env::temp_dir().join(format!("portcullis-tls-print-{}", std::process::id()));
        fs::write(&path, "text").unwrap();
        let (print, now) = (Print::of(&path), SystemTime::now());
        assert!(print.is_fresh(now) && !print.is_fresh(now + STEP + Duration::from_secs(1)));
        fs::remove_file(&path).unwrap();
        assert_ne!(Print::of(&path), print);
        assert!(!Print::of(&path).is_fresh(now));
    }
}
