//! Whether something keeps the wall clock right: NTP or PTP say so to the kernel, and adjtimex(2) tells.
//!
//! Reading needs no rights. A kernel or a sandbox that does not answer counts as a clock that nobody keeps.

/// Whether the kernel holds the wall clock for synchronised: `STA_UNSYNC` is clear and the state is not `TIME_ERROR`
/// (adjtimex(2)). Setting the clock, and 16 s of possible error, make it unsynchronised again (`kernel/time/ntp.c`).
pub fn is_synchronised() -> bool {
    // SAFETY: `timex` is numbers only, for which zero is a value; `modes` 0 asks and changes nothing.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `timex`, which lives until the call returns.
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    state >= 0 && state != libc::TIME_ERROR && asked.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_without_rights_and_twice_the_same() {
        assert_eq!(is_synchronised(), is_synchronised());
    }
}
