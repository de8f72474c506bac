//! What credentials are checked against: the settings in force, and the keys that they name.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{
    jwt::{IssuerKeys, trusted_file},
    signature::{MOST_KEY_OCTETS, SignerKey},
};
use crate::{logging, policy::ApiSettings};

/// The settings with their keys.
#[derive(Debug)]
pub struct AuthSetup {
    pub settings: ApiSettings,
    pub issuer: Option<Arc<IssuerKeys>>,
    /// Keys of signers, by key identifier.
    keys: HashMap<String, SignerKey>,
}

impl AuthSetup {
    /// What `settings` ask for, without a look at any file: what is the same in `before` goes on.
    pub fn carried(settings: ApiSettings, before: Option<&Self>) -> Self {
        let held = before.and_then(|before| before.issuer.clone());
        let issuer = settings.jwt.as_ref().map(|jwt| match held {
            Some(issuer) if issuer.settings() == jwt => issuer,
            _ => Arc::new(IssuerKeys::new(jwt.clone())),
        });
        let is_same = |id: &str| {
            let [was, is] = [before.map(|before| &before.settings), Some(&settings)]
                .map(|settings| settings.and_then(|settings| settings.signers.get(id)).map(|signer| &signer.key));
            was == is
        };
        let keys = before.iter().flat_map(|before| before.keys.iter());
        let keys = keys.filter(|(id, _)| is_same(id)).map(|(id, key)| (id.clone(), key.clone())).collect();
        Self { settings, issuer, keys }
    }

    /// The same with the keys of signers as they are on disk now: for a thread that may wait for it.
    pub fn with_keys(&self) -> Self {
        let mut keys = HashMap::new();
        for (id, signer) in &self.settings.signers {
            match read(&signer.key) {
                Ok(key) => drop(keys.insert(id.clone(), key)),
                Err(why) => {
                    // Whoever takes the file away takes the right away; what cannot be read otherwise is as it was.
                    let held = self.key(id).filter(|_| signer.key.exists());
                    if let Some(key) = held {
                        keys.insert(id.clone(), key.clone());
                    }
                    if logging::admits("keys of signers that cannot be used") {
                        let what = if keys.contains_key(id) { "goes on" } else { "is refused" };
                        let file = signer.key.display();
                        tracing::warn!("cannot use {file}, the key of `{id}` in `[api.signers]`, who {what}: {why}");
                    }
                }
            }
        }
        Self { settings: self.settings.clone(), issuer: self.issuer.clone(), keys }
    }

    /// The key `id`.
    pub fn key(&self, id: &str) -> Option<&SignerKey> {
        self.keys.get(id)
    }
}

fn read(path: &Path) -> Result<SignerKey, String> {
    SignerKey::parse(&trusted_file(path, MOST_KEY_OCTETS)?)
}
