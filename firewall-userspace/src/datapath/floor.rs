//! The oldest kernel, and what those before it lack.

use nix::sys::utsname::uname;

use super::DatapathError;

/// Major and minor of a kernel.
type Version = (u32, u32);

/// The oldest kernel on which every variant of the program is tested: Debian 12's.
const FLOOR: Version = (6, 1);

/// What the program needs, with the kernel that brought it.
const NEEDED: [(Version, &str); 3] = [
    // BPF_CMPXCHG of linux/bpf.h.
    ((5, 12), "atomic compare-and-exchange in BPF programs"),
    // BPF_F_XDP_HAS_FRAGS of linux/bpf.h.
    ((5, 18), "XDP programs for frames in several buffers"),
    (FLOOR, "a verifier that is known to accept the program"),
];

/// What an operator does about a kernel that is too old.
pub(super) fn newer() -> String {
    format!("boot Linux {}.{} or later", FLOOR.0, FLOOR.1)
}

/// Refuses a kernel that is too old, before anything is asked of it.
pub(super) fn check() -> Result<(), DatapathError> {
    // A kernel that does not say what it is may be new enough.
    uname().map_or(Ok(()), |name| check_release(&name.release().to_string_lossy()))
}

fn check_release(release: &str) -> Result<(), DatapathError> {
    let Some(version) = version(release) else {
        return Ok(());
    };
    match NEEDED.into_iter().find(|(since, _)| version < *since) {
        Some((since, lacks)) => Err(DatapathError::Kernel { release: release.to_owned(), lacks, since }),
        None => Ok(()),
    }
}

/// Major and minor of `6.1.0-56-cloud-amd64`.
fn version(release: &str) -> Option<Version> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_from_the_floor_on_are_taken() {
        for release in ["6.1.0-56-cloud-amd64", "6.12.117+deb12-cloud-amd64", "7.3.4", "10.0-rc1", "unheard of"] {
            assert!(check_release(release).is_ok(), "{release}");
        }
    }

    #[test]
    fn an_older_kernel_is_refused_with_the_first_feature_that_it_lacks() {
        let told = |release| check_release(release).map_err(|error| error.to_string());
        assert_eq!(
            told("5.10.0-46-cloud-amd64"),
            Err("cannot run on Linux 5.10.0-46-cloud-amd64: it lacks atomic compare-and-exchange in BPF programs, \
                 which came with 5.12\nhint: boot Linux 6.1 or later"
                .to_owned())
        );
        for (release, lacks) in [("5.15.200", "several buffers"), ("6.0.19", "verifier"), ("4.19.0", "compare")] {
            assert!(told(release).is_err_and(|told| told.contains(lacks)), "{release}");
        }
    }
}
