//! Modules that import each other in a circle.

use super::paths::{Name, absolute, module_of, names_of};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// A module, from the top of the crate.
type Module = Vec<String>;

/// A module → those beside it that it or a module in it imports, each with where that is done first, as `file:line`.
type Imports = BTreeMap<Module, BTreeMap<Module, String>>;

/// Of each module, what its `use` declarations name: the name in the module → the path from the top of the crate.
type Uses = BTreeMap<Module, BTreeMap<String, Vec<String>>>;

/// Most `use` declarations that a path leads through. A name that is imported from itself, as that of a crate is, leads nowhere.
const LEADS: usize = 16;

/// Every circle of modules that import each other, one line each, by the names and texts of a crate's files.
pub fn circles(files: &[(String, String)]) -> Result<Vec<String>> {
    let imports = imports(files)?;
    let (mut found, mut done) = (Vec::new(), BTreeSet::new());
    for start in imports.keys() {
        follow(start, &imports, &mut Vec::new(), &mut done, &mut found);
    }
    Ok(found)
}

/// What each module imports of those beside it. What stands deeper counts for the two modules in one parent that it is in: so a circle is found also
/// where no two files import each other.
fn imports(files: &[(String, String)]) -> Result<Imports> {
    let modules: BTreeSet<Module> = files.iter().map(|(file, _)| module_of(file)).collect();
    let names = files.iter().map(|(file, text)| Ok((file, names_of(file, text)?))).collect::<Result<Vec<_>>>()?;
    let uses = uses(names.iter().flat_map(|(_, names)| names));
    let mut imports = Imports::new();
    for (file, names) in &names {
        let own = module_of(file);
        for Name { module, path, line, .. } in names {
            let Some(target) = absolute(module, path) else { continue };
            let target = home(target, &modules, &uses);
            let shared = own.iter().zip(&target).take_while(|(own, target)| own == target).count();
            // A module and those inside it are one.
            if let (Some(own), Some(target)) = (own.get(..=shared), target.get(..=shared)) {
                let of_own = imports.entry(own.to_vec()).or_default();
                of_own.entry(target.to_vec()).or_insert_with(|| format!("{file}:{line}"));
            }
        }
    }
    Ok(imports)
}

/// The `use` declarations among the names. One that does not say where it starts is looked up below its own module.
fn uses<'a>(names: impl Iterator<Item = &'a Name>) -> Uses {
    let mut uses = Uses::new();
    for Name { module, path, known_as, .. } in names {
        let Some(known_as) = known_as else { continue };
        let target = absolute(module, path).unwrap_or_else(|| [module, path.as_slice()].concat());
        uses.entry(module.clone()).or_default().insert(known_as.clone(), target);
    }
    uses
}

/// The module that has what a path names: not one that only imports it, or passes it on (`pub use`).
fn home(mut path: Vec<String>, modules: &BTreeSet<Module>, uses: &Uses) -> Module {
    let mut leads = LEADS;
    loop {
        let deepest = (0..=path.len()).rev().find(|&length| modules.contains(&path[..length])).unwrap_or_default();
        let (module, rest) = path.split_at(deepest);
        let lead = rest.split_first().and_then(|(name, rest)| Some((uses.get(module)?.get(name)?, rest)));
        match lead.filter(|_| leads > 0) {
            Some((target, rest)) => path = [target, rest].concat(),
            None => return module.to_vec(),
        }
        leads -= 1;
    }
}

/// Follows the imports of a module that is not `done`, and notes each circle that they close.
fn follow<'a>(
    module: &'a Module,
    imports: &'a Imports,
    way: &mut Vec<&'a Module>,
    done: &mut BTreeSet<&'a Module>,
    found: &mut Vec<String>,
) {
    if let Some(at) = way.iter().position(|passed| *passed == module) {
        let circle: Vec<&Module> = way[at..].iter().copied().chain([module]).collect();
        let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
        let places: Vec<&str> = circle.windows(2).map(|pair| imports[pair[0]][pair[1]].as_str()).collect();
        let (names, places) = (names.join(" -> "), places.join(", "));
        found.push(format!("modules import each other in a circle: {names} ({places})"));
        return;
    }
    if done.contains(module) {
        return;
    }
    way.push(module);
    for target in imports.get(module).into_iter().flat_map(BTreeMap::keys) {
        follow(target, imports, way, done, found);
    }
    way.pop();
    done.insert(module);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_of_modules_are_found() {
        let found = |files: &[(&str, &str)]| {
            circles(&files.iter().map(|(file, text)| ((*file).into(), (*text).into())).collect::<Vec<_>>()).unwrap()
        };
        let parent_and_child = [("kernel/mod.rs", "mod ring; use ring::Ring;"), ("kernel/ring.rs", "use super::Hook;")];
        assert_eq!(found(&parent_and_child), Vec::<String>::new());
        let chain = [
            ("kernel/a.rs", "use super::b::B;"),
            ("kernel/b.rs", "fn f() { crate::kernel::c::g() }"),
            ("kernel/c.rs", ""),
        ];
        assert_eq!(found(&chain), Vec::<String>::new());
        let closed = [chain[0], chain[1], ("kernel/c.rs", "mod tests { use super::super::a; }")];
        let line = "modules import each other in a circle: kernel::a -> kernel::b -> kernel::c -> kernel::a \
             (kernel/a.rs:1, kernel/b.rs:1, kernel/c.rs:1)";
        assert_eq!(found(&closed), [line]);
        let through_a_child = [
            ("run/a.rs", "\nuse super::b::B;"),
            ("run/b.rs", ""),
            ("run/b/c.rs", "use crate::run::a::child::A;"),
            ("run/a/child.rs", ""),
        ];
        let line = "modules import each other in a circle: run::a -> run::b -> run::a (run/a.rs:2, run/b/c.rs:1)";
        assert_eq!(found(&through_a_child), [line]);
        let [a, b, c, child] = through_a_child;
        assert_eq!(found(&[a, b, ("run/b/c.rs", "use super::super::d;"), child]), Vec::<String>::new(), "no such room");
        assert_eq!(found(&[("run/a.rs", "use a::child::A;"), b, c, child]), Vec::<String>::new(), "one way only");
    }

    #[test]
    fn an_import_of_what_a_module_passes_on_is_one_of_its_home() {
        let found = |parent: &str, child: &str| {
            let files = [("model.rs", parent), ("model/a.rs", "use super::b::f;"), ("model/b.rs", child)];
            circles(&files.map(|(file, text)| (file.into(), text.into()))).unwrap()
        };
        let line =
            "modules import each other in a circle: model::a -> model::b -> model::a (model/a.rs:1, model/b.rs:1)";
        for (parent, child) in [
            ("pub use a::A;", "use crate::model::A;"),
            ("pub use self::a::A;", "use super::A::Variant;"),
            ("pub use crate::model::a::A;", "fn f() { super::A::new() }"),
            ("use a::A;", "mod tests { use super::super::A; }"),
            ("pub use a::{A, B as C};", "use super::C;"),
            ("pub use a::{C, A as B};", "use crate::model::{D, B};"),
            ("pub use a as c;", "use super::c::A;"),
            ("pub use a::{self as c};", "use super::c::A;"),
            ("pub use B as C; use a::A as B;", "use super::C;"),
        ] {
            assert_eq!(found(parent, child), [line], "{parent} {child}");
        }
        for (parent, child) in [
            ("pub use a::{A, B as C};", "use super::B;"),
            ("pub use a::A; use clap;", "use super::{clap, D};"),
            ("fn f() -> impl Iterator + use<> { a::A }", "use super::A;"),
        ] {
            assert_eq!(found(parent, child), Vec::<String>::new(), "{parent} {child}");
        }
    }
}
