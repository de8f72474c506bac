//! What a machine lacks, and how to get it.

/// Something that is not there.
#[derive(Debug)]
pub struct Missing {
    /// Package or program.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// How to get it.
    pub install: Install,
}

/// How to get what is missing.
#[derive(Debug, PartialEq, Eq)]
pub enum Install {
    /// A Debian package.
    Apt {
        /// The daemon it brings, which installing must not start.
        service: Option<&'static str>,
    },
    /// A command to run as the user.
    Command(Vec<String>),
    /// The BPF file system.
    MountBpffs,
}

impl Install {
    /// A command line without quotes.
    pub fn command(line: &str) -> Self {
        Self::Command(line.split_whitespace().map(str::to_owned).collect())
    }
}
