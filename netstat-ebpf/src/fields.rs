//! The kernel fields that the programs of the tracer read.

fields! {
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
    /// `struct socket *`.
    SkSocket = "sock"."sk_socket",
    /// `struct file *`.
    SocketFile = "socket"."file",
    /// `struct inode`, behind the `struct socket` of the same allocation.
    SocketAllocInode = "socket_alloc"."vfs_inode",
    /// `struct inode *`.
    FileInode = "file"."f_inode",
    /// `unsigned long`.
    InodeIno = "inode"."i_ino",
    /// `struct ns_common`.
    NetNs = "net"."ns",
    /// `struct netns_ipv4`.
    NetIpv4 = "net"."ipv4",
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
    /// `__be16`: the local port, still there when `skc_num` has been given back.
    InetSport = "inet_sock"."inet_sport",
    /// `__u8`.
    IcskRetransmits = "inet_connection_sock"."icsk_retransmits",
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
    /// `pid_t`: the thread group.
    TaskTgid = "task_struct"."tgid",
    /// `pid_t`: the thread.
    TaskPid = "task_struct"."pid",
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
    /// `u64`, in microseconds of `CLOCK_MONOTONIC`: when the SYN-ACK was first sent.
    TcpReqSntSynack = "tcp_request_sock"."snt_synack",
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

/// Number of entries of the offsets table.
pub const FIELDS: usize = Field::ALL.len();
