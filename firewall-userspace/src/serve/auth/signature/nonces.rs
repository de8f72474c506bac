//! Nonces of signatures that were taken, as long as a signature with one could still be.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ring::digest;

use crate::serve::auth::failures::AuthFailure;

/// Most nonces: 16 MiB or so.
const MOST: usize = 128 << 10;

/// Most nonces of a key.
const MOST_OF_KEY: usize = 32 << 10;

/// SHA-256 of a key identifier and a nonce.
type NonceHash = [u8; 32];

/// Nonces that are spent. It refuses when it is full, and forgets none that could be used again.
#[derive(Debug)]
pub struct Nonces {
    spent: Mutex<SpentNonces>,
    most: usize,
    most_of_key: usize,
}

#[derive(Debug, Default)]
struct SpentNonces {
    /// When each may be forgotten, in seconds since 1970.
    ends: HashMap<NonceHash, i64>,
    /// The same by time, with the key.
    by_end: BTreeMap<(i64, NonceHash), String>,
    of_keys: HashMap<String, usize>,
}

impl Default for Nonces {
    fn default() -> Self {
        Self::of(MOST, MOST_OF_KEY)
    }
}

impl Nonces {
    /// Room for so many, and for so many of one key.
    pub fn of(most: usize, most_of_key: usize) -> Self {
        Self { spent: Mutex::default(), most, most_of_key }
    }

    /// Spends `nonce` of the key `key`, which nobody can use again until `end`; both times are seconds since 1970.
    ///
    /// # Errors
    /// [`AuthFailure::Replayed`] when it is spent; [`AuthFailure::Full`] when there is no room, and it is not spent then.
    pub fn spend(&self, key: &str, nonce: &str, end: i64, now: i64) -> Result<(), AuthFailure> {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&key.len().to_le_bytes());
        hash.update(key.as_bytes());
        hash.update(nonce.as_bytes());
        let mut id = [0; 32];
        id.copy_from_slice(hash.finish().as_ref());
        let mut spent = self.lock();
        spent.forget(now);
        if spent.ends.contains_key(&id) {
            return Err(AuthFailure::Replayed);
        }
        if spent.ends.len() >= self.most || spent.of_keys.get(key).is_some_and(|count| *count >= self.most_of_key) {
            return Err(AuthFailure::Full);
        }
        spent.ends.insert(id, end);
        spent.by_end.insert((end, id), key.to_owned());
        *spent.of_keys.entry(key.to_owned()).or_default() += 1;
        Ok(())
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.lock().ends.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, SpentNonces> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpentNonces {
    /// Forgets those that nobody can use any more.
    fn forget(&mut self, now: i64) {
        while let Some(first) = self.by_end.first_entry() {
            if first.key().0 > now {
                return;
            }
            let ((_, id), key) = first.remove_entry();
            self.ends.remove(&id);
            if let Some(count) = self.of_keys.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.of_keys.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_spent_once_for_each_key_until_nobody_can_use_it() {
        let nonces = Nonces::default();
        assert_eq!(nonces.spend("a", "nonce", 100, 0), Ok(()));
        assert_eq!(nonces.spend("a", "nonce", 100, 99), Err(AuthFailure::Replayed));
        assert_eq!(nonces.spend("b", "nonce", 100, 99), Ok(()));
        assert_eq!(nonces.spend("", "anonce", 100, 99), Ok(()), "where the key ends is told");
        assert_eq!(nonces.spend("a", "nonce", 200, 100), Ok(()));
        assert_eq!(nonces.len(), 1);
    }

    #[test]
    fn what_is_full_refuses_and_forgets_nothing() {
        let nonces = Nonces::of(3, 2);
        assert_eq!(nonces.spend("a", "1", 100, 0), Ok(()));
        assert_eq!(nonces.spend("a", "2", 50, 0), Ok(()));
        assert_eq!(nonces.spend("a", "3", 100, 0), Err(AuthFailure::Full));
        assert_eq!(nonces.spend("b", "1", 100, 0), Ok(()));
        assert_eq!(nonces.spend("c", "1", 100, 0), Err(AuthFailure::Full));
        assert_eq!(nonces.spend("a", "1", 100, 0), Err(AuthFailure::Replayed));
        assert_eq!(nonces.spend("a", "3", 100, 50), Ok(()), "one is over");
        assert_eq!(nonces.spend("a", "2", 100, 51), Err(AuthFailure::Full));
    }

    #[test]
    fn a_clock_that_is_set_back_brings_no_nonce_back() {
        let nonces = Nonces::default();
        assert_eq!(nonces.spend("a", "1", 100, 40), Ok(()));
        assert_eq!(nonces.spend("a", "1", 100, 10), Err(AuthFailure::Replayed));
    }
}
