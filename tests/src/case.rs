//! What a case is, and how it is judged.

use crate::command::{End, Outcome};
use crate::compare::{self, Mask, Stderr};
use crate::programs;
use crate::sandbox::Invocation;
use crate::scenes::{Scene, Theatre, here};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Longer than any case takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// How often a case is tried anew when the kernel's own state moved between the two runs.
const TRIES: usize = 8;

/// One command line in one scene.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Where.
    pub scene: Scene,
    /// The command line after the program name, split at blanks.
    pub args: &'static str,
    /// Variables, on top of an environment with `PATH` only.
    pub env: &'static [(&'static str, &'static str)],
    /// What is not compared.
    pub mask: Mask,
    /// How far standard error must agree.
    pub stderr: Stderr,
    /// The user, root if `None`.
    pub uid: Option<u32>,
    /// Files of `fixtures/` mounted over the system's.
    pub binds: &'static [(&'static str, &'static str)],
    /// Stopped after this time, for `-c`.
    pub stop: Option<Duration>,
}

impl Case {
    /// A case that compares everything, as root, in English.
    pub const fn new(scene: Scene, args: &'static str) -> Self {
        Self { scene, args, env: &[], mask: Mask::None, stderr: Stderr::Exact, uid: None, binds: &[], stop: None }
    }

    /// With these variables.
    pub const fn env(self, env: &'static [(&'static str, &'static str)]) -> Self {
        Self { env, ..self }
    }

    /// Without what `mask` names.
    pub const fn mask(self, mask: Mask) -> Self {
        Self { mask, ..self }
    }

    /// Our message may differ from netstat's, but not be missing.
    pub const fn own_words(self) -> Self {
        Self { stderr: Stderr::Presence, ..self }
    }

    /// Our message begins with netstat's first line.
    pub const fn first_line(self) -> Self {
        Self { stderr: Stderr::FirstLine, ..self }
    }

    /// As this user.
    pub const fn uid(self, uid: u32) -> Self {
        Self { uid: Some(uid), ..self }
    }

    /// With these files of `fixtures/` over the system's.
    pub const fn binds(self, binds: &'static [(&'static str, &'static str)]) -> Self {
        Self { binds, ..self }
    }

    /// Stopped after `milliseconds`.
    pub const fn stop(self, milliseconds: u64) -> Self {
        Self { stop: Some(Duration::from_millis(milliseconds)), ..self }
    }

    /// A name that says all that is particular.
    pub fn name(&self) -> String {
        let scene = match self.scene {
            Scene::Tree(tree) => tree.to_owned(),
            scene => format!("{scene:?}").to_lowercase(),
        };
        let mut name = format!("{scene}: netstat {}", self.args).trim_end().to_owned();
        for (key, value) in self.env {
            name.push_str(&format!(" {key}={value}"));
        }
        for (what, _) in self.binds {
            name.push_str(&format!(" with {what}"));
        }
        if let Some(uid) = self.uid {
            name.push_str(&format!(" as {uid}"));
        }
        name
    }

    /// Runs `program` as the case says.
    pub fn run(&self, theatre: &Theatre, program: &Path, stdout: Option<Stdio>) -> Result<Outcome, String> {
        let env = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")].into_iter().chain(self.env.iter().copied());
        let mut invocation = Invocation {
            // Both are called netstat, as the messages name the program.
            arg0: Some("netstat".into()),
            args: self.args.split_whitespace().map(Into::into).collect(),
            env: env.map(|(key, value)| (key.into(), value.into())).collect(),
            uid: None,
            binds: self.binds.iter().map(|(what, over)| (here("fixtures").join(what), over.into())).collect(),
        };
        let mut program = program;
        if let Some(uid) = self.uid {
            // Another user may not reach the folder we are built in.
            invocation.binds.push((program.to_owned(), "/usr/bin/netstat".into()));
            let words = ["setpriv", &format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups", "netstat"];
            program = Path::new("/usr/bin/setpriv");
            invocation.arg0 = None;
            invocation.args.splice(0..0, words[1..].iter().map(Into::into));
        }
        let limit = self.stop.unwrap_or(LIMIT);
        let outcome = theatre.stage(self.scene).sandbox.run(program, &invocation, stdout, limit);
        let outcome = outcome.map_err(|error| format!("{}: {error}", program.display()))?;
        if outcome.end == End::TimedOut && self.stop.is_none() {
            return Err(format!("{} did not end in {LIMIT:?}\n{outcome:?}", program.display()));
        }
        Ok(outcome)
    }

    /// Compares our bytes with netstat's.
    ///
    /// # Errors
    /// A report of what differs, once netstat itself says the same thing twice.
    pub fn compare(&self, theatre: &Theatre) -> Result<(), String> {
        self.compare_with(theatre, self)
    }

    /// Compares our bytes with those that netstat writes for `reference`.
    ///
    /// # Errors
    /// As [`Case::compare`].
    pub fn compare_with(&self, theatre: &Theatre, reference: &Self) -> Result<(), String> {
        let net_tools = programs::net_tools().ok_or("net-tools is not installed")?;
        let mut expected = reference.run(theatre, net_tools, None)?;
        for _ in 0..TRIES {
            let got = self.run(theatre, programs::netstat_user(), None)?;
            let Err(report) = compare::outcomes(&expected, &got, self.mask, self.stderr) else { return Ok(()) };
            let again = reference.run(theatre, net_tools, None)?;
            if compare::outcomes(&expected, &again, self.mask, Stderr::Exact).is_ok() {
                return Err(report);
            }
            expected = again;
        }
        Err("netstat itself never said the same thing twice".into())
    }
}
