//! The first file system of a machine: one program with its libraries, and modules. In the "newc" format of cpio that
//! Documentation/driver-api/early-userspace/buffer-format.rst of the kernel describes.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{fetch::Kernel, modules::modules};
use crate::process;

/// Where the program mounts file systems.
const FOLDERS: [&str; 6] = ["dev", "proc", "sys", "tmp", "run", "modules"];

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const TERMINAL: u32 = 0o020_600;

/// Writes it: `guest` becomes the first process.
pub(super) fn write(image: &Path, kernel: &Kernel, guest: &Path) -> Result<()> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(Path::new(folder))?;
    }
    // The kernel gives it to the first process, which can tell of a failure before it has mounted anything.
    archive.entry("dev/console", TERMINAL, [5, 1], &[])?;
    archive.file(Path::new("init"), &read(guest)?)?;
    for library in libraries(guest)? {
        archive.file(library.strip_prefix("/").unwrap_or(&library), &read(&library)?)?;
    }
    for (position, module) in modules(&kernel.folder)?.iter().enumerate() {
        archive.file(&Path::new("modules").join(format!("{position:02}-{}.ko", module.name)), &module.octets)?;
    }
    archive.entry("TRAILER!!!", 0, [0, 0], &[])?;
    fs::write(image, archive.octets).with_context(|| format!("cannot write {}", image.display()))
}

/// The shared libraries of a program, its loader included, where it looks for them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = process::output(Command::new("ldd").arg(program))?;
    let paths: Vec<_> = said
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect();
    ensure!(!paths.is_empty(), "cannot tell the libraries of {}: ldd says `{said}`", program.display());
    Ok(paths)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// An archive in the making.
#[derive(Default)]
struct Archive {
    octets: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    entries: u32,
}

impl Archive {
    /// Adds a program or data, and the folders it is in.
    fn file(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        if let Some(folder) = path.parent() {
            self.folder(folder)?;
        }
        self.entry(&path.to_string_lossy(), PROGRAM, [0, 0], content)
    }

    fn folder(&mut self, path: &Path) -> Result<()> {
        let missing: Vec<_> =
            path.ancestors().filter(|part| !part.as_os_str().is_empty()).map(Path::to_owned).collect();
        for part in missing.into_iter().rev() {
            if self.folders.insert(part.clone()) {
                self.entry(&part.to_string_lossy(), FOLDER, [0, 0], &[])?;
            }
        }
        Ok(())
    }

    /// One entry: a header of 13 numbers of 8 hexadecimal digits, the name, the content, each padded to four octets.
    fn entry(&mut self, name: &str, mode: u32, [major, minor]: [u32; 2], content: &[u8]) -> Result<()> {
        self.entries += 1;
        let (name_size, size) = (u32::try_from(name.len() + 1)?, u32::try_from(content.len())?);
        let owner = [0, 0];
        let numbers = [self.entries, mode, owner[0], owner[1], 1, 0, size, 0, 0, major, minor, name_size, 0];
        self.octets.extend(b"070701");
        for number in numbers {
            write!(self.octets, "{number:08x}")?;
        }
        self.octets.extend(name.bytes().chain([0]));
        self.pad();
        self.octets.extend(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_the_one_that_cpio_would_write() -> Result<()> {
        let mut archive = Archive::default();
        archive.file(Path::new("lib/a"), b"hello")?;
        let wanted = concat!(
            "070701",
            "00000001",
            "000041ed",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000004",
            "00000000",
            "lib\0\0\0",
            "070701",
            "00000002",
            "000081ed",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000005",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000006",
            "00000000",
            "lib/a\0hello\0\0\0",
        );
        assert_eq!(String::from_utf8(archive.octets)?, wanted);
        Ok(())
    }
}
