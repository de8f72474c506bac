//! The mirrors of Debian that the apt of this system has among its sources.

use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::process;

/// One for each part of the archive, without a slash at its end.
#[derive(Debug, PartialEq)]
pub(super) struct Mirrors {
    /// Releases, their updates and backports.
    pub(super) main: String,
    /// What is mended in a release for security.
    pub(super) security: String,
}

impl Mirrors {
    /// Asks apt, which reads every form of its sources, what it would fetch. It needs neither root nor the network.
    pub(super) fn of_this_system() -> Result<Self> {
        let mut apt = Command::new("apt-get");
        apt.args(["--print-uris", "update"]).env("LC_ALL", "C");
        let listing = process::output(&mut apt).context("cannot tell the mirrors in apt's sources")?;
        Self::among(&listing)
    }

    /// Where packages come from.
    pub(super) fn origin(&self) -> String {
        format!("{} and {}", self.main, self.security)
    }

    /// Chooses from what `apt-get --print-uris update` prints.
    fn among(listing: &str) -> Result<Self> {
        let sources: Vec<_> = listing.lines().filter_map(source).collect();
        let security = sources.iter().find(|(_, suite)| is_security(suite));
        let others = sources.iter().filter(|(_, suite)| !is_security(suite));
        let main = others.min_by_key(|(mirror, suite)| {
            let of_debian = ["-updates", "-backports"].iter().any(|end| suite.ends_with(end));
            (!of_debian, !mirror.ends_with("/debian"))
        });
        Ok(Self {
            main: main.ok_or_else(|| missing("Debian", "bookworm"))?.0.to_owned(),
            security: security.ok_or_else(|| missing("Debian's security updates", "bookworm-security"))?.0.to_owned(),
        })
    }
}

/// Mirror and suite of a line that is about packages of `main`:
/// `'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' mirror.example_debian_... 0`.
fn source(line: &str) -> Option<(&str, &str)> {
    let uri = line.strip_prefix('\'')?.split('\'').next()?;
    let (mirror, rest) = uri.split_once("/dists/")?;
    let (suite, _) = rest.split_once("/main/binary-")?;
    // A medium has the packages of its day only.
    (!mirror.starts_with("cdrom:")).then_some((mirror.trim_end_matches('/'), suite))
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

fn missing(what: &str, suite: &str) -> anyhow::Error {
    anyhow!(
        "cannot fetch kernels: apt's sources have no mirror of {what}\n\
         hint: name one in /etc/apt/sources.list, `deb <mirror> {suite} main`, or in a file of /etc/apt/sources.list.d"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What apt says of a source of one suite.
    fn listing(mirror: &str, suite: &str, component: &str) -> String {
        let files = ["InRelease".to_owned(), format!("{component}/binary-amd64/Packages.xz")];
        files.map(|file| format!("'{mirror}/dists/{suite}/{file}' mirror.example_{suite}_{file} 0 \n")).concat()
    }

    fn mirrors(main: &str, security: &str) -> Mirrors {
        Mirrors { main: main.to_owned(), security: security.to_owned() }
    }

    #[test]
    fn mirrors_are_those_of_the_sources() {
        let said = [
            listing("http://mirror.example/debian", "bookworm", "main"),
            listing("http://mirror.example/debian", "bookworm-updates", "main"),
            listing("http://mirror.example/debian-security", "bookworm-security", "main"),
        ];
        let wanted = mirrors("http://mirror.example/debian", "http://mirror.example/debian-security");
        assert_eq!(Mirrors::among(&said.concat()).unwrap(), wanted);
    }

    #[test]
    fn sources_of_others_and_media_are_no_mirrors() {
        let said = [
            "'https://vendor.example/flat/./Packages.xz' vendor.example_flat_._Packages 0 \n".to_owned(),
            listing("cdrom://[Debian GNU/Linux 12]", "bookworm-updates", "main"),
            listing("https://vendor.example/linux/debian", "bookworm", "stable"),
            listing("https://vendor.example/packages", "nodistro", "main"),
            listing("mirror+file:/etc/apt/mirrors.txt", "stable/updates", "main"),
            listing("https://mirror.example/pub//", "bookworm-backports", "main"),
        ];
        let wanted = mirrors("https://mirror.example/pub", "mirror+file:/etc/apt/mirrors.txt");
        assert_eq!(Mirrors::among(&said.concat()).unwrap(), wanted);
    }

    #[test]
    fn first_of_several_mirrors_is_taken() {
        let said = ["http://mirror.example/debian", "http://second.example/debian"].map(|mirror| {
            listing(mirror, "trixie", "main") + &listing(&format!("{mirror}-security"), "trixie-security", "main")
        });
        let wanted = mirrors("http://mirror.example/debian", "http://mirror.example/debian-security");
        assert_eq!(Mirrors::among(&said.concat()).unwrap(), wanted);
    }

    #[test]
    fn missing_mirror_is_told_with_a_hint() {
        let nothing = Mirrors::among("").unwrap_err().to_string();
        assert!(nothing.contains("no mirror of Debian\nhint: "), "{nothing}");
        let main = listing("http://mirror.example/debian", "bookworm", "main");
        let no_security = Mirrors::among(&main).unwrap_err().to_string();
        assert!(no_security.contains("security updates\nhint: ") && no_security.contains("bookworm-security main"));
    }
}
