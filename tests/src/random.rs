//! Random numbers that can be had again: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").

use std::env;

/// A generator; the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for part `number` of a run.
    pub fn part(seed: u64, number: u64) -> Self {
        Self(Self(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).number())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound.max(1) as u64) as usize
    }

    /// Whether something happens that happens once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`, which are not none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        choices.get(self.below(choices.len())).expect("there is something to choose from")
    }

    /// One octet.
    pub fn octet(&mut self) -> u8 {
        self.number() as u8
    }
}

/// The seed of a run: `PORTCULLIS_SEED`, or one from the clock. It is printed, so that a failure can be had again.
pub fn seed() -> u64 {
    let given = env::var("PORTCULLIS_SEED").ok().and_then(|text| text.trim().parse().ok());
    let seed = given.unwrap_or_else(|| {
        std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64 & 0xffff_ffff)
    });
    println!("PORTCULLIS_SEED={seed}");
    seed
}

/// How many frames a run has: `PORTCULLIS_FRAMES`, or `default`.
pub fn frames(default: usize) -> usize {
    env::var("PORTCULLIS_FRAMES").ok().and_then(|text| text.trim().parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let mut one = Random::new(7);
        let mut other = Random::new(7);
        assert!((0..100).all(|_| one.number() == other.number()));
        assert_ne!(Random::part(7, 1).number(), Random::part(7, 2).number());
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_it() {
        let mut random = Random::new(1);
        let numbers: Vec<_> = (0..1000).map(|_| random.below(5)).collect();
        assert_eq!(numbers.iter().max(), Some(&4));
        assert_eq!(numbers.iter().min(), Some(&0));
    }
}
