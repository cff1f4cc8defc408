//! The pages of help: short for a glance (`-h`), long (`--help`) and as a manual page (`--man`), of the program and of each verb.
//!
//! Options and their words come from the definitions that the parsers read; the sections around them from here. No line is longer than
//! [`COLUMNS`].

mod examples;
pub mod mistake;
mod related;
mod short;
mod words;

use super::{Invocation, Refusal};
use crate::field::{FIELDS, RowKinds};
use crate::model::width::wrap;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;

pub use words::{EXIT_CODES, GLOSSARY};

/// Columns of every page.
pub const COLUMNS: usize = 80;

/// A part of a page below its options.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its title, in capitals.
    pub title: &'static str,
    /// A paragraph before the entries; may be empty.
    pub text: String,
    /// Terms, each with its meaning.
    pub entries: Vec<(String, String)>,
}

impl Section {
    fn new<T: Into<String>, M: Into<String>>(title: &'static str, entries: impl IntoIterator<Item = (T, M)>) -> Self {
        let entries = entries.into_iter().map(|(term, meaning)| (term.into(), meaning.into())).collect();
        Self { title, text: String::new(), entries }
    }

    /// As it stands in a manual page.
    fn roff(&self) -> String {
        let mut text = format!(".SH \"{}\"\n", self.title);
        if !self.text.is_empty() {
            text.push_str(&format!("{}\n", plain(&self.text)));
        }
        for (term, meaning) in &self.entries {
            match meaning.strip_prefix('\n') {
                // Real output keeps its lines, and so stands where headings do, as far to the left as there is room for.
                Some(lines) => {
                    let (term, lines) = (plain(term), plain(lines));
                    text.push_str(&format!(".SS \"{term}\"\n.RS -4n\n.nf\n{lines}\n.fi\n.RE\n"));
                }
                None => text.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", plain(term), plain(meaning))),
            }
        }
        text
    }
}

/// All that is said of the program or of a verb.
#[derive(Debug)]
pub struct Page {
    /// The options, with what each does.
    pub command: Command,
    /// How it is called, a line each.
    pub synopsis: Vec<&'static str>,
    /// The text of `-h`.
    pub short: &'static str,
    /// What stands below the options.
    pub sections: Vec<Section>,
}

/// Every page by its verb, and the program's own, whose name is empty. They are made where a mistake is to be explained, and only then.
pub type AllPages = fn() -> Vec<(&'static str, Page)>;

/// The page of a verb, with what every one has below its options.
pub fn of_verb(name: &'static str, command: Command, synopsis: &'static str) -> Page {
    let mut sections = vec![examples(name)];
    if name == "events" {
        sections.push(fields("FIELDS OF EVENTS", Some(RowKinds::EVENT.or(RowKinds::LIFE))));
        sections.push(glossary());
    }
    sections.retain(|section| !section.entries.is_empty());
    sections.push(exit_codes());
    Page { command: with_help(command), synopsis: vec![synopsis], short: short_of(name), sections }
}

/// The sections of the program's own page, after those about its rows.
pub fn closing_sections() -> Vec<Section> {
    vec![examples(""), fields("FIELDS", None), glossary(), exit_codes()]
}

/// The options of help, which [`read`] looks for itself.
fn with_help(command: Command) -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    command
        .disable_help_flag(true)
        .arg(
            Arg::new("short-help")
                .short('h')
                .action(ArgAction::SetTrue)
                .help("The most used options and examples, on one screen"),
        )
        .arg(flag("help", "This help"))
        .arg(flag("man", "This help as a manual page, in roff: pipe it into man -l -"))
}

/// What the command line of a verb asks for.
#[allow(clippy::large_enum_variant, reason = "one of them is made in a run")]
pub enum HelpRequest {
    /// To be done, with these options.
    Options(ArgMatches),
    /// A page of help.
    Page(Invocation),
}

/// Reads the command line of a verb, with its page; `argv` begins with the verb.
///
/// # Errors
/// A [`Refusal`] with exit code 2.
pub fn read(page: Page, argv: &[OsString], all: AllPages) -> Result<HelpRequest, Refusal> {
    if let Some(text) = wanted(&page, argv) {
        return Ok(HelpRequest::Page(Invocation::Print(text)));
    }
    match page.command.clone().try_get_matches_from(argv) {
        Ok(matches) if matches.get_flag("short-help") => Ok(HelpRequest::Page(Invocation::Print(page.short()))),
        Ok(matches) => Ok(HelpRequest::Options(matches)),
        Err(error) if error.kind() == ErrorKind::InvalidUtf8 => Err(mistake::not_text(&page.command, argv)),
        Err(error) => Err(mistake::refusal(page.command.get_name(), &error, all)),
    }
}

/// The page that is asked for before anything is wrong with the command line; the values of options ask for none.
fn wanted(page: &Page, argv: &[OsString]) -> Option<String> {
    let mut words = argv.iter().skip(1).map(|word| word.to_str().unwrap_or_default());
    while let Some(word) = words.next() {
        match word {
            "--" => return None,
            "-h" => return Some(page.short()),
            "--help" => return Some(page.long()),
            "--man" => return Some(page.man()),
            option if valued(&page.command, option).is_some() => drop(words.next()),
            _ => {}
        }
    }
    None
}

/// The option that a word is, where the next word is its value.
fn valued<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| {
        let named = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => arg.get_long() == Some(long),
            (None, Some(short)) => short.len() == 1 && arg.get_short().is_some_and(|letter| short.starts_with(letter)),
            (None, None) => false,
        };
        named && arg.get_action().takes_values()
    })
}

impl Page {
    /// The text of `-h`.
    pub fn short(&self) -> String {
        if self.short.is_empty() { self.long() } else { self.short.to_owned() }
    }

    /// The text of `--help`.
    pub fn long(&self) -> String {
        let about = self.command.get_long_about().or(self.command.get_about()).map(|about| about.to_string());
        let mut text = String::new();
        for paragraph in about.unwrap_or_default().split("\n\n") {
            text.push_str(&wrapped(paragraph, 0));
            text.push_str("\n\n");
        }
        text.push_str(&format!("Usage: {}\n\n", self.synopsis.join("\n       ")));
        let options = self.command.clone().help_template("{all-args}").term_width(COLUMNS);
        text.push_str(options.clone().render_help().to_string().trim_end());
        text.push('\n');
        for section in &self.sections {
            text.push_str(&format!("\n{}:\n", capital(section.title)));
            if !section.text.is_empty() {
                text.push_str(&format!("  {}\n", wrapped(&section.text, 2)));
            }
            let widest = section.entries.iter().map(|(term, _)| term.chars().count()).max().unwrap_or_default();
            let column = widest.min(22);
            for (term, meaning) in &section.entries {
                let indent = " ".repeat(column + 4);
                let verbatim = meaning.starts_with('\n');
                let lines = match verbatim {
                    true => meaning.replace('\n', "\n    "),
                    false => wrapped(meaning, column + 4),
                };
                if verbatim {
                    text.push_str(&format!("  {term}{lines}\n"));
                } else if term.chars().count() > column {
                    text.push_str(&format!("  {term}\n{indent}{lines}\n"));
                } else {
                    text.push_str(&format!("  {term:<column$}  {lines}\n"));
                }
            }
        }
        text
    }

    /// The text of `--man`, in roff.
    pub fn man(&self) -> String {
        self.man_with("")
    }

    /// The same, with sections of other pages before those that stand at the end of each.
    pub fn man_with(&self, others: &str) -> String {
        let name = self.command.get_name().replace(' ', "-");
        let page = clap_mangen::Man::new(self.command.clone().display_name(&name)).title(name).section("8");
        let page = page.date(env!("NETSTAT_USER_DATE")).source(concat!("netstat-user ", env!("CARGO_PKG_VERSION")));
        let (mut roff, page) = (Vec::new(), page.manual("System Manager's Manual"));
        // Writing to memory does not fail.
        let _ = page.render_title(&mut roff);
        let _ = page.render_name_section(&mut roff);
        let mut text = String::from_utf8_lossy(&roff).into_owned();
        text.push_str(".SH SYNOPSIS\n.nf\n");
        for line in &self.synopsis {
            text.push_str(&format!("{}\n", plain(line)));
        }
        text.push_str(".fi\n");
        let mut roff = Vec::new();
        let _ = page.render_description_section(&mut roff);
        let _ = page.render_options_section(&mut roff);
        text.push_str(&String::from_utf8_lossy(&roff));
        self.sections.iter().for_each(|section| text.push_str(&section.roff()));
        text.push_str(others);
        let verb = self.command.get_name().strip_prefix("netstat-user").unwrap_or_default().trim();
        text + &related::files(verb).roff() + &related::see_also(verb)
    }
}

/// The sections of a verb in the program's own manual page: those of its page, one level down.
pub fn verb_sections(name: &str, page: &Page) -> String {
    let (man, mut roff) = (clap_mangen::Man::new(page.command.clone()), Vec::new());
    // Writing to memory does not fail.
    let _ = man.render_description_section(&mut roff);
    let _ = man.render_options_section(&mut roff);
    let sections = String::from_utf8_lossy(&roff);
    // Each section brings roff's own preamble.
    let lines = sections.lines().filter(|line| !line.starts_with(".ie ") && !line.starts_with(".el "));
    let lines: Vec<String> = lines.map(|line| line.replacen(".SH ", ".SS ", 1)).collect();
    format!(".SH \"{}\"\n{}\n", name.to_uppercase(), lines.join("\n"))
}

/// Text as roff takes it.
fn plain(words: &str) -> String {
    let escaped = words.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    let dotted = |line: &str| if line.starts_with('.') { format!("\\&{line}") } else { line.to_owned() };
    escaped.split('\n').map(dotted).collect::<Vec<_>>().join("\n")
}

/// `EXIT CODES` as `Exit codes`.
fn capital(title: &str) -> String {
    let mut text = title.to_lowercase();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text.replace("Json", "JSON")
}

/// Words in lines of a page, which begin in the column `at`.
fn wrapped(text: &str, at: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut lines = Vec::new();
    wrap(&mut lines, words.join(" ").as_bytes(), at, at, COLUMNS);
    String::from_utf8_lossy(&lines).into_owned()
}

fn examples(of: &str) -> Section {
    let entries = examples::all().into_iter().filter(|example| example.of == of);
    Section::new(
        "EXAMPLES",
        entries.map(|example| {
            let output: String = example.output.iter().map(|line| format!("\n{line}")).collect();
            (example.question, format!("\n# {}{output}", example.command))
        }),
    )
}

/// Every field that such rows can have, or that any can.
fn fields(title: &'static str, rows: Option<RowKinds>) -> Section {
    let specs = FIELDS.iter().filter(|spec| rows.is_none_or(|rows| spec.rows().meets(rows)));
    Section::new(title, specs.map(|spec| (spec.name, format!("{} ({})", spec.doc, spec.kind.name()))))
}

fn glossary() -> Section {
    Section::new("GLOSSARY", GLOSSARY)
}

fn exit_codes() -> Section {
    let text = "The views of netstat have netstat's own codes, the verbs have one table.".to_owned();
    Section { text, ..Section::new("EXIT CODES", EXIT_CODES) }
}

/// The text of `-h` of a verb, or of the program, whose name is empty; empty where there is no such page.
pub fn short_of(name: &str) -> &'static str {
    short::PAGES.iter().find(|(of, _)| *of == name).map_or("", |(_, text)| *text)
}

#[cfg(test)]
mod tests;
