//! The paths are those that the runtimes and managers write, as they stand in their documentation, in bug reports and in the test data
//! of public projects; ids are made up where those had none of full length.

use super::*;
use proptest::prelude::*;

/// Ids of containers, by letter.
fn id(letter: char) -> String {
    let ids = [
        ('a', "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"),
        ('b', "cb1eadb7abe3a6545e9856411207073277838e1bdc003337c2f8685faeedc32c"),
        ('c', "f52987fbdcc7b29175fb52e01c7917e9d6d2e14550e3a2a7abf739da5a067e31"),
    ];
    ids.iter().find(|(name, _)| *name == letter).unwrap().1.to_owned()
}

const UID: &str = "73dc8baf-43a0-413e-aac2-5eb0868f6c1a";
const STATIC: &str = "b53dfa9e2dc9b890f7fadb2770857b03";

/// Path, unit, container, pod.
type Shape = (&'static str, Option<&'static str>, Option<char>, Option<&'static str>);

/// Every shape. `{a}` to `{c}` stand for ids, `{u}` for a pod's uid, `{s}` for the same with `_`, `{h}` for a static
/// pod's. A container is given by its letter.
#[rustfmt::skip]
const PATHS: &[Shape] = &[
    // No runtime at all.
    ("/", None, None, None),
    ("/init.scope", Some("init.scope"), None, None),
    ("/system.slice", None, None, None),
    ("/system.slice/nginx.service", Some("nginx.service"), None, None),
    // A name that ends as the kernel marks what was removed: anybody's, in a cgroup of theirs.
    ("/user.slice/user-1000.slice/user@1000.service/nginx.service (deleted)", Some("user@1000.service"), None, None),
    ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service"), None, None),
    ("/system.slice/system-postgresql.slice/postgresql@16-main.service", Some("postgresql@16-main.service"), None, None),
    ("/system.slice/systemd-udevd.service/udev", Some("systemd-udevd.service"), None, None),
    ("/system.slice/cups.socket", Some("cups.socket"), None, None),
    ("/system.slice/dev-hugepages.mount", Some("dev-hugepages.mount"), None, None),
    ("/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope"), None, None),
    ("/user.slice/user-1000.slice/user@1000.service/init.scope", Some("init.scope"), None, None),
    ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-5a1b.scope",
        Some("vte-spawn-5a1b.scope"), None, None),
    ("/user.slice/user-1000.slice/user@1000.service/session.slice/pipewire.service", Some("pipewire.service"), None, None),
    ("/user.slice/user-1000.slice/user@1000.service", Some("user@1000.service"), None, None),
    // Escaped by systemd: in the unit's own name, which stays as systemctl wants it, and by cg_escape, which goes.
    ("/machine.slice/machine-qemu\\x2d6\\x2dvm1.scope/libvirt/emulator", Some("machine-qemu\\x2d6\\x2dvm1.scope"), None, None),
    ("/system.slice/_cpu.service", Some("cpu.service"), None, None),
    ("/system.slice/__mine.service", Some("_mine.service"), None, None),
    // Upstart and the first systemd had other names.
    ("/user/1000.user/c2.session", None, None, None),
    // What only looks like a unit.
    ("/.service", None, None, None),
    ("/two words.service", None, None, None),
    // docker: cgroupfs and systemd drivers, another parent, rootless, and what is in no container.
    ("/docker/{a}", None, Some('a'), None),
    ("/{a}", None, Some('a'), None),
    ("/tenants/blue/{a}", None, Some('a'), None),
    ("/system.slice/docker-{a}.scope", Some("docker-{a}.scope"), Some('a'), None),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{a}.scope", Some("docker-{a}.scope"), Some('a'), None),
    ("/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service", Some("docker.service"), None, None),
    ("/system.slice/docker.service", Some("docker.service"), None, None),
    ("/system.slice/var-lib-docker-containers-{a}-mounts-shm.mount", Some("var-lib-docker-containers-{a}-mounts-shm.mount"), None, None),
    ("/docker/buildkit/xk5jvrwtyn1dlbamqpz4h8sue", None, None, None),
    // docker on ECS.
    ("/ecs/prod/5d5d4c3a-3a41-4f5e-8f0a-a5e1c1a5b9d2/{a}", None, Some('a'), None),
    ("/ecstasks.slice/ecstasks-5d5d4c3a3a414f5e8f0aa5e1c1a5b9d2.slice/docker-{a}.scope", Some("docker-{a}.scope"), Some('a'), None),
    ("/ecs/55091c13b8cf4801b527f8601742204d/55091c13b8cf4801b527f8601742204d-432624753", None, None, None),
    // containerd by ctr and nerdctl.
    ("/default/{a}", None, Some('a'), None),
    ("/system.slice/nerdctl-{a}.scope", Some("nerdctl-{a}.scope"), Some('a'), None),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-{a}.scope", Some("nerdctl-{a}.scope"), Some('a'), None),
    ("/system.slice/containerd.service", Some("containerd.service"), None, None),
    // podman: systemd and cgroupfs, with crun's own level, rootless, in a pod, as a service (cgroups=split), and conmon.
    ("/machine.slice/libpod-{a}.scope", Some("libpod-{a}.scope"), Some('a'), None),
    ("/machine.slice/libpod-{a}.scope/container", Some("libpod-{a}.scope"), Some('a'), None),
    ("/libpod_parent/libpod-{a}", None, Some('a'), None),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{a}.scope/container", Some("libpod-{a}.scope"), Some('a'), None),
    ("/machine.slice/machine-libpod_pod_{b}.slice/libpod-{a}.scope/container", Some("libpod-{a}.scope"), Some('a'), None),
    ("/machine.slice/machine-libpod_pod_{b}.slice", None, None, None),
    ("/system.slice/nginx.service/libpod-payload-{a}", Some("nginx.service"), Some('a'), None),
    ("/system.slice/nginx.service/runtime", Some("nginx.service"), None, None),
    ("/user.slice/user-1001.slice/user@1001.service/app.slice/caddy.service/libpod-payload-{a}", Some("caddy.service"), Some('a'), None),
    ("/machine.slice/libpod-conmon-{a}.scope", Some("libpod-conmon-{a}.scope"), None, None),
    ("/libpod_parent/conmon", None, None, None),
    ("/system.slice/{a}.service", Some("{a}.service"), None, None),
    // systemd-nspawn and other machines.
    ("/machine.slice/machine-web.scope/payload/system.slice/sshd.service", Some("sshd.service"), None, None),
    ("/machine.slice/machine-web.scope", Some("machine-web.scope"), None, None),
    ("/machine.slice/systemd-nspawn@web.service/payload/init.scope", Some("init.scope"), None, None),
    ("/machine.slice/systemd-nspawn@web.service/supervisor", Some("systemd-nspawn@web.service"), None, None),
    // LXC, as it was and is, and as Proxmox and LXD have it.
    ("/lxc.payload.web", None, None, None),
    ("/lxc.payload.web/system.slice/nginx.service", Some("nginx.service"), None, None),
    ("/lxc.payload/web/init.scope", Some("init.scope"), None, None),
    ("/lxc.monitor.web", None, None, None),
    ("/lxc/web", None, None, None),
    ("/lxc/101/ns/system.slice/ssh.service", Some("ssh.service"), None, None),
    // kubelet with the systemd driver: the three classes, each runtime, sandboxes and conmon.
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{s}.slice/cri-containerd-{a}.scope",
        Some("cri-containerd-{a}.scope"), Some('a'), Some(UID)),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{s}.slice/docker-{a}.scope",
        Some("docker-{a}.scope"), Some('a'), Some(UID)),
    ("/kubepods.slice/kubepods-pod{s}.slice/crio-{a}.scope/container", Some("crio-{a}.scope"), Some('a'), Some(UID)),
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{s}.slice/crio-{a}.scope",
        Some("crio-{a}.scope"), Some('a'), Some(UID)),
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{s}.slice/crio-conmon-{a}.scope",
        Some("crio-conmon-{a}.scope"), None, Some(UID)),
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{s}.slice", None, None, Some(UID)),
    ("/kubepods.slice/kubepods-burstable.slice", None, None, None),
    ("/kubepods.slice/kubepods-pod{h}.slice/cri-containerd-{a}.scope", Some("cri-containerd-{a}.scope"), Some('a'), Some(STATIC)),
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{s}.slice/libpod-{a}.scope",
        Some("libpod-{a}.scope"), Some('a'), Some(UID)),
    // kubelet with the systemd driver where containerd has the other one, as of k3s.
    ("/system.slice/containerd.service/kubepods-burstable-pod{s}.slice:cri-containerd:{a}",
        Some("containerd.service"), Some('a'), Some(UID)),
    ("/kubepods-besteffort-pod{s}.slice:cri-containerd:{a}", None, Some('a'), Some(UID)),
    ("/system.slice/k3s.service/kubepods-pod{s}.slice:crio:{a}", Some("k3s.service"), Some('a'), Some(UID)),
    // kubelet with the cgroupfs driver.
    ("/kubepods/burstable/pod{u}/{a}", None, Some('a'), Some(UID)),
    ("/kubepods/besteffort/pod{u}/{a}/kube-proxy", None, Some('a'), Some(UID)),
    ("/kubepods/pod{u}/{a}", None, Some('a'), Some(UID)),
    ("/kubepods/pod{u}", None, None, Some(UID)),
    ("/kubepods/pod{h}/{a}", None, Some('a'), Some(STATIC)),
    ("/kubepods/burstable/pod{u}/crio-{a}", None, Some('a'), Some(UID)),
    ("/kubepods/burstable/pod{u}/crio-conmon-{a}", None, None, Some(UID)),
    ("/pod{h}", None, None, None),
    // kind and minikube: the node is a container itself.
    ("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{s}.slice/cri-containerd-{a}.scope",
        Some("cri-containerd-{a}.scope"), Some('a'), Some(UID)),
    ("/docker/{b}/kubelet/kubepods/burstable/pod{u}/{a}", None, Some('a'), Some(UID)),
    ("/system.slice/docker-{b}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{s}.slice/cri-containerd-{a}.scope",
        Some("cri-containerd-{a}.scope"), Some('a'), Some(UID)),
    ("/docker/{b}/system.slice/kubelet.service", Some("kubelet.service"), Some('b'), None),
    // Nested: docker in docker, docker in a pod, systemd in a container, podman's conmon in a container.
    ("/docker/{b}/docker/{a}", None, Some('a'), None),
    ("/kubepods/besteffort/pod{u}/{b}/docker/{a}", None, Some('a'), Some(UID)),
    ("/system.slice/docker-{a}.scope/system.slice/nginx.service", Some("nginx.service"), Some('a'), None),
    ("/system.slice/docker-{a}.scope/init.scope", Some("init.scope"), Some('a'), None),
    ("/docker/{a}/machine.slice/libpod-conmon-{c}.scope", Some("libpod-conmon-{c}.scope"), Some('a'), None),
    // As seen from another cgroup namespace.
    ("/../../pod{u}/{a}", None, Some('a'), Some(UID)),
    ("/../crio-{a}.scope", Some("crio-{a}.scope"), Some('a'), None),
    ("/../../../system.slice/ssh.service", Some("ssh.service"), None, None),
    // What only looks like an id.
    ("/docker/{a}{b}", None, None, None),
    ("/docker/x{a}", None, None, None),
    ("/docker/9EC39B91F3D70E1BEFF50A308F77067065EA6BE0D91A3378375056CD4422CF3D", None, None, None),
    ("/docker/9ec39b91f3d7", None, None, None),
    ("/kubepods/pod73dc8baf-43a0-413e-aac2-5eb0868f6c1/{a}", None, Some('a'), None),
];

fn fill(text: &str) -> String {
    let filled = ['a', 'b', 'c']
        .iter()
        .fold(text.to_owned(), |text, &letter| text.replace(&format!("{{{letter}}}"), &id(letter)));
    filled.replace("{u}", UID).replace("{s}", &UID.replace('-', "_")).replace("{h}", STATIC)
}

#[test]
fn every_shape_of_path() {
    for &(path, unit, container, pod) in PATHS {
        let path = fill(path);
        let found = recognise(Some(path.as_bytes()), [path.as_bytes()].into_iter());
        let wanted = Workload {
            cgroup: Some(path.clone().into_bytes()),
            unit: unit.map(|unit| fill(unit).into_bytes()),
            container: container.map(id),
            pod: pod.map(str::to_owned),
        };
        assert_eq!(found, wanted, "{path}");
    }
}

#[test]
fn each_fact_comes_from_the_first_path_that_has_it() {
    // docker on a host with both versions: the daemon's service in the unified hierarchy, the container in those of version 1.
    let (systemd, unified) = (fill("/docker/{a}"), "/system.slice/containerd.service".to_owned());
    let memory = fill("/docker/{b}");
    let paths = [systemd.as_bytes(), unified.as_bytes(), memory.as_bytes()];
    let found = recognise(Some(unified.as_bytes()), paths.into_iter());
    assert_eq!(found.container, Some(id('a')));
    assert_eq!(found.unit.as_deref(), Some(b"containerd.service".as_slice()));
    assert_eq!(found.cgroup.as_deref(), Some(unified.as_bytes()));
    assert_eq!(recognise(None, std::iter::empty()), Workload::default());
}

proptest! {
    #[test]
    fn any_bytes_are_a_path(path in proptest::collection::vec(any::<u8>(), 0..300)) {
        let found = recognise(Some(&path), [path.as_slice()].into_iter());
        prop_assert!(found.container.is_none_or(|id| id.len() == 64 && path.windows(64).any(|part| part == id.as_bytes())));
    }
}
