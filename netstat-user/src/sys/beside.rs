//! Two pieces of work at once.

use std::thread::{self, Builder};

/// Runs `here` on the calling thread and `there` on another meanwhile; where there may be no more threads, on the calling one afterwards.
pub fn beside<A: Send, B>(there: impl Fn() -> A + Sync, here: impl FnOnce() -> B) -> (A, B) {
    let (apart, here) = thread::scope(|scope| {
        let apart = Builder::new().spawn_scoped(scope, &there);
        let here = here();
        (apart.ok().and_then(|apart| apart.join().ok()), here)
    });
    (apart.unwrap_or_else(there), here)
}
