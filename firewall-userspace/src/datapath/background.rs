//! Work that gives way to everything else.

use std::{
    panic::resume_unwind,
    thread::{self, Builder},
};

/// By how much a thread that gives way is nicer than the others: it has about a tenth of their weight
/// (`sched_prio_to_weight` of kernel/sched/core.c), so on a busy host it is slow and still gets on.
const NICER: i32 = 10;

/// Calls `work` on a thread of its own that gives way to others, and waits for it. Where no thread is to be had, the caller
/// does it. A thread of a pool would not do: it may not take its weight back.
pub fn give_way<T: Send>(name: &str, work: impl Fn() -> T + Sync) -> T {
    let nicer = || {
        // SAFETY: takes and gives numbers only; in Linux each thread has a nice value of its own (sched(7)).
        unsafe { libc::nice(NICER) };
        work()
    };
    thread::scope(|scope| match Builder::new().name(name.into()).spawn_scoped(scope, nicer) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        Err(_) => work(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        // SAFETY: takes and gives numbers only.
        unsafe { libc::nice(0) }
    }

    #[test]
    fn only_the_thread_that_does_the_work_is_nicer() {
        let before = nice();
        let inside = give_way("test", nice);
        assert_eq!((inside, nice()), ((before + NICER).min(19), before));
    }
}
