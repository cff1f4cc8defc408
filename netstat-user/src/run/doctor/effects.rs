//! What it means that a better variant of a hook was refused: which events suffer, and what the one in its place costs.

/// In words for the reader. `attached` is the variant in its place.
pub fn of(hook: &str, refused: &str, attached: &str) -> String {
    match (hook, refused, attached) {
        ("accept", _, "syscall") => "accept(2) is seen at the return of the system call, which costs every system call of the machine some 50 ns. \
             Where programs ask for the peer's address it is taken away, and attached again when one does not ask: connections of that \
             moment may have the owner of their listener, or another process that holds them"
            .into(),
        ("accept", _, "fexit4") => "nothing: this is the same function as another kernel declares it".into(),
        ("tcp_state", "tp_btf", "raw_tp" | "tracepoint") => {
            format!("{attached} reports the same transitions, but accepted connections have no cookie until they close")
        }
        ("tcp_state", _, "fentry") => {
            "fentry does not see a socket begin to listen, nor a connection come in: those states are missing".into()
        }
        ("tcp_state", _, "kprobe") => "kprobe does not see a socket begin to listen, nor a connection come in, accepted connections have no \
             cookie until they close, and each transition costs a breakpoint"
            .into(),
        ("tcp_state", _, _) => format!("{attached} reports the same transitions"),
        ("sock_create", _, _) => format!("{attached} reports the same events"),
        ("tcp_destroy_sock", _, "tracepoint") => {
            "tracepoint reports the same closes, each at a higher cost, and needs tracefs".into()
        }
        _ => format!("{attached} is in its place, and reports the same"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replacement_has_its_meaning() {
        use crate::kernel::Hook;
        for hook in Hook::ALL {
            let ways = hook.ways();
            for (at, attached) in ways.iter().enumerate() {
                for refused in &ways[..at] {
                    let effect = of(hook.name(), refused.variant.name(), attached.variant.name());
                    assert!(!effect.is_empty() && !effect.ends_with('.'), "{effect}");
                }
            }
        }
        assert!(of("accept", "fexit", "syscall").contains("50 ns"));
        assert!(of("tcp_state", "tp_btf", "raw_tp").contains("cookie"));
    }
}
