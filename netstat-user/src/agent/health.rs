//! How the kernel programs fare, as an answer.

use super::client::Client;
use super::keeper::Ask;
use super::{Lists, TRUST};
use crate::query::{Answer, Health};
use crate::sys::{Awaited, lock};
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

impl<L: Lists> Client<L> {
    /// How the kernel programs fare, or did a moment ago.
    async fn look_at_health(&self) -> io::Result<Health> {
        if let Some(health) = fresh(&lock(&self.house.health)) {
            return Ok(health);
        }
        let (answer, look) = oneshot::channel();
        self.ask(Ask::Health { answer }).await?;
        let look = look.await.map_err(io::Error::other)?;
        let (house, looking) = (Arc::clone(&self.house), Arc::clone(&self.counter().looking));
        // Others at this counter may have asked at the same time: one of them looks, and the rest wait for the lock, which the looking thread holds.
        let known = || async {
            drop(self.counter().looking.lock().await);
            Ok(fresh(&lock(&self.house.health)))
        };
        let take = move || Arc::clone(&looking).try_lock_owned().ok();
        let look_once = move |_: &Awaited, _looking| {
            let health = look();
            *lock(&house.health) = Some((Instant::now(), health.clone()));
            health
        };
        self.unless_gone(self.workers.run_with(known, take, look_once)).await
    }

    /// Sends it, with what else is to be said of the agent.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn health(&mut self) -> io::Result<()> {
        let mut health = self.look_at_health().await?;
        health.checks.splice(..0, self.house.lists.checks());
        health.checks.extend(self.house.turned_away.check());
        let mut out = BytesMut::new();
        Answer::Health(health).encode(&mut out);
        // The end comes with the status.
        out.extend_from_slice(&self.status().await?);
        self.send(&out).await
    }
}

/// What was known a moment ago.
fn fresh(known: &Option<(Instant, Health)>) -> Option<Health> {
    known.as_ref().filter(|(at, _)| at.elapsed() < TRUST).map(|(_, health)| health.clone())
}
