//! The C header is what the Rust source says. `UPDATE_GENERATED=1 cargo test -p waystation-adapter-sdk` rewrites it.

use std::path::Path;

use cbindgen::{Builder, Config, EnumConfig, ExportConfig, Language, ParseConfig, RenameRule, Style};

const TOP: &str = "/*
 * The interface between Waystation and a transport adapter, version 1.
 *
 * Generated from adapters/sdk/src/abi.rs; do not edit. The documents that are passed (JSON) are described in
 * adapters/sdk/src/wire.rs and types.rs; adapters/sdk/CONFORMANCE.md lists what an adapter is tested for.
 *
 * TRUST. An adapter is native code in the host's process: it can do whatever the host can. The host guards against an
 * adapter's mistakes (a contained failure, a wrong answer, a call that does not return), not against its malice. Load
 * only what you would run, and pin its SHA-256.
 *
 * RULES
 *  1. A plugin exports one symbol, waystation_adapter_v1. What it answers is constant and valid until the process ends. A
 *     plugin is never unloaded.
 *  2. A host reads magic, major, minor and size first. It refuses another major version. It reads no member beyond size.
 *  3. Names say who owns what. Input (_owned_by_host) is readable during the call only and is never freed by the plugin.
 *     An answer (_owned_by_plugin) is allocated by the plugin, stays unchanged, and is freed by the plugin: the host calls
 *     free_buffer exactly once for each buffer whose ptr is not null, with the same ptr, len and capacity.
 *  4. Every answer is a JSON document in UTF-8, not ended by a NUL; its len says where it ends.
 *  5. Functions may be called on any thread, and on several at once. Two calls for the same task never overlap. A buffer
 *     may be freed on another thread than the one that got it.
 *  6. No function waits. What takes time (a request, a pause) is asked for in the answer, with the status PENDING; the
 *     host does it and calls resume with the results. A call that is not back within the host's deadline (2 s unless
 *     configured) counts as hung.
 *  7. A plugin opens no socket, starts no thread that outlives a call, and installs no signal handler.
 *  8. With PENDING, and only then, start leaves a task. It ends when resume answers DONE or PANICKED, or with free_task. A
 *     task's number is never 0 and is never used again. resume answers UNKNOWN_TASK for any other number, and free_task
 *     ignores it.
 *  9. Nothing unwinds or jumps out of a function. A failure inside is the status PANICKED.
 * 10. A message is accepted only if the network has it. When a plugin does not know whether the network has it, it
 *     answers the failure `ambiguous`; never a success, never a failure that is tried again.
 * 11. Null where a function would write, and input that is null and has a length, is BAD_INPUT. Nothing is done then, and
 *     nothing is written where there is no place for it. Input that is null and has no length is empty input.
 */

#ifndef WAYSTATION_ADAPTER_H
#define WAYSTATION_ADAPTER_H";

const BOTTOM: &str = "#ifdef __cplusplus
extern \"C\" {
#endif

/* The one symbol a plugin exports. */
const WaystationAdapterTable *waystation_adapter_v1(void);

#ifdef __cplusplus
}
#endif

#endif /* WAYSTATION_ADAPTER_H */
";

fn config() -> Config {
    let renames =
        [("AdapterTable", "WaystationAdapterTable"), ("Buffer", "WaystationBuffer"), ("Status", "WaystationStatus")];
    Config {
        language: Language::C,
        style: Style::Type,
        header: Some(TOP.to_owned()),
        trailer: Some(BOTTOM.to_owned()),
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        cpp_compat: true,
        usize_is_size_t: true,
        line_length: 120,
        documentation: true,
        parse: ParseConfig { parse_deps: false, ..ParseConfig::default() },
        enumeration: EnumConfig { rename_variants: RenameRule::QualifiedScreamingSnakeCase, ..EnumConfig::default() },
        export: ExportConfig {
            include: ["AdapterTable", "Status", "Buffer"].map(str::to_owned).to_vec(),
            exclude: [
                "ENTRY_SYMBOL",
                "HEADER_BYTES",
                "EntryFn",
                "DescribeFn",
                "StartFn",
                "ResumeFn",
                "FreeTaskFn",
                "FreeBufferFn",
            ]
            .map(str::to_owned)
            .to_vec(),
            rename: renames.map(|(rust, c)| (rust.to_owned(), c.to_owned())).into(),
            ..ExportConfig::default()
        },
        ..Config::default()
    }
}

#[test]
fn the_header_is_what_the_source_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("include/waystation_adapter.h");
    let bindings = Builder::new()
        .with_config(config())
        .with_src(folder.join("src/abi.rs"))
        .generate()
        .expect("abi.rs can be translated to C");
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    let generated = String::from_utf8(generated).expect("the header is UTF-8");

    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &generated).expect("the header can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} differs from adapters/sdk/src/abi.rs: run UPDATE_GENERATED=1 cargo test -p waystation-adapter-sdk",
        path.display()
    );
}
