//! The kernel fields that the programs read, and the table of their offsets, which user space fills in before load.

macro_rules! fields {
    ($($(#[$about:meta])* $readers:ident { $($(#[$doc:meta])* $field:ident = $strukt:literal . $member:literal),+ $(,)? })+) => {
        /// A kernel field whose offset user space resolves in the kernel's BTF before load.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Field { $($($(#[$doc])* $field),+),+ }

        impl Field {
            $($(#[$about])* const $readers: &[(Self, &'static str, &'static str)] =
                &[$((Self::$field, $strukt, $member)),+];)+
        }
    };
}

fields! {
    /// Read by the tracer's programs and by the tables'.
    BOTH {
        /// `__be32`.
        SkcDaddr = "sock_common"."skc_daddr",
        /// `__be32`.
        SkcRcvSaddr = "sock_common"."skc_rcv_saddr",
        /// `__be16`.
        SkcDport = "sock_common"."skc_dport",
        /// `__u16`, host order.
        SkcNum = "sock_common"."skc_num",
        /// `unsigned short`.
        SkcFamily = "sock_common"."skc_family",
        /// `unsigned char`.
        SkcState = "sock_common"."skc_state",
        /// `struct net *`.
        SkcNet = "sock_common"."skc_net",
        /// `struct in6_addr`.
        SkcV6Daddr = "sock_common"."skc_v6_daddr",
        /// `struct in6_addr`.
        SkcV6RcvSaddr = "sock_common"."skc_v6_rcv_saddr",
        /// `struct socket *`.
        SkSocket = "sock"."sk_socket",
        /// `struct inode`, behind the `struct socket` of the same allocation.
        SocketAllocInode = "socket_alloc"."vfs_inode",
        /// `struct inode *`.
        FileInode = "file"."f_inode",
        /// `unsigned long`.
        InodeIno = "inode"."i_ino",
        /// `struct netns_ipv4`.
        NetIpv4 = "net"."ipv4",
        /// `__be16`: the local port, still there when `skc_num` has been given back.
        InetSport = "inet_sock"."inet_sport",
        /// `__u8`.
        IcskRetransmits = "inet_connection_sock"."icsk_retransmits",
        /// `pid_t`: the thread group.
        TaskTgid = "task_struct"."tgid",
        /// `pid_t`: the thread.
        TaskPid = "task_struct"."pid",
        /// `struct hlist_node`.
        TimerEntry = "timer_list"."entry",
        /// `struct timer_list`.
        TwTimer = "inet_timewait_sock"."tw_timer",
        /// `unsigned char`: `TCP_FIN_WAIT2` or `TCP_TIME_WAIT`, where `skc_state` is always the latter.
        TwSubstate = "inet_timewait_sock"."tw_substate",
        /// `struct timer_list`.
        ReqTimer = "request_sock"."rsk_timer",
        /// `u8`; the byte after it holds `syncookie:1, num_timeout:7`, which BTF gives no byte offset.
        ReqNumRetrans = "request_sock"."num_retrans",
    }

    /// Read by the tracer's programs only.
    TRACER {
        /// `atomic64_t`.
        SkcCookie = "sock_common"."skc_cookie",
        /// `u16`.
        SkProtocol = "sock"."sk_protocol",
        /// `u16`.
        SkType = "sock"."sk_type",
        /// `kuid_t`.
        SkUid = "sock"."sk_uid",
        /// `int`.
        SkErr = "sock"."sk_err",
        /// `u8`.
        SkShutdown = "sock"."sk_shutdown",
        /// `spinlock_t`, of four bytes but in kernels built for debugging or with `CONFIG_PREEMPT_RT`.
        SkLockSlock = "sock"."sk_lock.slock",
        /// `int`: not 0 while a process has the lock. In 7.3 it comes before the spinlock, in 6.18 behind it.
        SkLockOwned = "sock"."sk_lock.owned",
        /// `struct sk_buff *`: the first of those that wait for the socket's lock.
        SkBacklogHead = "sock"."sk_backlog.head",
        /// `struct sk_buff *`.
        SkbNext = "sk_buff"."next",
        /// `char[48]`: of TCP a `struct tcp_skb_cb`, which begins with the sequence numbers of both ends.
        SkbCb = "sk_buff"."cb",
        /// `__u8`: the header's flags.
        TcpCbFlags = "tcp_skb_cb"."tcp_flags",
        /// `unsigned long`, by `enum sock_flags`.
        SkcFlags = "sock_common"."skc_flags",
        /// `struct file *`.
        SocketFile = "socket"."file",
        /// `struct ns_common`.
        NetNs = "net"."ns",
        /// `struct inet_timewait_death_row`.
        NetnsIpv4TcpDeathRow = "netns_ipv4"."tcp_death_row",
        /// `struct inet_hashinfo *`.
        DeathRowHashinfo = "inet_timewait_death_row"."hashinfo",
        /// `struct inet_ehash_bucket *`.
        HashinfoEhash = "inet_hashinfo"."ehash",
        /// `unsigned int`.
        HashinfoEhashMask = "inet_hashinfo"."ehash_mask",
        /// `unsigned int`.
        SkcHash = "sock_common"."skc_hash",
        /// `struct hlist_nulls_node`.
        SkcNullsNode = "sock_common"."skc_nulls_node",
        /// `unsigned int`.
        NsInum = "ns_common"."inum",
        /// `u64`.
        TcpBytesReceived = "tcp_sock"."bytes_received",
        /// `u64`.
        TcpBytesSent = "tcp_sock"."bytes_sent",
        /// `u64`.
        TcpBytesRetrans = "tcp_sock"."bytes_retrans",
        /// `u32`: segments with data, taken or not.
        TcpDataSegsIn = "tcp_sock"."data_segs_in",
        /// `u32`: segments sent.
        TcpSegsOut = "tcp_sock"."segs_out",
        /// `u32`, in eighths of a microsecond.
        TcpSrttUs = "tcp_sock"."srtt_us",
        /// `u32`.
        TcpTotalRetrans = "tcp_sock"."total_retrans",
        /// `struct task_struct *`.
        TaskGroupLeader = "task_struct"."group_leader",
        /// `char[16]`.
        TaskComm = "task_struct"."comm",
        /// `struct pid *`.
        TaskThreadPid = "task_struct"."thread_pid",
        /// `unsigned int`.
        PidLevel = "pid"."level",
        /// `unsigned int`, by `PF_*`.
        TaskFlags = "task_struct"."flags",
        /// `struct signal_struct *`.
        TaskSignal = "task_struct"."signal",
        /// `atomic_t`: threads of a process that have not ended.
        SignalLive = "signal_struct"."live",
        /// `u64`: nanoseconds of `CLOCK_BOOTTIME`.
        TaskStart = "task_struct"."start_boottime",
        /// `struct nsproxy *`.
        TaskNsproxy = "task_struct"."nsproxy",
        /// `struct net *`.
        NsproxyNetNs = "nsproxy"."net_ns",
        /// `const struct cred *`.
        TaskCred = "task_struct"."cred",
        /// `kuid_t`: the user that what the process makes belongs to.
        CredFsuid = "cred"."fsuid",
        /// `struct css_set *`.
        TaskCgroups = "task_struct"."cgroups",
        /// `struct cgroup *`: of the unified hierarchy.
        CssSetDflCgrp = "css_set"."dfl_cgrp",
        /// `struct kernfs_node *`.
        CgroupKn = "cgroup"."kn",
        /// `u64`.
        KernfsNodeId = "kernfs_node"."id",
        /// `struct files_struct *`.
        TaskFiles = "task_struct"."files",
        /// `struct fdtable *`.
        FilesFdt = "files_struct"."fdt",
        /// `unsigned int`.
        FdtableMaxFds = "fdtable"."max_fds",
        /// `struct file **`.
        FdtableFd = "fdtable"."fd",
        /// `u8`, by `enum io_uring_op`.
        IoKiocbOpcode = "io_kiocb"."opcode",
        /// `__s32`.
        IoUringCqeRes = "io_uring_cqe"."res",
        /// `void *`: of a socket's file, its `struct socket *`.
        FilePrivateData = "file"."private_data",
        /// `struct sock *`.
        SocketSk = "socket"."sk",
        /// `void (*)(struct timer_list *)`.
        TimerFunction = "timer_list"."function",
        /// `u64`, in microseconds of `CLOCK_MONOTONIC`: when the SYN-ACK was first sent.
        TcpReqSntSynack = "tcp_request_sock"."snt_synack",
        /// `bool`: its connection is there already (TCP Fast Open).
        TcpReqTfoListener = "tcp_request_sock"."tfo_listener",
        /// `struct sock *`, the listener.
        ReqListener = "sock_common"."skc_listener",
        /// `struct sock *`: the connection that waits to be accepted.
        ReqSk = "request_sock"."sk",
        /// `struct request_sock *`: the next that waits to be accepted.
        ReqNext = "request_sock"."dl_next",
        /// `struct request_sock_queue`: of a listener.
        IcskAcceptQueue = "inet_connection_sock"."icsk_accept_queue",
        /// `struct request_sock *`.
        AcceptQueueHead = "request_sock_queue"."rskq_accept_head",
        /// `struct request_sock *`.
        AcceptQueueTail = "request_sock_queue"."rskq_accept_tail",
        /// `struct sock *`: the TCP socket behind an MPTCP socket.
        MptcpFirst = "mptcp_sock"."first",
        /// `struct upid[]`.
        PidNumbers = "pid"."numbers",
        /// `int`.
        UpidNr = "upid"."nr",
        /// `struct pid_namespace *`.
        UpidNs = "upid"."ns",
        /// `struct ns_common`.
        PidNsNs = "pid_namespace"."ns",
    }

    /// Read by the tables' programs only.
    TABLES {
        /// `struct hlist_node`.
        SkcNode = "sock_common"."skc_node",
        /// `unsigned long`: the inode, since Linux 6.17.
        SkIno = "sock"."sk_ino",
        /// `u32`.
        SkAckBacklog = "sock"."sk_ack_backlog",
        /// `atomic_t`.
        SkRmemAlloc = "sock"."sk_backlog.rmem_alloc",
        /// `refcount_t`, one more than the bytes.
        SkWmemAlloc = "sock"."sk_wmem_alloc",
        /// `struct timer_list`: TCP's keepalive timer, before there was one of that name.
        SkTimer = "sock"."sk_timer",
        /// `struct timer_list`, since Linux 6.19 in place of `icsk_retransmit_timer`.
        TcpRetransmitTimer = "sock"."tcp_retransmit_timer",
        /// `__u8`, `ICSK_TIME_…`.
        IcskPending = "inet_connection_sock"."icsk_pending",
        /// `unsigned long`, before Linux 6.15 (then the retransmission timer's `expires`).
        IcskTimeout = "inet_connection_sock"."icsk_timeout",
        /// `struct timer_list`.
        IcskRetransmitTimer = "inet_connection_sock"."icsk_retransmit_timer",
        /// `struct timer_list`, since Linux 6.19 in place of `sk_timer`.
        IcskKeepaliveTimer = "inet_connection_sock"."icsk_keepalive_timer",
        /// `__u8`.
        IcskProbesOut = "inet_connection_sock"."icsk_probes_out",
        /// `u32`.
        TcpRcvNxt = "tcp_sock"."rcv_nxt",
        /// `u32`.
        TcpCopiedSeq = "tcp_sock"."copied_seq",
        /// `u32`.
        TcpWriteSeq = "tcp_sock"."write_seq",
        /// `u32`.
        TcpSndUna = "tcp_sock"."snd_una",
        /// `unsigned long`.
        TimerExpires = "timer_list"."expires",
        /// `struct hlist_node *`.
        HlistNext = "hlist_node"."next",
        /// `struct hlist_node **`, null while in no list.
        HlistPprev = "hlist_node"."pprev",
        /// `int`.
        UdpForwardDeficit = "udp_sock"."forward_deficit",
        /// `u32`.
        NetHashMix = "net"."hash_mix",
        /// `struct udp_table *`, since Linux 6.2.
        Ipv4UdpTable = "netns_ipv4"."udp_table",
        /// `unsigned int`.
        UdpTableMask = "udp_table"."mask",
    }
}

impl Field {
    /// The fields that the tracer's programs read, with the struct and the member that each is.
    pub fn of_tracer() -> impl Iterator<Item = (Self, &'static str, &'static str)> {
        Self::BOTH.iter().chain(Self::TRACER).copied()
    }

    /// The fields that the tables' programs read, likewise.
    pub fn of_tables() -> impl Iterator<Item = (Self, &'static str, &'static str)> {
        Self::BOTH.iter().chain(Self::TABLES).copied()
    }
}

/// Number of entries of the table of offsets.
pub const FIELDS: usize = Field::BOTH.len() + Field::TRACER.len() + Field::TABLES.len();

/// In [`OFFSETS`](super::globals::OFFSETS): the kernel has no such field, or the programs of the object do not read it.
pub const ABSENT: u32 = u32::MAX;
