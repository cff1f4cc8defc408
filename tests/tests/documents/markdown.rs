//! Documents, the samples in them, and commands as a shell reads them.
//!
//! A sample is a fence below a comment that says how it comes about: `<!-- sample: SCENE, OPTION, … -->`. In the fence each line that begins
//! with `# netstat-user` is a command, and what stands below it, up to the next, is what it prints. Scenes are those of
//! [`World::run`](crate::world::World::run). Options: `stderr` (shows standard error), `width N` (printed on a terminal of so many columns), `cut N` (lines are cut to so many
//! columns), `first N` (only the first lines), `machine` (differs from machine to machine: only how its lines begin is compared).

use crate::shape::Comparison;
use std::fs;
use std::path::{Path, PathBuf};

/// The top folder of the sources.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every document that may have samples, by its path below the top folder.
pub fn all() -> Vec<String> {
    let docs =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    names.sort();
    names.insert(0, "README.md".into());
    names.push("netstat-user/src/cli/help/examples.md".into());
    names
}

/// How a sample comes about.
#[derive(Clone, Debug, Default)]
pub struct How {
    pub scene: String,
    pub stderr: bool,
    pub width: Option<u16>,
    pub cut: Option<usize>,
    pub first: Option<usize>,
    pub machine: bool,
}

/// A sample in a document.
#[derive(Clone, Debug)]
pub struct Sample {
    pub how: How,
    /// Commands, each with the lines below it.
    pub commands: Vec<(String, Vec<String>)>,
    /// Its lines in the document, the fences left out.
    pub lines: std::ops::Range<usize>,
}

impl How {
    /// What is compared of the lines: what fits a terminal depends on the length of process numbers.
    pub fn comparison(&self) -> Comparison {
        match (self.cut, self.width) {
            (Some(_), _) => Comparison::Words(5),
            // On wide ones nothing is left out, but how the owner is known; where each fact stands depends on the others.
            (None, Some(columns)) if columns >= 100 => Comparison::Facts,
            (None, Some(_)) => Comparison::Words(6),
            (None, None) => Comparison::Words(usize::MAX),
        }
    }

    /// Whether lines come in the same order whenever they are printed: events of two processes, and sockets by the kernel's hash, do not.
    pub fn is_ordered(&self) -> bool {
        self.scene == "tables"
    }

    fn read(comment: &str) -> Self {
        let mut words = comment.split(',').map(str::trim);
        let mut how = Self { scene: words.next().unwrap_or_default().to_owned(), ..Self::default() };
        for word in words {
            let (name, number) = word.split_once(' ').unwrap_or((word, ""));
            match name {
                "stderr" => how.stderr = true,
                "machine" => how.machine = true,
                "width" => how.width = Some(number.parse().unwrap()),
                "cut" => how.cut = Some(number.parse().unwrap()),
                "first" => how.first = Some(number.parse().unwrap()),
                _ => panic!("there is no option {word}"),
            }
        }
        how
    }
}

/// The samples of a document.
pub fn samples(text: &str) -> Vec<Sample> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(comment) = line.strip_prefix("<!-- sample: ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        assert_eq!(lines.get(at + 1), Some(&"```"), "a fence stands below {line}");
        let length = lines[at + 2..].iter().position(|line| *line == "```").expect("the fence ends");
        let range = at + 2..at + 2 + length;
        let mut commands: Vec<(String, Vec<String>)> = Vec::new();
        for line in &lines[range.clone()] {
            match (line.strip_prefix("# ").filter(|command| command.starts_with("netstat-user")), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, output))) => output.push((*line).to_owned()),
                (None, None) => panic!("no command before {line}"),
            }
        }
        assert!(!commands.is_empty(), "a sample has a command: {comment}");
        found.push(Sample { how: How::read(comment), commands, lines: range });
    }
    found
}

/// The fences that hold output without being samples: what stands below a command.
pub fn unmarked(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if !lines[at].starts_with("```") {
            at += 1;
            continue;
        }
        let length = lines[at + 1..].iter().position(|line| *line == "```").expect("the fence ends");
        let marked = at > 0 && lines[at - 1].starts_with("<!-- sample: ");
        let inside = &lines[at + 1..at + 1 + length];
        let is_output = |line: &&str| line.starts_with("# netstat-user") || line.starts_with('{');
        if !marked && inside.iter().any(is_output) {
            found.push(inside.join("\n"));
        }
        at += length + 2;
    }
    found
}

/// The words of a command, as a shell reads them.
pub fn words(command: &str) -> Vec<String> {
    shlex::split(command).unwrap_or_else(|| panic!("a quote is open: {command}"))
}
