//! The program: reads argv, runs the library, turns its outcome into an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match netstat_user::cli::parse(std::env::args_os()) {
        Ok(request) => netstat_user::run::run(request),
        Err(refusal) => Ok(netstat_user::run::refuse(&refusal)),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        // Whoever read our output has seen enough: not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "netstat-user: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}
