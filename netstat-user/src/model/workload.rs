//! What a process runs as part of.

/// What a process runs as part of, as its cgroup names it. What the cgroup does not name is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Path of the cgroup in the unified hierarchy, with its leading slash; where there is none, in the hierarchy of systemd or of a
    /// controller of version 1.
    pub cgroup: Option<Vec<u8>>,
    /// Name of the systemd unit as `systemctl` takes it: the innermost service, scope, socket, mount or swap.
    pub unit: Option<Vec<u8>>,
    /// Id of the innermost container: 64 hexadecimal digits.
    pub container: Option<String>,
    /// Uid of the innermost Kubernetes pod, with dashes: 8-4-4-4-12 hexadecimal digits, or the 32 of a pod from a file on the node.
    pub pod: Option<String>,
}
