//! The type that the programs expect of each kernel field. A member with the right name and another type counts as absent.
//!
//! An offset alone does not distinguish them: from Linux 5.18 to 6.0 `netns_ipv4.tcp_death_row` is a pointer, before and after the struct itself;
//! without `CONFIG_NET_NS` `sock_common.skc_net` is an empty struct, at the offset of what follows it.

use super::btf::{Btf, TypeShape};

/// What a field must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WantedType {
    /// A number of just so many bytes.
    Number(u32),
    /// A number of at least so many bytes, of which the programs read the lowest.
    Low(u32),
    /// A pointer.
    Pointer,
    /// A struct or a union of at least so many bytes.
    Compound(u32),
    /// An array of at least so many elements.
    Array(u32),
}

/// A field, as the kernel's types have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundMember {
    /// There, at this offset in bytes, and as the programs know it.
    At(u32),
    /// There, but of another type than the programs expect.
    Other,
    /// Not there.
    Absent,
}

/// Looks a field up.
pub fn find(btf: &Btf<'_>, strukt: &str, member: &str) -> FoundMember {
    let Some((offset, shape)) = btf.member(strukt, member) else { return FoundMember::Absent };
    match wanted(strukt, member).is_none_or(|wanted| wanted.is(shape)) {
        true => FoundMember::At(offset),
        false => FoundMember::Other,
    }
}

impl WantedType {
    const fn is(self, shape: TypeShape) -> bool {
        match (self, shape) {
            (Self::Number(wanted), TypeShape::Number(bytes)) => bytes == wanted,
            (Self::Low(wanted), TypeShape::Number(bytes)) => bytes >= wanted,
            (Self::Compound(wanted), TypeShape::Compound(bytes)) => bytes >= wanted,
            (Self::Array(wanted), TypeShape::Array(elements)) => elements >= wanted,
            (Self::Pointer, TypeShape::Pointer) => true,
            _ => false,
        }
    }
}

/// Members of a struct, and what the programs read at each.
type WantedMembers = (&'static str, &'static [&'static str], WantedType);

/// What each field must be: a row for each field of `netstat_ebpf::Field`, and for no other.
const WANTED: [WantedMembers; 77] = {
    use WantedType::{Array, Compound, Low, Number, Pointer};
    [
        ("sock_common", &["skc_daddr", "skc_rcv_saddr", "skc_hash"], Number(4)),
        ("sock_common", &["skc_dport", "skc_num", "skc_family"], Number(2)),
        ("sock_common", &["skc_state"], Number(1)),
        ("sock_common", &["skc_flags"], Number(8)),
        // `possible_net_t`, `atomic64_t`: each a struct of one word.
        ("sock_common", &["skc_net", "skc_cookie"], Compound(8)),
        ("sock_common", &["skc_v6_daddr", "skc_v6_rcv_saddr", "skc_nulls_node", "skc_node"], Compound(16)),
        ("sock_common", &["skc_listener"], Pointer),
        ("sock", &["sk_protocol", "sk_type"], Number(2)),
        ("sock", &["sk_err", "sk_ack_backlog"], Number(4)),
        ("sock", &["sk_shutdown"], Number(1)),
        ("sock", &["sk_ino"], Number(8)),
        // `kuid_t`, `refcount_t`, `atomic_t`: each a struct of one number.
        ("sock", &["sk_uid", "sk_wmem_alloc", "sk_backlog.rmem_alloc"], Compound(4)),
        ("sock", &["sk_lock.slock"], Compound(4)),
        ("sock", &["sk_lock.owned"], Number(4)),
        ("sock", &["sk_backlog.head"], Pointer),
        ("sock", &["sk_timer", "tcp_retransmit_timer"], Compound(24)),
        ("sock", &["sk_socket"], Pointer),
        ("sk_buff", &["next"], Pointer),
        ("sk_buff", &["cb"], Array(48)),
        // Of two bytes since Linux 6.15.
        ("tcp_skb_cb", &["tcp_flags"], Low(1)),
        ("socket", &["file", "sk"], Pointer),
        ("socket_alloc", &["vfs_inode"], Compound(64)),
        ("file", &["f_inode", "private_data"], Pointer),
        ("inode", &["i_ino"], Number(8)),
        ("net", &["ns"], Compound(4)),
        ("net", &["ipv4"], Compound(64)),
        ("net", &["hash_mix"], Number(4)),
        ("netns_ipv4", &["tcp_death_row"], Compound(16)),
        ("netns_ipv4", &["udp_table"], Pointer),
        ("inet_timewait_death_row", &["hashinfo"], Pointer),
        ("inet_hashinfo", &["ehash"], Pointer),
        ("inet_hashinfo", &["ehash_mask"], Number(4)),
        ("udp_table", &["mask"], Number(4)),
        ("ns_common", &["inum"], Number(4)),
        ("inet_sock", &["inet_sport"], Number(2)),
        ("inet_connection_sock", &["icsk_retransmits", "icsk_pending", "icsk_probes_out"], Number(1)),
        ("inet_connection_sock", &["icsk_timeout"], Number(8)),
        ("inet_connection_sock", &["icsk_retransmit_timer", "icsk_keepalive_timer"], Compound(24)),
        ("tcp_sock", &["bytes_received", "bytes_sent", "bytes_retrans"], Number(8)),
        ("tcp_sock", &["data_segs_in", "segs_out", "srtt_us", "total_retrans"], Number(4)),
        ("tcp_sock", &["rcv_nxt", "copied_seq", "write_seq", "snd_una"], Number(4)),
        ("udp_sock", &["forward_deficit"], Number(4)),
        ("inet_connection_sock", &["icsk_accept_queue"], Compound(24)),
        ("request_sock_queue", &["rskq_accept_head", "rskq_accept_tail"], Pointer),
        ("request_sock", &["sk", "dl_next"], Pointer),
        ("mptcp_sock", &["first"], Pointer),
        ("signal_struct", &["live"], Compound(4)),
        ("task_struct", &["group_leader", "thread_pid", "nsproxy", "cred", "files", "signal", "cgroups"], Pointer),
        ("css_set", &["dfl_cgrp"], Pointer),
        ("cgroup", &["kn"], Pointer),
        ("kernfs_node", &["id"], Number(8)),
        ("task_struct", &["flags"], Number(4)),
        ("task_struct", &["start_boottime"], Number(8)),
        ("task_struct", &["comm"], Array(16)),
        ("task_struct", &["tgid", "pid"], Number(4)),
        ("pid", &["level"], Number(4)),
        // Without a length since Linux 6.7, of one element before.
        ("pid", &["numbers"], Array(0)),
        ("upid", &["nr"], Number(4)),
        ("upid", &["ns"], Pointer),
        ("pid_namespace", &["ns"], Compound(4)),
        ("nsproxy", &["net_ns"], Pointer),
        ("cred", &["fsuid"], Compound(4)),
        ("files_struct", &["fdt"], Pointer),
        ("fdtable", &["max_fds"], Number(4)),
        ("fdtable", &["fd"], Pointer),
        ("io_kiocb", &["opcode"], Number(1)),
        ("io_uring_cqe", &["res"], Number(4)),
        ("timer_list", &["function"], Pointer),
        ("timer_list", &["expires"], Number(8)),
        ("timer_list", &["entry"], Compound(16)),
        ("hlist_node", &["next", "pprev"], Pointer),
        ("inet_timewait_sock", &["tw_timer"], Compound(24)),
        ("inet_timewait_sock", &["tw_substate"], Number(1)),
        ("request_sock", &["rsk_timer"], Compound(24)),
        ("request_sock", &["num_retrans"], Number(1)),
        ("tcp_request_sock", &["snt_synack"], Number(8)),
        ("tcp_request_sock", &["tfo_listener"], Number(1)),
    ]
};

/// What the programs read at a field.
fn wanted(strukt: &str, member: &str) -> Option<WantedType> {
    WANTED.iter().find(|(of, members, _)| *of == strukt && members.contains(&member)).map(|&(.., wanted)| wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_ebpf::Field;

    /// Every field of both objects.
    fn fields() -> impl Iterator<Item = (&'static str, &'static str)> {
        Field::of_tracer().chain(Field::of_tables()).map(|(_, strukt, member)| (strukt, member))
    }

    #[test]
    fn each_field_stands_in_the_list_once() {
        let mut members: Vec<_> = Field::of_tracer()
            .chain(Field::of_tables())
            .map(|(field, strukt, member)| (strukt, member, field as usize))
            .collect();
        members.sort_unstable();
        members.dedup();
        assert_eq!(members.len(), netstat_ebpf::FIELDS);
        for pair in members.windows(2) {
            assert_ne!((pair[0].0, pair[0].1), (pair[1].0, pair[1].1), "two names");
        }
    }

    #[test]
    fn it_is_known_what_every_field_must_be() {
        for (strukt, member) in fields() {
            assert!(wanted(strukt, member).is_some(), "say what {strukt}.{member} must be");
        }
    }

    /// And nothing is said of a field that the programs do not read any more, nor twice of one that they do.
    #[test]
    fn no_line_is_stale() {
        let mut read: Vec<_> = fields().collect();
        read.sort_unstable();
        read.dedup();
        let listed =
            WANTED.iter().flat_map(|&(strukt, members, _)| members.iter().map(move |&member| (strukt, member)));
        let mut listed: Vec<_> = listed.collect();
        listed.sort_unstable();
        assert_eq!(listed, read);
    }

    /// `NETSTAT_BTF` may name more blobs, separated by colons: those of other kernels.
    #[test]
    fn the_fields_of_kernels_are_as_the_programs_know_them() {
        let more = std::env::var("NETSTAT_BTF").unwrap_or_default();
        for path in std::iter::once("/sys/kernel/btf/vmlinux").chain(more.split(':').filter(|path| !path.is_empty())) {
            let Ok(blob) = std::fs::read(path) else { continue };
            let btf = Btf::parse(&blob, &|_| true).unwrap();
            for (strukt, member) in fields() {
                let found = find(&btf, strukt, member);
                assert_ne!(found, FoundMember::Other, "{path}: {strukt}.{member} is {:?}", btf.member(strukt, member));
            }
        }
    }

    #[test]
    fn a_member_of_another_shape_is_none() {
        let tests = [
            (WantedType::Compound(16), TypeShape::Pointer, false),
            (WantedType::Compound(8), TypeShape::Compound(0), false),
            (WantedType::Compound(8), TypeShape::Compound(8), true),
            (WantedType::Number(2), TypeShape::Number(4), false),
            (WantedType::Low(1), TypeShape::Number(2), true),
            (WantedType::Pointer, TypeShape::Number(8), false),
            (WantedType::Array(16), TypeShape::Array(8), false),
            (WantedType::Array(0), TypeShape::Array(0), true),
            (WantedType::Number(4), TypeShape::Other, false),
        ];
        for (wanted, shape, fits) in tests {
            assert_eq!(wanted.is(shape), fits, "{wanted:?} {shape:?}");
        }
    }
}
