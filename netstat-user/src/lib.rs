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
//! sys      -                                system calls no well-kept crate wraps; the one user-side room with `unsafe`
//! lang     -                                English and German words, by locale
//! field    model                            the table of fields of rows and events, and what each row answers for them
//! filter   model field                      the filter language: text → expression → predicate over rows
//! cli      model field filter               argv → Request; no I/O
//! diag     model                            sock_diag: dumps of sockets, tcp_info, and closing sockets, over netlink
//! kernel   model sys                        all of aya: load, attach plan, offsets from BTF, decode, ring and iterator reads
//! proc     model sys                        readers of /proc and the descriptor scan
//! source   diag kernel model owner proc sys where rows and holders come from: iterators, sock_diag, /proc, and the cost model that chooses
//! table    model                            the live table: fold(seed | event | resync, now)
//! query    model                            the agent's language: length-limited frames, requests and answers
//! client   model query sys                  the agent's protocol from the asking side: one request, its answers, put together again
//! agent    model table owner query sys      run(listener, shutdown, source): the live table, its clients, its readers
//! owner    model                            merges ownership evidence and keeps its grade
//! life     model                            what each open connection did so far, for the one line at its end
//! names    model sys                        host, service, user and network names, looked up before rendering
//! stdio    model cli sys                    standard output and error: who reads them, how wide, how coloured, and the outcome of writing
//! daemon   model client sys                 what a process that runs for long needs: signals, the service manager, accounts, its socket, fewer privileges
//! view     model lang field                 rows in, bytes out: netstat tables, event text, JSON
//! whose    model                            whose a socket is beyond its process: container, unit and pod; the other end
//! run      *                                one file per verb: wires the rooms together, from a request to an outcome
//! ```
//!
//! `*` is every other room. No modules import each other in a circle of any length, nor do those inside them. Only `main.rs` stands outside the map, and only it exits the
//! process, but for `sys/memory.rs`, where there is no memory to return with.
//! `kernel` alone sees `aya` and `netstat_ebpf`. `sys` alone holds user-side `unsafe`, each block with its `SAFETY:` line.

pub mod agent;
pub mod cli;
pub mod client;
pub mod daemon;
pub mod diag;
pub mod field;
pub mod filter;
pub mod kernel;
pub mod lang;
pub mod life;
pub mod model;
pub mod names;
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
