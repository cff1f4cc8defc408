//! Why tracing cannot start, and what helps.

use super::{
    facts,
    hooks::Variant,
    object::ObjectError,
    refusal::{HookRefusal, Lacking, Mend, causes},
};
use crate::sys::Scarce;
use std::{borrow::Cow, error::Error};

/// Open files that tracing takes: some sixty programs, maps and links, and what attaching takes for a moment.
pub const DESCRIPTORS: u64 = 80;

/// Why tracing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The process may not load programs.
    #[error("tracing needs {}: {}", .0.join(", "), facts::grant())]
    Capabilities(Vec<&'static str>),
    /// Only one network namespace is wanted, and nothing says which one a socket is in.
    #[error(
        "--netns needs the kernel's types, which say what namespace a socket is in: {0}; leave it out, or boot a kernel with CONFIG_DEBUG_INFO_BTF=y"
    )]
    Netns(#[source] Lacking),
    /// The kernel lacks what no program can do without.
    #[error(
        "events need Linux 5.12 or later, on arm64 5.18 (BPF programs that compare and exchange atomically); this is Linux {0}, where \
         only the tables work"
    )]
    TooOld(String),
    /// Programs, maps and links are open files.
    #[error("tracing takes some {DESCRIPTORS} open files; {}", Scarce::OpenFiles.words())]
    Descriptors,
    /// The kernel refused a map or the whole object.
    #[error("the kernel refused the maps of the programs: {}", causes(&**.0))]
    Maps(#[source] Box<dyn Error + Send + Sync>),
    /// Something ran out while the programs were loaded and attached: open files, or memory for the programs, their maps or the ring.
    #[error("cannot trace: {}", .0.words())]
    Scarce(Scarce),
    /// The object cannot be used.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// No variant of a hook that cannot be done without.
    #[error("cannot trace {hook}: {}{}", if *.locked { LOCKED } else { "" }, tried(.refused))]
    Hook {
        /// The hook.
        hook: &'static str,
        /// Each variant tried, with its cause.
        refused: Vec<(Variant, HookRefusal)>,
        /// Whether the kernel is locked down so far that programs may not read its memory.
        locked: bool,
    },
    /// The object is not the one this program was built for.
    #[error("the kernel object lacks {0}: rebuild it with cargo xtask ebpf")]
    Lacks(&'static str),
}

impl AttachError {
    /// Why a map cannot be had or used.
    pub fn maps(error: impl Error + Send + Sync + 'static) -> Self {
        Scarce::below(&error).map_or_else(|| Self::Maps(Box::new(error)), Self::Scarce)
    }

    /// What has run out, where that is the cause.
    pub fn scarce(&self) -> Option<Scarce> {
        match self {
            Self::Descriptors => Some(Scarce::OpenFiles),
            Self::Scarce(scarce) => Some(*scarce),
            _ => None,
        }
    }

    /// What mends it.
    pub fn mend(&self) -> Cow<'static, str> {
        let mend = match self {
            Self::Capabilities(_) => return facts::grant().into(),
            Self::Netns(_) => Mend::Btf,
            Self::TooOld(_) => Mend::Newer,
            Self::Descriptors => Mend::Descriptors,
            Self::Hook { locked: true, .. } => Mend::Lockdown,
            Self::Hook { refused, .. } => {
                refused.iter().map(|(_, refusal)| refusal.mend()).min().unwrap_or(Mend::Unknown)
            }
            Self::Scarce(scarce) => Mend::of(*scarce),
            Self::Maps(_) | Self::Object(_) | Self::Lacks(_) => Mend::Unknown,
        };
        mend.line().into()
    }
}

/// Each variant that was tried, with its cause.
fn tried(refused: &[(Variant, HookRefusal)]) -> String {
    let tried: Vec<_> = refused.iter().map(|(variant, refusal)| format!("{}: {refusal}", variant.name())).collect();
    tried.join("; ")
}

/// Why nothing can be traced under lockdown=confidentiality.
const LOCKED: &str = "the kernel is locked down (confidentiality) and lets no program read its memory: boot it without \
                      lockdown=confidentiality; ";
