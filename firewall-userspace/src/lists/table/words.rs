//! Memory that readers see, word by word.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

/// Numbers in a row; one writer.
pub trait Words<N> {
    /// How many.
    fn count(&self) -> usize;
    /// One of them; 0 when there are not as many.
    fn load(&self, index: usize) -> N;
    /// Gives one another value, in one step for readers, and after what was stored before.
    fn store(&self, index: usize, value: N);
}

impl<D: Deref<Target = [AtomicU64]>> Words<u64> for D {
    fn count(&self) -> usize {
        self.len()
    }

    fn load(&self, index: usize) -> u64 {
        self.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn store(&self, index: usize, value: u64) {
        if let Some(word) = self.get(index) {
            word.store(value, Ordering::Release);
        }
    }
}

impl<D: Deref<Target = [AtomicU32]>> Words<u32> for D {
    fn count(&self) -> usize {
        self.len()
    }

    fn load(&self, index: usize) -> u32 {
        self.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn store(&self, index: usize, value: u32) {
        if let Some(word) = self.get(index) {
            word.store(value, Ordering::Release);
        }
    }
}
