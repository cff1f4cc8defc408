//! Which events the options choose, and what of them need not be handed over.

use crate::cli::events::Options;
use crate::cli::select::WrongName;
use crate::filter::Predicate;
use crate::model::limits::Kinds;
use crate::model::{EventName, Limits};
use crate::proc::netns::LEAST_NAMESPACE;
use crate::run::resolve::{MachineNames, RowOrigin};

/// What of the events is wanted, the names in the expression looked up.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    pub(super) predicate: Option<Predicate>,
    /// What may be left out by whoever hands the events over.
    pub limits: Limits,
}

impl Chosen {
    /// What the options choose.
    ///
    /// # Errors
    /// A name that means nothing.
    pub fn new(options: &Options) -> Result<Self, WrongName> {
        let Some(expr) = &options.selection.expr else { return Ok(Self::default()) };
        if let Some(none) = options.selection.netns.iter().find(|name| is_never_a_namespace(name)) {
            return Err(WrongName::NoNamespace(none.clone()));
        }
        let mut names = MachineNames::default();
        // Events are traced in every namespace, and only those that --netns names can be wanted.
        names.from = match &options.selection.netns[..] {
            [] => RowOrigin::All,
            listed => RowOrigin::These(names.inodes(listed)),
        };
        let predicate = Predicate::new(expr, &mut names);
        let predicate = predicate.map_err(|error| options.selection.wrong_name(error, &mut names))?;
        // What a life is summed up from must not be left out.
        let limits = if options.life || options.failed { predicate.limits_of_lives() } else { predicate.limits() };
        Ok(Self { predicate: Some(predicate), limits })
    }
}

/// Which kinds of events the options let pass.
pub fn kinds(options: &Options) -> Limits {
    let wanted = EventName::ALL.into_iter().filter(|&event| options.wants(event)).map(Kinds::from);
    let kinds = wanted.fold(Kinds::NONE, Kinds::or);
    Limits { kinds: Some(kinds).filter(|&kinds| kinds != Kinds::ALL), ..Limits::default() }
}

/// Whether no network namespace ever has this number. One that no process is in, and that has no name, may be there all the same:
/// a descriptor or a socket keeps it.
fn is_never_a_namespace(name: &str) -> bool {
    name.parse().is_ok_and(|inode: u32| inode < LEAST_NAMESPACE)
}
