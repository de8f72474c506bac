//! What this binary is made of, as its build script found it: nothing of it depends on when or where it was built.

/// Its version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The revision of its sources: the commit, or what the builder called it; `unknown` where nobody said so.
///
/// Changes that were not committed are not told.
pub const REVISION: &str = env!("PORTCULLIS_BUILT_FROM");

/// What a revision is called that nobody knows.
pub const UNKNOWN: &str = "unknown";

/// The compiler, as it names itself.
pub const RUSTC: &str = env!("PORTCULLIS_BUILT_BY");
