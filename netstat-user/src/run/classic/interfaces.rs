//! The `interfaces` view.

use crate::model::reason;
use crate::proc::dev;
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::stdio::Written;
use crate::view::interfaces::{block, heading, json, row, title};

/// Prints the interfaces where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let options = asked.options;
    let found = match dev::read(&asked.proc, options.all) {
        Ok(found) => found,
        Err(error) => {
            let text = asked.lang.fill("warning: no inet socket available: %s\n", &[&error]);
            round.say(&text)?;
            return Ok(1);
        }
    };
    if !options.json {
        // The title stands once, however often `-c` repeats the table.
        if round.is_first() {
            title(round.bytes(), &asked.lang);
        }
        if options.extend == 0 {
            heading(round.bytes(), &asked.lang);
        }
    }
    if let Some((file, error)) = &found.limited {
        let note = asked.lang.fill(
            "Warning: cannot open %s (%s). Limited output.\n",
            &[&asked.proc.join(file).display(), &reason(error)],
        );
        round.say(&note)?;
    }
    for interface in &found.interfaces {
        match options.json {
            true => json(round.bytes(), interface),
            false if options.extend == 0 => row(round.bytes(), interface, &asked.lang),
            false => block(round.bytes(), interface, &asked.lang),
        }
    }
    // What netstat leaves at a warning, a program would take for all there is.
    Ok(u8::from(options.json && found.limited.is_some()))
}
