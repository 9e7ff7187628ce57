//! Client libraries of other people, to be tested with: a Python environment and a Node folder with the versions that
//! `tests/clients` pins, from the registries that this machine is set up for.
//!
//! Each is made once for its list of versions, below the build folder, and shared by all tests: whoever comes first
//! makes it, the others wait. One that was not finished is made anew.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    fs::{self, File},
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, bail};

/// What marks a folder that was made to its end.
const COMPLETE: &str = ".complete";

/// The folder with the client scripts and the lists of versions.
#[must_use]
pub fn clients_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients")
}

/// A Python with the packages of `tests/clients/requirements.txt`.
#[derive(Debug, Clone)]
pub struct Python(PathBuf);

impl Python {
    /// Makes it where it is not there.
    ///
    /// # Errors
    /// No `python3` with `venv`, or a package that cannot be had: with what the tool said.
    pub fn ready() -> anyhow::Result<Self> {
        let list = clients_folder().join("requirements.txt");
        let folder = made("python", &list, |folder| {
            run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
            run(Command::new(folder.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
                .arg(&list))
        })?;
        Ok(Self(folder))
    }

    /// The command that runs a script of `tests/clients`.
    #[must_use]
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(self.0.join("bin/python"));
        command.arg(clients_folder().join(name));
        command
    }

    /// The command of a program that a package brought.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.0.join("bin").join(name))
    }
}

/// A Node with the packages of `tests/clients/package.json`.
#[derive(Debug, Clone)]
pub struct Node(PathBuf);

impl Node {
    /// Makes it where it is not there.
    ///
    /// # Errors
    /// No `node` or `npm`, or a package that cannot be had: with what the tool said.
    pub fn ready() -> anyhow::Result<Self> {
        let list = clients_folder().join("package.json");
        let folder = made("node", &list, |folder| {
            fs::copy(&list, folder.join("package.json"))?;
            run(Command::new("npm").current_dir(folder).args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--no-package-lock",
                "--ignore-scripts",
            ]))
        })?;
        Ok(Self(folder))
    }

    /// The command that runs a script of `tests/clients`.
    ///
    /// # Errors
    /// The script cannot be put beside the packages, where it finds them.
    pub fn script(&self, name: &str) -> anyhow::Result<Command> {
        let place = self.0.join(name);
        let mut beside = tempfile::NamedTempFile::new_in(&self.0)?;
        std::io::copy(&mut File::open(clients_folder().join(name))?, &mut beside)?;
        beside.persist(&place)?;
        let mut command = Command::new("node");
        command.arg(place);
        Ok(command)
    }
}

/// The folder for the versions in `list`, made by `make` where it is not complete.
fn made(kind: &str, list: &Path, make: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let mut hash = DefaultHasher::new();
    fs::read(list).with_context(|| format!("{} cannot be read", list.display()))?.hash(&mut hash);
    let tools = build_folder().join("tools");
    fs::create_dir_all(&tools)?;
    let folder = tools.join(format!("{kind}-{:016x}", hash.finish()));
    let lock = File::create(tools.join(format!("{kind}.lock")))?;
    lock.lock()?;
    if !folder.join(COMPLETE).is_file() {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        make(&folder)?;
        File::create(folder.join(COMPLETE))?;
    }
    Ok(folder)
}

fn build_folder() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("{command:?} cannot be run"))?;
    if !status.success() {
        let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        bail!("{command:?} ended with {status}:\n{said}");
    }
    Ok(())
}
