//! The agent's own table, as an answer.

use super::answer_memory::{AnswerCount, AnswerShare};
use super::client::{Client, TURN};
use super::fold::CountAsked;
use super::keeper::{Ask, ListedAsk, TableAsk};
use super::peer_read::PeerRead;
use super::sight::Sight;
use super::{CHUNK, Lists, Snapshot, TableWish};
use crate::model::{Proto, RowTest};
use crate::query::Answer;
use bytes::BytesMut;
use std::io;
use tokio::sync::oneshot;

impl<L: Lists> Client<L> {
    /// Waits until the table is as new as is wished. What is asked of it afterwards is so, too, unless events are lost in between.
    ///
    /// # Errors
    /// The client has gone, or the agent ends.
    pub async fn listed(&self, wish: &TableWish) -> io::Result<()> {
        if !wish.live {
            return Ok(());
        }
        let (answer, listed) = oneshot::channel();
        self.ask(Ask::Listed(ListedAsk { wish: *wish, hurry: self.is_staff, answer })).await?;
        self.unless_gone(async { listed.await.map_err(io::Error::other) }).await
    }

    /// How many sockets of the table an answer has.
    ///
    /// # Errors
    /// As [`Client::count_of_answer`].
    pub async fn count_of_table(&self, sight: &Sight, wish: &TableWish) -> io::Result<AnswerCount> {
        let asked = CountAsked { protos: Proto::ALL.to_vec(), netns: wish.netns, recent_ns: wish.recent_ns };
        let count = self.count_of_answer(sight, asked).await?;
        Ok(if wish.live { count } else { AnswerCount { live: 0, ..count } })
    }

    /// Sends what is wished of the table.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn table(&mut self, wish: TableWish, only: Option<RowTest>, sight: Sight) -> io::Result<()> {
        self.listed(&wish).await?;
        let count = self.count_of_table(&sight, &wish).await?;
        let reading = self.reading(sight);
        let (read, mut share) =
            self.have_made(count.bytes_of_table(), move |_, share| snapshot(&reading, wish, share)).await?;
        let Snapshot { live, closed, past, crowd, .. } = match read {
            Ok(snapshot) => snapshot,
            // The agent ends, which says nothing of what the peer may see.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            Err(error) => {
                drop(share);
                return self.refuse_blind(error).await;
            }
        };
        share.keep(size_of_val(&live[..]) + size_of_val(&closed[..]));
        let live = live.into_iter().map(Answer::Live);
        let mut answers = live.chain(closed.into_iter().map(Answer::Closed)).peekable();
        let mut out = BytesMut::with_capacity(CHUNK);
        let wanted = |answer: &Answer| match (answer, &only) {
            (Answer::Closed(closed), Some(only)) => only.passes(closed),
            _ => true,
        };
        while answers.peek().is_some() {
            answers.by_ref().take(TURN).filter(wanted).for_each(|answer| answer.encode(&mut out));
            share.before_deadline(self.send(&out)).await?;
            out.clear();
            tokio::task::yield_now().await;
        }
        if wish.recent_ns > 0 {
            Answer::Since(past, crowd).encode(&mut out);
        }
        Answer::End.encode(&mut out);
        share.before_deadline(self.send(&out)).await
    }
}

/// What the client is shown of the table, with this memory.
///
/// # Errors
/// The agent ends, it cannot be found out what the peer may see, or the table takes more memory by now than that.
fn snapshot<L: Lists>(reading: &PeerRead<L>, wish: TableWish, share: &AnswerShare) -> io::Result<Snapshot> {
    let sight = reading.sight.clone();
    let mut snapshot = reading.ask_keeper(|answer| Ask::Table(TableAsk { wish, sight, follow: None, answer }))?;
    let Snapshot { live, closed, epoch_ns, .. } = &mut snapshot;
    if matches!(reading.sight, Sight::Own(_)) {
        share.is_enough_for(2 * (size_of_val(&live[..]) + size_of_val(&closed[..])))?;
        let sight = reading.confirmed()?;
        *live = live.iter().filter_map(|socket| sight.live(socket)).collect();
        *closed = closed.iter().filter_map(|closed| sight.closed(closed, *epoch_ns)).collect();
    }
    Ok(snapshot)
}
