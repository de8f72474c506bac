//! A look at the generations before anything is opened for writing: nothing is locked, and what cannot be read is left out.

use std::{io::Read as _, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use super::{NAME, Standing, document::HistoryDocument, file::bundle_name};
use crate::{
    config::{Bundle, BundledFile},
    files::open_regular,
    state::whole,
};

/// How many of the newest generations are looked at besides the live one: a start goes back when that cannot be used.
const NEWEST: usize = 3;

/// A bundle without its list files, which may be large.
#[derive(Debug, Deserialize)]
struct WithoutLists {
    #[serde(default)]
    name: String,
    config: String,
    #[serde(default)]
    included: Vec<BundledFile>,
}

/// The configurations in the state folder `folder` that a start may use: those of the live generation, of the one that comes back when it
/// is not confirmed, and of the newest that are confirmed.
pub fn configurations(folder: &Path) -> Vec<Bundle> {
    let Some(document) = read::<HistoryDocument>(&folder.join(NAME)) else { return Vec::new() };
    let mut wanted = vec![document.active, document.pending.as_ref().map(|pending| pending.previous)];
    let confirmed = document.generations.iter().rev().filter(|one| one.standing == Standing::Confirmed);
    wanted.extend(confirmed.take(NEWEST).map(|one| Some(one.number)));
    let known = document.generations.iter().filter(|one| wanted.contains(&Some(one.number)));
    let mut bundles: Vec<u64> = known.map(|one| one.bundle).collect();
    bundles.sort_unstable();
    bundles.dedup();
    let texts = bundles.into_iter().filter_map(|bundle| read::<WithoutLists>(&folder.join(bundle_name(bundle))));
    let bundle = |WithoutLists { name, config, included }| Bundle { name, config, included, files: Vec::new() };
    texts.map(bundle).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut octets = Vec::new();
    open_regular(path).ok()?.read_to_end(&mut octets).ok()?;
    whole::parse(&octets)
}
