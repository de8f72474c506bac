//! An instance of the program that says what it would do and does nothing, on the tables of a live one.

use std::{
    fmt, fs,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::DirBuilderExt as _,
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use aya::{
    Ebpf,
    maps::{Array, Map, MapData},
    programs::{TestRun as _, TestRunOptions},
};
use firewall_common::{
    Action, Verdict,
    abi::{Explanation, XDP_PASS, maps},
};

use super::{
    DatapathError, Explainer, Judgement, OBJECT, PinFolder,
    facts::Facts,
    loaded::{program_of, take},
    plain::Plain,
};
use crate::policy::compile::Identities;

/// What a live program would do: an instance that explains, which is loaded when it is asked for.
pub(super) struct Explanations {
    live: LiveMaps,
    facts: Facts,
    /// Where maps are pinned for a moment.
    folder: PathBuf,
    is_loaded: AtomicBool,
    instance: Mutex<Option<Instance>>,
}

/// The instance. It keeps the tables of the live one alive.
struct Instance {
    ebpf: Ebpf,
    explanation: Array<MapData, Plain<Explanation>>,
}

impl Explanations {
    /// On the maps of a live program with these facts.
    pub(super) fn on(live: LiveMaps, facts: &Facts, pins: &PinFolder) -> Self {
        let (facts, folder) = (facts.clone(), pins.borrowed());
        Self { live, facts, folder, is_loaded: AtomicBool::new(false), instance: Mutex::new(None) }
    }

    /// Whether the instance is loaded.
    pub(super) fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// Loads the instance, if it is not. Nobody else may do so at the same time, for whichever program: they would use the
    /// same folder.
    pub(super) fn load(&self) -> Result<(), DatapathError> {
        let mut instance = self.instance();
        if instance.is_none() {
            *instance = Some(Instance::load(&self.live, &self.facts, &self.folder)?);
            self.is_loaded.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// The XDP action that `frame` would have, and why.
    pub(super) fn explain(&self, frame: &[u8]) -> Result<(u32, Explanation), DatapathError> {
        match self.instance().as_mut() {
            Some(instance) => instance.explain(frame),
            None => Err(DatapathError::Load { cause: "the instance that explains is not loaded".into(), errno: None }),
        }
    }

    fn instance(&self) -> MutexGuard<'_, Option<Instance>> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Loads the instance with the facts and the maps of a live program.
    fn load(live: &LiveMaps, facts: &Facts, folder: &Path) -> Result<Self, DatapathError> {
        let borrowed = Borrowed::pin(live, folder)?;
        let mut ebpf = facts.open(OBJECT, &borrowed.paths, true)?;
        program_of(&mut ebpf)?.load().map_err(DatapathError::program)?;
        let explanation = Array::try_from(take(&mut ebpf, maps::EXPLANATION)?);
        let explanation = explanation.map_err(|error| DatapathError::map("open the explanation", error))?;
        Ok(Self { ebpf, explanation })
    }

    fn explain(&mut self, frame: &[u8]) -> Result<(u32, Explanation), DatapathError> {
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

/// The [`Explainer`] of a policy that is in force.
pub(super) struct KernelExplainer {
    explanations: Arc<Explanations>,
    ids: Arc<Identities>,
    /// One instance is loaded at a time.
    turn: Arc<Mutex<()>>,
}

impl KernelExplainer {
    /// Explains with the names of `ids`.
    pub(super) fn new(explanations: &Arc<Explanations>, ids: &Arc<Identities>, turn: &Arc<Mutex<()>>) -> Self {
        Self { explanations: Arc::clone(explanations), ids: Arc::clone(ids), turn: Arc::clone(turn) }
    }
}

impl fmt::Debug for KernelExplainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelExplainer").field("is_loaded", &self.explanations.is_loaded()).finish_non_exhaustive()
    }
}

impl Explainer for KernelExplainer {
    fn is_loaded(&self) -> bool {
        self.explanations.is_loaded()
    }

    fn load(&self) -> Result<(), DatapathError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.explanations.load()
    }

    fn explain(&self, frame: &[u8]) -> Result<Judgement, DatapathError> {
        let (action, explanation) = self.explanations.explain(frame)?;
        let verdict = Verdict::ALL.iter().copied().find(|verdict| verdict.index() == explanation.verdict);
        let verdict = verdict.ok_or_else(|| DatapathError::Map {
            what: "explain a frame".into(),
            cause: format!("the program gave the unknown verdict {}", explanation.verdict),
            errno: None,
        })?;
        let service = self.ids.services.iter().find(|(_, id)| u32::from(*id) == explanation.service);
        let limit = self.ids.limits.iter().find(|(_, id)| u32::from(*id) == explanation.limit);
        Ok(Judgement {
            action: if action == XDP_PASS { Action::Pass } else { Action::Drop },
            verdict,
            service: service.map(|(name, _)| name.clone()),
            limit: limit.map(|(name, _)| name.clone()),
            explanation,
        })
    }
}

/// Descriptors of the maps of a live program, by name. To open a map by its identifier takes `CAP_SYS_ADMIN`
/// (`bpf_map_get_fd_by_id`, kernel/bpf/syscall.c), which a daemon need not have.
pub(super) struct LiveMaps(Vec<(&'static str, OwnedFd)>);

impl LiveMaps {
    /// The maps of `ebpf`, none of which has been taken from it.
    pub(super) fn of(ebpf: &Ebpf) -> Result<Self, DatapathError> {
        let names = maps::POLICY.iter().chain(&maps::SHARED);
        // The reference program has not all of them.
        let found = names.filter_map(|name| Some((*name, data_of(ebpf.map(name)?)?)));
        let keep = |(name, map): (&'static str, &MapData)| Ok((name, kept(map.fd().as_fd().try_clone_to_owned())?));
        found.map(keep).collect::<Result<_, _>>().map(Self)
    }
}

/// What all kinds of maps that the program has are to aya.
fn data_of(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data) | Map::HashMap(data) | Map::PerCpuArray(data) => Some(data),
        _ => None,
    }
}

fn kept(descriptor: std::io::Result<OwnedFd>) -> Result<OwnedFd, DatapathError> {
    descriptor.map_err(|error| DatapathError::Load {
        cause: format!("no descriptor to be had: {error}"),
        errno: error.raw_os_error(),
    })
}

/// The maps of a live program, pinned for as long as this lives: a loader takes maps of others by their pins only.
struct Borrowed {
    folder: PathBuf,
    paths: Vec<(&'static str, PathBuf)>,
}

impl Borrowed {
    fn pin(LiveMaps(live): &LiveMaps, folder: &Path) -> Result<Self, DatapathError> {
        let fail = |what, error| DatapathError::Pin { what, path: folder.to_owned(), error };
        // Of a daemon that was killed while it explained.
        remove(folder);
        let mut make = fs::DirBuilder::new();
        make.mode(0o700).create(folder).map_err(|error| fail("create the folder", error))?;
        let mut borrowed = Self { folder: folder.to_owned(), paths: Vec::new() };
        for (name, descriptor) in live {
            let map = MapData::from_fd(kept(descriptor.try_clone())?);
            let map = map.map_err(|error| DatapathError::map("look at a live map", error))?;
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
fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(folder);
}
