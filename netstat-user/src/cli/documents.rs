//! What the documents show is what the program understands; what it prints is compared by the tests of the built program.

use super::*;
use crate::field::FIELDS;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README and every page of docs/, each with its text.
fn documents() -> Vec<(String, String)> {
    let pages =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = pages.map(|name| format!("docs/{name}")).chain(["README.md".to_owned()]);
    names.map(|name| (name.clone(), document(&name))).collect()
}

/// The commands of a document, in fences and in back-ticks, without those of a shell's making and those with words to fill in.
fn commands(text: &str) -> Vec<String> {
    let begins = |line: &str| line.trim_start_matches("# ").starts_with("netstat-user ");
    let fenced = text.lines().filter(|line| begins(line)).map(|line| line.trim_start_matches("# ").to_owned());
    let ticked = text.split('`').skip(1).step_by(2).filter(|code| begins(code)).map(str::to_owned);
    let comment = |line: String| line.split("   #").next().unwrap_or_default().trim().to_owned();
    let all = fenced.chain(ticked).map(comment);
    let is_shells = |command: &str| command.contains(['|', '$', '[', '…']) || command.contains(" > /");
    // A verb alone is its name in the text.
    let is_name =
        |command: &str| command.contains("VERB") || command.split(' ').count() == 2 && !command.contains(" -");
    all.filter(|command| !is_shells(command) && !is_name(command)).collect()
}

/// The mistake by which docs/selecting.md shows how mistakes are marked.
const MISTAKE: &str = "netstat-user -tan --where 'sprt = :80'";

#[test]
fn every_command_of_the_documents_is_understood() {
    let mut count = 0;
    for (name, text) in documents() {
        for command in commands(&text) {
            let words = shlex::split(&command).unwrap_or_else(|| panic!("{name}: {command}: a quote is open"));
            match parse(words.into_iter().map(OsString::from), false) {
                Ok(_) => assert_ne!(command, MISTAKE, "{name}"),
                Err(refusal) if command != MISTAKE => {
                    panic!("{name}: {command}: {:?} {}", refusal.reason, refusal.message);
                }
                Err(_) => {}
            }
            count += 1;
        }
    }
    assert!(count > 60, "only {count} commands were found");
}

#[test]
fn twenty_questions_have_a_command_each() {
    let page = document("docs/how-do-i.md");
    for number in 1..=20 {
        let row = page.lines().find(|line| line.starts_with(&format!("| {number}. ")));
        let row = row.unwrap_or_else(|| panic!("question {number} is missing"));
        let command = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        assert!(command.starts_with("`netstat-user ") && command.ends_with('`'), "{row}");
        assert!(!command.contains('|'), "one command, and no pipe: {row}");
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for (name, text) in documents() {
        let folder = root().join(&name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") {
                continue;
            }
            let path = if file.is_empty() { root().join(&name) } else { folder.parent().unwrap().join(file) };
            let there = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {target}: {error}"));
            let anchor = |line: &str| {
                let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                heading.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect::<String>()
            };
            let is_there = there.lines().any(|line| line.starts_with('#') && anchor(line) == place);
            assert!(place.is_empty() || is_there, "{name}: there is no heading for {target}");
        }
    }
}

#[test]
fn samples_of_json_have_the_fields_that_there_are() {
    let mut count = 0;
    for (name, text) in documents() {
        for line in text.lines().filter(|line| line.starts_with("{\"proto\"") || line.starts_with("{\"time\"")) {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
            for key in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
                let known = FIELDS.iter().any(|spec| spec.name == key || spec.name.starts_with(&format!("{key}.")));
                // What only the lines of whole connections, and of `kill`, have.
                assert!(known || ["states", "result", "error"].contains(&key.as_str()), "{key} is no field: {line}");
            }
            count += 1;
        }
    }
    assert!(count >= 3, "{count} samples of JSON");
}
