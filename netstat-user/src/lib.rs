//! netstat-user: which sockets exist, who owns them, and what happened to them.
//!
//! # Layer map
//!
//! The rooms, and what each may import of the others (`cargo xtask check` rejects a `use` that runs against this table;
//! it reads the table from here):
//!
//! ```text
//! room     may import                       what it is
//! model    -                                plain data: Proto, TcpState, Endpoint, Owner, Event, table rows
//! sys      model                            system calls no well-kept crate wraps, and the clocks; the one user-side room with `unsafe`
//! lang     -                                English and German words, by locale
//! field    model                            the table of fields of rows and events, and what each row answers for them
//! filter   model field                      the filter language: text → expression → predicate over rows
//! cli      model field filter               argv → Invocation; no I/O, but for the paths that a shell completes
//! diag     model                            sock_diag: dumps of sockets, tcp_info, and closing sockets, over netlink
//! kernel   model sys                        all of aya: load, attach plan, offsets from BTF, decode, ring and iterator reads
//! proc     model sys                        readers of /proc and the descriptor scan
//! source   diag kernel model owner proc sys where rows and holders come from: iterators, sock_diag, /proc, and the cost model that chooses
//! table    model                            the live table: fold(seed | event | resync, now)
//! query    model                            the agent's language: length-limited frames, requests and answers
//! client   model query sys                  the agent's protocol from the asking side: a request, its answers put together again, and the table that is followed
//! agent    model table owner query sys      the agent: the live table, kept by events and listings, and its clients and readers
//! owner    model                            merges ownership evidence and keeps its grade
//! life     model                            what each open connection did so far, for the one line at its end
//! names    model sys                        host, service, user and network names, looked up before rendering
//! stdio    model cli sys                    standard output and error: who reads them, how wide, how coloured, and the outcome of writing
//! daemon   model client sys                 what a process that runs for long needs: signals, the service manager, accounts, its socket, fewer privileges
//! view     model lang field                 rows in, bytes out: netstat tables, event text, JSON
//! cgroups  field looks model proc sys whose what sockets' processes run as part of, looked up once and kept within bounds: cgroup, unit, container, pod
//! findings cli kernel model query sys view  what the state of the tracer and the agent means, and what mends it
//! looks    agent model proc sys             what users could see by themselves, and what they may not look into: looks at /proc within bounds
//! order    cli field                        the order of rows, and of lines of counts, by --sort
//! whose    model                            whose a socket is beyond its process: container, unit and pod; the other end
//! run      *                                one module per verb: wires the rooms together, from a request to an outcome
//! ```
//!
//! `*` is every other room. No modules import each other in a circle of any length, nor do the modules inside one of them; a module and those
//! inside it count as one, and an import through `pub use` counts where the name comes from. Only `main.rs` stands outside the map, and only it
//! exits the process, but for `sys/memory.rs`, where there is no memory to return with.
//! `kernel` alone sees `aya` and `netstat_ebpf`. `sys` alone holds user-side `unsafe`, each block with its `SAFETY:` line.
//!
//! # Words
//!
//! In this crate, and in the kernel programs, each of these stands for one thing:
//!
//! - *owner*: the process that made a socket or accepted its connection, as events recorded it; it stays the same when the descriptor is handed on.
//! - *grade*: how an owner is known: created, accepted, inherited from the listener, or scanned.
//! - *holder*: a process that has a socket among its open files now. A socket can have several, or none.
//! - *unseen holder*: a process that may hold any socket, as it could not be looked into (`model::UnseenHolders`).
//! - *request*: a connection that comes in and that no process can accept yet: the kernel's `request_sock`, in `SYN_RECV`.
//! - *minisocket*: what the kernel keeps of a connection in `TIME_WAIT`, or in `FIN_WAIT2` once nobody holds it: `inet_timewait_sock`, which is no
//!   `struct sock`.
//! - *doubt*: the timer of a request or a minisocket was stopped, and it is not known yet whether for good (`kernel::doubts`).
//! - *listing*: the sockets that the kernel lists at one time, folded into the live table while events go on (`table`).
//! - *seed*: the first listing, and the owners of what is older than the tracer.
//! - *resync*: a later listing, by which the table is set right: after a loss, at SIGHUP, and every so often.
//! - *fall*: that rows or holders had to be read in another way than the best, and why (`source`).
//! - *sight*: what a client of the agent is shown, by who it is and where it is (`agent::sight`).
//! - *stay*: the time for which a client's network namespace was seen with one number (`agent::stay`).
//! - *staff*, *guests*: clients of the agent that are root or the agent's own user, and all others.
//! - *counter*: where the staff, or the guests, are served: a thread and its workers (`agent::house`).
//! - *look*: one pass over the kernel's lists, or over processes, and what it found.
//! - *guarded*: of a process that its user may not inspect, a setuid program for example: other users are not shown it (`agent::guarded`).
//! - *crowd*: the user whose closed sockets are forgotten first, for want of room (`query::Crowd`).
//! - *birth*, *child*: the creation of the socket of an incoming connection, and that socket, of its listener.
//! - *desk*: where batches of events wait for the readers of one thread of the agent (`agent::desk`).
//! - *feed*: what one reader of events has not read yet (`agent::feed`).

pub mod agent;
pub mod cgroups;
pub mod cli;
pub mod client;
pub mod daemon;
pub mod diag;
pub mod field;
pub mod filter;
pub mod findings;
pub mod kernel;
pub mod lang;
pub mod life;
pub mod looks;
pub mod model;
pub mod names;
pub mod order;
pub mod owner;
pub mod proc;
pub mod query;
pub mod run;
pub mod source;
pub mod stdio;
pub mod sys;
pub mod table;
pub mod view;
pub mod whose;
