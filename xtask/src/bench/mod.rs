//! `cargo xtask bench`: side-by-side measurements. What is compared runs in one go, taking turns round by round, so that a busy
//! machine slows all of it alike; a number is the median of its rounds, with the least and the greatest beside it.

mod agent;
mod load;
mod stream;
mod tables;

use crate::sh;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

pub fn run(args: &[String]) -> Result<ExitCode> {
    match args.split_first() {
        Some((what, rest)) if what == "stream" => stream::run(rest)?,
        Some((what, rest)) if what == "tables" => tables::run(rest)?,
        Some((what, rest)) if what == "agent" => agent::run(rest)?,
        _ => bail!("bench what? `stream`, `tables` or `agent`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The release build of the program, made anew.
fn program() -> Result<PathBuf> {
    sh::run(sh::cargo().args(["build", "--release", "--quiet", "--package", "netstat-user"]))?;
    Ok(sh::root().join("target/release/netstat-user"))
}

/// The value of a `--name N` option taken out of `args`, else `default`.
fn number(args: &mut Vec<String>, name: &str, default: u64) -> Result<u64> {
    let Some(at) = args.iter().position(|arg| arg == name) else { return Ok(default) };
    let Some(Ok(value)) = args.get(at + 1).map(|value| value.parse()) else { bail!("{name} wants a number") };
    args.drain(at..at + 2);
    Ok(value)
}

/// Runs a command to its end: milliseconds, and lines of output.
fn timed(command: &mut Command) -> Result<(f64, i64)> {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    if !output.status.success() {
        bail!("{} failed: {}", sh::shown(command), String::from_utf8_lossy(&output.stderr));
    }
    Ok((milliseconds, output.stdout.iter().filter(|&&byte| byte == b'\n').count() as i64))
}

/// The measurements of one thing, a round each.
#[derive(Clone, Default)]
struct Series(Vec<f64>);

impl Series {
    fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one, or the mean of the two in the middle; NaN if there is none.
    fn median(&self) -> f64 {
        match self.0.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => self.0[n / 2],
            n => f64::midpoint(self.0[n / 2 - 1], self.0[n / 2]),
        }
    }

    /// `median (least–greatest)` with so many decimals.
    fn shown(&self, decimals: usize) -> String {
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(greatest)) => {
                format!("{:.decimals$} ({least:.decimals$}–{greatest:.decimals$})", self.median())
            }
            _ => "-".to_owned(),
        }
    }
}

/// Prints rows below a heading: the first column to the left, the others to the right.
fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = if at == 0 { format!("{cell:width$}") } else { format!("  {cell:>width$}") };
            line.push_str(&cell);
        }
        println!("{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let mut series = Series::default();
        assert!(series.median().is_nan());
        for value in [3.0, 1.0, 2.0] {
            series.push(value);
        }
        assert_eq!(series.shown(0), "2 (1–3)");
        series.push(10.0);
        assert_eq!(series.shown(1), "2.5 (1.0–10.0)");
    }

    #[test]
    fn options_are_taken_out() {
        let mut args: Vec<String> = ["--rounds", "7", "rest"].map(str::to_owned).to_vec();
        assert_eq!(number(&mut args, "--rounds", 5).unwrap(), 7);
        assert_eq!(number(&mut args, "--seconds", 3).unwrap(), 3);
        assert_eq!(args, ["rest"]);
        assert!(number(&mut vec!["--rounds".to_owned()], "--rounds", 5).is_err());
    }
}
