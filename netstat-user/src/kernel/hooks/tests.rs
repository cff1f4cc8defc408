use super::*;
use crate::kernel::object;
use std::collections::BTreeSet;

#[test]
fn every_program_of_the_object_is_in_the_table_once() {
    let bytes = object::bytes(false, None).unwrap();
    let object = aya_obj::Object::parse(&bytes).unwrap();
    // The iterators are no hooks: they are run, and not attached.
    let built: BTreeSet<&str> = object
        .programs
        .iter()
        .filter(|(_, program)| !matches!(program.section, aya_obj::ProgramSection::Iter { .. }))
        .map(|(name, _)| name.as_str())
        .collect();
    let listed: Vec<&str> = HOOKS.iter().flat_map(|spec| spec.ways).map(|way| way.program).collect();
    assert_eq!(listed.len(), built.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), built);
}

#[test]
fn a_name_leads_to_its_hook_alone() {
    for hook in Hook::ALL {
        assert_eq!(Hook::named(hook.name()), Some(hook));
        for (at, way) in hook.ways().iter().enumerate() {
            assert!(hook.ways()[..at].iter().all(|before| before.variant != way.variant), "{way:?}");
        }
    }
    assert_eq!(Hook::named("older_sockets"), None);
}
