//! Guarantee: a bundled adapter is the very build this binary was made with, or it is not loaded.
//!
//! Build folders keep old libraries around, and an install may mix versions. The library carries a text that changes with
//! its source; this binary has the same text compiled in.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::library::{Library, LoadError};

/// Where bundled adapters are looked for, in this order: the binary's folder, its `deps`, its parent's `deps` (for test
/// binaries), and `lib/waystation/adapters` beside its folder (for installs).
#[must_use]
pub fn bundled_dirs() -> Vec<PathBuf> {
    let exe = std::env::current_exe().and_then(|exe| exe.canonicalize());
    let Some(folder) = exe.ok().and_then(|exe| exe.parent().map(Path::to_owned)) else {
        return Vec::new();
    };
    let mut dirs = vec![folder.clone(), folder.join("deps")];
    if let Some(parent) = folder.parent() {
        dirs.push(parent.join("deps"));
        dirs.push(parent.join("lib/waystation/adapters"));
    }
    dirs
}

/// Opens the newest library with this name and exactly this build info.
pub(super) fn open(name: &str, expected: &str, dirs: &[PathBuf]) -> Result<Library, LoadError> {
    let file = libloading::library_filename(name.replace('-', "_"));
    let mut candidates: Vec<(SystemTime, PathBuf)> = dirs
        .iter()
        .filter_map(|dir| {
            let path = dir.join(&file).canonicalize().ok()?;
            let changed = path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            Some((changed, path))
        })
        .collect();
    candidates.sort_by(|a, b| b.cmp(a));
    candidates.dedup_by(|a, b| a.1 == b.1);

    let mut tried = Vec::new();
    for (_, path) in candidates {
        match Library::open(&path) {
            Ok(library) if library.build_info() == expected => return Ok(library),
            Ok(other) => tried.push(format!("{} was built as `{}`", path.display(), other.build_info())),
            Err(error) => tried.push(error.to_string()),
        }
    }
    if tried.is_empty() {
        let dirs: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        tried.push(format!("no {} in {}", file.display(), dirs.join(", ")));
    }
    Err(LoadError::NotBundled { name: name.to_owned(), expected: expected.to_owned(), tried: tried.join("; ") })
}
