//! GCRA, the generic cell rate algorithm (ITU-T I.371 annex A), in saturating integers.
//!
//! The state of one limited quantity is one number, its *theoretical arrival time* (TAT) in nanoseconds: when the last
//! admitted unit would have arrived had the source sent at exactly its rate. A unit moves the TAT one *emission
//! interval* further; it is *conforming* while the TAT stays within the *burst tolerance* ahead of now. A TAT in the
//! past means an idle source, the same as no state at all. So does a TAT too far ahead to come from this quota and this
//! clock ([`SKEW_NS`]): a reload made the burst smaller, or the clock was changed.
//!
//! Costs are rounded up, so what passes never exceeds `burst + rate * time`.

/// What a limit counts. The number is the index into a bucket and into a limit's quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Quantity {
    /// Packets.
    Packets = 0,
    /// Frame bytes, as XDP sees them.
    Bytes = 1,
    /// TCP SYN without ACK.
    Connections = 2,
}

impl Quantity {
    /// Every quantity, in the order in which they are checked.
    pub const ALL: [Self; 3] = [Self::Packets, Self::Bytes, Self::Connections];
}

/// A rate and a burst, ready for the kernel: no division, no overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Quota {
    /// Emission interval of one unit, in ns times two to the `shift`; 0 means unlimited.
    pub interval: u64,
    /// Burst tolerance plus one unit, in ns: how far the TAT may be ahead of now after a unit was admitted.
    pub burst_ns: u64,
    /// Fraction bits of `interval`.
    pub shift: u32,
    /// Always zero.
    pub padding: u32,
}

/// Why a rate cannot be kept.
#[cfg(not(target_arch = "bpf"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaError {
    /// No units at all.
    ZeroRate,
    /// No time at all.
    ZeroPer,
    /// No unit may ever pass.
    ZeroBurst,
    /// More than [`MAX_EVENTS_PER_SECOND`] or [`MAX_BYTES_PER_SECOND`].
    TooFast,
    /// The burst takes more than [`MAX_BURST_NS`] to regain.
    TooSlow,
}

/// Most units one charge can have: a frame is shorter than 2^17 octets (64 KiB of packet and its link header).
pub const MAX_UNITS: u64 = (1 << 17) - 1;

/// Fastest limit on packets or connections: an interval of 10 ns, kept to the ns, is at most 10 % under the rate.
pub const MAX_EVENTS_PER_SECOND: u64 = 100_000_000;

/// Fastest limit on bytes.
pub const MAX_BYTES_PER_SECOND: u64 = 100_000_000_000;

/// Longest burst tolerance: 146 years, which leaves room for an uptime of the same length.
pub const MAX_BURST_NS: u64 = 1 << 62;

/// Most fraction bits of an interval: 2^-16 ns a byte is exact to 0.2 % at 100 GB/s.
#[cfg(not(target_arch = "bpf"))]
const MAX_SHIFT: u32 = 16;

/// How much further ahead than the burst tolerance a TAT is still believed: 4.3 s.
///
/// A TAT of another CPU may be ahead by what the clocks of two CPUs differ, or by a tick of a clock that moves in ticks
/// (10 ms at `CONFIG_HZ=100`): it must not become a fresh burst.
pub const SKEW_NS: u64 = 1 << 32;

/// Tries before a source on which many CPUs race is treated as exceeding: it is never over its limit for it.
const MAX_TRIES: u32 = 8;

impl Quota {
    /// `rate` packets or connections in each `per_ns`, `burst` at once.
    ///
    /// # Errors
    /// See [`QuotaError`].
    #[cfg(not(target_arch = "bpf"))]
    pub fn of_events(rate: u64, per_ns: u64, burst: u64) -> Result<Self, QuotaError> {
        check(rate, per_ns, burst, MAX_EVENTS_PER_SECOND)?;
        let interval = per_ns.div_ceil(rate);
        let burst_ns = interval.checked_mul(burst).filter(|ns| *ns <= MAX_BURST_NS);
        Ok(Self { interval, burst_ns: burst_ns.ok_or(QuotaError::TooSlow)?, shift: 0, padding: 0 })
    }

    /// `rate` bytes in each `per_ns`, `burst` at once.
    ///
    /// # Errors
    /// See [`QuotaError`].
    #[cfg(not(target_arch = "bpf"))]
    pub fn of_bytes(rate: u64, per_ns: u64, burst: u64) -> Result<Self, QuotaError> {
        check(rate, per_ns, burst, MAX_BYTES_PER_SECOND)?;
        // The finest fraction with which the cost of the longest frame still fits 64 bits.
        let interval = |shift: u32| (u128::from(per_ns) << shift).div_ceil(u128::from(rate));
        let fits = |shift: &u32| interval(*shift) * u128::from(MAX_UNITS + 1) <= u128::from(u64::MAX);
        let shift = (0..=MAX_SHIFT).rev().find(fits).ok_or(QuotaError::TooSlow)?;
        let interval = interval(shift);
        let burst_ns = (interval * u128::from(burst)).div_ceil(1 << shift);
        if burst_ns > u128::from(MAX_BURST_NS) {
            return Err(QuotaError::TooSlow);
        }
        let narrow = |wide: u128| u64::try_from(wide).map_err(|_| QuotaError::TooSlow);
        Ok(Self { interval: narrow(interval)?, burst_ns: narrow(burst_ns)?, shift, padding: 0 })
    }

    /// Whether there is a limit at all.
    #[inline(always)]
    pub const fn is_limited(&self) -> bool {
        self.interval != 0
    }

    /// What `units` cost, in ns, rounded up.
    ///
    /// Above [`MAX_UNITS`] the cost is that of `MAX_UNITS`: [`of_bytes`](Self::of_bytes) promises that this product fits
    /// 64 bits (a checked 64-bit product does not exist on BPF). Events come one at a time, so theirs always does.
    #[inline(always)]
    pub fn cost_ns(&self, units: u64) -> u64 {
        let units = if units > MAX_UNITS { MAX_UNITS } else { units };
        let shift = self.shift & 31;
        let round_up = (1u64 << shift) - 1;
        self.interval.wrapping_mul(units).wrapping_add(round_up) >> shift
    }

    /// What one packet or connection costs, in ns: quotas of events have no fraction bits.
    #[inline(always)]
    pub fn event_ns(&self) -> u64 {
        self.interval
    }

    /// How far ahead of now a TAT is believed: burst tolerance and [`SKEW_NS`].
    #[inline(always)]
    pub fn horizon_ns(&self) -> u64 {
        self.burst_ns.wrapping_add(SKEW_NS)
    }

    /// How far a source is ahead of its rate, in ns.
    #[inline(always)]
    pub fn ahead_ns(&self, tat_ns: u64, now_ns: u64) -> u64 {
        // A TAT in the past wraps around to a number above every horizon.
        let ahead_ns = tat_ns.wrapping_sub(now_ns);
        if ahead_ns <= self.horizon_ns() { ahead_ns } else { 0 }
    }

    /// How many units a source may send at once at `now_ns`.
    #[cfg(not(target_arch = "bpf"))]
    pub fn left(&self, tat_ns: u64, now_ns: u64) -> u64 {
        let room_ns = self.burst_ns.saturating_sub(self.ahead_ns(tat_ns, now_ns));
        let units = (u128::from(room_ns) << self.shift).checked_div(self.interval.into()).unwrap_or(u128::MAX);
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// Charges `units` at `now_ns` to a source whose TAT is `tat_ns`: the new TAT, `None` when they exceed the rate.
    #[inline(always)]
    pub fn charge(&self, tat_ns: u64, now_ns: u64, units: u64) -> Option<u64> {
        self.charge_cost(tat_ns, now_ns, self.cost_ns(units))
    }

    /// The same for units of which the cost is known.
    #[inline(always)]
    pub fn charge_cost(&self, tat_ns: u64, now_ns: u64, cost_ns: u64) -> Option<u64> {
        let ahead_ns = self.ahead_ns(tat_ns, now_ns);
        let is_conforming = ahead_ns <= self.burst_ns && cost_ns <= self.burst_ns - ahead_ns;
        is_conforming.then_some(now_ns.wrapping_add(ahead_ns).wrapping_add(cost_ns))
    }
}

/// One TAT that several CPUs change at once.
pub trait TatCell {
    /// Reads the TAT.
    fn load(&self) -> u64;

    /// Replaces the TAT by `new` if it is `current`; returns what it was, `current` on success. Sequentially consistent.
    fn compare_exchange(&self, current: u64, new: u64) -> u64;
}

/// Charges `units` to `cell`; `false`, and no change of state, when they exceed the rate.
#[inline(always)]
pub fn charge(cell: &impl TatCell, quota: &Quota, now_ns: u64, units: u64) -> bool {
    let mut tat_ns = cell.load();
    for _ in 0..MAX_TRIES {
        let Some(next_ns) = quota.charge(tat_ns, now_ns, units) else {
            return false;
        };
        let seen = cell.compare_exchange(tat_ns, next_ns);
        if seen == tat_ns {
            return true;
        }
        tat_ns = seen;
    }
    false
}

/// The clock of the limiter. Both count nanoseconds and neither goes back.
#[cfg(not(target_arch = "bpf"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The kernel's tick counter: read at no cost, stands still for a tick at a time.
    Jiffies,
    /// `CLOCK_MONOTONIC`: exact, a call of a helper.
    Ktime,
}

/// Ticks that a burst tolerance must have for a clock of ticks to do. Such a clock is late by up to a tick: what passes is
/// at most a 32nd of a burst above `burst + rate * time`, and a source that keeps to its rate loses nothing, as long as its
/// frames are that much smaller than its burst of bytes.
#[cfg(not(target_arch = "bpf"))]
const MIN_BURST_TICKS: u64 = 32;

#[cfg(not(target_arch = "bpf"))]
impl Clock {
    /// The cheapest clock that is good enough for all of `quotas`, with ticks of `tick_ns`.
    pub fn for_quotas(quotas: impl IntoIterator<Item = Quota>, tick_ns: u64) -> Self {
        let needed_ns = tick_ns.saturating_mul(MIN_BURST_TICKS);
        let mut limited = quotas.into_iter().filter(Quota::is_limited);
        let has_room = |quota: Quota| quota.burst_ns.saturating_sub(quota.cost_ns(1)) >= needed_ns;
        if limited.all(has_room) { Self::Jiffies } else { Self::Ktime }
    }
}

#[cfg(not(target_arch = "bpf"))]
fn check(rate: u64, per_ns: u64, burst: u64, most_per_second: u64) -> Result<(), QuotaError> {
    const SECOND_NS: u128 = 1_000_000_000;
    if rate == 0 {
        return Err(QuotaError::ZeroRate);
    }
    if per_ns == 0 {
        return Err(QuotaError::ZeroPer);
    }
    if burst == 0 {
        return Err(QuotaError::ZeroBurst);
    }
    if u128::from(rate) * SECOND_NS > u128::from(most_per_second) * u128::from(per_ns) {
        return Err(QuotaError::TooFast);
    }
    Ok(())
}
