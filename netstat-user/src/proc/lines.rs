//! Lines of a /proc file, read with few and large reads into one buffer.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes asked for at once. The kernel's seq_file gives about a page each time, whatever is asked.
const CHUNK: usize = 16 * 1024;

/// Longest line; what is longer comes in pieces. No table of the kernel comes near.
const LONGEST: usize = 1 << 20;

/// The lines of an open file, in order.
#[derive(Debug)]
pub struct Lines {
    file: File,
    buffer: Vec<u8>,
    /// The part of the buffer not handed out yet.
    start: usize,
    end: usize,
    /// Where the search for a newline goes on.
    searched: usize,
    /// Reads that brought something.
    reads: usize,
    /// Whether the file has ended.
    done: bool,
}

impl Lines {
    /// Over the file at `path`.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?))
    }

    fn new(file: File) -> Self {
        Self { file, buffer: vec![0; CHUNK], start: 0, end: 0, searched: 0, reads: 0, done: false }
    }

    /// How many reads brought something so far.
    pub const fn reads(&self) -> usize {
        self.reads
    }

    /// The next line without its newline, `None` at the end of the file.
    ///
    /// # Errors
    /// A failed read.
    pub fn line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..self.end]) {
                let line = self.start..self.searched + length;
                self.start = line.end + 1;
                self.searched = self.start;
                return Ok(Some(&self.buffer[line]));
            }
            self.searched = self.end;
            if self.done || self.end - self.start >= LONGEST {
                let line = self.start..self.end;
                self.start = self.end;
                return Ok((!line.is_empty()).then(|| &self.buffer[line]));
            }
            self.fill()?;
        }
    }

    /// Reads more behind what is not handed out yet.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = loop {
            match self.file.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.done = count == 0;
        self.end += count;
        self.reads += usize::from(count > 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines_of(content: &[u8]) -> Vec<Vec<u8>> {
        let (reader, mut writer) = io::pipe().unwrap();
        let content = content.to_vec();
        let writing = std::thread::spawn(move || writer.write_all(&content));
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let mut lines = Lines::new(file);
        let mut found = Vec::new();
        while let Some(line) = lines.line().unwrap() {
            found.push(line.to_vec());
        }
        writing.join().unwrap().unwrap();
        found
    }

    #[test]
    fn lines_of_every_length() {
        assert_eq!(lines_of(b""), Vec::<Vec<u8>>::new());
        assert_eq!(lines_of(b"a\n\nb"), [&b"a"[..], b"", b"b"]);
        let long = vec![b'x'; 3 * CHUNK + 7];
        assert_eq!(lines_of(&[&long[..], b"\ny\n"].concat()), [&long[..], b"y"]);
        let endless: usize = lines_of(&vec![b'z'; LONGEST + CHUNK]).iter().map(Vec::len).sum();
        assert_eq!(endless, LONGEST + CHUNK);
    }
}
