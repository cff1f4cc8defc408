//! Every sample of the documents is what the program prints today.

use crate::markdown::{self, Sample};
use crate::shape;
use crate::world::World;
use netstat_tests::truth::runner::{Done, Test};
use std::fs;

pub const TESTS: &[Test] = &[
    ("samples::every_output_is_marked", every_output_is_marked),
    ("samples::are_what_is_printed", are_what_is_printed),
];

/// Says that the samples are to be written anew instead of compared.
const WRITE: &str = "NETSTAT_DOCUMENTS";

fn every_output_is_marked() -> Done {
    let mut count = 0;
    for name in markdown::all() {
        let text = fs::read_to_string(markdown::root().join(&name)).unwrap();
        assert_eq!(
            markdown::unmarked(&text),
            [] as [String; 0],
            "{name}: output without a `<!-- sample: … -->` above it"
        );
        count += markdown::samples(&text).len();
    }
    assert!(count > 12, "only {count} samples were found");
    Done::Passed
}

fn are_what_is_printed() -> Done {
    shape::tells_apart();
    let write = std::env::var(WRITE).is_ok_and(|what| what == "write");
    let mut wrong = String::new();
    for name in markdown::all() {
        let path = markdown::root().join(&name);
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for sample in markdown::samples(&text).into_iter().rev() {
            let printed = printed(&sample);
            if write {
                let fresh =
                    printed.into_iter().flat_map(|(command, output)| [vec![format!("# {command}")], output].concat());
                lines.splice(sample.lines, fresh.collect::<Vec<_>>());
                continue;
            }
            for ((command, documented), (_, printed)) in sample.commands.iter().zip(&printed) {
                let difference = match sample.how.machine {
                    true => shape::other_beginnings(documented, printed),
                    false => shape::difference(documented, printed, sample.how.comparison(), sample.how.is_ordered()),
                };
                if !difference.is_empty() {
                    wrong.push_str(&format!("{name}: {command}\n{difference}"));
                }
            }
        }
        if write {
            fs::write(path, lines.join("\n") + "\n").unwrap();
        }
    }
    assert!(wrong.is_empty(), "samples are not what is printed today; `cargo xtask readme` writes them anew\n{wrong}");
    Done::Passed
}

/// The commands of a sample with what each prints, in a world of their own.
fn printed(sample: &Sample) -> Vec<(String, Vec<String>)> {
    let mut world = World::new();
    let commands = sample.commands.iter();
    commands.map(|(command, _)| (command.clone(), world.run(command, &sample.how))).collect()
}
