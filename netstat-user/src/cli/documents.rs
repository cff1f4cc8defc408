//! What the documents show is what the program understands and prints.

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

/// Words of a shell command with quotes, as far as documents have them.
fn words(command: &str) -> Vec<OsString> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for letter in command.chars() {
        match (quote, letter) {
            (None, '"' | '\'') => (quote, any) = (Some(letter), true),
            (Some(open), _) if open == letter => quote = None,
            (None, ' ') if !word.is_empty() || any => {
                words.push(std::mem::take(&mut word).into());
                any = false;
            }
            (None, ' ') => {}
            _ => word.push(letter),
        }
    }
    if !word.is_empty() || any {
        words.push(word.into());
    }
    words
}

/// The commands of a document, in fences and in back-ticks, without those of a shell's making.
fn commands(text: &str) -> Vec<String> {
    let begins = |line: &str| line.trim_start_matches("# ").starts_with("netstat-user ");
    let fenced = text.lines().filter(|line| begins(line)).map(|line| line.trim_start_matches("# ").to_owned());
    let ticked = text.split('`').skip(1).step_by(2).filter(|code| begins(code)).map(str::to_owned);
    let comment = |line: String| line.split("   #").next().unwrap_or_default().trim().to_owned();
    let all = fenced.chain(ticked).map(comment);
    all.filter(|command| !command.contains(['|', '>', '$', '[', '…']) && !command.contains("VERB")).collect()
}

/// Whether the command line is understood, up to what belongs to parts that are still to come.
fn understood(command: &str) -> Result<(), String> {
    match parse(words(command)) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(format!("{command}: {:?} {}", refusal.reason, refusal.message)),
    }
}

/// Options of the contract that this build does not have yet: their commands are marked in the documents.
fn is_to_come(command: &str) -> bool {
    let known = |option: &str| {
        let mut all = pages().into_iter().map(|(_, page)| page.command).chain([classic::page().command]);
        all.any(|command| command.get_arguments().any(|arg| arg.get_long() == Some(option)))
    };
    let options = ["where", "columns", "count-by", "sort", "limit", "info", "netns"];
    let lacks = |option: &&str| command.contains(&format!("--{option}")) && !known(option);
    let verb = command.starts_with("netstat-user kill") && !pages().iter().any(|(name, _)| *name == "kill");
    options.iter().any(lacks) || verb
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let mut count = 0;
    for name in ["README.md", "docs/how-do-i.md"] {
        for command in commands(&document(name)) {
            if !is_to_come(&command) {
                understood(&command).unwrap_or_else(|said| panic!("{name}: {said}"));
                count += 1;
            }
        }
    }
    assert!(count > 15, "only {count} commands were found");
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
fn samples_of_json_have_the_fields_that_there_are() {
    let readme = document("README.md");
    let samples = readme.lines().filter(|line| line.starts_with("{\"proto\"") || line.starts_with("{\"time\""));
    let mut count = 0;
    for line in samples {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
            let known = FIELDS.iter().any(|spec| spec.name == key || spec.name.starts_with(&format!("{key}.")));
            assert!(known, "{key} is no field: {line}");
        }
        count += 1;
    }
    assert!(count >= 3, "{count} samples of JSON");
}
