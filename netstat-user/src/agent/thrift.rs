//! When memory that was freed is given back to the kernel: the allocator keeps what a crowd took for the next crowd, which may not come.

use super::workers::UserWorkers;
use crate::sys;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often memory is given back: all threads wait for that, the one that takes events from the kernel, too.
const REST: Duration = Duration::from_secs(1);

/// Whether there may be much to give back.
#[derive(Debug, Default)]
pub struct Thrift {
    due: Notify,
}

impl Thrift {
    /// Bytes that are given back as soon as they are freed.
    pub const MUCH: usize = 4 << 20;

    /// Has memory given back soon.
    pub fn want(&self) {
        self.due.notify_one();
    }

    /// Gives it back when that is wanted, on a thread for what blocks.
    pub async fn serve(self: Arc<Self>, workers: UserWorkers) {
        self.heed(|| workers.hand(sys::give_back_memory)).await;
    }

    async fn heed(&self, mut give_back: impl FnMut()) {
        loop {
            self.due.notified().await;
            give_back();
            tokio::time::sleep(REST).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_in_a_while() {
        let (thrift, mut times) = (Thrift::default(), 0);
        sys::runtime().unwrap().block_on(async {
            let ask = async {
                for _ in 0..64 {
                    thrift.want();
                    tokio::time::sleep(REST / 128).await;
                }
                // What was asked for last is done, too.
                tokio::time::sleep(REST * 3 / 2).await;
            };
            tokio::select! {
                () = thrift.heed(|| times += 1) => {}
                () = ask => {}
            }
        });
        // More only where this took much longer than it should.
        assert!((2..8).contains(&times), "{times}");
    }
}
