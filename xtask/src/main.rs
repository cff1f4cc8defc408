//! `cargo xtask`: the project's own commands. Alone it lists them; each is a module of its own.

#![allow(clippy::expect_used, reason = "here a panic ends only a maintainer's own command")]

mod apt;
mod bench;
mod check;
mod digest;
mod dist;
mod ebpf;
mod fuzz;
mod install;
mod layers;
mod mutants;
mod names;
mod readme;
mod release;
mod sh;
mod tally;
mod test;
mod vm;

use anyhow::{Result, bail};
use std::process::ExitCode;

/// One command: what it is called, what may follow it, what it does for a person, and the function. An error is printed;
/// a command that has said itself what failed returns the exit code.
struct Command {
    name: &'static str,
    args: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<ExitCode>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "bench",
        args: "stream|tables|agent [--rounds N] …",
        help: "side-by-side tables: the cost of the event stream against tcpstates; socket tables against netstat and ss; what the \
           agent takes and how fast it answers",
        run: bench::run,
    },
    Command {
        name: "check",
        args: "",
        help: "the layer maps and circles of modules, names that types share, the list of mutants, the committed kernel objects against \
           their sources, the published files and the licences of packages, formatting, clippy (also of the fuzz targets), rustdoc",
        run: check::run,
    },
    Command {
        name: "dist",
        args: "[--arch x86_64|aarch64] [--verify]",
        help: "what people install, in target/dist: programs against an old C library, .deb, .rpm, .tar.gz, licences, sums; installs the \
           tools it needs; --verify builds it again in another folder and compares",
        run: dist::run,
    },
    Command {
        name: "ebpf",
        args: "[--verify]",
        help: "build the kernel objects and their digest under netstat-ebpf/prebuilt, installing the BPF toolchain where missing; \
           --verify builds and compares only",
        run: ebpf::run,
    },
    Command {
        name: "fuzz",
        args: "[SECONDS] [TARGET]",
        help: "run each fuzz target for so long (60 s), seeded with real captures; installs cargo-fuzz where missing",
        run: fuzz::run,
    },
    Command {
        name: "install-test",
        args: "[--arch x86_64|aarch64] [--dist]",
        help: "install a .deb in a minimal Debian of its own with systemd, under emulation, use it as README says, and purge it; of the \
           release build, or with --dist and for another architecture the one in target/dist",
        run: install::run,
    },
    Command {
        name: "mutants",
        args: "[--list] [NAME…]",
        help: "put plausible defects into a copy, one at a time, and run the tests that must notice them (tests/mutants.toml, \
           docs/tests.md); slow, needs root",
        run: mutants::run,
    },
    Command {
        name: "readme",
        args: "",
        help: "write the samples of README, docs/ and the pages of help anew, as the program prints them; as root",
        run: readme::run,
    },
    Command {
        name: "release",
        args: "--dry-run",
        help: "what must hold before a version is released, each checked as far as that goes; publishes nothing",
        run: release::run,
    },
    Command {
        name: "test",
        args: "[--no-vm]",
        help: "install what is missing, then check, build and run every suite, here and on the emulated kernels",
        run: test::run,
    },
    Command {
        name: "vm",
        args: "[SUITE…] [GUEST…] [-- TEST]",
        help: "boot other kernels of Debian under emulation, run the suites there, print the kernel matrix",
        run: vm::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let Some((name, rest)) = args.split_first() else {
        print!("{}", usage());
        return Ok(ExitCode::SUCCESS);
    };
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(rest),
        None if matches!(name.as_str(), "help" | "-h" | "--help") => {
            print!("{}", usage());
            Ok(ExitCode::SUCCESS)
        }
        None => bail!("no command `{name}`; `cargo xtask` lists them"),
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND [ARGUMENT…]\n\n");
    for Command { name, args, help, .. } in COMMANDS {
        text.push_str(&format!("  {}\n      {help}\n", format!("{name} {args}").trim_end()));
    }
    text
}
