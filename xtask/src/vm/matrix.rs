//! The kernel matrix: which attach variant works on which kernel, from the lines the live suite prints.

use std::collections::BTreeMap;
use std::fmt;

/// Variant × kernel. A line reads `matrix: kernel=6.1.0-56-cloud-amd64 variant=kprobe result=ok`, or `result=refused reason=…`
/// with the reason up to the end of the line.
#[derive(Default)]
pub struct Matrix {
    /// In the order they appeared.
    kernels: Vec<String>,
    variants: Vec<String>,
    cells: BTreeMap<(String, String), Cell>,
}

struct Cell {
    result: String,
    reason: Option<String>,
}

impl Matrix {
    /// Adds another matrix; its kernels become the last columns.
    pub fn append(&mut self, other: Self) {
        for (list, more) in [(&mut self.kernels, other.kernels), (&mut self.variants, other.variants)] {
            let new: Vec<_> = more.into_iter().filter(|name| !list.contains(name)).collect();
            list.extend(new);
        }
        self.cells.extend(other.cells);
    }

    /// Takes the matrix lines out of a suite's output.
    pub fn add(&mut self, output: &str) {
        for line in output.lines() {
            let Some(fields) = line.trim().strip_prefix("matrix: ") else { continue };
            let (facts, reason) = match fields.split_once(" reason=") {
                Some((facts, reason)) => (facts, Some(reason.trim().to_owned())),
                None => (fields, None),
            };
            let field = |name: &str| {
                let mut words = facts.split_whitespace();
                words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or("?").to_owned()
            };
            let (kernel, variant) = (field("kernel"), field("variant"));
            for (list, name) in [(&mut self.kernels, &kernel), (&mut self.variants, &variant)] {
                if !list.contains(name) {
                    list.push(name.clone());
                }
            }
            self.cells.insert((variant, kernel), Cell { result: field("result"), reason });
        }
    }
}

impl fmt::Display for Matrix {
    /// A table, then the reason of each refusal. Nothing where no suite printed a matrix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cells.is_empty() {
            return Ok(());
        }
        let widest = |names: &[String]| names.iter().map(String::len).max().unwrap_or(0).max(8);
        let (first, other) = (widest(&self.variants), widest(&self.kernels));
        let row = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
            let line = cells.fold(format!("{name:first$}"), |line, cell| format!("{line}  {cell:other$}"));
            line.trim_end().to_owned()
        };
        writeln!(f, "{}", row("variant", &mut self.kernels.iter().map(String::as_str)))?;
        for variant in &self.variants {
            let cell = |kernel: &String| self.cells.get(&(variant.clone(), kernel.clone()));
            let results = self.kernels.iter().map(|kernel| cell(kernel).map_or("not run", |cell| cell.result.as_str()));
            writeln!(f, "{}", row(variant, &mut results.into_iter()))?;
        }
        for ((variant, kernel), cell) in &self.cells {
            if let Some(reason) = &cell.reason {
                writeln!(f, "{variant} on {kernel}: {reason}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_named() {
        let mut matrix = Matrix::default();
        matrix.add("noise\nmatrix: kernel=6.1 variant=tp_btf result=ok\r\nmatrix: kernel=6.1 variant=kprobe result=ok");
        matrix.add("matrix: kernel=6.18 variant=kprobe result=refused reason=no kprobe event source");
        let lines: Vec<_> = matrix.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(
            lines,
            [
                "variant   6.1       6.18",
                "tp_btf    ok        not run",
                "kprobe    ok        refused",
                "kprobe on 6.18: no kprobe event source",
            ]
        );
    }
}
