//! The agent's protocol from the asking side: one request per connection, and its answers as they come.

mod follow;
mod lists;
mod stream;
mod tables;

pub use follow::{Follower, TableNews};
pub use lists::{History, cgroups, closed, health, live, shows_all};
pub use stream::{EventStream, coverage};
pub use tables::{AgentHolders, AgentTables};

use crate::model::reason;
use crate::query::{Answer, Denial, MAX_ANSWER, Place, QueryError, Request};
use crate::sys::{self, Scarce};
use bytes::{Bytes, BytesMut};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the agent may take to begin its answer, and to send a part of it. One that is alive does both at once; one that hangs must
/// not take a table with it.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a full queue of clients is waited for.
const QUEUE: Duration = Duration::from_millis(500);
/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// Why the agent did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is behind the socket, or may be asked, or the connection broke.
    #[error("{}", said(.0))]
    Io(#[from] io::Error),
    /// It refused, and said why.
    #[error("{}", .0.reason.escape_debug())]
    Refused(Denial),
    /// What it said is of another language.
    #[error("{0}")]
    Query(#[from] QueryError),
    /// Its process is another user's, and neither root's nor ours.
    #[error("its process runs as user {0}: only an agent of root or of one's own is believed")]
    Stranger(u32),
    /// Its answer is one to another request.
    #[error("its answer does not match the request")]
    OffTopic,
    /// It answers a part of the request, and does not know the rest.
    #[error("it is of an earlier release, which sends no sockets before their events: start an agent of this release")]
    Older,
    /// Something has run out for its process, or the machine: that says nothing of the sockets.
    #[error("it has run out of {}", .0.name().replace('_', " "))]
    Short(Scarce),
    /// Its process or user numbers are not the ones that this process sees.
    #[error("it runs in another PID or user namespace, where processes and users have other numbers")]
    Elsewhere,
}

impl AskError {
    /// Whether there is no agent, or none that this user may ask.
    pub fn is_nobody(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
        matches!(self, Self::Io(error) if matches!(error.kind(), NotFound | ConnectionRefused | PermissionDenied))
    }
}

/// What became of the connection.
fn said(error: &io::Error) -> String {
    if let Some(scarce) = Scarce::below(error) {
        return scarce.words();
    }
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer in time".into(),
        io::ErrorKind::UnexpectedEof => "it has ended".into(),
        _ => reason(error).to_lowercase(),
    }
}

/// Where this process's numbers are true; zeroes where it is not known.
pub fn place() -> Place {
    Place { pidns: sys::own_namespace("pid"), userns: sys::own_namespace("user") }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Asking {
    reader: BufReader<UnixStream>,
    place: Place,
}

impl Asking {
    /// Asks the agent behind `path`.
    ///
    /// # Errors
    /// It does not begin to answer.
    pub fn new(path: &Path, request: &Request) -> Result<Self, AskError> {
        Self::within(PATIENCE, path, request)
    }

    /// Asks the agent behind `path`, which is to begin its answer within this time.
    ///
    /// # Errors
    /// As [`Asking::new`].
    pub fn within(patience: Duration, path: &Path, request: &Request) -> Result<Self, AskError> {
        let mut stream = connect(path)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut out = BytesMut::new();
        request.encode(&mut out);
        // An agent that refuses without a look at the request has closed its side by now, and its refusal is there to be read.
        let sent = stream.write_all(&out);
        let reader = BufReader::with_capacity(BUFFER, stream);
        let mut asking = Self { reader, place: Place { pidns: 0, userns: 0 } };
        let first = match (sent, asking.answer()) {
            (Err(error), Err(AskError::Io(_))) => return Err(error.into()),
            (_, first) => first?,
        };
        match first {
            Answer::Begin(place) => asking.place = place,
            _ => return Err(AskError::OffTopic),
        }
        asking.reader.get_ref().set_read_timeout(Some(PATIENCE))?;
        Ok(asking)
    }

    /// Whether the agent's process and user numbers are ours.
    pub fn is_here(&self) -> bool {
        self.place == place() && self.place.pidns != 0 && self.place.userns != 0
    }

    /// The next answer.
    ///
    /// # Errors
    /// A refusal is one.
    pub fn answer(&mut self) -> Result<Answer, AskError> {
        let mut head = [0; 4];
        self.reader.read_exact(&mut head)?;
        let len = u32::from_le_bytes(head) as usize;
        if len > MAX_ANSWER {
            return Err(QueryError::Length(len).into());
        }
        let mut body = vec![0; len];
        self.reader.read_exact(&mut body)?;
        match Answer::decode(Bytes::from(body))? {
            Answer::Refused(denial) => Err(AskError::Refused(denial)),
            answer => Ok(answer),
        }
    }

    /// Hands over every answer until the last one, but for those that this release does not know, and closes the connection.
    ///
    /// # Errors
    /// The agent's, or what `take` says of an answer.
    pub fn each(mut self, mut take: impl FnMut(Answer) -> Result<(), AskError>) -> Result<(), AskError> {
        loop {
            match self.answer()? {
                Answer::End => break,
                Answer::Unknown(_) => {}
                answer => take(answer)?,
            }
        }
        self.close();
        Ok(())
    }

    /// Waits until the agent has closed its side: only then does the kernel no longer list the connection.
    pub fn close(mut self) {
        // All has been said; a connection that breaks is closed too.
        let _ = self.reader.read(&mut [0]);
    }

    /// The connection, to be read on by other means, and what of it has been read already.
    pub fn into_parts(self) -> (UnixStream, BytesMut) {
        let read = BytesMut::from(self.reader.buffer());
        (self.reader.into_inner(), read)
    }
}

/// Connects without waiting for an agent that hangs with a full queue of clients, as connect(2) would for ever.
///
/// # Errors
/// The kernel's: `ConnectionRefused` where there is a socket and nobody behind it, `WouldBlock` where the queue stays full. And
/// [`AskError::Stranger`]: whoever may write to the folder of the path could answer there.
pub fn connect(path: &Path) -> Result<UnixStream, AskError> {
    let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
    let until = Instant::now() + QUEUE;
    loop {
        match rustix::net::connect(&socket, &address) {
            Err(rustix::io::Errno::AGAIN) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            outcome => break outcome.map_err(io::Error::from)?,
        }
    }
    // The user of the process that made the socket listen (unix(7)).
    let server = getsockopt(&socket, PeerCredentials).map_err(io::Error::from)?.uid();
    if server != 0 && (server != rustix::process::geteuid().as_raw() || is_anybody(server)) {
        return Err(AskError::Stranger(server));
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Whether a user's number may stand for any user: in a user namespace that does not hold a user, the kernel has this one in its place
/// (user_namespaces(7)).
fn is_anybody(user: u32) -> bool {
    /// `/proc/sys/kernel/overflowuid`, as every kernel starts with it.
    const OVERFLOW: u32 = 65_534;
    user == OVERFLOW && sys::is_in_initial_user_namespace() != Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Limits;
    use crate::query::Status;
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The path of an agent that reads one request and gives `answer`.
    fn agent(answer: BytesMut) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("netstat-user-asking-{}-{number}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4];
            stream.read_exact(&mut head).unwrap();
            stream.read_exact(&mut vec![0; u32::from_le_bytes(head) as usize]).unwrap();
            stream.write_all(&answer).unwrap();
        });
        path
    }

    fn frames(answers: &[Answer]) -> BytesMut {
        let mut out = BytesMut::new();
        answers.iter().for_each(|answer| answer.encode(&mut out));
        out
    }

    fn ask(answer: BytesMut) -> Result<Asking, AskError> {
        let path = agent(answer);
        let asked = Asking::new(&path, &Request::Status);
        fs::remove_file(path).unwrap();
        asked
    }

    #[test]
    fn answers_come_one_by_one_until_the_connection_ends() {
        let mut asking = ask(frames(&[Answer::Begin(place()), Answer::Dropped(7), Answer::End])).unwrap();
        assert!(asking.is_here());
        assert_eq!(asking.answer().unwrap(), Answer::Dropped(7));
        assert_eq!(asking.answer().unwrap(), Answer::End);
        assert_eq!(asking.answer().unwrap_err().to_string(), "it has ended");
        asking.close();
    }

    fn follow(answers: &[Answer]) -> Follower {
        let path = agent(frames(answers));
        let follower = Follower::new(&path, Limits::default(), Duration::ZERO).unwrap();
        fs::remove_file(path).unwrap();
        follower
    }

    /// An agent that does not know the request takes it for one for events.
    #[test]
    fn an_agent_of_an_earlier_release_cannot_be_followed() {
        let older = [
            Answer::Begin(place()),
            Answer::Status(Status::default()),
            Answer::End,
            Answer::Lost { time_ns: 1, count: 2 },
        ];
        let why = follow(&older).read().unwrap_err().to_string();
        assert!(why.starts_with("it is of an earlier release"), "{why}");
    }

    #[test]
    fn a_follower_reads_the_sockets_and_then_what_happens() {
        let lost = Answer::Lost { time_ns: 1, count: 2 };
        let answers = [
            Answer::Begin(place()),
            Answer::LiveEnd { time_ns: 7 },
            Answer::Status(Status::default()),
            Answer::End,
            lost,
            Answer::Stale,
            Answer::Dropped(5),
        ];
        let mut follower = follow(&answers);
        assert!(follower.is_here());
        for expected in [TableNews::Complete(7), TableNews::Lost(2), TableNews::Stale, TableNews::Dropped(5)] {
            assert_eq!(follower.read().unwrap(), expected);
        }
        assert_eq!(follower.read().unwrap_err().to_string(), "it has ended");
        let ended = [&answers[..4], &[Answer::End]].concat();
        let mut follower = follow(&ended);
        assert_eq!((follower.read().unwrap(), follower.read().unwrap()), (TableNews::Complete(7), TableNews::End));
    }

    #[test]
    fn an_agent_elsewhere_is_known_for_one() {
        let Place { pidns, userns } = place();
        for elsewhere in [Place { pidns: pidns + 1, userns }, Place { pidns, userns: userns + 1 }] {
            assert!(!ask(frames(&[Answer::Begin(elsewhere)])).unwrap().is_here());
        }
    }

    #[test]
    fn an_agent_that_does_not_answer_is_not_nobody() {
        let io = |kind: io::ErrorKind| AskError::Io(kind.into());
        assert!(io(io::ErrorKind::NotFound).is_nobody() && io(io::ErrorKind::PermissionDenied).is_nobody());
        assert!(connect(Path::new("/nonexistent/agent.sock")).is_err_and(|error| error.is_nobody()));
        assert!(!io(io::ErrorKind::TimedOut).is_nobody() && !AskError::OffTopic.is_nobody());
    }

    #[test]
    fn whatever_is_no_answer_is_an_error() {
        let why = |answer: BytesMut| ask(answer).err().unwrap().to_string();
        assert_eq!(why(frames(&[Answer::Refused(Denial::new("too many"))])), "too many");
        assert_eq!(why(frames(&[Answer::End])), "its answer does not match the request");
        assert_eq!(why(BytesMut::new()), "it has ended");
        assert!(why(BytesMut::from(&[2, 0, 0, 0, 77, 1][..])).contains("version 77 "));
        assert!(why(BytesMut::from(&[0xff; 64][..])).ends_with("longer than allowed"));
        assert!(Asking::new(Path::new("/nonexistent/agent"), &Request::Status).is_err());
    }
}
