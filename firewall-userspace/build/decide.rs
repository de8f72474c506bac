//! What the build script decides: functions of what it has read, which `tests/build_script.rs` tests.

/// Longest name of a revision.
const LONGEST: usize = 64;

/// What stands for a revision or a compiler that nobody can tell.
pub const UNKNOWN: &str = "unknown";

/// Whether the sources are looked at for their revision: when they are built for use. A debug build would be compiled anew at
/// each commit, for a number that nobody asks it for.
pub fn reads_repository(profile: &str) -> bool {
    profile == "release"
}

/// The revision that a build names: what its caller says, else what the repository of the sources says, which is asked last.
///
/// # Errors
/// What the caller says is no name of a revision.
pub fn revision(said: Option<&str>, repository: impl FnOnce() -> Option<String>) -> Result<String, String> {
    let is_name = |name: &str| {
        (1..=LONGEST).contains(&name.len())
            && name.chars().all(|symbol| symbol.is_ascii_alphanumeric() || "._-+~/".contains(symbol))
    };
    match said.filter(|said| !said.is_empty()) {
        Some(said) if is_name(said) => Ok(said.to_owned()),
        Some(said) => Err(format!(
            "PORTCULLIS_REVISION={said:?} is no revision: 1 to {LONGEST} of A-Z, a-z, 0-9, `.`, `_`, `-`, `+`, `~` and `/`"
        )),
        None => Ok(repository().filter(|found| is_name(found)).unwrap_or_else(|| UNKNOWN.to_owned())),
    }
}

/// What to warn of: an optimised build is for use, and is of none without the program that filters.
pub fn warning(profile: &str, has_object: bool) -> Option<&'static str> {
    (profile == "release" && !has_object).then_some(
        "this makes a `portcullis` without the packet program: `portcullis run` will refuse to start. `cargo xtask build` makes one with it",
    )
}
