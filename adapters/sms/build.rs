//! Tells this build of the adapter from any other.

include!("../sdk/build/source_hash.rs");

fn main() {
    emit_build_info(&["src", "../sdk/src"]);
}
