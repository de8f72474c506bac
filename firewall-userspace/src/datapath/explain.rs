//! An instance of the program that says what it would do and does nothing, on the tables of a live one.

use std::{fs, path::PathBuf};

use aya::{
    Ebpf,
    maps::{Array, MapData},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use firewall_common::abi::{Explanation, maps};

use super::{
    DatapathError, OBJECT, PinFolder,
    facts::Facts,
    generation::{program_of, take},
    plain::Plain,
};

/// Longest name that the kernel keeps of a map (`BPF_OBJ_NAME_LEN` of linux/bpf.h, without the zero).
const LONGEST_NAME: usize = 15;

/// The instance. It keeps the tables of the live one alive.
pub(super) struct Explainer {
    ebpf: Ebpf,
    explanation: Array<MapData, Plain<Explanation>>,
}

impl Explainer {
    /// Loads the instance with the facts and, asked from the kernel, the maps of the program `live`.
    pub(super) fn load(live: &Xdp, facts: &Facts, pins: &PinFolder) -> Result<Self, DatapathError> {
        let borrowed = Borrowed::from(live, pins)?;
        let mut ebpf = facts.open(OBJECT, &borrowed.paths, true)?;
        program_of(&mut ebpf)?.load().map_err(DatapathError::program)?;
        let explanation = Array::try_from(take(&mut ebpf, maps::EXPLANATION)?);
        let explanation = explanation.map_err(|error| DatapathError::map("open the explanation", error))?;
        Ok(Self { ebpf, explanation })
    }

    /// The XDP action that `frame` would have, and why.
    pub(super) fn explain(&mut self, frame: &[u8]) -> Result<(u32, Explanation), DatapathError> {
        let fail = |error| DatapathError::map("read the explanation", error);
        self.explanation.set(0, Plain(Explanation::default()), 0).map_err(fail)?;
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let run = program_of(&mut self.ebpf)?.test_run(options).map_err(|error| DatapathError::Map {
            what: format!("explain a frame of {} octets", frame.len()),
            cause: error.to_string(),
            errno: None,
        })?;
        let Plain(explanation) = self.explanation.get(&0, 0).map_err(fail)?;
        Ok((run.return_value, explanation))
    }
}

/// The maps of a live program, pinned for as long as this lives: a loader takes maps of others by their pins only.
struct Borrowed {
    folder: PathBuf,
    paths: Vec<(&'static str, PathBuf)>,
}

impl Borrowed {
    fn from(live: &Xdp, pins: &PinFolder) -> Result<Self, DatapathError> {
        let info = live.info().map_err(DatapathError::program)?;
        let ids = info.map_ids().map_err(DatapathError::program)?.unwrap_or_default();
        let folder = pins.borrowed();
        let fail = |what, error| DatapathError::Pin { what, path: folder.clone(), error };
        // Of a daemon that was killed while it explained.
        remove(&folder);
        fs::create_dir(&folder).map_err(|error| fail("create the folder", error))?;
        let mut borrowed = Self { folder: folder.clone(), paths: Vec::new() };
        for id in ids {
            let map = MapData::from_id(id).map_err(|error| DatapathError::map("open a live map", error))?;
            let info = map.info().map_err(|error| DatapathError::map("look at a live map", error))?;
            let of_kernel = info.name_as_str().unwrap_or_default();
            let names = maps::POLICY.iter().chain(&maps::SHARED);
            // Not found: the read-only globals, which are this instance's own.
            let Some(name) = names.copied().find(|name| name.get(..LONGEST_NAME).unwrap_or(name) == of_kernel) else {
                continue;
            };
            let path = folder.join(name);
            map.pin(&path).map_err(|error| fail("pin a live map in", std::io::Error::other(error)))?;
            borrowed.paths.push((name, path));
        }
        Ok(borrowed)
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes the folder and its pins. What cannot be removed is in the way of the next one, which says so.
fn remove(folder: &PathBuf) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(folder);
}
