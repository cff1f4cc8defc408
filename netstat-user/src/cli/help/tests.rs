use super::*;
use crate::cli::all_pages;
use std::io::Write;
use std::process::Stdio;

/// The page of a verb, or of the program, whose name is empty.
fn page_of(name: &str) -> Page {
    all_pages().into_iter().find(|(other, _)| *other == name).unwrap().1
}

#[test]
fn no_page_is_wider_than_a_terminal() {
    for (name, page) in all_pages() {
        for (form, text) in [("-h", page.short()), ("--help", page.long())] {
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS, "{name} {form}: {line}");
                assert!(!line.ends_with(' '), "{name} {form}: {line:?}");
            }
        }
    }
}

#[test]
fn the_short_page_is_one_screen() {
    for (name, page) in all_pages() {
        let short = page.short();
        assert!(short.lines().count() <= 23, "{name}: {} lines", short.lines().count());
        assert!(short.contains("Examples:") && short.contains("--help"), "{name}");
    }
}

#[test]
fn options_of_short_pages_are_there() {
    for (name, page) in all_pages() {
        let known: Vec<String> =
            all_pages().iter().flat_map(|(_, page)| longs(&page.command)).chain(["--help".into()]).collect();
        let of_short = page.short();
        let words = of_short.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
        for word in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            assert!(known.iter().any(|option| option == word), "{name}: {word}");
        }
    }
}

fn longs(command: &Command) -> Vec<String> {
    command.get_arguments().filter_map(Arg::get_long).map(|long| format!("--{long}")).collect()
}

#[test]
fn help_and_man_list_every_option_and_every_field() {
    for (name, page) in all_pages() {
        let (help, man) = (page.long(), page.man());
        let roffed = |text: &str| text.replace('-', "\\-");
        for arg in page.command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let option = long.or_else(|| arg.get_short().map(|short| format!("-{short}")));
            let option = option.unwrap_or_else(|| arg.get_id().as_str().to_uppercase());
            assert!(help.contains(&option), "{name} --help lacks {option}");
            assert!(man.contains(&roffed(&option)) || man.contains(&option), "{name} --man lacks {option}");
            assert!(arg.get_help().is_some(), "{name}: {option} is not described");
        }
    }
    let (help, man) = (page_of("").long(), page_of("").man());
    for spec in &FIELDS {
        assert!(help.contains(&format!("\n  {}", spec.name)), "--help lacks the field {}", spec.name);
        assert!(man.contains(&format!("\\fB{}\\fR\n", spec.name)), "--man lacks the field {}", spec.name);
    }
}

#[test]
fn the_glossary_has_every_word() {
    use crate::model::{CloseReason, Grade, TcpState};
    let words = TcpState::ALL.map(TcpState::name).into_iter();
    for word in words.chain(CloseReason::ALL.map(CloseReason::name)).chain(Grade::ALL.map(Grade::name)) {
        assert!(GLOSSARY.iter().any(|(term, _)| *term == word), "{word}");
    }
    for page in [page_of(""), page_of("events")] {
        for (term, _) in GLOSSARY {
            assert!(page.long().contains(&format!("\n  {term}")), "{term}");
            assert!(page.man().contains(&plain(term)), "{term}");
        }
    }
}

#[test]
fn a_page_is_printed_whatever_else_is_wrong() {
    let read = |line: &str| {
        let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
        match super::read(page_of("events"), &argv, all_pages) {
            Ok(HelpRequest::Page(Invocation::Print(text))) => text.lines().next().unwrap_or_default().to_owned(),
            Ok(_) => "options".into(),
            Err(refusal) => refusal.exit.to_string(),
        }
    };
    let events = page_of("events").short();
    for option in ["--where EXPR", "--columns F", "--count-by F"] {
        assert!(events.contains(option), "{option}: {events}");
    }
    let short = "What happens to sockets, as it happens: opened, each TCP state, closed.";
    assert_eq!(read("events -h"), short);
    assert_eq!(read("events -vh"), short);
    assert_eq!(read("events --nonsense -h"), short);
    assert!(read("events --json --help").starts_with("Stream what happens"));
    assert!(read("events --man").starts_with(".ie"));
    assert_eq!(read("events --comm --help"), "2", "a value is missing");
    assert_eq!(read("events --comm=-h"), "options");
    assert_eq!(read("events -- --help"), "2");
}

/// As man(1) shows it on a terminal of 80 columns, which neither cuts nor folds the lines of samples.
#[test]
fn no_manual_page_is_wider_than_a_terminal() {
    for (name, page) in all_pages() {
        let mut man = std::process::Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-P", "cat", "-l", "-"])
            .env("MANWIDTH", "80")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("MAN_KEEP_FORMATTING");
        let man = man.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut man) = man else {
            println!("skipped: man is not installed");
            return;
        };
        man.stdin.take().unwrap().write_all(page.man().as_bytes()).unwrap();
        let out = man.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{name}");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        for example in
            page.sections.iter().filter(|section| section.title == "EXAMPLES").flat_map(|section| &section.entries)
        {
            for line in example.1.lines() {
                assert!(text.contains(line), "{name}: {line}\n{text}");
            }
        }
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{name}: {line}");
        }
        let foot = text.lines().last().unwrap_or_default();
        let date = foot.split_whitespace().find(|word| word.split('-').count() == 3 && word.starts_with("20"));
        assert!(
            foot.contains(env!("CARGO_PKG_VERSION")) && date.is_some_and(|date| date.len() == 10),
            "{name}: {foot}"
        );
    }
}

#[test]
fn every_manual_page_ends_with_files_and_other_pages() {
    for name in ["", "events", "agent", "doctor", "kill"] {
        let argv = ["netstat-user", name, "--man"].into_iter().filter(|word| !word.is_empty());
        let Ok(Invocation::Print(man)) = crate::cli::parse(argv.map(OsString::from), false) else {
            panic!("{name} has no page")
        };
        let titles: Vec<_> = man.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        assert!(titles.ends_with(&["\"FILES\"", "\"SEE ALSO\""]), "{name}: {titles:?}");
        let (_, others) = man.split_once(".SH \"SEE ALSO\"\n").unwrap();
        for verb in ["", "events", "agent", "doctor", "kill"] {
            let page = format!("\\fB{}\\fR(8)", plain(format!("netstat-user-{verb}").trim_end_matches('-')));
            assert_eq!(others.contains(&page), verb != name, "{name}: {others}");
        }
        if ["", "agent"].contains(&name) {
            assert!(man.contains(&plain("/etc/default/netstat-user")), "{name}");
        }
        // Headings name no file: it lies elsewhere in a package.
        assert!(!titles.iter().any(|title| title.contains(".MD") || title.contains(".md")), "{titles:?}");
        assert!(!man.lines().any(|line| line.starts_with(".SS") && line.to_lowercase().contains("docs/")), "{name}");
    }
}

#[test]
fn every_line_of_roff_is_text_or_a_request() {
    for (name, page) in all_pages() {
        for line in page.man().lines().filter(|line| line.starts_with(['.', '\''])) {
            let request: String = line[1..].chars().take_while(char::is_ascii_alphabetic).collect();
            assert!(
                ["ie", "el", "TH", "SH", "SS", "TP", "RS", "RE", "nf", "fi", "br", "PP", "IP"]
                    .contains(&request.as_str()),
                "{name}: {line}"
            );
        }
    }
}

#[test]
fn wrong_values_are_named_with_the_option_and_what_is_accepted() {
    for (name, page) in all_pages().into_iter().filter(|(name, _)| !name.is_empty()) {
        for arg in page.command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
            let option = format!("--{}", arg.get_long().unwrap());
            for value in ["", "x", "12x", "0x10", "1.5", "-1", "99999999999999999999", "LISTEN,x", "7:8"] {
                let argv = [name.to_owned(), format!("{option}={value}")].map(OsString::from);
                let Err(refusal) = super::read(page_of(name), &argv, all_pages) else { continue };
                let said = refusal.message.replace('\n', " ");
                assert_eq!(refusal.exit, 2, "{said}");
                assert!(said.contains(&option), "{said}");
                let is_named = |word: &str| said.contains(&format!("`{word}' is not accepted: write "));
                let named = is_named(value) || value.split(',').any(is_named);
                assert!(named || said.contains("a value is missing"), "{said}");
                assert!(!said.contains("digit") && !said.contains("out of range"), "{said}");
            }
        }
    }
}
