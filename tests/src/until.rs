//! A flag that tells a thread of a scope to end.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the flag when it goes: by a failed assertion too, so that a scope does not wait for ever for a thread that looks at the flag.
///
/// It is made first in the closure of a scope, and dropped before a thread is joined there.
#[derive(Debug)]
pub struct Until<'a>(pub &'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::catch_unwind, thread};

    use super::*;

    #[test]
    fn a_failed_assertion_in_a_scope_ends_its_threads() {
        let failed = catch_unwind(|| {
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                let _until = Until(&over);
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                });
                assert!(over.load(Ordering::Relaxed), "as a test would fail");
            });
        });
        assert!(failed.is_err());
    }
}
