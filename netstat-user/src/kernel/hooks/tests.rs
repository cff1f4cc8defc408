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

#[test]
fn every_way_in_the_place_of_another_has_its_meaning() {
    for way in HOOKS.iter().flat_map(|spec| &spec.ways[1..]) {
        let words = way.instead.words();
        assert!(!words.is_empty() && !words.ends_with('.'), "{way:?}");
    }
    let of = |hook: Hook, variant| hook.way(variant).unwrap().instead;
    assert!(matches!(of(Hook::Accept, Variant::Syscall), Instead::Worse(words) if words.contains("50 ns")));
    assert!(matches!(of(Hook::Accept, Variant::Fexit4), Instead::Same(_)));
    assert!(matches!(of(Hook::State, Variant::RawTp), Instead::Worse(words) if words.contains("cookie")));
}
