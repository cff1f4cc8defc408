//! The `interfaces` view.

use super::session::{Session, reason};
use crate::proc::dev;
use crate::stdio::Written;
use crate::view::interfaces::{block, heading, json, row, title};

/// Prints the interfaces where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> Written<u8> {
    let options = session.options;
    let found = match dev::read(&session.proc, options.all) {
        Ok(found) => found,
        Err(error) => {
            let text = session.lang.fill("warning: no inet socket available: %s\n", &[&error]);
            session.out.note(&text)?;
            return Ok(1);
        }
    };
    if !options.json {
        // The title stands once, however often `-c` repeats the table.
        if session.round == 0 {
            title(session.out.bytes(), &session.lang);
        }
        if options.extend == 0 {
            heading(session.out.bytes(), &session.lang);
        }
    }
    if let Some(error) = found.limited {
        let note = session.lang.fill(
            "Warning: cannot open %s (%s). Limited output.\n",
            &[&session.proc.join("net/dev").display(), &reason(&error)],
        );
        session.out.note(&note)?;
    }
    for interface in &found.interfaces {
        match options.json {
            true => json(session.out.bytes(), interface),
            false if options.extend == 0 => row(session.out.bytes(), interface, &session.lang),
            false => block(session.out.bytes(), interface, &session.lang),
        }
    }
    Ok(0)
}
