//! Bearer tokens: who may use the API with what secret, kept as hashes in one file of the state folder.
//!
//! In: orders of administrators, tokens that callers show. Out: whose token it is; a new secret, once. The store owns the file: it is
//! written whole before a change counts. A file that cannot be trusted lets nobody in, and the rest of the daemon goes on.

mod error;
mod file;
mod record;
mod text;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use subtle::{Choice, ConstantTimeEq};

pub use error::{TokenError, TokenRefusal};
pub use file::FILE;
pub use record::{PreviousSecret, RevokedToken, Token, TokenRecord};
pub use text::{LENGTH, NoRandomness, PATTERN, PREFIX, PresentedToken, TokenHash, TokenId, TokenSecret, TokenText};

use self::{
    file::{TokenDisk, TokensOnDisk},
    record::after,
};
use super::disk::Disk;
use crate::policy::{Grant, Name};

/// Most tokens.
pub const MOST: usize = 1000;

/// Revoked tokens that are remembered.
const MOST_REVOKED: usize = 1000;

/// How long a secret may count after it was replaced.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// All tokens. Whoever asks whose a token is waits for nobody.
pub struct TokenStore {
    table: ArcSwap<TokenTable>,
    /// Held by whoever changes something.
    keeping: Mutex<TokenKeeping>,
}

/// What an administrator wants.
#[derive(Clone, Debug)]
pub struct TokenOrder {
    /// Its name.
    pub name: Name,
    /// What its holder may do.
    pub grant: Grant,
    /// How long its secret counts; `None`: until it is revoked.
    pub ttl: Option<Duration>,
    /// Who asks.
    pub by: String,
}

struct TokenKeeping {
    disk: Box<dyn TokenDisk>,
    /// Whether memory has something that the file has not, besides uses.
    is_behind: bool,
}

#[derive(Default)]
struct TokenTable {
    tokens: HashMap<TokenId, Arc<Token>>,
    /// The newest last.
    revoked: VecDeque<RevokedToken>,
    /// Why the file cannot be used.
    refused: Option<String>,
}

impl TokenStore {
    /// The tokens in the folder `disk`; a file that cannot be used is [told](Self::refuses).
    pub fn open<D: Disk>(disk: D) -> Self {
        let disk: Box<dyn TokenDisk> = Box::new(disk);
        let table = TokenTable::read(&*disk);
        Self { table: ArcSwap::from_pointee(table), keeping: Mutex::new(TokenKeeping { disk, is_behind: false }) }
    }

    /// Why nobody gets in by a token; `None` when the file can be used.
    pub fn refuses(&self) -> Option<String> {
        self.table.load().refused.clone()
    }

    /// Whose token it is that somebody shows at `now`, which is noted as its last use. It takes as long for one that there is as for one
    /// that there is not.
    ///
    /// # Errors
    /// [`TokenRefusal`], which is for the log and nobody else.
    pub fn verify(&self, shown: &PresentedToken, now: Timestamp) -> Result<Arc<Token>, TokenRefusal> {
        let table = self.table.load();
        let hash = shown.secret.hash();
        let same = |kept: &TokenHash| hash.octets().ct_eq(kept.octets());
        let found = table.tokens.get(&shown.id);
        let revoked = table.revoked.iter().rfind(|token| token.id == shown.id);
        let kept = found.map(|token| token.kept());
        let previous = kept.and_then(|kept| kept.previous.as_ref());
        let is_current =
            same(kept.map_or(&TokenHash::NONE, |kept| &kept.hash)) & Choice::from(u8::from(found.is_some()));
        let is_previous = same(previous.map_or(&TokenHash::NONE, |previous| &previous.hash))
            & Choice::from(u8::from(previous.is_some()));
        let was_it =
            same(revoked.map_or(&TokenHash::NONE, |token| &token.hash)) & Choice::from(u8::from(revoked.is_some()));
        let end = match (kept, previous) {
            (Some(kept), _) if bool::from(is_current) => kept.expires(),
            (_, Some(previous)) if bool::from(is_previous) => Some(previous.until),
            _ if bool::from(was_it) => return Err(TokenRefusal::Revoked),
            (Some(_), _) => return Err(TokenRefusal::Wrong),
            (None, _) => return Err(TokenRefusal::Unknown),
        };
        match found {
            Some(token) if end.is_none_or(|end| end > now) => {
                token.note_use(now);
                Ok(Arc::clone(token))
            }
            _ => Err(TokenRefusal::Expired),
        }
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// [`TokenError::Unusable`].
    pub fn list(&self) -> Result<Vec<TokenRecord>, TokenError> {
        let table = self.table.load();
        table.usable()?;
        let mut records: Vec<TokenRecord> = table.tokens.values().map(|token| token.record()).collect();
        records.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(records)
    }

    /// Makes a token. Nobody is told its text again.
    ///
    /// # Errors
    /// See [`TokenError`]; there is no token then.
    pub fn create(&self, order: TokenOrder, now: Timestamp) -> Result<(TokenText, TokenRecord), TokenError> {
        let mut keeping = self.begin()?;
        let table = self.table.load_full();
        if table.named(&order.name).is_some() {
            return Err(TokenError::Exists { name: order.name.to_string() });
        }
        if table.tokens.len() >= MOST {
            return Err(TokenError::TooMany);
        }
        let secret = TokenSecret::random()?;
        let id = table.free_id()?;
        let record = TokenRecord {
            id,
            name: order.name,
            grant: order.grant,
            hash: secret.hash(),
            created: now,
            created_by: order.by,
            issued: now,
            ttl_seconds: order.ttl.map(|ttl| ttl.as_secs().max(1)),
            last_used: None,
            previous: None,
        };
        self.change(&mut keeping, table.with(record.clone()))?;
        Ok((TokenText::of(id, &secret), record))
    }

    /// Gives the token `name` another secret, which counts as long as the first one did. The one before counts for `overlap` longer, at
    /// most [`LONGEST_OVERLAP`], and not longer than it would have; one before that counts no more.
    ///
    /// # Errors
    /// See [`TokenError`]; its secret is the one before then.
    pub fn rotate(
        &self,
        name: &str,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<(TokenText, TokenRecord), TokenError> {
        let mut keeping = self.begin()?;
        let table = self.table.load_full();
        let before = table.named(name).ok_or_else(|| TokenError::Missing { name: name.to_owned() })?.record();
        let secret = TokenSecret::random()?;
        let until = after(now, overlap.min(LONGEST_OVERLAP));
        let until = before.expires().map_or(until, |expires| expires.min(until));
        let previous = Some(PreviousSecret { hash: before.hash, until });
        let record = TokenRecord { hash: secret.hash(), issued: now, previous, ..before };
        self.change(&mut keeping, table.with(record.clone()))?;
        Ok((TokenText::of(record.id, &secret), record))
    }

    /// Removes the token `name`: the next request with it is refused.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn revoke(&self, name: &str, now: Timestamp) -> Result<TokenRecord, TokenError> {
        let mut keeping = self.begin()?;
        let table = self.table.load_full();
        let record = table.named(name).ok_or_else(|| TokenError::Missing { name: name.to_owned() })?.record();
        let table = table.without(&record, now);
        let on_disk = table.on_disk();
        // What the disk says of it comes second: a token that may be in wrong hands is refused from now on.
        self.table.store(Arc::new(table));
        match keeping.write(&on_disk) {
            Ok(()) => Ok(record),
            Err(source) => Err(TokenError::RevokedUntilRestart { name: name.to_owned(), source }),
        }
    }

    /// Writes what is not on disk yet: when tokens were used, and what the disk has refused before. A file that could not be used is
    /// looked at again. To be called each minute and at the end, by a thread that may wait for the disk.
    ///
    /// # Errors
    /// [`TokenError::Unusable`] and [`TokenError::NotKept`]; it is tried again next time.
    pub fn keep_uses(&self) -> Result<(), TokenError> {
        let mut keeping = self.begin()?;
        let table = self.table.load_full();
        let is_used = table.tokens.values().any(|token| token.is_used_since_written());
        if !keeping.is_behind && !is_used && (table.tokens.is_empty() || !keeping.disk.is_missing()) {
            return Ok(());
        }
        let table = table.copied();
        self.change(&mut keeping, table)
    }

    /// The right to change something, when the file can be used by now.
    fn begin(&self) -> Result<MutexGuard<'_, TokenKeeping>, TokenError> {
        let keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if self.table.load().refused.is_some() {
            self.table.store(Arc::new(TokenTable::read(&*keeping.disk)));
        }
        self.table.load().usable()?;
        Ok(keeping)
    }

    /// Writes `table` and puts it in force.
    fn change(&self, keeping: &mut TokenKeeping, table: TokenTable) -> Result<(), TokenError> {
        keeping.write(&table.on_disk()).map_err(TokenError::NotKept)?;
        // Uses since then are in the tokens that both share, or are noted by the next ones.
        self.table.store(Arc::new(table));
        Ok(())
    }
}

impl TokenKeeping {
    fn write(&mut self, tokens: &TokensOnDisk) -> Result<(), super::error::StoreError> {
        let written = self.disk.keep(tokens);
        // Nobody knows what a disk has that refused in the middle.
        self.is_behind = written.is_err();
        written
    }
}

impl TokenTable {
    fn read(disk: &dyn TokenDisk) -> Self {
        match disk.load() {
            Ok(TokensOnDisk { tokens, revoked, .. }) => {
                let tokens = tokens.into_iter().map(|record| (record.id, Arc::new(Token::from(record)))).collect();
                Self { tokens, revoked: revoked.into(), refused: None }
            }
            Err(why) => Self { refused: Some(why), ..Self::default() },
        }
    }

    fn usable(&self) -> Result<(), TokenError> {
        match &self.refused {
            Some(why) => Err(TokenError::Unusable { why: why.clone() }),
            None => Ok(()),
        }
    }

    fn named(&self, name: &str) -> Option<&Arc<Token>> {
        self.tokens.values().find(|token| &**token.name() == name)
    }

    /// An identifier that no token has, nor one that was revoked.
    fn free_id(&self) -> Result<TokenId, TokenError> {
        loop {
            let id = TokenId::random()?;
            if !self.tokens.contains_key(&id) && self.revoked.iter().all(|token| token.id != id) {
                return Ok(id);
            }
        }
    }

    fn on_disk(&self) -> TokensOnDisk {
        let mut tokens: Vec<TokenRecord> = self.tokens.values().map(|token| token.record()).collect();
        tokens.sort_by(|one, other| one.name.cmp(&other.name));
        TokensOnDisk::new(tokens, self.revoked.iter().cloned().collect())
    }

    /// The same, with every last use as what was written.
    fn copied(&self) -> Self {
        let tokens = self.tokens.iter().map(|(id, token)| (*id, Arc::new(Token::from(token.record())))).collect();
        Self { tokens, revoked: self.revoked.clone(), refused: None }
    }

    fn with(&self, record: TokenRecord) -> Self {
        let mut table = self.copied();
        table.tokens.insert(record.id, Arc::new(Token::from(record)));
        table
    }

    fn without(&self, record: &TokenRecord, now: Timestamp) -> Self {
        let mut table = self.copied();
        table.tokens.remove(&record.id);
        let (id, name, hash) = (record.id, record.name.to_string(), record.hash);
        table.revoked.push_back(RevokedToken { id, name, hash, at: now });
        while table.revoked.len() > MOST_REVOKED {
            table.revoked.pop_front();
        }
        table
    }
}

impl fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenStore").field("tokens", &self.table.load().tokens.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
