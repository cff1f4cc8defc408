//! Modules that import each other in a circle.

use super::paths::{Name, absolute, module_of, names_of};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Every circle of modules that import each other, one line each.
pub fn circles(files: &[(String, String)]) -> Result<Vec<String>> {
    let modules: BTreeSet<Vec<String>> = files.iter().map(|(file, _)| module_of(file)).collect();
    let mut imports: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (file, text) in files {
        let own = module_of(file);
        for Name { module, path, .. } in names_of(file, text)? {
            let Some(mut target) = absolute(&module, &path) else { continue };
            while !target.is_empty() && !modules.contains(&target) {
                target.pop();
            }
            // A module and those inside it are one.
            if !target.is_empty() && !own.starts_with(&target) && !target.starts_with(&own) {
                imports.entry(own.clone()).or_default().insert(target);
            }
        }
    }
    let mut found = Vec::new();
    let starts: Vec<_> = imports.keys().cloned().collect();
    let mut done = BTreeSet::new();
    for start in &starts {
        follow(start, &imports, &mut Vec::new(), &mut done, &mut found);
    }
    Ok(found)
}

/// Follows the imports of a module that is not `done`, and notes each circle that they close.
fn follow(
    module: &[String],
    imports: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    way: &mut Vec<Vec<String>>,
    done: &mut BTreeSet<Vec<String>>,
    found: &mut Vec<String>,
) {
    if let Some(at) = way.iter().position(|passed| passed == module) {
        let circle = way[at..].iter().map(Vec::as_slice).chain([module]).map(|module| module.join("::"));
        found.push(format!("modules import each other in a circle: {}", circle.collect::<Vec<_>>().join(" -> ")));
        return;
    }
    if done.contains(module) {
        return;
    }
    way.push(module.to_vec());
    for target in imports.get(module).into_iter().flatten() {
        follow(target, imports, way, done, found);
    }
    way.pop();
    done.insert(module.to_vec());
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
        let line = "modules import each other in a circle: kernel::a -> kernel::b -> kernel::c -> kernel::a";
        assert_eq!(found(&closed), [line]);
    }
}
