//! The kernel matrix: which attach variant of which hook works on which kernel, architecture and number of processors, from the lines
//! that suites print.

use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::fmt;

/// Hook and variant × machine. A line reads `matrix: kernel=6.1.0-56-cloud-amd64 arch=x86_64 processors=1 hook=tcp_state variant=kprobe
/// result=ok`, or `result=refused reason=…` with the reason up to the end of the line.
#[derive(Default)]
pub struct Matrix {
    /// Kernel, architecture and processors, in the order they appeared.
    machines: Vec<String>,
    /// Hook and variant, in the order they appeared.
    rows: Vec<(String, String)>,
    /// By place in the two lists above.
    cells: BTreeMap<(usize, usize), Cell>,
}

#[derive(Clone)]
struct Cell {
    result: String,
    reason: Option<String>,
}

impl Matrix {
    /// Adds another matrix; its machines become the last columns.
    pub fn append(&mut self, other: Self) {
        for ((row, machine), cell) in &other.cells {
            self.set(other.rows[*row].clone(), other.machines[*machine].clone(), cell.clone());
        }
    }

    /// Takes the matrix lines out of a suite's output.
    pub fn add(&mut self, output: &str) {
        for line in output.lines() {
            // A suite that prints what its tests say may have printed something before it on the line.
            let Some((_, fields)) = line.trim().split_once("matrix: kernel=") else { continue };
            let fields = format!("kernel={fields}");
            let (facts, reason) = match fields.split_once(" reason=") {
                Some((facts, reason)) => (facts, Some(reason.trim().to_owned())),
                None => (fields.as_str(), None),
            };
            let field = |name: &str| {
                let mut words = facts.split_whitespace();
                words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or("?").to_owned()
            };
            let processors = match field("processors").as_str() {
                "1" => "1 processor".to_owned(),
                more => format!("{more} processors"),
            };
            let machine = format!("Linux {}, {}, {processors}", field("kernel"), field("arch"));
            self.set((field("hook"), field("variant")), machine, Cell { result: field("result"), reason });
        }
    }

    fn set(&mut self, row: (String, String), machine: String, cell: Cell) {
        let row = self.rows.iter().position(|known| *known == row).unwrap_or_else(|| {
            // Beside the other variants of the hook.
            let after = self.rows.iter().rposition(|known| known.0 == row.0);
            match after {
                Some(after) if after + 1 < self.rows.len() => {
                    self.make_room(after + 1);
                    self.rows.insert(after + 1, row.clone());
                    after + 1
                }
                _ => {
                    self.rows.push(row.clone());
                    self.rows.len() - 1
                }
            }
        });
        let machine = self.machines.iter().position(|known| *known == machine).unwrap_or_else(|| {
            self.machines.push(machine.clone());
            self.machines.len() - 1
        });
        self.cells.insert((row, machine), cell);
    }

    /// Moves the rows from `at` on by one.
    fn make_room(&mut self, at: usize) {
        let cells = std::mem::take(&mut self.cells);
        let moved = |((row, machine), cell)| ((if row >= at { row + 1 } else { row }, machine), cell);
        self.cells = cells.into_iter().map(moved).collect();
    }

    /// Fails where no suite filled a cell, although another machine has that variant.
    pub fn judge(&self) -> Result<()> {
        let holes = self.rows.len() * self.machines.len() - self.cells.len();
        ensure!(holes == 0, "{holes} cells are not run, and nothing says why");
        Ok(())
    }
}

impl fmt::Display for Matrix {
    /// The machines by number, a table of them, then the reasons of refusals by number. Nothing where no suite printed a matrix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cells.is_empty() {
            return Ok(());
        }
        for (number, machine) in (1..).zip(&self.machines) {
            writeln!(f, "({number}) {machine}")?;
        }
        let mut reasons: Vec<&str> = Vec::new();
        let mut lines = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let mut line = vec![row.0.clone(), row.1.clone()];
            for machine in 0..self.machines.len() {
                let cell = self.cells.get(&(at, machine));
                let mut text = cell.map_or("NOT RUN", |cell| cell.result.as_str()).to_owned();
                if let Some(reason) = cell.and_then(|cell| cell.reason.as_deref()) {
                    let number = reasons.iter().position(|known| *known == reason).unwrap_or_else(|| {
                        reasons.push(reason);
                        reasons.len() - 1
                    });
                    text.push_str(&format!(" [{}]", number + 1));
                }
                line.push(text);
            }
            lines.push(line);
        }
        let mut heading = vec!["hook".to_owned(), "variant".to_owned()];
        heading.extend((1..=self.machines.len()).map(|number| format!("({number})")));
        lines.insert(0, heading);
        let widths: Vec<usize> = (0..lines[0].len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        for line in &lines {
            let padded: Vec<_> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", padded.join("  ").trim_end())?;
        }
        for (number, reason) in (1..).zip(&reasons) {
            writeln!(f, "[{number}] {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_named_and_a_reason_said_once() {
        let old = "matrix: kernel=6.1 arch=x86_64 processors=1";
        let mut matrix = Matrix::default();
        matrix.add(&format!(
            "noise\n{old} hook=tcp_state variant=tp_btf result=ok\r\n{old} hook=accept variant=fexit result=ok"
        ));
        let mut other = Matrix::default();
        let new = "matrix: kernel=6.18 arch=aarch64 processors=2";
        for row in ["tcp_state variant=fentry", "accept variant=fexit"] {
            other.add(&format!("test x ... {new} hook={row} result=refused reason=not permitted"));
        }
        matrix.append(other);
        let lines: Vec<_> = matrix.to_string().lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "(1) Linux 6.1, x86_64, 1 processor",
                "(2) Linux 6.18, aarch64, 2 processors",
                "hook       variant  (1)      (2)",
                "tcp_state  tp_btf   ok       NOT RUN",
                "tcp_state  fentry   NOT RUN  refused [1]",
                "accept     fexit    ok       refused [1]",
                "[1] not permitted",
            ]
        );
        assert_eq!(matrix.judge().unwrap_err().to_string(), "2 cells are not run, and nothing says why");
    }
}
