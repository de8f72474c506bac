//! Fetches kernels from the mirrors in apt's sources: with apt, whose signatures are checked, but none of its state.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Series,
    archive::{Apt, remove},
};
use crate::process;

/// A kernel that is unpacked here.
#[derive(Debug)]
pub struct Kernel {
    /// What it was fetched for.
    pub series: Series,
    /// Its package, which is the name of its folder too.
    pub package: String,
    /// `usr`, `boot` and `lib` of its packages.
    pub folder: PathBuf,
}

/// The newest kernel of each series: those that are here already, unless `refresh`, or unpacked from a mirror.
pub fn fetch(folder: &Path, wanted: &[Series], refresh: bool) -> Result<Vec<Kernel>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let here = |series: Series| newest(series, &unpacked(folder));
    let mut kernels = Vec::new();
    let mut apt = None;
    for series in wanted.iter().copied() {
        if let Some(package) = here(series).filter(|_| !refresh) {
            kernels.push(kernel(folder, series, package));
            continue;
        }
        let apt = match &mut apt {
            Some(apt) => apt,
            empty => empty.insert(Apt::update(folder)?),
        };
        match newest(series, apt.names()) {
            Some(package) => {
                if here(series).as_ref() != Some(&package) {
                    unpack(folder, apt, &package)?;
                }
                kernels.push(kernel(folder, series, package));
            }
            // Old releases leave the mirrors one day. What they are told has a unit test: datapath/floor.rs.
            None if series == Series::Refused => {
                println!("[{}] not booted: no such kernel at {}", series.name(), apt.origin());
            }
            None => bail!(apt.has_none(series.name())),
        }
    }
    Ok(kernels)
}

fn kernel(folder: &Path, series: Series, package: String) -> Kernel {
    Kernel { series, folder: folder.join(&package), package }
}

/// Image packages that are unpacked here.
fn unpacked(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Unpacks an image package and those that it is split into, all or nothing.
fn unpack(folder: &Path, apt: &Apt, package: &str) -> Result<()> {
    eprintln!("kernels: fetching {package} from {}", apt.origin());
    let unfinished = folder.join("unfinished");
    remove(&unfinished)?;
    for file in apt.download(package)? {
        process::run(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&unfinished))?;
    }
    let finished = folder.join(package);
    fs::rename(&unfinished, &finished).with_context(|| format!("cannot rename {}", unfinished.display()))
}

/// The newest of these packages that belongs to a series.
fn newest(series: Series, names: &[String]) -> Option<String> {
    let of_series = |version: &Vec<u32>| match series {
        Series::Refused => version.starts_with(&[5, 10]),
        Series::Floor => version.starts_with(&[6, 1]),
        Series::Stable => version.starts_with(&[6, 12]),
        Series::Newest => version.as_slice() >= [6, 13].as_slice(),
    };
    let versions = names.iter().filter_map(|name| Some((version(name)?, name)));
    let newest = versions.filter(|(version, _)| of_series(version)).min_by_key(|(version, _)| Reverse(version.clone()));
    newest.map(|(_, name)| name.clone())
}

/// The numbers in the name of a cloud image: `linux-image-6.12.117+deb12-cloud-amd64`. `None` for other packages.
fn version(name: &str) -> Option<Vec<u32>> {
    let version = name.strip_prefix("linux-image-")?.strip_suffix("-cloud-amd64")?;
    let numbers = version.split(|letter: char| !letter.is_ascii_digit()).filter(|number| !number.is_empty());
    version.starts_with(|letter: char| letter.is_ascii_digit()).then(|| numbers.flat_map(str::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_package_of_a_series_is_chosen_by_its_numbers() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-57-cloud-amd64-unsigned",
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-7.2.12+deb13-cloud-amd64",
            "linux-image-7.10.1+deb13-cloud-amd64",
            "linux-image-7.11.0+deb13-rt-amd64",
            "linux-image-cloud-amd64",
        ]
        .map(str::to_owned);
        let chosen = Series::value_variants().iter().map(|series| newest(*series, &names));
        let wanted = [
            None,
            Some("linux-image-6.1.0-56-cloud-amd64".to_owned()),
            Some("linux-image-6.12.117+deb12-cloud-amd64".to_owned()),
            Some("linux-image-7.10.1+deb13-cloud-amd64".to_owned()),
        ];
        assert_eq!(chosen.collect::<Vec<_>>(), wanted);
    }

    use clap::ValueEnum as _;
}
