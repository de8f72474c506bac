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
    is_kept(state, asked.status)
}

/// The same, of what adjtimex(2) returns and the status that it gives.
fn is_kept(state: i32, status: i32) -> bool {
    state >= 0 && state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kernel_that_says_so_without_a_but_keeps_the_clock() {
        assert!(is_kept(libc::TIME_OK, 0));
        assert!(is_kept(libc::TIME_INS, libc::STA_PLL | libc::STA_INS));
        assert!(!is_kept(libc::TIME_ERROR, 0));
        assert!(!is_kept(libc::TIME_OK, libc::STA_PLL | libc::STA_UNSYNC));
        assert!(!is_kept(-1, 0), "it does not answer");
    }
}
