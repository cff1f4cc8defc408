//! What `doctor` found, as text and as JSON Lines.

use super::json::Object;
use super::text;
use crate::model::{Check, Level, ProgramHealth};

/// One hook of the tracer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookFinding {
    /// Its name, how it is, and what is missing without it.
    pub check: Check,
    /// The variant attached.
    pub variant: Option<String>,
    /// Variants refused, with causes.
    pub refused: Vec<(String, String)>,
}

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

    /// Appends the report for people.
    pub fn text(&self, out: &mut Vec<u8>) {
        title(out, &self.source);
        if !self.hooks.is_empty() {
            title(out, "\nHooks");
        }
        for hook in &self.hooks {
            finding(out, &hook.check);
            for (variant, cause) in &hook.refused {
                detail(out, &format!("{variant} refused"), cause);
            }
            mend(out, &hook.check);
        }
        title(out, "\nWhat tracing depends on, and how it went");
        for check in &self.checks {
            finding(out, check);
            mend(out, check);
        }
        if !self.programs.is_empty() {
            title(out, "\nPrograms in the kernel");
        }
        for program in &self.programs {
            let missed = program.missed.map_or("missed runs unknown".into(), |missed| format!("{missed} runs missed"));
            let runs = program.runs.map(|(runs, ns)| format!(", {runs} runs of {} ns", ns / runs.max(1)));
            out.extend_from_slice(b"       ");
            text::left(out, &text::escape(program.name.as_bytes()), 22);
            out.push(b' ');
            out.extend_from_slice(missed.as_bytes());
            out.extend_from_slice(runs.unwrap_or_default().as_bytes());
            out.push(b'\n');
        }
        let verdict: &[u8] = match self.verdict() {
            Level::Ok => b"\nAll is well.\n",
            Level::Note => b"\nNothing essential is missing.\n",
            Level::Bad => b"\nSomething essential is missing.\n",
        };
        out.extend_from_slice(verdict);
    }

    /// Appends the report as JSON Lines.
    pub fn json(&self, out: &mut Vec<u8>) {
        for hook in &self.hooks {
            let mut object = Object::begin(out);
            check_json(&mut object, b"hook", &hook.check);
            object.optional_string("variant", hook.variant.as_ref().map(|variant| variant.as_bytes()));
            object.objects("refused", &hook.refused, |object, (variant, cause): &(String, String)| {
                object.string("variant", variant.as_bytes());
                object.string("cause", cause.as_bytes());
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
        object.end();
    }
}

fn title(out: &mut Vec<u8>, title: &str) {
    out.extend_from_slice(title.as_bytes());
    out.push(b'\n');
}

fn finding(out: &mut Vec<u8>, check: &Check) {
    out.extend_from_slice(b"  ");
    text::left(out, check.level.name().as_bytes(), 4);
    out.push(b' ');
    text::left(out, &text::escape(check.name.as_bytes()), 22);
    out.push(b' ');
    out.extend_from_slice(&text::escape(check.found.as_bytes()));
    out.push(b'\n');
}

fn detail(out: &mut Vec<u8>, label: &str, what: &str) {
    out.extend_from_slice(b"         ");
    out.extend_from_slice(&text::escape(label.as_bytes()));
    out.extend_from_slice(b": ");
    out.extend_from_slice(&text::escape(what.as_bytes()));
    out.push(b'\n');
}

fn mend(out: &mut Vec<u8>, check: &Check) {
    if let Some(mend) = &check.mend {
        detail(out, "to mend it", mend);
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
        let refused = vec![("fentry".to_owned(), "load: no\n".to_owned())];
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
        report().text(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "the agent on /x\n\nHooks\n  ok   tcp_state              tp_btf\n  note accept4                not traced\n         \
             fentry refused: load: no\\n\n         to mend it: mount it\n\nWhat tracing depends on, and how it went\n  \
             ok   btf                    there\n\nPrograms in the kernel\n       p                      missed runs unknown, 2 \
             runs of 5 ns\n\nNothing essential is missing.\n"
        );
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
                r#""refused":[{"variant":"fentry","cause":"load: no\n"}]}"#,
                "\n",
                r#"{"kind":"check","name":"btf","level":"ok","found":"there","mend":null}"#,
                "\n",
                r#"{"kind":"program","name":"p","runs":2,"run_ns":11,"missed":null}"#,
                "\n",
                r#"{"kind":"verdict","level":"note","source":"the agent on /x"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn the_worst_decides() {
        let mut report = report();
        assert_eq!(report.verdict(), Level::Note);
        report.checks.push(Check::amiss("cgroup2", Level::Bad, "none", "mount it"));
        assert_eq!(report.verdict(), Level::Bad);
        assert_eq!(Report::default().verdict(), Level::Ok);
    }
}
