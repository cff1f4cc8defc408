//! The list of defects, and whether it is still true of the sources.

use super::read;
use crate::layers::rust_files;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The list, from the top of the workspace.
pub const PATH: &str = "tests/mutants.toml";

/// The suites by which a defect can be noticed: the unit tests of netstat-user, and the test targets of netstat-tests.
const SUITES: [&str; 6] = [UNITS, "live", "snapshot", "diag", "agent", "select"];

/// The suite of the unit tests.
const UNITS: &str = "units";

/// A plausible defect.
#[derive(Debug)]
pub struct Mutant {
    pub name: String,
    /// What it changes, most often one text: where several places hold the same, all of them.
    pub edits: Vec<Edit>,
    /// The tests that must notice it: one of these is enough.
    pub checks: Vec<Check>,
}

/// A change of a file.
#[derive(Debug)]
pub struct Edit {
    /// The file, from the top of the workspace.
    pub file: String,
    /// The text to be replaced, which the file has once.
    pub find: String,
    /// The text in its place.
    pub with: String,
}

/// Some tests of a suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Check {
    pub suite: String,
    /// What their names have in them.
    pub filter: String,
}

impl Mutant {
    /// Whether the kernel objects are built from the file.
    pub fn is_kernel_side(&self) -> bool {
        self.edits.iter().any(|edit| edit.file.starts_with("netstat-ebpf/src/"))
    }
}

/// Parses a list.
fn parse(text: &str) -> Result<Vec<Mutant>> {
    let list: toml::Table = text.parse().with_context(|| format!("cannot parse {PATH}"))?;
    let entries = list.get("mutant").and_then(toml::Value::as_array).with_context(|| format!("{PATH} is empty"))?;
    let mut names = BTreeSet::new();
    let mut mutants = Vec::new();
    for entry in entries {
        let name = entry.get("name").and_then(toml::Value::as_str);
        let name = name.with_context(|| format!("{PATH}: an entry has no name: {entry}"))?.to_owned();
        let edit = |entry: &toml::Value| {
            let text = |key: &str| entry.get(key).and_then(toml::Value::as_str).map(str::to_owned);
            let text = |key: &str| text(key).with_context(|| format!("{PATH}: {name} has no `{key}`"));
            Ok(Edit { file: text("file")?, find: text("find")?, with: text("with")? })
        };
        let also = entry.get("also").and_then(toml::Value::as_array).into_iter().flatten();
        let edits: Vec<Edit> = std::iter::once(entry).chain(also).map(edit).collect::<Result<_>>()?;
        let tests = entry.get("tests").and_then(toml::Value::as_array).into_iter().flatten();
        let checks: Vec<Check> = tests
            .map(|test| match test.as_str().and_then(|test| test.split_once(' ')) {
                Some((suite, filter)) if SUITES.contains(&suite) => {
                    Ok(Check { suite: suite.to_owned(), filter: filter.to_owned() })
                }
                _ => bail!("{PATH}: {name}: a test is a suite ({}) and a name, not {test}", SUITES.join(", ")),
            })
            .collect::<Result<_>>()?;
        if checks.is_empty() || edits.iter().any(|edit| edit.find == edit.with) || !names.insert(name.clone()) {
            bail!("{PATH}: {name} has no tests, changes nothing, or is there twice");
        }
        mutants.push(Mutant { name, edits, checks });
    }
    Ok(mutants)
}

/// The list of a workspace, if every entry is true of its sources.
///
/// # Errors
/// What is wrong with it.
pub fn current(root: &Path) -> Result<Vec<Mutant>> {
    let problems = problems(root)?;
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    parse(&read(&root.join(PATH))?)
}

/// What in the list is not true of the sources any more.
///
/// # Errors
/// A list that cannot be read at all.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let mut tests = BTreeMap::new();
    for suite in SUITES {
        tests.insert(suite, tests_of(root, suite)?);
    }
    let mut problems = Vec::new();
    for mutant in parse(&read(&root.join(PATH))?)? {
        for Edit { file, find, .. } in &mutant.edits {
            match fs::read_to_string(root.join(file)).map(|text| text.matches(find).count()) {
                Ok(1) => {}
                Ok(count) => problems.push(format!("{PATH}: {}: {file} has {count} times: {find}", mutant.name)),
                Err(error) => problems.push(format!("{PATH}: {}: {file}: {error}", mutant.name)),
            }
        }
        for Check { suite, filter } in &mutant.checks {
            if !tests[suite.as_str()].iter().any(|name| name.contains(filter)) {
                problems.push(format!("{PATH}: {}: there is no test {filter} in {suite}", mutant.name));
            }
        }
    }
    Ok(problems)
}

/// The names of the tests of a suite.
fn tests_of(root: &Path, suite: &str) -> Result<Vec<String>> {
    let home = if suite == UNITS { root.join("netstat-user/src") } else { root.join("tests/tests").join(suite) };
    let mut files = Vec::new();
    if home.is_dir() {
        rust_files(&home, &mut files)?;
    } else {
        files.push(home.with_extension("rs"));
    }
    let mut names = Vec::new();
    for file in files {
        let text = read(&file)?;
        if suite == UNITS {
            let place = file.strip_prefix(&home)?.to_string_lossy().into_owned();
            names.extend(unit_tests(&place, &text));
        } else {
            names.extend(named_tests(&text));
        }
    }
    Ok(names)
}

/// The unit tests in a file below the crate's sources, as libtest names them.
fn unit_tests(file: &str, text: &str) -> Vec<String> {
    const MARK: &str = "#[test]";
    let module: Vec<&str> =
        file.trim_end_matches(".rs").split('/').filter(|part| !["mod", "lib"].contains(part)).collect();
    let inner = text.find("mod tests {");
    let named = |(at, _): (usize, &str)| {
        let after = text[at + MARK.len()..].split_once("fn ")?.1;
        let name = after.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        let within = inner.filter(|inner| *inner < at).map(|_| "tests");
        Some(module.iter().copied().chain(within).chain([name]).collect::<Vec<_>>().join("::"))
    };
    text.match_indices(MARK).filter_map(named).collect()
}

/// The tests that a suite with a runner of its own names in a file: `("name", function)`.
fn named_tests(text: &str) -> Vec<String> {
    let named = |entry: &str| {
        let (name, after) = entry.split_once('"')?;
        after.starts_with(',').then(|| name.to_owned())
    };
    text.split("(\"").skip(1).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "[[mutant]]\nname = 'a'\nfile = 'netstat-ebpf/src/b.rs'\nfind = 'c'\nwith = 'd'\n";

    #[test]
    fn an_entry_names_its_tests() {
        let list = parse(&format!("{ENTRY}tests = ['units e::f', 'live g h']\n")).unwrap();
        let check = |suite: &str, filter: &str| Check { suite: suite.into(), filter: filter.into() };
        assert_eq!(list[0].checks, [check("units", "e::f"), check("live", "g h")]);
        assert!(list[0].is_kernel_side());
    }

    #[test]
    fn tests_are_known_by_their_whole_names() {
        let text =
            "fn a() {}\nmod tests {\n    #[test]\n    #[ignore]\n    fn b_c() {}\n    #[test]\n    fn d() {}\n}\n";
        assert_eq!(unit_tests("agent/house.rs", text), ["agent::house::tests::b_c", "agent::house::tests::d"]);
        assert_eq!(unit_tests("agent/tests.rs", "#[test]\nfn e() {}"), ["agent::tests::e"]);
        assert_eq!(unit_tests("agent/mod.rs", "fn f() {}"), Vec::<String>::new(), "no test");
        assert_eq!(named_tests("&[(\"live::a\", a), (\"live::b\", || c(0))]; d(\"no test\")"), ["live::a", "live::b"]);
    }

    #[test]
    fn an_entry_that_proves_nothing_is_refused() {
        for tests in ["", "tests = []", "tests = ['live']", "tests = ['elsewhere a']"] {
            assert!(parse(&format!("{ENTRY}{tests}\n")).is_err(), "{tests}");
        }
        let whole = format!("{ENTRY}tests = ['live a']\n");
        assert!(parse(&format!("{whole}{whole}")).is_err(), "twice the same name");
        assert!(parse(&whole.replace("'d'", "'c'")).is_err(), "nothing is changed");
    }
}
