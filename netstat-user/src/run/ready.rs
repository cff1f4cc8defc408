//! The line that scripts wait for, which hooks are attached, and how a run ends that lost events.

use crate::model::{Coverage, Refused};
use crate::stdio::complain;
use std::io::{self, Write};

/// Exit code of a run that lost events, with `--strict`.
pub const LOST: u8 = 3;

/// Says which hooks are attached, in one line, and which are not and why, in one line each.
pub fn report(coverage: &Coverage) {
    let mut ready = String::from("tracing:");
    for hook in &coverage.hooks {
        match hook.variant {
            Some(variant) => {
                let failed = hook.refused.iter().filter(|refused| refused.failed);
                if failed.clone().next().is_some() {
                    complain(&format!("{} is traced by {variant} only: {}", hook.hook, causes(failed)));
                }
                ready.push_str(&format!(" {}={variant}", hook.hook));
            }
            None => {
                let causes = causes(hook.refused.iter());
                complain(&format!("{} is not traced ({}): {causes}", hook.hook, hook.without));
                ready.push_str(&format!(" {}=none", hook.hook));
            }
        }
    }
    ready.push_str(&outside(coverage.cgroup_namespace));
    let _ = writeln!(io::stderr(), "{ready}");
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
