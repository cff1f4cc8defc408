//! `doctor`: what the agent says of itself, or what a short trial of one's own shows.

pub mod closing;

use super::forgotten::not_remembered;
use super::hint::way_in;
use super::shielded;
use super::table::history::of_others;
use crate::cli::doctor::Options;
use crate::cli::names::{MOST_REMEMBERED, SOCKET};
use crate::cli::value::LARGEST_BUFFER;
use crate::client::{self, AskError, place};
use crate::kernel::{self, AttachError, Hook, Instead, Missed, Tracer, Wanted, Weight};
use crate::model::{Check, Level};
use crate::proc::fds;
use crate::query::{CoverageRows, Health, HookRow, Past, Status};
use crate::source::{KernelSource, RowNeeds};
use crate::stdio::waiting::WaitNote;
use crate::stdio::{Written, print, screen};
use crate::sys::{self, Scarce, epoch_ns, kernel_monotonic_ns, local_time};
use crate::view::doctor::{HookFinding, RefusedVariant, Report};
use crate::view::text::{counted, span};
use std::io;
use std::path::Path;

/// Buffer of the trial: nothing is read from it.
const TRIAL_BUFFER: u32 = 64 << 10;

/// Where the packaged service has the options of the agent.
const SERVICE_OPTIONS: &str = "/etc/default/netstat-user";
/// What a socket takes that the kernel programs remember, as the help of `--remember` says.
const REMEMBERED_BYTES: u64 = 200;
/// What the packaged service may take (`MemoryMax=` of its unit), in which there is room for the usual sizes and some more.
const SERVICE_BYTES: u64 = 1 << 30;

/// Serves the request and returns the exit code.
///
/// # Errors
/// A failure to write to standard output.
pub fn run(options: &Options) -> Written<u8> {
    let path = options.agent.as_deref().unwrap_or(Path::new(SOCKET));
    let asked = (!options.no_agent).then(|| {
        let _waiting = WaitNote::start("an answer of the agent");
        client::health(path)
    });
    let report = match asked {
        Some(Ok((status, coverage, health, is_here))) => {
            let mut report = of_agent(path, &status, &coverage, health);
            report.checks.extend((!is_here).then(elsewhere));
            report
        }
        Some(Err(error)) if options.agent.is_some() => {
            let check = no_answer(path, &error, Level::Bad, "");
            Report { source: silence(&error).into(), checks: vec![check], ..Report::default() }
        }
        other => trial(other.and_then(Result::err).as_ref()),
    };
    let mut out = Vec::new();
    if options.json {
        report.json(&mut out);
    } else {
        report.text(&mut out, screen::is_coloured(options.color), screen::width());
    }
    print(&out)?;
    Ok(u8::from(report.verdict() == Level::Bad))
}

/// That the agent gave no answer, and what lacks then; what ran out here is named in its place.
fn no_answer(path: &Path, error: &AskError, level: Level, without: &str) -> Check {
    let scarce = if let AskError::Io(error) = error { Scarce::below(error) } else { None };
    let name = scarce.map_or("agent", Scarce::name);
    Check::amiss(name, level, format!("{}: {error}{without}", path.display()), way_in(path, error))
}

/// What is known of an agent that gave no answer.
fn silence(error: &AskError) -> &'static str {
    match error {
        AskError::Io(error) if Scarce::below(error).is_some() => "The agent could not be asked",
        AskError::Io(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            "The agent does not answer in time"
        }
        AskError::Io(_) => "No agent answers",
        AskError::Refused(denial) if denial.is_busy => "The agent is busy",
        _ => "The agent gives no answer that can be used",
    }
}

fn of_agent(path: &Path, status: &Status, coverage: &CoverageRows, health: Health) -> Report {
    let mut checks = health.checks;
    checks.extend(of_status(status));
    let mend = "kill -HUP the agent: it sets its table right from the kernel's lists";
    checks.extend(missed(kernel::missed(&health.programs), status.lost, mend));
    Report {
        source: format!("The agent on {}, process {}", path.display(), status.pid),
        hooks: coverage.hooks.iter().map(hook).collect(),
        checks,
        programs: health.programs,
    }
}

/// What it means that the agent is in another PID or user namespace.
fn elsewhere() -> Check {
    let mut found =
        "the agent is in another PID or user namespace: tables are read without it, and events have no owners and users"
            .to_owned();
    if kernel::is_contained() {
        found += "; what this process holds, it holds in its user namespace only: it can trace nothing itself";
    }
    let mend = if kernel::is_contained() { kernel::OUTSIDE } else { "run it where the agent runs" };
    Check::amiss("namespace", Level::Note, found, mend)
}

/// What the agent has counted.
fn of_status(status: &Status) -> Vec<Check> {
    let Status { live, recent, events, forgotten, buffer, peak_fill, past, crowd, .. } = *status;
    let ago_ns = |time_ns: u64| (epoch_ns() + kernel_monotonic_ns()).saturating_sub(time_ns);
    let ago = |time_ns: u64| span(ago_ns(time_ns));
    let larger = larger(buffer, status.pid);
    let fill = format!("{} KiB, filled up to {} % so far", buffer >> 10, peak_fill * 100 / buffer.max(1));
    let mut checks = vec![
        Check::ok(
            "table",
            format!(
                "{}, {recent} that ended of late, {} so far",
                counted(live, "socket", "sockets"),
                counted(events, "event", "events")
            ),
        ),
        if status.is_buffer_short() {
            Check::amiss("buffer", Level::Note, fill, &*larger)
        } else {
            Check::ok("buffer", fill)
        },
        of_losses(status, epoch_ns() + kernel_monotonic_ns(), &larger),
        match past.crowded {
            false => Check::ok("recent", format!("reaches back {}", ago(past.since_ns))),
            true => {
                let found = format!(
                    "reaches back {} only: --recent-count {} keeps no more{}",
                    ago(past.since_ns),
                    past.most,
                    of_others(crowd, ago_ns)
                );
                Check::amiss(
                    "recent",
                    Level::Note,
                    found,
                    started_with(&format!("--recent-count {}", past.most.max(1).saturating_mul(4))),
                )
            }
        },
        match status.shares_all {
            true => Check::ok("share", "all: whoever may ask is shown everything"),
            false => Check::ok("share", "own: users other than root are shown what they could see themselves"),
        },
        Check::ok(
            "resyncs",
            format!(
                "{} at the kernel's lists, {} set right",
                counted(status.resyncs, "look", "looks"),
                counted(status.corrected, "socket", "sockets")
            ),
        ),
    ];
    if forgotten > 0 {
        let found = not_remembered(forgotten);
        let mend = format!("{}; {WITHOUT_MEMORY}", remembering(live.saturating_add(forgotten)));
        checks.push(Check::amiss("forgotten", Level::Bad, found, mend));
    }
    if status.dropped_readers > 0 {
        let found = match status.dropped_readers {
            1 => "1 reader of events was too slow: it missed events, and its stream reported how many".to_owned(),
            several => {
                format!(
                    "{several} readers of events were too slow: they missed events, and their streams reported how many"
                )
            }
        };
        checks.push(Check::amiss("readers", Level::Note, found, "let them filter: --proto, --port, --state, --netns"));
    }
    checks
}

/// The events that were lost: when, and until when sockets that closed then are missing from what `--recent` can list.
fn of_losses(status: &Status, now_ns: u64, larger: &str) -> Check {
    let (Past { since_ns, lost_ns, .. }, lost) = (status.past, status.lost);
    let Some(lost_ns) = lost_ns.filter(|_| lost > 0) else { return Check::ok("lost", "no event") };
    let (last, ago) = (local_time(lost_ns), span(now_ns.saturating_sub(lost_ns)));
    let when = match lost {
        1 => format!("1 event was lost at {last} ({ago} ago)"),
        _ => format!("{lost} events were lost, the last at {last} ({ago} ago)"),
    };
    let until_ns = lost_ns.saturating_add(status.keeps_ns);
    // What closed before is not listed any more, for its age or for want of room.
    if status.keeps_ns > 0 && until_ns < now_ns || since_ns > lost_ns {
        return Check::ok("lost", format!("{when}; --recent lists nothing of that time any more"));
    }
    let until = match status.keeps_ns {
        0 => String::new(),
        _ => format!(", until {}", local_time(until_ns)),
    };
    let lacks = format!(
        "{when}; the table is right since then, but --recent lacks sockets that opened and closed at that time{until}"
    );
    if status.is_buffer_short() {
        return Check::amiss("lost", Level::Bad, lacks, larger);
    }
    let found = format!(
        "{lacks}; the buffer had room: as a rule the kernel left out a program that ran already on the processor"
    );
    Check::amiss("lost", Level::Bad, found, "no option prevents this; the table is already right again")
}

/// How an agent gets an option, started by hand or as the service.
fn started_with(option: &str) -> String {
    format!("start the agent with {option}; the service netstat-user has its options in {SERVICE_OPTIONS}")
}

/// The same of an option that takes so many bytes of the kernel's memory, which count as the service's.
fn started_with_memory(option: &str, bytes: u64) -> String {
    match bytes > SERVICE_BYTES / 4 {
        false => started_with(option),
        true => {
            format!("{}, and needs a MemoryMax= above {} MiB then", started_with(option), (bytes + SERVICE_BYTES) >> 20)
        }
    }
}

/// What mends a buffer of so many bytes that is too small: one of four times the size, as far as there is one.
fn larger(bytes: u64, pid: u32) -> String {
    let most = u64::from(LARGEST_BUFFER);
    if bytes >= most {
        return format!(
            "there is no larger --buffer: give the agent more of the processors, so that it reads in time (renice -n -10 -p {pid}; \
             CPUWeight= of the service)"
        );
    }
    let larger = bytes.saturating_mul(4).clamp(1 << 20, most);
    started_with_memory(&format!("--buffer {}M", larger >> 20), larger)
}

/// What mends a table of sockets to remember that was full with so many.
fn remembering(sockets: u64) -> String {
    if sockets >= MOST_REMEMBERED.into() {
        return format!(
            "the kernel programs remember {MOST_REMEMBERED} sockets at most: let idle connections end sooner"
        );
    }
    let sockets = more(sockets);
    started_with_memory(&format!("--remember {sockets}"), sockets.saturating_mul(REMEMBERED_BYTES))
}

/// What else keeps the kernel programs from remembering a socket.
const WITHOUT_MEMORY: &str = "if there were fewer sockets than it remembers now, the kernel had no memory for them: raise MemoryMax= of the unit";

/// A number of sockets to remember that would be enough for so many, and half as many more.
fn more(sockets: u64) -> u64 {
    sockets.saturating_add(sockets / 2).clamp(1 << 20, MOST_REMEMBERED.into()).next_power_of_two()
}

/// What the kernel left out; `lost` is how many events were lost, `mend` what helps.
fn missed(Missed { alone, paired }: Missed, lost: u64, mend: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    if alone > 0 {
        let found = format!(
            "the kernel left out {}, as one ran already on the processor",
            counted(alone, "run of a program", "runs of programs")
        );
        checks.push(Check::amiss("missed", Level::Note, found, mend));
    }
    if paired > 0 {
        let lost = match lost {
            0 => "none was lost",
            _ => "some that all of them left out may be among the lost events",
        };
        let found = format!(
            "{} that others stand in for: these report what the kernel leaves out; {lost}",
            counted(paired, "run of a program", "runs of programs")
        );
        checks.push(Check::ok("missed_paired", found));
    }
    checks
}

/// The processes that the kernel shows to nobody, if there are any: that their sockets have no owner is not for want of rights.
fn shielded_processes() -> Option<Check> {
    if !shielded::may_look() {
        return None;
    }
    let denied = fds::denied_at(Path::new("/proc")).ok()?;
    let found = format!("{}; their sockets that are older than the tracer have no owner", shielded::words(&denied)?);
    let mend = "see what confines this process: cat /proc/self/attr/current, dmesg";
    Some(Check::amiss("shielded", Level::Note, found, mend))
}

/// Threads that `events` cannot do without: one that looks for holders, and one that writes to a pipe or a terminal.
const THREADS_OF_EVENTS: usize = 2;

/// Whether there is room for the threads of `events`; `None` where there is.
fn without_threads() -> Option<Check> {
    let scarce = Scarce::of(&sys::try_threads(THREADS_OF_EVENTS).err()?).unwrap_or(Scarce::Tasks);
    let found = format!("events cannot start: {}", scarce.words());
    Some(Check::amiss(scarce.name(), Level::Bad, found, AttachError::Scarce(scarce).mend()))
}

/// Attaches the programs for a moment.
fn trial(no_agent: Option<&AskError>) -> Report {
    // Before one of our own takes the room.
    let no_threads = without_threads();
    let _waiting = WaitNote::start("the kernel programs to be attached for a trial");
    let mut report = Report { checks: kernel::checks(), ..Report::default() };
    if place().pidns == 0 {
        report.checks.push(Check::amiss(
            "proc",
            Level::Bad,
            "/proc is not that of this PID namespace",
            "mount -t proc proc /proc",
        ));
    }
    let source = KernelSource::new(Path::new("/proc"), RowNeeds { lasting: true, ..RowNeeds::default() });
    source.prepare();
    report.checks.push(source.check());
    report.checks.push(closing::check(Path::new("/proc")));
    report.checks.extend(shielded_processes());
    let started = Tracer::start(&Wanted { ring_bytes: TRIAL_BUFFER, ..Wanted::default() });
    report.source = match &started {
        Ok(_) => "Hooks attached here for a moment",
        Err(AttachError::Capabilities(_)) => "No hook was attached: this user may not trace",
        Err(AttachError::TooOld(_)) => "No hook was attached: the kernel is too old",
        Err(_) => "No hook could be attached",
    }
    .into();
    match started {
        // The checks above name what is missing.
        Err(AttachError::Capabilities(_) | AttachError::TooOld(_)) => {}
        Ok(tracer) => {
            report.hooks = CoverageRows::from(tracer.coverage()).hooks.iter().map(hook).collect();
            report.programs = tracer.programs();
            report.checks.extend(tracer.stand_ins());
            let mend = "netstat-user events says how many events are lost, if any";
            report.checks.extend(missed(kernel::missed(&report.programs), tracer.lost().unwrap_or(0), mend));
        }
        Err(error) => {
            let name = error.scarce().map_or("tracing", Scarce::name);
            report.checks.push(Check::amiss(name, Level::Bad, error.to_string(), error.mend()));
        }
    }
    report.checks.extend(no_threads);
    if let Some(error) = no_agent {
        report.checks.push(no_answer(Path::new(SOCKET), error, Level::Note, ": --recent cannot be served"));
    }
    report
}

fn hook(row: &HookRow) -> HookFinding {
    let mend = if row.mend.is_empty() { "netstat-user events --debug shows the kernel's own words" } else { &row.mend };
    let attached = row.variant.as_deref();
    let instead = Hook::named(&row.hook)
        .zip(attached)
        .and_then(|(hook, attached)| hook.way_named(attached))
        .map(|way| way.instead);
    let is_worse = matches!(instead, Some(Instead::Worse(_)));
    let check = match &row.variant {
        Some(variant) if !row.failed.is_empty() => {
            let found = format!("{variant}, as {} failed", row.failed.join(" and "));
            Check::amiss(&row.hook, Level::Note, found, mend)
        }
        Some(variant) if is_worse && !row.denied.is_empty() => {
            let found = format!("{variant}, as the kernel denies {}", row.denied.join(" and "));
            Check::amiss(&row.hook, Level::Note, found, mend)
        }
        Some(variant) => Check::ok(&row.hook, variant.clone()),
        None => {
            let is_detail = Hook::named(&row.hook).is_none_or(|hook| hook.spec().weight == Weight::Detail);
            let level = if is_detail { Level::Note } else { Level::Bad };
            Check::amiss(&row.hook, level, format!("not traced: {}", row.without), mend)
        }
    };
    let effect = instead.map_or("", Instead::words);
    let refused = row.refused.iter().map(|(variant, cause)| RefusedVariant {
        variant: variant.clone(),
        cause: cause.clone(),
        failed: row.failed.contains(variant),
        effect: effect.into(),
    });
    HookFinding { check, variant: row.variant.clone(), refused: refused.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that is there is not to be started again, and what ran out here is not the agent's.
    #[test]
    fn what_is_known_of_a_silent_agent_is_said() {
        let path = Path::new("/x");
        let found = |error: io::Error| {
            let error = AskError::Io(error);
            let check = no_answer(path, &error, Level::Bad, "");
            (silence(&error), check.name, check.mend.unwrap_or_default())
        };
        let (source, name, mend) = found(io::ErrorKind::TimedOut.into());
        assert!(source.ends_with("in time") && name == "agent" && !mend.contains("as root"), "{mend}");
        let (source, name, mend) = found(io::Error::from_raw_os_error(libc::ENFILE));
        assert!(source.ends_with("be asked") && name == "open_files" && !mend.contains("as root"), "{mend}");
        let (source, name, mend) = found(io::ErrorKind::NotFound.into());
        assert!(source == "No agent answers" && name == "agent" && mend.starts_with("as root: "), "{mend}");
    }

    #[test]
    fn a_hook_is_essential_or_not_and_has_its_mend() {
        let row = |hook: &str, variant: Option<&str>, mend: &str, failed: &[&str]| HookRow {
            hook: hook.into(),
            without: "nothing".into(),
            variant: variant.map(Into::into),
            refused: vec![("tp_btf".to_owned(), "load: no".to_owned())],
            mend: mend.into(),
            failed: failed.iter().map(|&variant| variant.into()).collect(),
            denied: Vec::new(),
        };
        let found = |row: &HookRow| (hook(row).check.level, hook(row).check.mend);
        assert_eq!(found(&row("tcp_state", Some("raw_tp"), "", &[])), (Level::Ok, None));
        assert_eq!(found(&row("sock_create", None, "mount", &[])), (Level::Bad, Some("mount".into())));
        assert_eq!(found(&row("tcp_send_reset", None, "boot", &[])), (Level::Note, Some("boot".into())));
        let failed = row("tcp_state", Some("raw_tp"), "", &["tp_btf"]);
        assert_eq!(hook(&failed).check.found, "raw_tp, as tp_btf failed");
        assert!(matches!(found(&failed), (Level::Note, Some(mend)) if mend.contains("--debug")));
    }

    /// Events lack something, or cost more, because the kernel denies the better way: that is worth a note. A way that has all the same is not.
    #[test]
    fn what_the_kernel_denies_is_noted_where_it_matters() {
        let found = |name: &str, attached: &str, denied: &str| {
            let row = HookRow {
                hook: name.into(),
                without: String::new(),
                variant: Some(attached.into()),
                refused: vec![(denied.into(), "load: Operation not permitted".into())],
                mend: "see".into(),
                failed: Vec::new(),
                denied: vec![denied.into()],
            };
            let HookFinding { check, refused, .. } = hook(&row);
            (check.level, check.found, check.mend, refused[0].effect.contains("50 ns"))
        };
        let syscall = (Level::Note, "syscall, as the kernel denies fexit".into(), Some("see".into()), true);
        assert_eq!(found("accept", "syscall", "fexit"), syscall);
        assert_eq!(found("tcp_send_reset", "raw_tp", "tp_btf"), (Level::Ok, "raw_tp".into(), None, false));
        // What an agent of a later release has attached is not known here.
        assert_eq!(found("tcp_state", "other", "tp_btf"), (Level::Ok, "other".into(), None, false));
    }

    #[test]
    fn what_the_other_program_reports_is_not_amiss() {
        assert_eq!(missed(Missed::default(), 0, ""), Vec::new());
        let found = |alone, paired, lost| -> Vec<(Level, String)> {
            missed(Missed { alone, paired }, lost, "").into_iter().map(|check| (check.level, check.found)).collect()
        };
        let [(Level::Note, alone), (Level::Ok, paired)] = &found(2, 3, 0)[..] else { panic!("two findings") };
        assert!(alone.contains("left out 2 runs") && paired.starts_with("3 runs") && paired.ends_with("none was lost"));
        assert!(matches!(&found(0, 3, 1)[..], [(Level::Ok, paired)] if paired.ends_with("lost events")));
    }

    #[test]
    fn a_loss_is_bad_while_it_affects_an_answer() {
        const MINUTE: u64 = 60_000_000_000;
        let now = epoch_ns() + kernel_monotonic_ns();
        let found = |lost, ago_ns, since_ago_ns, keeps_ns| {
            let past = Past { lost_ns: Some(now - ago_ns), since_ns: now - since_ago_ns, lost, ..Past::default() };
            let check = of_losses(&Status { lost, past, keeps_ns, ..Status::default() }, now, "more");
            (check.level, check.found)
        };
        let (level, one) = found(1, 5 * MINUTE, 60 * MINUTE, 10 * MINUTE);
        let (lost, until) = (local_time(now - 5 * MINUTE), local_time(now + 5 * MINUTE));
        assert!(one.starts_with(&format!("1 event was lost at {lost} (5m00s ago); ")), "{one}");
        assert!(level == Level::Bad && one.contains(&format!(" at that time, until {until}; ")), "{one}");
        let (level, old) = found(7, 11 * MINUTE, 60 * MINUTE, 10 * MINUTE);
        assert!(level == Level::Ok && old.starts_with("7 events were lost, the last at "), "{old}");
        // The history does not reach back to it.
        assert_eq!(found(7, 5 * MINUTE, MINUTE, 10 * MINUTE).0, Level::Ok);
        // An agent of an earlier release does not say for how long it keeps them.
        assert_eq!(found(7, 50 * MINUTE, 60 * MINUTE, 0).0, Level::Bad);
    }

    #[test]
    fn what_the_agent_counted_is_judged() {
        let found = |status: &Status, name: &str| {
            of_status(status).into_iter().find(|check| check.name == name).map(|check| (check.level, check.mend))
        };
        let well = Status { buffer: 16 << 20, peak_fill: 1 << 20, ..Status::default() };
        assert!(of_status(&well).iter().all(|check| check.level == Level::Ok));
        let now = epoch_ns() + kernel_monotonic_ns();
        let lossy = Past { lost_ns: Some(now), lost: 3, ..Past::default() };
        let full = Status { lost: 3, past: lossy, peak_fill: 9 << 20, dropped_readers: 1, forgotten: 2, ..well };
        let started = |option: &str, memory: &str| {
            let service = "; the service netstat-user has its options in /etc/default/netstat-user";
            Some(format!("start the agent with {option}{service}{memory}"))
        };
        let larger = started("--buffer 64M", "");
        assert_eq!(found(&full, "lost"), Some((Level::Bad, larger.clone())));
        // What was lost while the buffer had room is no question of its size.
        let (level, mend) = found(&Status { peak_fill: 1 << 20, ..full.clone() }, "lost").unwrap();
        assert!(
            level == Level::Bad && mend.as_ref().is_some_and(|mend| mend.starts_with("no option prevents")),
            "{mend:?}"
        );
        assert_eq!(found(&full, "buffer"), Some((Level::Note, larger)));
        assert!(found(&full, "readers").is_some());
        let past = Past { crowded: true, most: 65_536, ..lossy };
        assert_eq!(
            found(&Status { past, ..full.clone() }, "recent"),
            Some((Level::Note, started("--recent-count 262144", "")))
        );
        let more = started("--remember 1048576", &format!("; {WITHOUT_MEMORY}"));
        assert_eq!(found(&full, "forgotten"), Some((Level::Bad, more)));
        assert_eq!((super::more(1_000_000), super::more(u64::MAX / 2)), (2_097_152, MOST_REMEMBERED.into()));
    }

    /// An agent that is started as `doctor` says is no mistake of its command line.
    #[test]
    fn every_mend_is_accepted() {
        let option = |mend: &str| {
            let words = mend.strip_prefix("start the agent with ").unwrap_or_else(|| panic!("{mend}"));
            let argv = ["netstat-user", "agent"].into_iter().chain(words.split(';').next().unwrap().split(' '));
            (
                crate::cli::parse(argv.map(Into::into), false).unwrap_or_else(|refusal| panic!("{mend}: {refusal:?}")),
                mend.to_owned(),
            )
        };
        for shift in 12..30 {
            option(&larger(1 << shift, 7));
        }
        let largest = larger(512 << 20, 7);
        assert!(
            largest.contains("--buffer 1024M;") && largest.ends_with("MemoryMax= above 2048 MiB then"),
            "{largest}"
        );
        assert!(larger(1 << 30, 7).contains("renice -n -10 -p 7"), "there is none beyond it");
        for sockets in [1, 5_000_000, 12_000_000, (1 << 24) - 1] {
            option(&remembering(sockets));
        }
        assert!(remembering(12_000_000).ends_with("MemoryMax= above 4224 MiB then"), "{}", remembering(12_000_000));
        assert!(!remembering(1 << 24).contains("--remember"), "there is none beyond it");
    }
}
