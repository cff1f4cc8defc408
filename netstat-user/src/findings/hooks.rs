//! How the hooks of a tracer are, and its programs.

use crate::kernel::{self, Hook, Instead, Missed, Weight};
use crate::model::{Check, Level};
use crate::query::HookRow;
use crate::view::doctor::{HookFinding, RefusedVariant};
use crate::view::text::counted;

/// What the kernel left out; `lost` is how many events were lost, `mend` what helps.
pub fn missed(Missed { alone, paired }: Missed, lost: u64, mend: &str) -> Vec<Check> {
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

/// How one hook is, and what helps where it is not well.
pub fn hook(row: &HookRow) -> HookFinding {
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
            let is_detail = kernel::weight(&row.hook).is_none_or(|weight| weight == Weight::Detail);
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
}
