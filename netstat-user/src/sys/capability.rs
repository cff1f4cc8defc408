//! The capabilities that tracing and looking up owners take: each with its name, and what each is for.

use rustix::thread::CapabilitySet;

/// One of capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// As setcap(8) and systemd.exec(5) call it, in lower case.
    pub name: &'static str,
    /// The set of it alone.
    pub set: CapabilitySet,
}

impl Capability {
    /// To load programs.
    pub const BPF: Self = Self { name: "cap_bpf", set: CapabilitySet::BPF };
    /// To attach them, and to read the kernel's memory in them.
    pub const PERFMON: Self = Self { name: "cap_perfmon", set: CapabilitySet::PERFMON };
    /// To attach them to cgroups, and to close sockets.
    pub const NET_ADMIN: Self = Self { name: "cap_net_admin", set: CapabilitySet::NET_ADMIN };
    /// To look into the processes of other users.
    pub const SYS_PTRACE: Self = Self { name: "cap_sys_ptrace", set: CapabilitySet::SYS_PTRACE };
    /// To list their descriptors.
    pub const DAC_READ_SEARCH: Self = Self { name: "cap_dac_read_search", set: CapabilitySet::DAC_READ_SEARCH };
    /// To enter network namespaces.
    pub const SYS_ADMIN: Self = Self { name: "cap_sys_admin", set: CapabilitySet::SYS_ADMIN };

    /// Those that loading and attaching take.
    pub const TO_TRACE: [Self; 3] = [Self::BPF, Self::PERFMON, Self::NET_ADMIN];
    /// Those that the owners of other users' sockets take, where the sockets are older than the tracer.
    pub const TO_FIND_OWNERS: [Self; 2] = [Self::SYS_PTRACE, Self::DAC_READ_SEARCH];

    /// Whether it is among those that are `held`.
    pub const fn is_in(self, held: CapabilitySet) -> bool {
        held.contains(self.set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_as_the_kernel_names_it() {
        for capability in [&Capability::TO_TRACE[..], &Capability::TO_FIND_OWNERS, &[Capability::SYS_ADMIN]].concat() {
            let names: Vec<_> = capability.set.iter_names().map(|(name, _)| name.to_lowercase()).collect();
            assert_eq!(names, [capability.name.trim_start_matches("cap_")]);
        }
    }
}
