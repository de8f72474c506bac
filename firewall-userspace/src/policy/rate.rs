//! Rates as operators write them.

use std::{fmt, time::Duration};

use firewall_common::{Quota, rate::QuotaError};

/// `rate` units in each `per`, with bursts of up to `burst` units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units (packets, bytes or connections) in each `per`; positive.
    pub rate: u64,
    /// Length of the interval; positive.
    pub per: Duration,
    /// Units a source may send at once after a pause; positive.
    pub burst: u64,
    quota: Quota,
}

/// Why three numbers make no [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateError(QuotaError);

impl Rate {
    /// A limit on things counted one by one: packets or connections.
    ///
    /// # Errors
    /// When a number is zero or the limit is out of the range that [`Quota`] can keep exactly.
    pub fn of_events(rate: u64, per: Duration, burst: u64) -> Result<Self, RateError> {
        Self::new(rate, per, burst, Quota::of_events)
    }

    /// A limit on bytes.
    ///
    /// # Errors
    /// When a number is zero or the limit is out of the range that [`Quota`] can keep exactly.
    pub fn of_bytes(rate: u64, per: Duration, burst: u64) -> Result<Self, RateError> {
        Self::new(rate, per, burst, Quota::of_bytes)
    }

    /// The same in the arithmetic of the kernel.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    fn new(
        rate: u64,
        per: Duration,
        burst: u64,
        make: fn(u64, u64, u64) -> Result<Quota, QuotaError>,
    ) -> Result<Self, RateError> {
        let per_ns = u64::try_from(per.as_nanos()).map_err(|_| RateError(QuotaError::TooSlow))?;
        let quota = make(rate, per_ns, burst).map_err(RateError)?;
        Ok(Self { rate, per, burst, quota })
    }
}

impl RateError {
    /// Which number is at fault.
    pub fn cause(self) -> QuotaError {
        self.0
    }
}

impl From<QuotaError> for RateError {
    fn from(cause: QuotaError) -> Self {
        Self(cause)
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            QuotaError::ZeroRate => "the rate is zero; a limit that admits nothing is a `deny` list",
            QuotaError::ZeroPer => "`per` is zero; write the length of the interval, for example \"1s\"",
            QuotaError::ZeroBurst => "the burst is zero, so nothing would ever pass; write at least 1",
            QuotaError::TooFast => {
                "the rate is above 100,000,000 packets or 100 GB a second, more than is kept exactly"
            }
            QuotaError::TooSlow => "the burst takes more than a hundred years to regain at this rate",
        })
    }
}

impl std::error::Error for RateError {}
