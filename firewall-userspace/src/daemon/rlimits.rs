//! What this process may take of the host: the limits that it can raise by itself.

use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};

/// File descriptors below which a daemon may not be able to hold its maps and serve others at once. Three programs at a time, the one in
/// force, its successor and the one that explains, have 12 maps of their own and 11 that are shared (`POLICY` and `SHARED` of
/// firewall-common/src/abi/mod.rs), and each of 16 interfaces (`MAX_INTERFACES` there) a link: some 100. The admin port has 256
/// connections (`CONNECTIONS` of serve/admin.rs), or a sixteenth of all descriptors, and as many that wait, the API likewise.
const ENOUGH: u64 = 1024;

/// Raises the soft limit of file descriptors to the hard one (`RLIMIT_NOFILE`, getrlimit(2)). A soft limit of 64 is enough for no
/// start.
pub fn raise_descriptors() {
    match raise() {
        Ok(most) if most < ENOUGH => tracing::warn!(
            most,
            "few file descriptors are allowed, which may refuse a start, a reload or connections; raise the hard limit \
             (`LimitNOFILE=` of systemd, `ulimit -Hn`)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of file descriptors (RLIMIT_NOFILE); going on"),
    }
}

fn raise() -> Result<u64, Errno> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_descriptors_becomes_the_hard_one() {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        // Whoever runs this may have raised it already.
        setrlimit(Resource::RLIMIT_NOFILE, most - 1, most).unwrap();
        assert_eq!(raise().unwrap(), most);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (most, most));
    }
}
