//! Recognises units, containers and pods in the paths of cgroups.
//!
//! Every runtime and manager names cgroups in its own way, and they nest: docker in a pod, systemd in a container, a pod in a node that
//! is a container itself. The innermost of each kind is the answer, since the outer ones can still be read in the path. A process
//! that a runtime keeps beside a container (conmon of podman and CRI-O) is in no container.

use crate::model::Workload;

/// Hexadecimal digits of a container's id.
const ID: usize = 64;

/// What a process with these cgroup paths runs as part of. `cgroup` is the path to report; `paths` are looked through in their order,
/// and each fact is taken from the first path that has it.
pub fn recognise<'a>(cgroup: Option<&[u8]>, paths: impl Iterator<Item = &'a [u8]> + Clone) -> Workload {
    Workload {
        cgroup: cgroup.map(<[u8]>::to_vec),
        unit: paths.clone().find_map(unit),
        container: paths.clone().find_map(container),
        pod: paths.clone().find_map(pod),
    }
}

/// The names along a path, innermost first.
fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

/// The innermost unit that can have processes of its own. A slice has none.
fn unit(path: &[u8]) -> Option<Vec<u8>> {
    names(path).map(unescape).find(|name| is_unit(name)).map(<[u8]>::to_vec)
}

/// The name of a unit whose cgroup has this name: systemd puts `_` before a name that is also one of the kernel's files, or begins
/// with `_` itself (`cg_escape`).
fn unescape(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"_").unwrap_or(name)
}

fn is_unit(name: &[u8]) -> bool {
    const KINDS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(byte);
    let stem = KINDS.iter().find_map(|kind| name.strip_suffix(*kind));
    stem.is_some_and(|stem| !stem.is_empty()) && name.len() < 256 && name.iter().all(valid)
}

/// The innermost container.
fn container(path: &[u8]) -> Option<String> {
    names(path).find_map(container_id)
}

/// The id in a name: `ID`, `RUNTIME-ID`, either as a scope, or `SLICE:RUNTIME:ID`.
fn container_id(name: &[u8]) -> Option<String> {
    let name = name.strip_suffix(b".scope").unwrap_or(name);
    let (runtime, id) = name.split_at(name.len().checked_sub(ID)?);
    let separate = runtime.last().is_none_or(|last| b"-:".contains(last));
    let is_id = id.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let beside = runtime.ends_with(b"conmon-") || runtime.ends_with(b"conmon:");
    if !separate || !is_id || beside {
        return None;
    }
    String::from_utf8(id.to_vec()).ok()
}

/// The innermost Kubernetes pod.
fn pod(path: &[u8]) -> Option<String> {
    let below_kubelet = path.windows(8).any(|part| part == b"kubepods");
    names(path).find_map(|name| pod_uid(name, below_kubelet))
}

/// The uid in a name: `podUID`, or `kubepods-…-podUID.slice` with `_` for `-`, and maybe `:RUNTIME:ID` after it.
fn pod_uid(name: &[u8], below_kubelet: bool) -> Option<String> {
    let slice = name.split(|&byte| byte == b':').next().and_then(|name| name.strip_suffix(b".slice"));
    let uid = match slice {
        Some(slice) if below_kubelet => &slice[slice.windows(4).rposition(|part| part == b"-pod")? + 4..],
        Some(_) => return None,
        None => name.strip_prefix(b"pod")?,
    };
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    let whole = match uid.len() {
        36 => uid.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => b"-_".contains(byte),
            _ => byte.is_ascii_hexdigit(),
        }),
        // A hash: the pod is from a file on the node. The name alone could be anybody's.
        32 => below_kubelet && digits(uid),
        _ => false,
    };
    whole.then(|| uid.iter().map(|&byte| if byte == b'_' { '-' } else { char::from(byte) }).collect())
}

#[cfg(test)]
mod tests;
