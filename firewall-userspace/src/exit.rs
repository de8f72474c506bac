//! Exit codes. They never change their meaning.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A negative answer, or an answer that makes no sense.
    Negative = 1,
    /// Wrong use of the command line.
    Usage = 2,
    /// The daemon cannot be reached.
    Unreachable = 3,
    /// The daemon, the kernel or the file system refused.
    Refused = 4,
    /// The input or the configuration is wrong.
    Invalid = 5,
    /// A conflict, or nobody knows whether the change happened.
    Unconfirmed = 6,
    /// `portcullis run` ended although nobody had asked it to; its last policy filters on.
    Failed = 7,
}

impl Exit {
    /// Its number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
