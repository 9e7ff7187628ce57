// Included by the build script of each bundled adapter. Guarantee: the build info changes whenever a source file of the
// adapter or of the SDK does, and on nothing else but the version, the profile and the target; so a stale library in a
// build folder is told from the one a binary was built with.

/// Hashes every file under `folders` and sets `WAYSTATION_BUILD_INFO` for the crate.
fn emit_build_info(folders: &[&str]) {
    let mut files = Vec::new();
    for folder in folders {
        println!("cargo::rerun-if-changed={folder}");
        collect_files(std::path::Path::new(folder), &mut files);
    }
    files.sort();
    let mut hash = Fnv::new();
    for file in &files {
        let text = std::fs::read(file)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        hash.add(file.to_string_lossy().as_bytes());
        hash.add(&(text.len() as u64).to_le_bytes());
        hash.add(&text);
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    println!(
        "cargo::rustc-env=WAYSTATION_BUILD_INFO={} {} source {:016x} {} {}",
        variable("CARGO_PKG_NAME"),
        variable("CARGO_PKG_VERSION"),
        hash.0,
        variable("PROFILE"),
        variable("TARGET"),
    );
}

fn collect_files(path: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    if path.is_dir() {
        let entries = std::fs::read_dir(path)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", path.display()));
        for entry in entries {
            collect_files(&entry.expect("a listed file has a name").path(), files);
        }
    } else {
        files.push(path.to_owned());
    }
}

/// FNV-1a, 64 bits: it tells builds apart, it does not secure them.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
