//! The file of tokens in the state folder.

use std::{collections::BTreeSet, io};

use serde::{Deserialize, Serialize};

use super::{
    MOST,
    record::{RevokedToken, TokenRecord},
};
use crate::{
    files::{NotOwn, NotPrivate},
    state::{disk::Disk, error::StoreError, whole},
};

/// Its name.
pub const FILE: &str = "tokens.json";

/// Its name until it is whole.
const UNFINISHED: &str = "tokens.json.new";

/// The newest form that this daemon knows.
const VERSION: u32 = 1;

/// Most octets of it: more than [`MOST`] tokens with the largest scopes.
const MOST_OCTETS: u64 = 256 << 20;

/// All that is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct TokensOnDisk {
    version: u32,
    pub tokens: Vec<TokenRecord>,
    /// The last ones, the newest last.
    pub revoked: Vec<RevokedToken>,
}

/// Where the file is.
pub(super) trait TokenDisk: Send {
    /// What is in it; nothing when it is not there.
    ///
    /// # Errors
    /// Why it cannot be used, in words with a hint.
    fn load(&self) -> Result<TokensOnDisk, String>;

    /// Whether it is not there, where the state folder is now.
    fn is_missing(&self) -> bool;

    /// Writes it whole.
    ///
    /// # Errors
    /// When the disk refuses.
    fn keep(&self, tokens: &TokensOnDisk) -> Result<(), StoreError>;
}

impl TokensOnDisk {
    pub fn new(tokens: Vec<TokenRecord>, revoked: Vec<RevokedToken>) -> Self {
        Self { version: VERSION, tokens, revoked }
    }

    /// What is wrong with it; `None` when it can be used.
    fn flaw(&self) -> Option<&'static str> {
        let names: BTreeSet<&str> = self.tokens.iter().map(|token| &*token.name).collect();
        let ids: BTreeSet<_> = self.tokens.iter().map(|token| token.id).collect();
        match self.tokens.len() {
            _ if self.version > VERSION => Some("a newer daemon has written it"),
            count if count > MOST => Some("it has more tokens than there may be"),
            count if names.len() < count || ids.len() < count => Some("it has the same token twice"),
            _ => None,
        }
    }
}

impl<D: Disk> TokenDisk for D {
    fn load(&self) -> Result<TokensOnDisk, String> {
        let path = self.path(FILE).display().to_string();
        let refused = |why: &dyn std::fmt::Display, hint: String| format!("cannot use {path}: {why}\nhint: {hint}");
        let anew =
            format!("restore it from a copy, or remove it with all tokens: `rm {path}`; it is read again each minute");
        let octets = match self.read_private(FILE, MOST_OCTETS) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(TokensOnDisk::new(Vec::new(), Vec::new()));
            }
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<NotPrivate>()) => {
                return Err(refused(
                    &error,
                    format!(
                        "revoke what others may have read: restore the mode with `chmod 0600 {path}`, then rotate every token"
                    ),
                ));
            }
            Err(error) if NotOwn::of(&error).is_some() => {
                return Err(refused(&error, format!("look at who has put it there; {anew}")));
            }
            Err(error) => return Err(refused(&error, anew)),
        };
        let Some(tokens) = whole::parse::<TokensOnDisk>(&octets) else {
            return Err(refused(&"it is not what was written", anew));
        };
        match tokens.flaw() {
            Some(flaw) => Err(refused(&flaw, anew)),
            None => Ok(tokens),
        }
    }

    fn is_missing(&self) -> bool {
        // Whoever cannot find the folder cannot write the file there either.
        let found = self.remake().is_ok().then(|| self.read_private(FILE, MOST_OCTETS));
        found.is_some_and(|found| found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
    }

    fn keep(&self, tokens: &TokensOnDisk) -> Result<(), StoreError> {
        // When the folder has lost its name, the tokens go to where the state is now.
        self.remake()?;
        // What is left of an earlier attempt may have another mode.
        let removed = self.remove(UNFINISHED);
        removed.map_err(|source| StoreError::Write { path: self.path(UNFINISHED), attempt: "remove", source })?;
        whole::write(self, FILE, UNFINISHED, tokens)
    }
}
