//! What `doctor` found, as text and as JSON Lines.

use super::colour::{self, Role};
use super::json::Object;
use super::text;
use crate::model::visible::{escape_lines, escape_text, escape_word};
use crate::model::width::wrap;
use crate::model::{Check, Level, ProgramHealth};

/// A variant of a hook that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedVariant {
    /// The variant.
    pub variant: String,
    /// Why.
    pub cause: String,
    /// Whether it failed although the kernel supports it.
    pub failed: bool,
    /// What that means for the events, and what the replacement costs.
    pub effect: String,
}

/// One hook of the tracer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookFinding {
    /// Its name, how it is, and what is missing without it.
    pub check: Check,
    /// The variant attached.
    pub variant: Option<String>,
    /// Variants refused.
    pub refused: Vec<RefusedVariant>,
}

impl HookFinding {
    /// Whether another hook is amiss in the same way.
    fn has_same_finding(&self, other: &Self) -> bool {
        let (check, others) = (&self.check, &other.check);
        check.level != Level::Ok
            && check.found == others.found
            && check.mend == others.mend
            && self.refused == other.refused
    }
}

/// Findings about what happened: there is nothing that is missing.
const HAPPENED: [&str; 2] = ["lost", "forgotten"];

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Who was asked.
    pub source: String,
    /// The hooks.
    pub hooks: Vec<HookFinding>,
    /// What tracing depends on, and how it went.
    pub checks: Vec<Check>,
    /// The programs that are loaded.
    pub programs: Vec<ProgramHealth>,
}

impl Report {
    /// The worst that was found.
    pub fn verdict(&self) -> Level {
        let hooks = self.hooks.iter().map(|hook| hook.check.level);
        hooks.chain(self.checks.iter().map(|check| check.level)).max().unwrap_or(Level::Ok)
    }

    /// The verdict in one sentence.
    pub fn sentence(&self) -> String {
        let all = || self.hooks.iter().map(|hook| &hook.check).chain(&self.checks);
        let of = |level: Level| all().filter(move |check| check.level == level);
        let named = |level: Level| {
            let missing = of(level).filter(|check| level != Level::Bad || !HAPPENED.contains(&&*check.name));
            let mut names: Vec<&str> = missing.map(|check| check.name.as_str()).collect();
            // One that is scarce may be so for several things.
            names.dedup();
            names.join(", ")
        };
        match self.verdict() {
            Level::Ok => "All is well: every hook is attached, and nothing that tracing depends on is missing.".into(),
            Level::Note => format!("Nothing essential is missing; see the notes on {}.", named(Level::Note)),
            Level::Bad => {
                let happened = of(Level::Bad).filter(|check| HAPPENED.contains(&&*check.name));
                let missing = Some(named(Level::Bad)).filter(|names| !names.is_empty());
                let missing = missing.map(|names| format!("Something essential is missing: {names}."));
                let happened = happened.map(|check| format!("{}.", check.found));
                missing.into_iter().chain(happened).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// Appends the report for people: the verdict first, and what led to it; in lines that fit a terminal of this width, if there is one.
    pub fn text(&self, out: &mut Vec<u8>, coloured: bool, width: Option<u16>) {
        let mut writer = ReportWriter { out, coloured, width: width.map_or(usize::MAX, usize::from) };
        writer.verdict(self);
        writer.title(&self.source);
        if !self.hooks.is_empty() {
            writer.title("\nHooks");
        }
        // What has been written in full, as the one that is amiss in the same way refers to it.
        let (mut above, mut mended) = (None, Vec::new());
        for hook in &self.hooks {
            let same = above.filter(|above: &&HookFinding| above.has_same_finding(hook));
            writer.finding(&hook.check, same.map(|above| &above.check));
            if same.is_none() {
                writer.refused(&hook.refused);
            }
            writer.mend(&hook.check, &mut mended, same.is_some());
            above = same.or(Some(hook));
        }
        writer.title("\nWhat tracing depends on, and how it went");
        let (mut above, mut mended) = (None, Vec::new());
        for check in &self.checks {
            let same = above.filter(|above: &&Check| above.found == check.found && check.level != Level::Ok);
            writer.finding(check, same);
            writer.mend(check, &mut mended, same.is_some());
            above = same.or(Some(check));
        }
        if !self.programs.is_empty() {
            writer.title("\nPrograms in the kernel");
        }
        self.programs.iter().for_each(|program| writer.program(program));
    }

    /// Appends the report as JSON Lines.
    pub fn json(&self, out: &mut Vec<u8>) {
        for hook in &self.hooks {
            let mut object = Object::begin(out);
            check_json(&mut object, b"hook", &hook.check);
            object.optional_string("variant", hook.variant.as_ref().map(|variant| variant.as_bytes()));
            object.objects("refused", &hook.refused, |object, refused: &RefusedVariant| {
                object.string("variant", refused.variant.as_bytes());
                object.string("cause", refused.cause.as_bytes());
                object.string("effect", refused.effect.as_bytes());
            });
            object.end();
        }
        for check in &self.checks {
            let mut object = Object::begin(out);
            check_json(&mut object, b"check", check);
            object.end();
        }
        for program in &self.programs {
            let mut object = Object::begin(out);
            object.string("kind", b"program");
            object.string("name", program.name.as_bytes());
            object.optional("runs", program.runs.map(|(runs, _)| runs));
            object.optional("run_ns", program.runs.map(|(_, ns)| ns));
            object.optional("missed", program.missed);
            object.end();
        }
        let mut object = Object::begin(out);
        object.string("kind", b"verdict");
        object.string("level", self.verdict().name().as_bytes());
        object.string("source", self.source.as_bytes());
        object.string("sentence", self.sentence().as_bytes());
        object.end();
    }
}

const fn role(level: Level) -> Role {
    match level {
        Level::Ok => Role::Good,
        Level::Note => Role::Passing,
        Level::Bad => Role::Failure,
    }
}

/// Columns before what was found.
const FOUND: usize = 30;
/// Columns before the details of a finding.
const DETAIL: usize = 9;

/// Where the report for people goes, and how it looks.
struct ReportWriter<'o> {
    out: &'o mut Vec<u8>,
    coloured: bool,
    /// Columns of a line at most.
    width: usize,
}

impl ReportWriter<'_> {
    fn verdict(&mut self, report: &Report) {
        let mut verdict = Vec::new();
        wrap(&mut verdict, &escape_text(report.sentence().as_bytes()), 0, 0, self.width);
        colour::paint(self.out, self.coloured, role(report.verdict()), &verdict);
        self.out.push(b'\n');
    }

    /// Appends a title, which may have an empty line before it.
    fn title(&mut self, title: &str) {
        self.out.extend_from_slice(escape_lines(title).as_bytes());
        self.out.push(b'\n');
    }

    /// Appends a finding; `same` is one above it that says as much.
    fn finding(&mut self, check: &Check, same: Option<&Check>) {
        let out = &mut *self.out;
        out.extend_from_slice(b"  ");
        let level = check.level.name().as_bytes();
        colour::paint(out, self.coloured, role(check.level), level);
        out.resize(out.len() + 4_usize.saturating_sub(level.len()), b' ');
        out.push(b' ');
        text::left(out, &escape_word(check.name.as_bytes()), 22);
        out.push(b' ');
        let found = escape_text(check.found.as_bytes());
        let same = same.map(|above| [b"as ", &*escape_word(above.name.as_bytes())].concat());
        wrap(out, same.as_deref().unwrap_or(&found), FOUND, FOUND, self.width);
        out.push(b'\n');
    }

    /// Appends the variants of a hook that were refused, and what that means.
    fn refused(&mut self, all: &[RefusedVariant]) {
        for (at, refused) in all.iter().enumerate() {
            let outcome = if refused.failed { "failed" } else { "refused" };
            self.detail(&format!("{} {outcome}", refused.variant), &refused.cause);
            // What several mean together is said once.
            let said_next = all.get(at + 1).is_some_and(|next| next.effect == refused.effect);
            if !refused.effect.is_empty() && !said_next {
                self.detail("so", &refused.effect);
            }
        }
    }

    fn detail(&mut self, label: &str, what: &str) {
        text::fill(self.out, DETAIL);
        let line = format!("{label}: {what}");
        wrap(self.out, &escape_text(line.as_bytes()), DETAIL, DETAIL + 2, self.width);
        self.out.push(b'\n');
    }

    /// Appends what mends a finding; by the name of one above it where it was written, and nothing where as much was found, too (`same`).
    fn mend<'c>(&mut self, check: &'c Check, written: &mut Vec<&'c Check>, same: bool) {
        let Some(mend) = &check.mend else { return };
        match written.iter().find(|above| above.mend.as_ref() == Some(mend)) {
            Some(_) if same => {}
            Some(above) => self.detail("to mend it", &format!("as for {}", above.name)),
            None => {
                self.detail("to mend it", mend);
                written.push(check);
            }
        }
    }

    fn program(&mut self, program: &ProgramHealth) {
        let missed = program
            .missed
            .map_or("missed runs unknown".into(), |missed| text::counted(missed, "run missed", "runs missed"));
        let runs = program
            .runs
            .map(|(runs, ns)| format!(", {} of {} ns", text::counted(runs, "run", "runs"), ns / runs.max(1)));
        self.out.extend_from_slice(b"       ");
        text::left(self.out, &escape_word(program.name.as_bytes()), 22);
        self.out.push(b' ');
        self.out.extend_from_slice(missed.as_bytes());
        self.out.extend_from_slice(runs.unwrap_or_default().as_bytes());
        self.out.push(b'\n');
    }
}

fn check_json(object: &mut Object<'_>, kind: &[u8], check: &Check) {
    object.string("kind", kind);
    object.string("name", check.name.as_bytes());
    object.string("level", check.level.name().as_bytes());
    object.string("found", check.found.as_bytes());
    object.optional_string("mend", check.mend.as_ref().map(|mend| mend.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let refused = vec![RefusedVariant {
            variant: "fentry".into(),
            cause: "load: no\n".into(),
            failed: false,
            effect: "it costs more".into(),
        }];
        let missing = Check::amiss("accept4", Level::Note, "not traced", "mount it");
        Report {
            source: "the agent on /x".into(),
            hooks: vec![
                HookFinding {
                    check: Check::ok("tcp_state", "tp_btf"),
                    variant: Some("tp_btf".into()),
                    refused: Vec::new(),
                },
                HookFinding { check: missing, variant: None, refused },
            ],
            checks: vec![Check::ok("btf", "there")],
            programs: vec![ProgramHealth { name: "p".into(), runs: Some((2, 11)), missed: None }],
        }
    }

    #[test]
    fn for_people() {
        let mut out = Vec::new();
        report().text(&mut out, false, None);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Nothing essential is missing; see the notes on accept4.\nthe agent on /x\n\nHooks\n  ok   tcp_state              tp_btf\n  note accept4                not traced\n         \
             fentry refused: load: no\\n\n         so: it costs more\n         to mend it: mount it\n\nWhat tracing depends on, and how it went\n  \
             ok   btf                    there\n\nPrograms in the kernel\n       p                      missed runs unknown, 2 \
             runs of 5 ns\n"
        );
    }

    #[test]
    fn a_failure_is_no_refusal() {
        let mut report = report();
        report.hooks[1].refused[0].failed = true;
        let mut out = Vec::new();
        report.text(&mut out, false, None);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("         fentry failed: load: no") && !text.contains("refused"), "{text}");
    }

    #[test]
    fn what_several_have_in_common_is_said_once() {
        let mut report = report();
        report.hooks = vec![report.hooks[1].clone(), report.hooks[1].clone()];
        report.hooks[1].check.name = "accept6".into();
        let lacks = |name: &str, found: &str| Check::amiss(name, Level::Note, found, "be root");
        report.checks =
            vec![lacks("a", "not held: nothing"), lacks("b", "not held: little"), lacks("c", "not held: little")];
        let mut out = Vec::new();
        report.text(&mut out, false, None);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("to mend it: mount it\n  note accept6                as accept4\n\n"), "{text}");
        assert!(text.contains("         to mend it: as for a\n  note c                      as b\n\n"), "{text}");
        assert_eq!(text.matches("be root").count(), 1, "{text}");
    }

    #[test]
    fn lines_fit_the_terminal() {
        let mut report = report();
        report.checks.push(Check::amiss(
            "agent",
            Level::Bad,
            "words ".repeat(30).trim_end(),
            "do this ".repeat(30).trim_end(),
        ));
        for width in [80, 120] {
            let mut out = Vec::new();
            report.text(&mut out, false, Some(width));
            let text = String::from_utf8(out).unwrap();
            assert!(text.lines().all(|line| line.len() <= usize::from(width)), "{width}:\n{text}");
            assert!(text.contains("\n                              words words"), "{text}");
        }
    }

    #[test]
    fn for_programs() {
        let mut out = Vec::new();
        report().json(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"kind":"hook","name":"tcp_state","level":"ok","found":"tp_btf","mend":null,"variant":"tp_btf","refused":[]}"#,
                "\n",
                r#"{"kind":"hook","name":"accept4","level":"note","found":"not traced","mend":"mount it","variant":null,"#,
                r#""refused":[{"variant":"fentry","cause":"load: no\n","effect":"it costs more"}]}"#,
                "\n",
                r#"{"kind":"check","name":"btf","level":"ok","found":"there","mend":null}"#,
                "\n",
                r#"{"kind":"program","name":"p","runs":2,"run_ns":11,"missed":null}"#,
                "\n",
                r#"{"kind":"verdict","level":"note","source":"the agent on /x","sentence":"Nothing essential is missing; see the notes on accept4."}"#,
                "\n"
            )
        );
    }

    #[test]
    fn the_worst_decides() {
        let mut report = report();
        assert_eq!(report.verdict(), Level::Note);
        report.checks.push(Check::amiss("lost", Level::Bad, "1 event was lost at 12:03:04", "more room"));
        assert_eq!((report.verdict(), &*report.sentence()), (Level::Bad, "1 event was lost at 12:03:04."));
        report.checks.push(Check::amiss("cgroup2", Level::Bad, "none", "mount it"));
        assert_eq!(report.sentence(), "Something essential is missing: cgroup2. 1 event was lost at 12:03:04.");
        assert_eq!(Report::default().verdict(), Level::Ok);
    }
}
