//! Holds the files of `netstat-user/src` to the layer map at the top of its `lib.rs`, and those of `netstat-ebpf/src` to that of its `main.rs`.
//!
//! A map is the ```` ```text ```` table there: one row per room with the rooms it may import; without such a column it may import those above
//! it. A file belongs to the room its first path component names. Modules that import each other in a circle, themselves or by those inside them, are
//! breaches too, in the crates without a map as well; a module and those inside it are one. Code is read as tokens, so that a path counts wherever it stands (a `use`, an expression, a macro's argument, a unit test) and one in
//! a comment or a string does not.

mod circles;
mod paths;

use anyhow::{Context, Result, bail};
use circles::circles;
use paths::{Name, UNSAFE_ATTRIBUTE, absolute, names_of};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What holds for the files of a crate beside its map.
struct Rules {
    /// The file with the map, in the folder of the sources.
    map: &'static str,
    /// The crate's library by the name under which its programs import it: the room `lib`, but for the rooms in it.
    library: &'static str,
    /// Files (without `.rs`) outside the map: they see all rooms, no room sees them.
    wiring: &'static [&'static str],
    /// Crates that one room alone may name, itself included in their prefix (`aya` stands for `aya_log` too).
    fenced_crates: &'static [(&'static str, &'static str)],
    /// The rooms with `unsafe`.
    unsafe_rooms: &'static [&'static str],
    /// Whether any room may have attributes such as `#[unsafe(no_mangle)]`.
    unsafe_attributes: bool,
}

/// Files of `netstat-user` that may end the process: the program, and what runs where there is no memory to return with.
const ENDS: [&str; 2] = ["main.rs", "sys/memory.rs"];

const USER: Rules = Rules {
    map: "lib.rs",
    library: "netstat_user",
    wiring: &["main"],
    fenced_crates: &[("aya", "kernel"), ("netstat_ebpf", "kernel")],
    unsafe_rooms: &["sys"],
    unsafe_attributes: false,
};

const EBPF: Rules = Rules {
    map: "main.rs",
    library: "netstat_ebpf",
    wiring: &["main"],
    fenced_crates: &[],
    unsafe_rooms: &["sys", "read"],
    unsafe_attributes: true,
};

/// In a map, every room but the one whose row it stands in.
const EVERY: &str = "*";

/// Room → the rooms it may import.
type Map = BTreeMap<String, Vec<String>>;

/// Every breach of the maps below the top of the workspace, and every circle, as `file:line: what`.
pub fn breaches(root: &Path) -> Result<Vec<String>> {
    let mut breaches = breaches_of(&USER, &texts(&root.join("netstat-user/src"))?)?;
    breaches.extend(breaches_of(&EBPF, &texts(&root.join("netstat-ebpf/src"))?)?);
    // These have no map. Each folder of tests is a suite, and so a crate.
    let mut others = vec![root.join("xtask/src"), root.join("tests/src")];
    for entry in fs::read_dir(root.join("tests/tests"))? {
        others.extend(Some(entry?.path()).filter(|path| path.is_dir()));
    }
    others.sort();
    for src in others {
        let found = circles(&texts(&src)?)?;
        let home = src.strip_prefix(root)?.display();
        breaches.extend(found.iter().map(|breach| format!("{home}: {breach}")));
    }
    Ok(breaches)
}

/// The files of a crate, each by its name below the folder, with its text.
fn texts(src: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    rust_files(src, &mut files)?;
    let read = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok((file.strip_prefix(src)?.to_string_lossy().into_owned(), text))
    };
    files.iter().map(read).collect()
}

fn breaches_of(rules: &Rules, files: &[(String, String)]) -> Result<Vec<String>> {
    let (_, text) = files.iter().find(|(name, _)| name == rules.map).context("there is no file with the layer map")?;
    let map = parse_map(text).with_context(|| rules.map)?;
    let mut breaches = Vec::new();
    for (name, text) in files {
        breaches.extend(file_breaches(rules, &map, name, text)?);
    }
    breaches.extend(circles(files)?);
    let seen: Vec<String> = files.iter().map(|(name, _)| room_of(name)).collect();
    for room in map.keys().filter(|room| !seen.contains(room)) {
        breaches.push(format!("{}: the layer map has a room `{room}`, and there is no such file", rules.map));
    }
    Ok(breaches)
}

/// The files of Rust below a folder, in order.
pub fn rust_files(dir: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads the table: a heading with the columns `room`, `may import` and `what it is`, then a row per room; the words of the
/// middle column are rooms, `-` is none. Where there is no such column, a room may import those above it.
fn parse_map(text: &str) -> Result<Map> {
    let mut lines = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .skip_while(|line| *line != "```text")
        .skip(1)
        .take_while(|line| *line != "```");
    let heading = lines.next().context("there is no ```text table: where is the layer map?")?;
    let purpose = heading.find("what it is").context("the layer map has no column `what it is`")?;
    let mut map = Map::new();
    let Some(imports) = heading.find("may import") else {
        for line in lines {
            let room = line.get(..purpose).with_context(|| format!("a row does not fit its columns: `{line}`"))?;
            let above = map.keys().cloned().collect();
            map.insert(room.trim().to_owned(), above);
        }
        return Ok(map);
    };
    for line in lines {
        let (Some(room), Some(allowed)) = (line.get(..imports), line.get(imports..purpose)) else {
            bail!("the layer map has a row that does not fit its columns: `{line}`");
        };
        let allowed = allowed.split_whitespace().filter(|word| *word != "-").map(str::to_owned).collect();
        map.insert(room.trim().to_owned(), allowed);
    }
    let rooms: Vec<String> = map.keys().cloned().collect();
    for (room, allowed) in &mut map {
        if allowed.iter().any(|name| name == EVERY) {
            *allowed = rooms.iter().filter(|other| *other != room).cloned().collect();
        }
    }
    for (room, allowed) in &map {
        if let Some(unknown) = allowed.iter().find(|name| !map.contains_key(*name)) {
            bail!("the layer map lets `{room}` import `{unknown}`, which is not a room");
        }
    }
    Ok(map)
}

/// The room a file belongs to: `view/unix.rs` and `view.rs` to `view`.
fn room_of(file: &str) -> String {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

fn file_breaches(rules: &Rules, map: &Map, file: &str, text: &str) -> Result<Vec<String>> {
    let room = room_of(file);
    let names = names_of(file, text)?;

    let mut found = Vec::new();
    let mut breach = |line: usize, what: String| found.push(format!("{file}:{line}: {what}"));
    let wires = rules.wiring.contains(&room.as_str());
    // The file with the map imports nothing.
    if !wires && room != room_of(rules.map) && !map.contains_key(&room) {
        breach(1, format!("room `{room}` is not in the layer map of {}", rules.map));
    }
    for Name { module, path, line, .. } in names {
        let first = path[0].as_str();
        let is_unsafe = first == "unsafe" || first == UNSAFE_ATTRIBUTE && !rules.unsafe_attributes;
        if is_unsafe && !rules.unsafe_rooms.contains(&room.as_str()) {
            breach(line, format!("`unsafe` belongs to `{}`", rules.unsafe_rooms.join("`, `")));
        }
        for (fenced, home) in rules.fenced_crates {
            let inside = first == *fenced || first.strip_prefix(fenced).is_some_and(|rest| rest.starts_with('_'));
            if inside && room != *home {
                breach(line, format!("`{first}` may be named in the room `{home}` only"));
            }
        }
        let ends = path.windows(2).any(|pair| {
            let owner = matches!(pair[0].as_str(), "process" | "libc");
            owner && matches!(pair[1].as_str(), "exit" | "_exit" | "abort" | "exit_group")
        });
        if ends && !ENDS.contains(&file) {
            breach(line, format!("`{}` ends the process; only main.rs does", path.join("::")));
        }
        if wires {
            continue;
        }
        let is_room = |name: &String| map.contains_key(name);
        let target = match absolute(&module, &path) {
            Some(target) => target,
            None if first == rules.library => {
                let room = path.get(1).filter(|name| is_room(name));
                vec![room.map_or("lib", String::as_str).to_owned()]
            }
            // At the top of the crate a path may start with a room.
            None if module.is_empty() && path.len() > 1 && is_room(&path[0]) => path,
            None => continue,
        };
        match target.first().map(String::as_str) {
            None => {}
            Some(own) if own == room => {}
            Some(other) if map.get(&room).is_some_and(|allowed| allowed.iter().any(|name| name == other)) => {}
            Some("*") => breach(line, "imports everything at the top of the crate; name the room".to_owned()),
            Some(other) if map.contains_key(other) => {
                breach(line, format!("`{room}` may not import `{other}` (layer map in {})", rules.map));
            }
            Some(other) => breach(line, format!("`{room}` imports `{other}`, which is not a room of the layer map")),
        }
    }
    // A group may name the same room twice.
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! # Layer map\n//!\n//! ```text\n\
        //! room     may import          what it is\n\
        //! model    -                   plain data\n\
        //! sys      -                   system calls\n\
        //! kernel   model sys           all of aya\n\
        //! view     model               rows in, bytes out\n\
        //! run      *                   wires\n\
        //! ```\n";

    fn check(file: &str, text: &str) -> Vec<String> {
        file_breaches(&USER, &parse_map(LIB).unwrap(), file, text).unwrap()
    }

    #[test]
    fn a_room_imports_those_above_it_where_the_map_is_an_order() {
        let map = parse_map(
            "//! ```text\n//! file   what it is\n//! linux  numbers\n//! lib    the ABI\n//! sys    the machine\n//! read   memory\n//! iter   iterators\n//! mini   minisockets\n\
             //! tcp    TCP\n//! ```\n",
        );
        let check = |file: &str, text: &str| file_breaches(&EBPF, map.as_ref().unwrap(), file, text).unwrap();
        assert_eq!(check("tcp.rs", "use crate::{mini, sys}; use super::mini::step;"), Vec::<String>::new());
        assert_eq!(
            check("mini.rs", "use crate::tcp;"),
            ["mini.rs:1: `mini` may not import `tcp` (layer map in main.rs)"]
        );
        // The library is a room, for its own files and for those of the programs.
        assert_eq!(check("lib.rs", "pub mod linux; pub use linux::AF_INET;"), Vec::<String>::new());
        assert_eq!(check("sys.rs", "use netstat_ebpf::{Record, linux::AF_INET};"), Vec::<String>::new());
        for text in ["mod mini; use mini::step;", "use crate::mini;", "fn f() { unsafe { g() } }"] {
            assert_eq!(check("lib.rs", text).len(), 1, "{text}");
        }
        assert_eq!(
            check("linux.rs", "use netstat_ebpf::Record;"),
            ["linux.rs:1: `linux` may not import `lib` (layer map in main.rs)"]
        );
        assert_eq!(check("sys.rs", "fn f() { unsafe { g() } }"), Vec::<String>::new());
        assert_eq!(check("read.rs", "fn f() { unsafe { g() } }"), Vec::<String>::new());
        // Also in what is an object of its own.
        assert_eq!(
            check("iter.rs", "mod object { fn f() { unsafe { g() } } }"),
            ["iter.rs:1: `unsafe` belongs to `sys`, `read`"]
        );
        assert_eq!(check("tcp.rs", "#[unsafe(no_mangle)] fn f() {}"), Vec::<String>::new());
        for text in
            ["fn f() { unsafe { g() } }", "unsafe impl Sync for X {}", "unsafe fn f() {}", "unsafe extern \"C\" {}"]
        {
            assert_eq!(check("tcp.rs", text), ["tcp.rs:1: `unsafe` belongs to `sys`, `read`"], "{text}");
        }
    }

    #[test]
    fn reads_the_table() {
        let map = parse_map(LIB).unwrap();
        assert_eq!(map["model"], Vec::<String>::new());
        assert_eq!(map["kernel"], ["model", "sys"]);
        assert_eq!(map["run"], ["kernel", "model", "sys", "view"]);
        assert_eq!(map.len(), 5);
        assert!(parse_map("//! nothing\n").is_err());
        assert!(parse_map(&LIB.replace("model sys ", "model foo ")).is_err());
    }

    #[test]
    fn what_the_map_allows_passes() {
        let text = "
            //! crate::kernel in a comment
            use crate::model::{Event, Proto};
            use crate::view::unix;
            use super::inet; // from view/table.rs this is crate::view::inet
            fn f() { let s = \"crate::kernel\"; std::process::id(); self::g(s) }
            mod tests { use super::*; use crate::model; }
        ";
        assert_eq!(check("view/table.rs", text), Vec::<String>::new());
        assert_eq!(
            check("kernel/mod.rs", "use aya::Btf; use crate::sys; use netstat_ebpf::Record;"),
            Vec::<String>::new()
        );
        assert_eq!(check("sys/mod.rs", "pub fn f() { unsafe { g() } }"), Vec::<String>::new());
        assert_eq!(check("run/events.rs", "use crate::{kernel, view}; use crate::sys::now;"), Vec::<String>::new());
        assert_eq!(check("lib.rs", "pub mod kernel; pub mod view;"), Vec::<String>::new());
        assert_eq!(check("main.rs", "fn main() { std::process::exit(2) }"), Vec::<String>::new());
    }

    #[test]
    fn an_import_against_the_map_is_found_however_it_is_written() {
        for text in [
            "\nuse crate::kernel;",
            "\nuse crate::kernel::load as l;",
            "\nuse crate::{model, kernel::load};",
            "\nuse {crate::{kernel::{self, load}}};",
            "\nuse super::super::kernel;",
            "\nmod tests { use super::super::super::kernel; }",
            "\nfn f() { crate::kernel::load() }",
            "\nfn f() { println!(\"{}\", crate::kernel::X) }",
            "\nfn f() -> Vec<crate::kernel::T> { todo!() }",
        ] {
            let found = check("view/table.rs", text);
            assert_eq!(found, ["view/table.rs:2: `view` may not import `kernel` (layer map in lib.rs)"], "{text}");
        }
    }

    #[test]
    fn the_wiring_and_the_crate_itself_are_closed_to_rooms() {
        let found = check("view.rs", "use crate::run::classic;");
        assert_eq!(found, ["view.rs:1: `view` may not import `run` (layer map in lib.rs)"]);
        assert_eq!(check("run/events.rs", "use crate::nowhere::x;").len(), 1);
        assert_eq!(check("view.rs", "use crate::*;").len(), 1);
        assert_eq!(check("view/mod.rs", "use super::*;").len(), 1);
    }

    #[test]
    fn a_room_outside_the_map_is_found() {
        assert_eq!(check("cache/mod.rs", ""), ["cache/mod.rs:1: room `cache` is not in the layer map of lib.rs"]);
    }

    #[test]
    fn fences_hold() {
        assert_eq!(check("view.rs", "use aya::Btf;").len(), 1);
        assert_eq!(check("run/events.rs", "use aya_log::EbpfLogger;").len(), 1);
        assert_eq!(check("run/events.rs", "fn f() { netstat_ebpf::SIZE; }").len(), 1);
        assert_eq!(
            check("kernel/ring.rs", "fn f() { unsafe { g() } }"),
            ["kernel/ring.rs:1: `unsafe` belongs to `sys`"]
        );
        assert_eq!(check("kernel/ring.rs", "#[unsafe(no_mangle)] fn f() {}").len(), 1);
        assert_eq!(check("lib.rs", "use std::process::{self, exit};").len(), 1);
        assert_eq!(check("run/mod.rs", "fn f() { process::exit(1) }").len(), 1);
    }
}
