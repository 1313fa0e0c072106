//! What is handed to people who do not build it themselves: one static binary for Linux, and
//! beside it what a service needs, in an archive whose bytes depend on the source alone.

mod archive;
mod elf;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::Failure;
use crate::packages::{Package, install_if_we_may, works};
use crate::workspace::{self, Workspace, cargo};

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What the binary runs on. Whatever ends in -musl is static
    #[arg(long, default_value = "x86_64-unknown-linux-musl")]
    target: String,
}

/// Files of the repository that go along, and where they lie in the archive.
const FILES: [(&str, &str); 6] = [
    ("LICENSE", "LICENSE"),
    ("README.md", "README.md"),
    ("docs/install.md", "docs/install.md"),
    ("docs/operations.md", "docs/operations.md"),
    ("deploy/hooklatch.service", "deploy/hooklatch.service"),
    ("deploy/hooklatch-tls.conf", "deploy/hooklatch-tls.conf"),
];
/// Shells whose completions go along, and the names of their files.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "hooklatch.bash"),
    ("zsh", "_hooklatch"),
    ("fish", "hooklatch.fish"),
];

/// Builds, packs and checks.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let workspace = workspace::read()?;
    let target = arguments.target.as_str();
    let epoch = source_date(&workspace.root)?;
    check_tools(target)?;
    build(&workspace, target, epoch)?;
    let binary = workspace.target.join(target).join("release/hooklatch");
    let version = checked(&binary, target)?;

    let dist = workspace.target.join("dist");
    let name = format!("hooklatch-{version}-{target}");
    let stage = dist.join(&name);
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    lay_out(&workspace.root, &binary, &stage)?;
    let packed = archive::pack(&dist, &name, epoch)?;
    let sum = archive::sums(&dist, &packed)?;
    println!("{}", dist.join(&packed).display());
    println!("{sum}");
    Ok(ExitCode::SUCCESS)
}

/// When the source was made, in seconds since 1970: what is said, or the last commit.
fn source_date(root: &Path) -> Result<u64, Failure> {
    if let Ok(text) = env::var("SOURCE_DATE_EPOCH") {
        return text.parse().map_err(|_| {
            format!("SOURCE_DATE_EPOCH is {text:?}: it is a number of seconds").into()
        });
    }
    let mut git = Command::new("git");
    let git = git.arg("-C").arg(root).args(["log", "-1", "--format=%ct"]);
    let output = git.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        "this is no clone of the repository: say by SOURCE_DATE_EPOCH when its source was made"
            .into()
    })
}

fn check_tools(target: &str) -> Result<(), Failure> {
    let lib = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output()?;
    let lib = PathBuf::from(String::from_utf8_lossy(&lib.stdout).trim());
    if !lib.exists() {
        let advice =
            format!("the standard library of {target} is missing: rustup target add {target}");
        return Err(advice.into());
    }
    if !target.ends_with("-musl") || works(&c_compiler(target), &["--version"]) {
        return Ok(());
    }
    install_if_we_may(&[Package("musl-tools")])?;
    if works(&c_compiler(target), &["--version"]) {
        return Ok(());
    }
    let compiler = c_compiler(target);
    Err(format!("{compiler} is missing; in Debian it is in musl-tools").into())
}

/// SQLite and the script engine are C: their compiler has to know musl as well.
fn c_compiler(target: &str) -> String {
    let processor = target.split('-').next().unwrap_or(target);
    if processor == env::consts::ARCH {
        "musl-gcc".to_owned()
    } else {
        format!("{processor}-linux-musl-gcc")
    }
}

fn build(workspace: &Workspace, target: &str, epoch: u64) -> Result<(), Failure> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    // Where it was built is nobody's business, and two places shall come to the same bytes.
    let mut places = vec![(workspace.root.clone(), "/hooklatch")];
    places.extend(home.map(|home| (home, "/cargo")));
    let mapped = |option: &str| {
        let pairs = places.iter();
        let pairs = pairs.map(|(from, to)| format!("{option}={}={to}", from.display()));
        pairs.collect::<Vec<_>>().join(" ")
    };
    let variable = target.replace('-', "_");
    let mut build = Command::new(cargo());
    build
        .args(["build", "--release", "--locked", "--package", "hooklatch"])
        .args(["--target", target])
        .current_dir(&workspace.root)
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("RUSTFLAGS", mapped("--remap-path-prefix"))
        .env(format!("CFLAGS_{variable}"), mapped("-ffile-prefix-map"))
        .stdin(Stdio::null());
    if target.ends_with("-musl") {
        build.env(format!("CC_{variable}"), c_compiler(target));
    }
    match build.status()?.success() {
        true => Ok(()),
        false => Err("the build failed".into()),
    }
}

/// The version that the binary says it has; that it is static, where it shall be.
fn checked(binary: &Path, target: &str) -> Result<String, Failure> {
    if target.ends_with("-musl") && !elf::is_static(&fs::read(binary)?) {
        let shown = binary.display();
        return Err(format!("{shown} wants a loader: it is not static").into());
    }
    let said = Command::new(binary).arg("--version").output()?;
    let said = String::from_utf8_lossy(&said.stdout);
    let version = said.trim().strip_prefix("hooklatch ");
    let version = version.ok_or_else(|| format!("--version says {said:?}"))?;
    Ok(version.to_owned())
}

fn lay_out(root: &Path, binary: &Path, stage: &Path) -> Result<(), Failure> {
    fs::create_dir_all(stage)?;
    fs::copy(binary, stage.join("hooklatch"))?;
    for (from, to) in FILES {
        let to = stage.join(to);
        fs::create_dir_all(to.parent().expect("it lies in the stage"))?;
        fs::copy(root.join(from), to)?;
    }
    let help = Command::new(binary).arg("--help").output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let has = |command: &str| {
        let mut lines = help.lines();
        lines.any(|line| line.split_whitespace().next() == Some(command))
    };
    if has("completions") {
        let directory = stage.join("completions");
        fs::create_dir_all(&directory)?;
        for (shell, file) in SHELLS {
            let text = said(binary, &["completions".into(), shell.into()])?;
            fs::write(directory.join(file), text)?;
        }
    }
    if has("man") {
        let directory = stage.join("man");
        fs::create_dir_all(&directory)?;
        said(binary, &["man".into(), "--to".into(), directory.into()])?;
    }
    Ok(())
}

fn said(binary: &Path, arguments: &[OsString]) -> Result<Vec<u8>, Failure> {
    let output = Command::new(binary).args(arguments).output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("hooklatch {arguments:?}: {error}").into())
}
