//! Debian's archive through apt-get, in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::mirrors::Mirrors;
use crate::process;

/// The suites that have the kernels: small ones, whose lists are fetched in a few seconds.
const SUITES: [(&str, Part); 3] =
    [("bullseye-security", Part::Security), ("bookworm-security", Part::Security), ("trixie-backports", Part::Main)];

/// Which mirror has a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Main,
    Security,
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Packages whose names begin so make up a kernel, besides its image package.
const PARTS: [&str; 2] = ["linux-binary-", "linux-modules-"];

/// The package lists of the suites.
pub(super) struct Apt {
    folder: PathBuf,
    mirrors: Mirrors,
    names: Vec<String>,
    /// Packages with what they depend on.
    available: Vec<(String, String)>,
    complaints: String,
}

impl Apt {
    /// Fetches the lists.
    pub(super) fn update(target: &Path) -> Result<Self> {
        let folder = target.join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        let mirrors = Mirrors::of_this_system()?;
        let source = |(suite, part): (&str, Part)| {
            let mirror = if part == Part::Main { &mirrors.main } else { &mirrors.security };
            format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n")
        };
        let list = folder.join("sources.list");
        fs::write(&list, SUITES.map(source).concat()).with_context(|| format!("cannot write {}", list.display()))?;
        let mut apt = Self { folder, mirrors, names: Vec::new(), available: Vec::new(), complaints: String::new() };
        // A suite that fails does not matter unless a kernel is missing in the end.
        let mut update = apt.command("apt-get");
        update.args(["-q", "update"]).stdin(Stdio::null());
        let said = update.output().with_context(|| format!("cannot run `{}`", process::show(&update)))?;
        apt.complaints = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        apt.available = stanzas(&process::output(apt.command("apt-cache").arg("dumpavail"))?);
        apt.names = apt.available.iter().map(|(name, _)| name.clone()).collect();
        Ok(apt)
    }

    /// All packages.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Where they come from.
    pub(super) fn origin(&self) -> String {
        self.mirrors.origin()
    }

    /// Downloads an image package and those that it is split into since Linux 7: the files.
    pub(super) fn download(&self, image: &str) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("download");
        remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let depends = self.available.iter().find(|(name, _)| name == image).map_or("", |(_, depends)| depends);
        let names = depends.split(", ").filter_map(|one| one.split(' ').next());
        let parts = names.filter(|name| PARTS.iter().any(|part| name.starts_with(part)));
        let mut download = self.command("apt-get");
        download.args(["-qq", "download", image]).args(parts).current_dir(&folder);
        if let Err(error) = process::output(&mut download) {
            bail!("cannot fetch {image} from {}: {error:#}\n{HINT}", self.origin());
        }
        let files = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        Ok(files.flatten().map(|entry| entry.path()).collect())
    }

    /// Why there is no kernel of a series.
    pub(super) fn has_none(&self, series: &str) -> String {
        let complaints = if self.complaints.is_empty() { "apt-get found nothing wrong" } else { &self.complaints };
        format!("cannot fetch a {series} kernel: none is in the lists of {}\n{complaints}\n{HINT}", self.origin())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let option = |name: &str, path: &str| format!("{name}={}", self.folder.join(path).display());
        let options = [
            option("Dir::Etc::sourcelist", "sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            option("Dir::State::lists", "lists"),
            option("Dir::Cache", "cache"),
            "APT::Architecture=amd64".to_owned(),
            "APT::Architectures=amd64".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::http::Timeout=20".to_owned(),
        ];
        for option in options {
            command.args(["-o", &option]);
        }
        command.env("LC_ALL", "C");
        command
    }
}

const HINT: &str = "hint: check the network and the mirror in apt's sources; kernels that were fetched once are kept";

/// Removes a folder and what is in it, if it is there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Name and dependencies of each package in a list.
fn stanzas(list: &str) -> Vec<(String, String)> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let package = |stanza| Some((field(stanza, "Package:")?, field(stanza, "Depends:").unwrap_or_default()));
    list.split("\n\n").filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_what_they_depend_on_are_read_from_a_list() {
        let list = "Package: one\nVersion: 1\nDepends: kmod, linux-binary-1 (= 1)\n\nPackage: two\nVersion: 2\n";
        let pair = |name: &str, depends: &str| (name.to_owned(), depends.to_owned());
        assert_eq!(stanzas(list), [pair("one", "kmod, linux-binary-1 (= 1)"), pair("two", "")]);
    }
}
