//! The program: reads argv, runs the library, turns its outcome into an exit code.

use std::process::ExitCode;

/// Ends the program with a line where there is no memory left.
#[global_allocator]
static ALLOCATOR: netstat_user::sys::Allocator = netstat_user::sys::Allocator;

fn main() -> ExitCode {
    netstat_user::sys::outlive_file_limit();
    // A shell asks what completes a word.
    if let Some(shell) = std::env::var_os(netstat_user::cli::completions::VARIABLE) {
        return match netstat_user::cli::completions::answer(&shell.to_string_lossy(), std::env::args_os()) {
            Ok(answer) if netstat_user::stdio::print(&answer).is_ok() => ExitCode::SUCCESS,
            // It shows what it gets to a person in the middle of a line.
            _ => ExitCode::FAILURE,
        };
    }
    let posix = std::env::var_os(netstat_user::cli::POSIX).is_some();
    let outcome = match netstat_user::cli::parse(std::env::args_os(), posix) {
        Ok(request) => netstat_user::run::run(request),
        Err(refusal) => Ok(netstat_user::run::refuse(&refusal)),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        // Whoever read our output has seen enough: not a failure.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(failure) => {
            netstat_user::stdio::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}
