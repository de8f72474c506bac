//! How many requests an identity may make.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};

/// Requests a second: a daemon takes about 2,400 pushes a second from 60 clients.
const RATE: NonZeroU32 = NonZeroU32::new(5000).unwrap();

/// Requests at once.
const BURST: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

/// Identities that are remembered. Whoever comes when there are as many shares one quota with others of that kind.
const MOST: usize = 10_000;

/// What is left of the quotas.
pub struct Quotas {
    identities: DefaultKeyedRateLimiter<String>,
    rest: DefaultDirectRateLimiter,
    most: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::of(Quota::per_second(RATE).allow_burst(BURST), MOST)
    }
}

impl Quotas {
    fn of(quota: Quota, most: usize) -> Self {
        Self { identities: RateLimiter::keyed(quota), rest: RateLimiter::direct(quota), most }
    }

    /// Takes a request of `identity` from its quota.
    ///
    /// # Errors
    /// How long until there is room for another one.
    pub fn take(&self, identity: &String) -> Result<(), Duration> {
        let wait = |until: governor::NotUntil<_>| until.wait_time_from(DefaultClock::default().now());
        if self.identities.len() >= self.most {
            // Those who have asked for nothing lately are as if they had never.
            self.identities.retain_recent();
            if self.identities.len() >= self.most {
                return self.rest.check().map_err(wait);
            }
        }
        self.identities.check_key(identity).map_err(wait)
    }
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas").field("identities", &self.identities.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_too_much_waits_and_others_do_not() {
        let quotas = Quotas::of(Quota::per_hour(NonZeroU32::MIN).allow_burst(NonZeroU32::new(2).unwrap()), 2);
        let take = |name: &str| quotas.take(&name.to_owned());
        assert_eq!((take("a"), take("a")), (Ok(()), Ok(())));
        assert!(take("a").unwrap_err() > Duration::from_secs(3000));
        assert_eq!(take("b"), Ok(()));
        // There is no room for more: they share what is left.
        assert_eq!((take("c"), take("d")), (Ok(()), Ok(())));
        assert!(take("e").is_err());
        assert_eq!(quotas.identities.len(), 2);
    }

    #[test]
    fn pushes_of_one_identity_are_not_slower_than_the_daemon() {
        let quotas = Quotas::default();
        assert!((0..BURST.get()).all(|_| quotas.take(&"token:ci".to_owned()).is_ok()));
    }
}
