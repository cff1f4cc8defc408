//! What stands in the objects' `BPF_CALL` instructions for functions of the kernel that only its BTF numbers: user space puts those numbers in
//! their place before load.

/// `bpf_preempt_disable`, since 6.10.
pub const PREEMPT_DISABLE: u32 = 0x6e73_7501;
/// `bpf_preempt_enable`.
pub const PREEMPT_ENABLE: u32 = 0x6e73_7502;
/// `bpf_local_irq_save`, since 6.14.
pub const LOCAL_IRQ_SAVE: u32 = 0x6e73_7503;
/// `bpf_local_irq_restore`.
pub const LOCAL_IRQ_RESTORE: u32 = 0x6e73_7504;
/// Those that the tracer calls, with their names.
pub const ALL: [(u32, &str); 4] = [
    (PREEMPT_DISABLE, "bpf_preempt_disable"),
    (PREEMPT_ENABLE, "bpf_preempt_enable"),
    (LOCAL_IRQ_SAVE, "bpf_local_irq_save"),
    (LOCAL_IRQ_RESTORE, "bpf_local_irq_restore"),
];

/// What closes a socket, since 6.5, with its name. Only the iterators over sockets may call it.
pub const SOCK_DESTROY: (u32, &str) = (0x6e73_7505, "bpf_sock_destroy");
