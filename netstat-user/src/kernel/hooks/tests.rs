use super::*;
use crate::kernel::object;
use std::collections::BTreeSet;

#[test]
fn every_program_of_the_object_is_in_the_table_once() {
    let bytes = object::bytes(false, None).unwrap();
    let object = aya_obj::Object::parse(&bytes).unwrap();
    let built = |runs: bool| -> BTreeSet<&str> {
        let is_run = |section: &_| matches!(section, aya_obj::ProgramSection::Iter { .. });
        let built = object.programs.iter().filter(|(_, program)| is_run(&program.section) == runs);
        built.map(|(name, _)| name.as_str()).collect()
    };
    let listed: Vec<&str> = HOOKS.iter().flat_map(|spec| spec.ways).map(|way| way.program).collect();
    assert_eq!(listed.len(), built(false).len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), built(false));
    assert_eq!(ITERATED.iter().map(|spec| spec.program).collect::<BTreeSet<_>>(), built(true));
}

#[test]
fn a_name_leads_to_its_hook_alone() {
    for hook in Hook::ALL {
        assert_eq!(Hook::named(hook.name()), Some(hook));
        for (at, way) in hook.ways().iter().enumerate() {
            assert!(hook.ways()[..at].iter().all(|before| before.variant != way.variant), "{way:?}");
        }
    }
    for spec in &ITERATED {
        assert_eq!((Hook::named(spec.name), weight(spec.name)), (None, Some(spec.weight)), "{spec:?}");
    }
    assert_eq!((weight("tcp_state"), weight("of_another_release")), (Some(Weight::Required), None));
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
