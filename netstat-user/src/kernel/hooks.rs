//! Hooks: what each one sees, what is missing without it, and each way to attach to it.

mod table;

pub use table::{HOOKS, ITERATED, LATE_ENDS, OLDER_SOCKETS};

use aya_obj::generated::bpf_attach_type;

/// A place in the kernel the programs listen at; the order is that of [`HOOKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Creation of sockets.
    Create,
    /// A process accepts a connection.
    Accept,
    /// A process accepts a connection by way of io_uring.
    AcceptUring,
    /// End of sockets that are not TCP.
    Release,
    /// A process accepts an IPv4 connection and asks for its peer's address.
    Accept4,
    /// The same, IPv6.
    Accept6,
    /// A process asks for an IPv4 connection.
    Connect4,
    /// The same, IPv6.
    Connect6,
    /// A process changes its name.
    Rename,
    /// A process ends.
    Ended,
    /// A process is gone, and its number can be used again.
    Gone,
    /// End of TCP sockets.
    Destroy,
    /// Ends that the kernel left out there.
    DestroyLeft,
    /// Resets this host sends.
    Reset,
    /// The function of a timer has returned: a connection request goes on, or is gone.
    TimerDone,
    /// A timer ends: so does TIME_WAIT, or a connection request.
    TimerCancel,
    /// A segment comes for the minisocket of a connection.
    Segment,
    /// A connection request is answered again.
    Synack,
    /// TCP transitions.
    State,
    /// TCP transitions that interrupt the program on one.
    Nested,
    /// Transitions that the kernel left out of both.
    StateLeft,
}

/// A way to attach to a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// BTF tracepoint: typed arguments.
    TpBtf,
    /// Raw tracepoint.
    RawTp,
    /// Classic tracepoint, through tracefs.
    Tracepoint,
    /// Function entry by trampoline.
    Fentry,
    /// Return of a function by trampoline.
    Fexit,
    /// The same, of the function as it was up to 6.9, with four arguments.
    Fexit4,
    /// Classic tracepoints at the exit of system calls.
    Syscall,
    /// Function entry by breakpoint.
    Kprobe,
    /// Program of the cgroup2 root.
    Cgroup,
    /// The same before 5.18, where it cannot ask what other programs have decided.
    CgroupAlone,
}

impl Variant {
    /// The name shown to people, and taken by `--probe`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TpBtf => "tp_btf",
            Self::RawTp => "raw_tp",
            Self::Tracepoint => "tracepoint",
            Self::Fentry => "fentry",
            Self::Fexit => "fexit",
            Self::Fexit4 => "fexit4",
            Self::Syscall => "syscall",
            Self::Kprobe => "kprobe",
            Self::Cgroup => "cgroup",
            Self::CgroupAlone => "cgroup_alone",
        }
    }
}

/// A row of [`HOOKS`].
#[derive(Debug)]
pub struct HookSpec {
    /// The hook.
    pub hook: Hook,
    /// The name shown to people.
    pub name: &'static str,
    /// What passes it.
    pub sees: Sees,
    /// How much depends on it.
    pub weight: Weight,
    /// What is missing without it.
    pub without: &'static str,
    /// When it reports something that the hooks before it in the table do not.
    pub adds: Adds,
    /// The ways to attach, best first.
    pub ways: &'static [Way],
}

/// What passes a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// TCP sockets, their requests and minisockets.
    Tcp,
    /// Sockets of every protocol.
    Sockets,
    /// Processes.
    Processes,
}

/// How much depends on a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Nothing can be traced without it.
    Required,
    /// Whole kinds of events, or all owners, are missing without it.
    Essential,
    /// Details are missing without it.
    Detail,
}

/// When a hook reports something that others do not.
#[derive(Clone, Copy, Debug)]
pub enum Adds {
    /// Always.
    Always,
    /// If other sockets than TCP are wanted: of TCP connections other hooks see who closes them.
    BesideTcp,
    /// If ends of sockets are wanted: it says why a connection ends.
    ToCloses,
    /// Unless that hook is attached in one of these ways.
    Unless(Hook, &'static [Variant]),
    /// If that hook is attached in this way: it sees what interrupts the program there, and goes on in that program.
    Nested(Hook, Variant),
    /// If that hook is attached in one of these ways, where a task can be preempted in a program: it sees what the kernel leaves out then.
    LeftOut(Hook, &'static [Variant]),
}

/// A way to attach to a hook.
#[derive(Debug)]
pub struct Way {
    /// How.
    pub variant: Variant,
    /// Name of the program in the object.
    pub program: &'static str,
    /// Tracepoint, function or hook of the kernel.
    pub target: &'static str,
    /// What the target must be.
    pub needs: Needs,
    /// What it means that this way is attached in place of a better one.
    pub instead: Instead,
    /// Whether it sees connections begin (`LISTEN` → `SYN_RECV`), if transitions pass its hook.
    pub births: bool,
    /// The hooks that see the same between them, but for a few; while all of them are attached, this way may be detached. None for one that stays.
    pub made_up_for_by: &'static [Hook],
}

/// What it means that a way is attached in place of a better one: a sentence without its full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Events are the same, and cost the same.
    Same(&'static str),
    /// Events lack something, or cost more.
    Worse(&'static str),
}

impl Instead {
    /// The sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Same(words) | Self::Worse(words) => words,
        }
    }
}

impl Way {
    /// The same way, which lacks something that the ways before it have, or costs more.
    const fn worse(self, words: &'static str) -> Self {
        Self { instead: Instead::Worse(words), ..self }
    }

    /// The same way, which does not see connections begin.
    const fn without_births(self) -> Self {
        Self { births: false, ..self }
    }

    /// The same way, which may be detached while these hooks are attached.
    const fn made_up_for_by(self, hooks: &'static [Hook]) -> Self {
        Self { made_up_for_by: hooks, ..self }
    }

    /// The same way, which has all that the ways before it have.
    const fn same(self, words: &'static str) -> Self {
        Self { instead: Instead::Same(words), ..self }
    }
}

/// What the target of a program must be for the program to understand it.
#[derive(Clone, Copy, Debug)]
pub enum Needs {
    /// A tracepoint with at least so many arguments.
    Arguments(usize),
    /// A tracepoint with just so many: on other kernels they are something else.
    JustArguments(usize),
    /// A classic tracepoint with at least so many arguments, and a record that is laid out as stated.
    Record(usize, &'static Layout),
    /// A function with just so many arguments.
    Function(usize),
    /// A function of this name; only its first argument is read.
    AnyFunction,
    /// tracefs.
    Tracefs,
    /// A hook of cgroups for sockets.
    CgroupSock(bpf_attach_type),
    /// A hook of cgroups for addresses.
    CgroupAddress(bpf_attach_type),
}

/// A row of [`ITERATED`]: a program that is attached nowhere, but run over all that the kernel has of a kind.
#[derive(Debug)]
pub struct IteratedSpec {
    /// The name shown to people.
    pub name: &'static str,
    /// Name of the program in the object.
    pub program: &'static str,
    /// The kernel's function for it, which its BTF numbers.
    pub function: &'static str,
    /// What is missing without it.
    pub without: &'static str,
    /// How much depends on it.
    pub weight: Weight,
}

/// The record of a classic tracepoint.
#[derive(Debug)]
pub struct Layout {
    /// Category of the tracepoint in tracefs.
    pub category: &'static str,
    /// Fields that the programs read, with their offsets.
    pub fields: &'static [(&'static str, u32)],
}

// A hook is the number of its row, and none is made needless by one that is attached later.
const _: () = {
    let mut row = 0;
    while row < HOOKS.len() {
        assert!(HOOKS[row].hook as usize == row);
        if let Adds::Unless(other, _) | Adds::Nested(other, _) | Adds::LeftOut(other, _) = HOOKS[row].adds {
            assert!((other as usize) < row);
        }
        row += 1;
    }
};

impl Hook {
    /// Every hook, in the order of the table.
    pub const ALL: [Self; HOOKS.len()] = {
        let mut all = [Self::Create; HOOKS.len()];
        let mut row = 0;
        while row < HOOKS.len() {
            all[row] = HOOKS[row].hook;
            row += 1;
        }
        all
    };

    /// Its row of the table.
    pub const fn spec(self) -> &'static HookSpec {
        const TABLE: &[HookSpec] = &HOOKS;
        &TABLE[self as usize]
    }

    /// The hook of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// The name shown to people.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The ways to attach, best first.
    pub const fn ways(self) -> &'static [Way] {
        self.spec().ways
    }

    /// A way to attach, `None` if there is no such.
    pub fn way(self, variant: Variant) -> Option<&'static Way> {
        self.ways().iter().find(|way| way.variant == variant)
    }

    /// A way to attach by the name of its variant.
    pub fn way_named(self, variant: &str) -> Option<&'static Way> {
        self.ways().iter().find(|way| way.variant.name() == variant)
    }
}

impl IteratedSpec {
    /// What the kernel goes through: its function is `bpf_iter_` and this.
    pub fn target(&self) -> &'static str {
        self.function.strip_prefix("bpf_iter_").unwrap_or(self.function)
    }
}

/// How much depends on what has this name in the coverage, `None` if it is of another release.
pub fn weight(name: &str) -> Option<Weight> {
    let iterated = || ITERATED.iter().find(|spec| spec.name == name).map(|spec| spec.weight);
    Hook::named(name).map(|hook| hook.spec().weight).or_else(iterated)
}

#[cfg(test)]
mod tests;
