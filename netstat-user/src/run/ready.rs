//! The line that scripts wait for, which hooks are attached, and how a run ends that lost events.

use crate::model::visible::escape_lines;
use crate::model::{Coverage, RefusalKind, Refused};
use crate::stdio::{complain, lines};
use crate::sys;
use crate::view::text::counted;
use std::io::{self, IsTerminal};

/// Exit code of a run that lost events, with `--strict`.
pub const LOST: u8 = 3;

/// What lacks without a /proc, and what mends it.
const NO_PROC: &str = "/proc is not mounted, or not that of this PID namespace: sockets older than the tracer have no owner, and \
                       containers and units may be missing; mount it: mount -t proc proc /proc";

/// Says that there is no /proc, if there is none; `who` begins the line.
pub fn report_proc(who: &str) {
    if sys::own_namespace("pid") == 0 {
        complain(&format!("{who}{NO_PROC}"));
    }
}

/// Says which hooks are attached, in one line, and which are not and why, in one line each. `whole`: names every hook also to a person.
pub fn report(coverage: &Coverage, whole: bool) {
    for hook in &coverage.hooks {
        match hook.variant {
            Some(variant) => {
                let failed = hook.refused.iter().filter(|refused| refused.kind == RefusalKind::Failed);
                if failed.clone().next().is_some() {
                    complain(&format!("{} is traced by {variant} only: {}", hook.hook, causes(failed)));
                }
            }
            None => {
                let causes = causes(hook.refused.iter());
                complain(&format!("{} is not traced ({}): {causes}", hook.hook, hook.without));
            }
        }
    }
    let hooks = coverage.hooks.iter().map(|hook| (hook.hook, hook.variant)).collect::<Vec<_>>();
    report_ready(&hooks, whole, &outside(coverage.cgroup_namespace));
}

/// Writes the line that scripts wait for: every hook with the variant that is attached, if one is, and what else there is to say. On a terminal
/// the hooks are only counted, unless the line is to be `whole`.
pub fn report_ready(hooks: &[(&str, Option<&str>)], whole: bool, rest: &str) {
    let named = if whole || !io::stderr().is_terminal() { named(hooks) } else { counts(hooks) };
    lines::say(format!("tracing:{named}{}\n", escape_lines(rest)).as_bytes());
}

fn named(hooks: &[(&str, Option<&str>)]) -> String {
    hooks.iter().map(|(hook, variant)| format!(" {hook}={}", variant.unwrap_or("none"))).collect()
}

fn counts(hooks: &[(&str, Option<&str>)]) -> String {
    let missing: Vec<&str> = hooks.iter().filter(|(_, variant)| variant.is_none()).map(|(hook, _)| *hook).collect();
    match &missing[..] {
        [] => format!(" {}, all attached", counted(hooks.len() as u64, "hook", "hooks")),
        _ => format!(" {} of {} hooks, without {}", hooks.len() - missing.len(), hooks.len(), missing.join(" ")),
    }
}

/// Variants with the causes of their refusals.
fn causes<'a>(refused: impl Iterator<Item = &'a Refused>) -> String {
    refused.map(|refused| format!("{}: {}", refused.variant, refused.cause)).collect::<Vec<_>>().join("; ")
}

/// What is not seen beyond a cgroup namespace, as it stands at the end of the line that says what is traced.
pub fn outside(cgroup_namespace: Option<u32>) -> String {
    cgroup_namespace.map_or_else(String::new, |inode| {
        let name = if inode == 0 { String::new() } else { format!(" {inode}") };
        format!("; outside cgroup namespace{name}: {}, see netstat-user doctor", Coverage::OUTSIDE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_named_for_scripts_and_counted_for_people() {
        let all = [("tcp_state", Some("tp_btf")), ("accept", Some("syscall"))];
        let lacking = [("tcp_state", Some("tp_btf")), ("accept", None), ("connect4", None)];
        assert_eq!(
            (named(&all), counts(&all)),
            (" tcp_state=tp_btf accept=syscall".into(), " 2 hooks, all attached".into())
        );
        assert_eq!(named(&lacking), " tcp_state=tp_btf accept=none connect4=none");
        assert_eq!(counts(&lacking), " 1 of 3 hooks, without accept connect4");
    }
}
