//! `cargo xtask ebpf`: builds the kernel objects that are committed, the same bytes from any folder.
//!
//! Rust's own distribution has no `core` for `bpfel-unknown-none`; Debian's rustc-web has one, prebuilt, so that no nightly
//! toolchain is needed. bpf-linker must be linked against the LLVM of that rustc.

use crate::{apt, digest, sh};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const LLVM: &str = "/usr/lib/llvm-22";
const TARGET: &str = "bpfel-unknown-none";

pub fn run(args: &[String]) -> Result<ExitCode> {
    let verify_only = match args {
        [] => false,
        [flag] if flag == "--verify" => true,
        _ => bail!("ebpf takes nothing but --verify"),
    };
    install()?;
    if verify_only {
        same_as_committed()?;
        return Ok(ExitCode::SUCCESS);
    }
    for object in &digest::OBJECTS {
        let bytes = build(sh::root(), object)?;
        let path = sh::root().join(object.path);
        fs::create_dir_all(path.parent().expect("a file in a folder"))?;
        fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}: {} bytes", object.path, bytes.len());
    }
    digest::write(&compilers()?)?;
    println!("{}", digest::DIGESTS);
    Ok(ExitCode::SUCCESS)
}

/// How a rebuild compares with what is committed.
pub enum Verified {
    /// The same bytes.
    Same,
    /// Nothing can be said here, and why.
    Unknown(String),
}

/// Rebuilds and compares, with the compilers that built the committed objects; what is missing of them is installed.
pub fn verify() -> Result<Verified> {
    if let Err(error) = install() {
        return Ok(Verified::Unknown(format!("the BPF toolchain cannot be had: {error:#}")));
    }
    let (here, there) = (compilers()?, digest::built_by()?);
    if here != there {
        return Ok(Verified::Unknown(format!("the committed objects were built by {there}, here is {here}")));
    }
    same_as_committed()?;
    Ok(Verified::Same)
}

fn same_as_committed() -> Result<()> {
    for object in &digest::OBJECTS {
        let (path, built) = (object.path, build(sh::root(), object)?);
        let committed = fs::read(sh::root().join(path)).with_context(|| format!("cannot read {path}"))?;
        if committed != built {
            bail!("{path} is not what these sources build; run `cargo xtask ebpf` and commit the result");
        }
        println!("{path}: a rebuild gives the same {} bytes", built.len());
    }
    Ok(())
}

fn install() -> Result<()> {
    apt::install(apt::BPF)?;
    if linker().is_none() {
        // A bpf-linker of another LLVM than rustc's fails with "unable to find library -lLLVM" or misreads the bitcode.
        let mut install = Command::new("cargo");
        sh::run(sh::plain(&mut install).env("LLVM_PREFIX", LLVM).env("LLVM_SYS_221_PREFIX", LLVM).args([
            "install",
            "bpf-linker",
            "--locked",
            "--no-default-features",
            "--features",
            "llvm-22",
        ]))?;
    }
    Ok(())
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn linker() -> Option<PathBuf> {
    let installed = cargo_home().join("bin/bpf-linker");
    if installed.is_file() { Some(installed) } else { sh::which("bpf-linker") }
}

/// The compilers, as the digest file names them.
fn compilers() -> Result<String> {
    let rustc = sh::output(sh::plain(Command::new(RUSTC).arg("--version")))?;
    let linker = linker().context("bpf-linker is not installed; `cargo xtask ebpf` installs it")?;
    let linker = sh::output(sh::plain(Command::new(linker).arg("--version")))?;
    Ok(format!("{}, {}", rustc.trim(), linker.trim()))
}

/// An object's bytes: programs, maps and BTF, no debug sections. Built from the sources of the workspace at `root`.
pub fn build(root: &Path, object: &digest::Object) -> Result<Vec<u8>> {
    // aya takes the architecture of the machine that builds, where none is given.
    let arch = object.arch.unwrap_or("x86_64");
    let target_dir = root.join("target/bpf").join(arch);
    let linker = linker().context("bpf-linker is not installed")?;
    // BTF line info records source paths; without the maps an object would differ from folder to folder.
    let flags = [
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".to_owned(),
        // Otherwise every copy and every zeroing of a few bytes is a call of a loop over bytes.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        format!("--remap-path-prefix={}=/src", root.display()),
        format!("--remap-path-prefix={}=/cargo", cargo_home().display()),
    ];
    let mut cargo = Command::new(CARGO);
    sh::plain(&mut cargo)
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", RUSTC)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_DIR", &target_dir)
        .args(["build", "--locked", "--package", "netstat-ebpf", "--bin", object.bin])
        .args(["--profile", "bpf", "--target", TARGET]);
    sh::run(&mut cargo)?;
    let built = target_dir.join(TARGET).join("bpf").join(object.bin);
    let stripped = target_dir.join(object.bin).with_extension("o");
    let objcopy = PathBuf::from(LLVM).join("bin/llvm-objcopy");
    sh::run(Command::new(objcopy).arg("--strip-debug").arg(&built).arg(&stripped))?;
    let bytes = fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
    if !bytes.windows(5).any(|name| name == b".BTF\0") {
        bail!("{} has no BTF: is {} a bpf-linker that knows --btf?", object.bin, linker.display());
    }
    Ok(bytes)
}
