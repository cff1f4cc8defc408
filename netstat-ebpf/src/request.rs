//! Connection requests: what there is of a TCP connection before its `struct sock`, known by the address of the `struct request_sock`.
//!
//! A request is reported when its SYN-ACK is sent again, when it outlives its first timer, or when it is given up before that: the others become
//! a connection, whose first transition reports them.

use crate::{
    ehash,
    mini::{describe, doubt, known, step},
    pending::pending,
    read::{Memory, Probed, Typed, offset},
    remembered::{OUTSIDE, Remembered, UNREPORTED},
    report::report_state,
    setup::{enabled, sees_births, since},
    store::{forget, recall, remember},
    sys::{Addr, now},
    timer::{self, Of, is_set_anew, knows_why},
};
use aya_ebpf::EbpfContext;
use netstat_ebpf::{
    ABSENT, Field, Grade,
    linux::tcp::{CLOSE, LISTEN, NEW_SYN_RECV, SYN_RECV},
};

/// When a request was first answered, in nanoseconds: the kernel keeps the time for the connection's first round trip, in microseconds of the same
/// clock, and maybe some of them ahead. Now, where it does not.
#[inline(always)]
fn asked_ns(req: Addr) -> u64 {
    match Probed::get::<u64>(req, Field::TcpReqSntSynack) {
        Some(answered_us) if answered_us != 0 => answered_us * 1000,
        _ => now(),
    }
}

/// Fills in what is known of a request; false if it is not wanted.
#[inline(always)]
fn learn(req: Addr, r: &mut Remembered) -> bool {
    if !describe(req, r) {
        return false;
    }
    let listener = Probed::follow(req, Field::ReqListener);
    inherit(r, listener);
    if let Some(listener) = listener {
        r.learn_uid::<Probed>(listener);
    }
    r.created_ns = asked_ns(req).min(now());
    r.state_ns = r.created_ns;
    r.state = SYN_RECV;
    true
}

/// Reports the beginning of a request.
#[inline(always)]
fn begin(r: &mut Remembered) {
    r.flags &= !UNREPORTED;
    // One that is older than the tracer is reported from its next transition on.
    if since().is_some_and(|since_ns| r.created_ns >= since_ns) {
        report_state(r, (0, false), (LISTEN, SYN_RECV), r.created_ns, r.created_ns, false);
    }
}

/// Remembers a request that nothing is remembered of, if it is wanted.
#[inline(always)]
fn remember_request(req: Addr) -> Option<&'static mut Remembered> {
    let r = remember::<Typed>(req)?;
    if !learn(req, r) {
        forget::<Typed>(req);
        return None;
    }
    Some(r)
}

/// Body of the hook on `tcp_retransmit_synack`: the one place where a request can be given a cookie, which its connection takes over.
#[inline(always)]
pub fn synack_again(req: Addr) {
    if enabled() {
        waits(req, Typed::cookie(req));
    }
}

/// A request waits, and is reported if it was not before.
#[inline(always)]
fn waits(req: Addr, cookie: u64) {
    let Some(r) = noticed(req) else { return };
    if r.flags & UNREPORTED != 0 {
        if cookie != 0 {
            r.cookie = cookie;
        }
        begin(r);
    }
}

/// What is remembered of a request, from now on if nothing was: then it is not reported yet. `None` of one that is not wanted, or is no request of its own.
#[inline(always)]
fn noticed(req: Addr) -> Option<&'static mut Remembered> {
    let known = known::<Typed>(req);
    if known.is_some() {
        return known;
    }
    // With TCP Fast Open the connection is there before its request has come to an end, and is reported.
    if Probed::get::<u8>(req, Field::TcpReqTfoListener).is_some_and(|open| open != 0) {
        return None;
    }
    // It may be a copy: its listener has ended, and the request that another one takes over is still there.
    if netstat_takes_over(Typed::number(req)) != 0 {
        return None;
    }
    let r = remember_request(req)?;
    r.flags |= UNREPORTED;
    Some(r)
}

/// The timer of a request has run out, and its function (`reqsk_timer_handler`) is about to be called. That may give the request up without a call that
/// is traced: its listener has been closed, or no SYN-ACK is to be sent again (`tcp_synack_retries`). What there is to know of it, it has now.
#[inline(always)]
pub fn runs_out(req: Addr) {
    noticed(req);
}

/// The timer of a request is stopped before it has run out.
#[inline(always)]
pub fn stopped(ctx: &impl EbpfContext, req: Addr) {
    let mut reported = known::<Typed>(req).filter(|r| r.flags & UNREPORTED == 0);
    let new = reported.is_none();
    let child = take_child(req);
    if !child.is_null() {
        if let Some(child) = recall::<Probed>(child) {
            inherit(child, Probed::follow(req, Field::ReqListener));
            if let Some(r) = &reported {
                // The connection goes on from where the request was.
                child.flags &= !UNREPORTED;
                child.mark = 0;
                child.state_ns = r.state_ns;
                child.created_ns = r.created_ns;
            } else {
                child.created_ns = asked_ns(req);
                child.state_ns = child.created_ns;
            }
        }
        if !new {
            forget::<Typed>(req);
        }
        return;
    }
    if let Some(pending) = pending() {
        pending.listener.store(Probed::get(req, Field::ReqListener).unwrap_or_default());
        pending.ports.store(u64::from(ports(req)));
    }
    // The peer's SYN, when it comes again, sets it anew.
    if new && !sees_births() || knows_why() && is_set_anew(ctx) {
        return;
    }
    if knows_why() && goes_on_elsewhere(req) {
        return;
    }
    // It is given up: the peer does not want it any more, say.
    if new {
        reported = remember_request(req);
    }
    let Some(r) = reported else { return };
    if new {
        begin(r);
    }
    if !knows_why() {
        doubt(req, r);
        return;
    }
    step(r, CLOSE);
    forget::<Typed>(req);
}

/// The child that a request has just become, null if there is none.
#[inline(always)]
fn take_child(req: Addr) -> Addr {
    const NONE: Addr = core::ptr::null();
    let Some(pending) = pending() else { return NONE };
    let child = pending.child.load() as Addr;
    if child.is_null() {
        return NONE;
    }
    pending.child.store(0);
    if ports(child) == ports(req) { child } else { NONE }
}

/// Whether a request that ends has not come to its end: another listener has taken it over, as a copy (`inet_reqsk_clone`), or there is a child
/// that was not seen being made. Then its entry goes over, or is forgotten.
#[inline(always)]
fn goes_on_elsewhere(req: Addr) -> bool {
    netstat_goes_on_elsewhere(Typed::number(req)) != 0
}

/// The same. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_goes_on_elsewhere(req: u64) -> u32 {
    let other = netstat_other(req, 0) as Addr;
    let req = req as Addr;
    if other.is_null() {
        return 0;
    }
    if recall::<Probed>(req).is_none() {
        return 1;
    }
    if Probed::get(other, Field::SkcState) == Some(NEW_SYN_RECV) {
        move_entry(req, other);
    }
    forget::<Probed>(req);
    1
}

/// Whether a request that nothing is remembered of is the copy of one that is reported, and still in the table: its entry goes over. The
/// verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_takes_over(req: u64) -> u32 {
    let original = netstat_other(req, u32::from(NEW_SYN_RECV)) as Addr;
    let req = req as Addr;
    if original.is_null() || recall::<Probed>(original).is_none() {
        return 0;
    }
    move_entry(original, req);
    forget::<Probed>(original);
    1
}

/// Another entry of the table of connections with the ends of a request, in this state unless it is 0; 0 if there is none. The verifier checks
/// it by itself: what follows would be checked anew for each turn of the search, a million instructions on Linux 6.1.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_other(req: u64, state: u32) -> u64 {
    let req = req as Addr;
    let (Some(net), Some(hash)) = (Probed::follow(req, Field::SkcNet), Probed::get(req, Field::SkcHash)) else {
        return 0;
    };
    let is_it = |entry: Addr| netstat_is_other(entry as u64, req as u64, state) != 0;
    ehash::search(net, hash, is_it).map_or(0, |other| other as u64)
}

/// Whether an entry of the table is the one that [`netstat_other`] looks for. The verifier checks it by itself, once, and not for each turn.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_other(entry: u64, req: u64, state: u32) -> u32 {
    let (entry, req) = (entry as Addr, req as Addr);
    let is_it = entry != req
        && (state == 0 || Probed::get::<u8>(entry, Field::SkcState).map(u32::from) == Some(state))
        && is_same_connection(entry, req);
    u32::from(is_it)
}

/// Remembers of a request what is remembered of another one, with the owner of its own listener.
#[inline(always)]
fn move_entry(from: Addr, to: Addr) {
    let Some(&mut before) = recall::<Probed>(from) else { return };
    let Some(copy) = remember::<Probed>(to) else { return };
    *copy = before;
    inherit(copy, Probed::follow(to, Field::ReqListener));
}

/// Whether two entries of the table of connections have the same ends.
#[inline(always)]
fn is_same_connection(one: Addr, other: Addr) -> bool {
    let both = |field| Probed::get::<u64>(one, field) == Probed::get::<u64>(other, field);
    let v6 = |field: Field, word: usize| {
        let at = offset(field) as usize + word * 8;
        offset(field) == ABSENT || Probed::at::<u64>(one.wrapping_add(at)) == Probed::at::<u64>(other.wrapping_add(at))
    };
    // IPv4: both addresses are one word (`skc_addrpair`).
    ports(one) == ports(other)
        && Probed::get::<u16>(one, Field::SkcNum) == Probed::get::<u16>(other, Field::SkcNum)
        && both(Field::SkcDaddr)
        && v6(Field::SkcV6Daddr, 0)
        && v6(Field::SkcV6Daddr, 1)
        && v6(Field::SkcV6RcvSaddr, 0)
        && v6(Field::SkcV6RcvSaddr, 1)
}

/// Both ports at once: `skc_portpair`.
#[inline(always)]
fn ports(sk: Addr) -> u32 {
    Probed::get(sk, Field::SkcDport).unwrap_or_default()
}

/// Gives a child that was not seen being made the owner of its listener.
#[inline(always)]
pub fn inherit_late(r: &mut Remembered, sk: Addr) {
    let Some(pending) = pending() else { return };
    let listener = pending.listener.load() as Addr;
    pending.listener.store(0);
    if !listener.is_null() && pending.ports.load() == u64::from(ports(sk)) {
        inherit(r, Some(listener));
    }
}

/// Gives a connection the owner of its listener, until somebody accepts it.
#[inline(always)]
pub fn inherit(r: &mut Remembered, listener: Option<Addr>) {
    let Some(listener) = listener else { return };
    let Some(owner) = recall::<Probed>(listener) else { return };
    if owner.grade != Grade::None as u8 {
        (r.owner, r.grade, r.cgroup) = (owner.owner, Grade::Inherited as u8, owner.cgroup);
        r.marks |= owner.marks & OUTSIDE;
    }
}

/// Body of the hook on `timer_expire_exit`: the function of a timer has returned. A request is gone then unless its timer was started again;
/// its memory may be, too, or may be another request's by now, whose timer has not run out yet.
#[inline(always)]
pub fn timer_done(timer: Addr) {
    if !enabled() {
        return;
    }
    let Some(Of::Request(req)) = timer::owner_of(timer) else { return };
    let retrans = offset(Field::ReqNumRetrans);
    if retrans == ABSENT {
        return;
    }
    let timeouts = Probed::at::<u8>(req.wrapping_add(retrans as usize + 1)) >> 1;
    if timer::runs(timer) && timeouts > 0 {
        // It waits for something else than its SYN-ACK to be heard.
        waits(req, 0);
        return;
    }
    if let Some(r) = recall::<Typed>(req)
        && !goes_on_elsewhere(req)
    {
        if r.flags & UNREPORTED != 0 {
            begin(r);
        }
        step(r, CLOSE);
        forget::<Typed>(req);
    }
}
