//! What `core` has on other targets: the compiler does not know that the BPF machine compares and exchanges (`BPF_CMPXCHG`, since 5.12).

use core::cell::UnsafeCell;
use core::intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg, atomic_xadd};

/// A word that programs on several processors change at the same time.
#[repr(transparent)]
pub struct Word(UnsafeCell<u64>);

// SAFETY: every access is atomic.
unsafe impl Sync for Word {}

impl Word {
    pub const fn new(word: u64) -> Self {
        Self(UnsafeCell::new(word))
    }

    /// The word now. Of eight bytes in their place a machine reads all at once; the compiler knows atomic loads only of later BPF machines.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        // SAFETY: the reference says that the word is there.
        unsafe { self.0.get().read_volatile() }
    }

    /// Writes the word.
    #[inline(always)]
    pub fn store(&self, word: u64) {
        // SAFETY: as above.
        unsafe { self.0.get().write_volatile(word) };
    }

    /// Writes `new` if the word is `old`; returns what it was.
    #[inline(always)]
    pub fn exchange_if(&self, old: u64, new: u64) -> u64 {
        // SAFETY: as above.
        unsafe { atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(self.0.get(), old, new) }.0
    }

    /// Adds to the word, around its end.
    #[inline(always)]
    pub fn add(&self, number: u64) {
        // SAFETY: as above.
        unsafe { atomic_xadd::<u64, u64, { SeqCst }>(self.0.get(), number) };
    }
}
