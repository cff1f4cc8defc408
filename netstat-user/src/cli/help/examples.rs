//! Questions that are asked every day, the command that answers each, and what it printed.

/// The document that they are in, whose commands are run and compared by the tests.
const DOCUMENT: &str = include_str!("examples.md");

/// The heading of the questions that the tables answer; the others are those of verbs.
const TABLES: &str = "tables";

/// A question with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// The verb; empty for the tables.
    pub of: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// The command.
    pub command: &'static str,
    /// Lines of its output.
    pub output: Vec<&'static str>,
}

/// The examples of every page.
pub fn all() -> Vec<Example> {
    let (mut all, mut of, mut question, mut inside): (Vec<Example>, _, _, _) = (Vec::new(), "", "", false);
    for line in DOCUMENT.lines() {
        match line {
            "```" => inside = !inside,
            line if inside => match (line.strip_prefix("# netstat-user"), all.last_mut()) {
                (None, Some(example)) => example.output.push(line),
                _ => all.push(Example { of, question, command: line.trim_start_matches("# "), output: Vec::new() }),
            },
            line => match line.strip_prefix("## ") {
                Some(heading) => of = if heading == TABLES { "" } else { heading },
                None if line.ends_with('?') => question = line,
                None => {}
            },
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_has_a_question_a_command_and_an_answer() {
        let all = all();
        assert!(all.len() > 8, "{all:?}");
        for example in &all {
            assert!(example.question.ends_with('?') && example.command.starts_with("netstat-user "), "{example:?}");
            assert!(!example.output.is_empty(), "{example:?}");
        }
        let verbs: Vec<&str> = crate::cli::names::VERBS.into_iter().chain([""]).collect();
        assert!(all.iter().all(|example| verbs.contains(&example.of)), "{all:?}");
        assert!(verbs.iter().all(|verb| all.iter().any(|example| example.of == *verb)), "{all:?}");
    }
}
