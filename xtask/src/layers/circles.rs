//! Modules that import each other in a circle.

use super::paths::{Name, absolute, module_of, names_of};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// A module, from the top of the crate.
type Module = Vec<String>;

/// A module → those beside it that it or a module in it imports, each with where that is done first, as `file:line`.
type Imports = BTreeMap<Module, BTreeMap<Module, String>>;

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
    let mut imports = Imports::new();
    for (file, text) in files {
        let own = module_of(file);
        for Name { module, path, line } in names_of(file, text)? {
            let Some(mut target) = absolute(&module, &path) else { continue };
            while !target.is_empty() && !modules.contains(&target) {
                target.pop();
            }
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
}
