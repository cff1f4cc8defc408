//! The kernel's BTF: walked or refused, and asked for what the attach plan asks.

use netstat_user::kernel::btf::Btf;

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(blob: &[u8]) {
    let Ok(btf) = Btf::parse(blob, &|_| true) else { return };
    assert!(Btf::parse(&btf.named_alone(), &|_| true).is_ok());
    for (strukt, member) in [("sock", "sk_family"), ("sock", "__sk_common"), ("s", "m"), ("inet_sock", "inet_sport")] {
        let _ = btf.member(strukt, member);
    }
    for name in ["inet_sock_set_state", "tcp_set_state", "f", ""] {
        btf.tracepoint_args(name);
        btf.function_args(name);
    }
}
