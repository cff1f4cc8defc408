//! Owners of the sockets that are older than the tracer: an iterator over all open files, run once.

use super::iter;
use crate::model::HookCoverage;
use aya::{Btf, Ebpf};

/// Name of the hook in the coverage.
pub const HOOK: &str = "older_sockets";
const PROGRAM: &str = "prime_task_file";

/// Runs the iterator. Attach the other hooks first: a socket made meanwhile is known to them.
pub fn prime(ebpf: &mut Ebpf, btf: Option<&Btf>) -> HookCoverage {
    let primed = iter::load(ebpf, PROGRAM, "task_file", btf).and_then(|()| iter::walk(ebpf, PROGRAM));
    HookCoverage {
        hook: HOOK,
        without: "owners of sockets older than the tracer come from /proc only",
        variant: primed.is_ok().then_some("iter"),
        refused: primed.err().map(|refusal| ("iter", refusal.to_string())).into_iter().collect(),
    }
}
