//! Guarantee: what is loaded of a pinned file is the bytes that were hashed, and stays those bytes.
//!
//! A file can be replaced between its hash and its loading, and overwritten while its code runs; and the system's loader
//! answers a path that it has loaded before with what it loaded then, whatever lies there now. So a pinned library is
//! loaded from a copy of its own, in memory, that nobody can write to any more: each build beside the others, and none
//! of them concerned by what happens to the file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A library's bytes as a file that cannot be changed.
#[derive(Debug)]
pub(super) struct Sealed {
    path: PathBuf,
    /// Open for as long as the copy is loaded: its number, which is its name, must not come to be another's.
    file: Option<File>,
}

impl Sealed {
    /// A sealed copy of `bytes`, which were read of the file at `path`.
    #[cfg(target_os = "linux")]
    pub(super) fn copy(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;

        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

        // For whoever looks at the process's maps. What is no name there is none at all.
        let name: String = path.file_name().unwrap_or_default().to_string_lossy().replace('\0', "");
        let shown: String = name.chars().take(NAME_MAX_CHARS).collect();
        let mut file = File::from(memfd_create(shown, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.write_all(bytes)?;
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(Self { path: PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())), file: Some(file) })
    }

    /// The file itself, on systems whose loader looks at a file before it takes it for one that it knows.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn copy(path: &Path, _bytes: &[u8]) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: None })
    }

    /// Where the loader finds it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it until the process ends.
    pub(super) fn keep(self) {
        std::mem::forget(self.file);
    }
}

/// The longest name of a copy, far below the system's limit of 249 bytes.
#[cfg(target_os = "linux")]
const NAME_MAX_CHARS: usize = 60;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_copy_cannot_be_written_to() {
        let copy = Sealed::copy(Path::new("/opt/libacme.so"), b"the bytes").unwrap();
        assert_eq!(std::fs::read(copy.path()).unwrap(), b"the bytes");
        let refused = OpenOptions::new().write(true).open(copy.path()).and_then(|mut file| file.write_all(b"other"));
        assert!(refused.is_err());
        assert_eq!(std::fs::read(copy.path()).unwrap(), b"the bytes");
    }
}
