//! Every input that is committed below `corpus/TARGET`, through the body of its target.

#![allow(clippy::unwrap_used, reason = "a test says what it expected by failing")]

use netstat_fuzz::bodies;
use std::path::Path;
use std::{fs, panic};

#[test]
fn the_committed_corpus_breaks_no_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut broken = Vec::new();
    for (name, run) in bodies::ALL {
        let inputs: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{name} has no input");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            if panic::catch_unwind(|| run(&bytes)).is_err() {
                broken.push(input);
            }
        }
    }
    assert!(broken.is_empty(), "these inputs break their targets: {broken:?}");
}

#[test]
fn every_target_has_a_body_and_every_body_a_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut targets: Vec<_> = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path()).collect();
    targets.sort();
    let targets: Vec<_> = targets.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    let bodies: Vec<_> = bodies::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(targets, bodies);
}
