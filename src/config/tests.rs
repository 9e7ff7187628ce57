//! Each test is a promise of the loader, by name.

use super::*;

/// The committed reference, next to the workspace's manifest.
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/waystation.default.toml");

/// Set to rewrite what is generated instead of comparing it.
const UPDATE_GENERATED: &str = "UPDATE_GENERATED";

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ws.toml");
    fs::write(&path, text).unwrap();
    let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&path), variables)
}

fn refusal(text: &str, environment: &[(&str, &str)]) -> String {
    match load(text, environment) {
        Ok(_) => panic!("accepted: {text} {environment:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_committed_reference_is_what_the_code_says() {
    let reference = Config::reference();
    if std::env::var_os(UPDATE_GENERATED).is_some_and(|value| value == "1") {
        fs::write(REFERENCE, &reference).unwrap();
    }
    let committed = fs::read_to_string(REFERENCE).unwrap_or_default();
    assert!(committed == reference, "{REFERENCE} is stale: run this test with {UPDATE_GENERATED}=1");
}

#[test]
fn the_reference_changes_nothing_as_it_is_and_nothing_uncommented() {
    let reference = Config::reference();
    assert_eq!(load(&reference, &[]).unwrap(), Config::default());

    let uncommented: Vec<&str> = reference
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        })
        .collect();
    let uncommented = uncommented.join("\n");
    assert_eq!(load(&uncommented, &[]).unwrap(), Config::default());
    for key in Schema::of::<Config>().keys() {
        let key = key.rsplit('.').next().unwrap();
        assert!(uncommented.contains(&format!("\n{key} = ")), "{key} is not in the reference");
    }
}

#[test]
fn every_key_is_documented_and_every_number_is_bounded() {
    let schema = Schema::of::<Config>();
    let sections = schema.root().properties().filter(|(_, node)| node.kind() == Kind::Section);
    let mut keys = 0;
    for (section, node) in sections {
        assert!(node.description().is_some(), "[{section}]");
        for (key, node) in node.properties() {
            keys += 1;
            assert!(node.description().is_some(), "{section}.{key}");
            let boolean = ["allow_private_networks", "auto_approve"].contains(&key);
            if node.kind() == Kind::List || (node.kind() == Kind::Bare && !boolean) {
                assert!(node.bounds().is_some(), "{section}.{key} has no bounds");
            }
        }
    }
    assert!(keys >= 30, "the schema is walked: {keys}");
}

#[test]
fn the_defaults_need_no_file_and_hold_together() {
    let config = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(config, Config::default());
    config.validate().unwrap();
    assert_eq!(config.database_url(), DatabaseUrl::Sqlite(PathBuf::from("waystation-data/waystation.db")));
}

#[test]
fn the_environment_is_laid_over_the_file() {
    let config = load(
        "data_dir = '/var/ws'\n[server]\nthreads = 2\nlisten = '0.0.0.0:80'\n",
        &[
            ("WAYSTATION__SERVER__THREADS", "4"),
            ("WAYSTATION__DATA_DIR", "/srv/ws"),
            ("WAYSTATION__DATABASE__URL", "postgres://ada:pw@db/ws"),
            ("WAYSTATION__EGRESS__ALLOW_PRIVATE_NETWORKS", "true"),
            ("WAYSTATION__QUEUE__PREFIX", "7"),
            ("WAYSTATION__WEBHOOKS__RETRY_SECONDS", "1, 2,3"),
            ("WAYSTATION__ADAPTERS__BUNDLED", "sandbox,sms"),
            ("WAYSTATION__DELIVERY__AMBIGUOUS", "fail"),
            ("PATH", "/bin"),
            ("WAYSTATION_CONFIG", "elsewhere"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.threads, 4);
    assert_eq!(config.server.listen.port(), 80);
    assert_eq!(config.data_dir, Path::new("/srv/ws"));
    let Some(DatabaseUrl::Postgres(url)) = &config.database.url else {
        panic!("{:?}", config.database.url);
    };
    assert_eq!(url.expose(), "postgres://ada:pw@db/ws");
    assert!(config.egress.allow_private_networks);
    assert_eq!(config.queue.prefix, "7");
    assert_eq!(config.webhooks.retry_seconds, [1, 2, 3]);
    assert_eq!(config.adapters.bundled, ["sandbox", "sms"]);
    assert_eq!(config.delivery.ambiguous, AmbiguousPolicy::Fail);
}

#[test]
fn an_empty_variable_restores_an_optional_default() {
    let config = load(
        "[database]\nurl = 'postgres://db/ws'\n[webhooks]\nretry_seconds = [1]\n",
        &[("WAYSTATION__DATABASE__URL", ""), ("WAYSTATION__WEBHOOKS__RETRY_SECONDS", "")],
    )
    .unwrap();
    assert_eq!(config.database.url, None);
    assert!(config.webhooks.retry_seconds.is_empty());
}

#[test]
fn an_adapter_library_is_pinned_by_its_sum_from_either_layer() {
    let sum = "0f".repeat(32);
    let entry = format!("{{ path = '/opt/a.so', sha256 = '{sum}' }}");
    for config in [
        load(&format!("[adapters]\nlibraries = [{entry}]"), &[]).unwrap(),
        load("", &[("WAYSTATION__ADAPTERS__LIBRARIES", &format!("[{entry}]"))]).unwrap(),
    ] {
        assert_eq!(config.adapters.libraries[0].sha256, Sha256([0x0f; 32]));
        assert!(config.redacted().contains(&sum));
    }
    for wrong in ["0f", &"0g".repeat(32), &"0f".repeat(33)] {
        let text = format!("[adapters]\nlibraries = [{{ path = 'a', sha256 = '{wrong}' }}]");
        assert!(refusal(&text, &[]).contains("is no SHA-256"), "{wrong}");
    }
}

#[test]
fn an_unknown_variable_is_refused_by_name_with_what_was_meant() {
    for (variable, expected) in [
        ("WAYSTATION__SERVER__LISTN", "sets no key; did you mean WAYSTATION__SERVER__LISTEN?"),
        ("WAYSTATION__LISTEN", "sets no key; did you mean WAYSTATION__SERVER__LISTEN?"),
        ("WAYSTATION__SERVER", "sets no key; did you mean WAYSTATION__SERVER__BODY_LIMIT_BYTES?"),
        ("WAYSTATION__SERVER__LISTEN__PORT", "sets no key; "),
        ("WAYSTATION__TELEMETRY__ENDPOINT", "sets no key; see waystation.default.toml"),
        ("WAYSTATION__", "sets no key; "),
    ] {
        let refused = refusal("", &[(variable, "x")]);
        assert!(refused.starts_with(&format!("{variable}: {expected}")), "{refused}");
    }
}

#[test]
fn a_value_of_the_wrong_type_names_the_variable() {
    for (variable, value, expected) in [
        ("WAYSTATION__SERVER__THREADS", "many", "invalid type: string \"many\""),
        ("WAYSTATION__SERVER__THREADS", "2.5", "invalid type: floating point"),
        ("WAYSTATION__SERVER__THREADS", "", "invalid type: string \"\""),
        ("WAYSTATION__SERVER__THREADS", "1\n[log]\nfilter = 'x'", "invalid type: string"),
        ("WAYSTATION__SERVER__LISTEN", "localhost", "is no address with a port"),
        ("WAYSTATION__EGRESS__ALLOW_PRIVATE_NETWORKS", "yes", "invalid type: string \"yes\""),
        ("WAYSTATION__DELIVERY__AMBIGUOUS", "maybe", "unknown variant `maybe`"),
        ("WAYSTATION__QUEUE__URL", "nats://q", "unknown scheme `nats:`"),
        ("WAYSTATION__WORKER__LEASE_SECONDS", "1", "must be from 5 to 3600, not 1"),
        ("WAYSTATION__LOG__FILTER", "a=b=c", "is no log filter"),
    ] {
        let refused = refusal("", &[(variable, value)]);
        assert!(refused.starts_with(&format!("{variable}: ")), "{refused}");
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn all_wrong_variables_are_told_at_once() {
    let refused = refusal("", &[("WAYSTATION__B", "1"), ("WAYSTATION__A", "2")]);
    assert_eq!(refused.lines().count(), 2, "{refused}");
}

#[test]
fn an_unknown_key_is_refused_at_its_place_with_the_line() {
    let refused = refusal("[server]\nthreads = 2\n  lisen = \"[::]:80\"\n", &[]);
    let (place, message) = refused.split_once(": ").unwrap();
    assert!(place.ends_with("ws.toml:3:3"), "{place}");
    assert_eq!(
        message,
        "unknown key `server.lisen`; did you mean `server.listen`?\n   \
         |\n 3 |   lisen = \"[::]:80\"\n   |   ^^^^^"
    );
}

#[test]
fn all_unknown_keys_and_bounds_are_told_at_once() {
    let refused = refusal(
        "colour = 1\n[worker]\nlease_seconds = 1\nmessages_in_flight = 0\n\
         [adapters]\nlibraries = [{ path = 'a', sum = 'b' }]\n",
        &[],
    );
    for expected in [
        ":1:1: unknown key `colour`; known here: abuse, adapters, data_dir",
        ":3:17: `worker.lease_seconds` must be from 5 to 3600, not 1",
        ":4:22: `worker.messages_in_flight` must be from 1 to 100000, not 0",
        ":6:28: unknown key `adapters.libraries.sum`; known here: path, sha256",
    ] {
        assert!(refused.contains(expected), "{expected}\n{refused}");
    }
}

#[test]
fn a_refused_value_is_shown_at_its_place() {
    for (text, place, expected) in [
        ("[server]\nlisten = 'here'", ":2:10: ", "is no address with a port"),
        ("[queue]\nurl = 'amqp://q'", ":2:7: ", "unknown scheme `amqp:`"),
        ("[queue]\nprefix = 'a b'", ":2:10: ", "is no prefix"),
        ("[server]\nthreads = 'two'", ":2:11: ", "invalid type"),
        ("[server]\nthreads = 99999999999999999999", ":2:11: ", "from 0 to 1024"),
        ("[server]\npublic_url = 'gopher://h'", ":2:14: ", "is not http: or https:"),
        ("[webhooks]\nretry_seconds = [1, 0]", ":2:21: ", "from 1 to 2592000, not 0"),
        ("server = 3", ":1:10: ", "invalid type"),
        ("[server\n", ":1:8: ", "unclosed table"),
        ("[log]\nformat = 'xml'", ":2:10: ", "unknown variant `xml`, expected `text` or `json`"),
    ] {
        let refused = refusal(text, &[]);
        assert!(refused.contains(place), "{text}\n{refused}");
        assert!(refused.contains(expected), "{text}\n{refused}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Some(Path::new("/nowhere/ws.toml")), std::iter::empty()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/ws.toml"), "{error}");
}

#[test]
fn no_error_shows_a_password() {
    for refused in [
        refusal("[database]\nurl = \"mysql://ada:hunter2@db/ws\"\n", &[]),
        refusal("[database]\nurls = \"postgres://ada:hunter2@db/ws\"\n", &[]),
        refusal("[database]\npassword = \"hunter2\"\n", &[]),
        refusal("[database]\nconnections = \"postgres://ada:hunter2@db/ws\"\n", &[]),
        refusal("[queue]\nurl = \"redis://:hunter2@q/x\"\n", &[]),
        refusal("[queue]\nurl = \"redis://:hunter2@q\n", &[]),
        refusal("", &[("WAYSTATION__DATABASE__URL", "mysql://ada:hunter2@db/ws")]),
        refusal("", &[("WAYSTATION__DATABASE__URL", "host=db password=hunter2")]),
        refusal("", &[("WAYSTATION__SERVER__THREADS", "redis://:hunter2@q")]),
        refusal("", &[("WAYSTATION__QUEUE__URL", "redis://:hunter2@q/x")]),
    ] {
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn the_configuration_in_effect_is_printed_without_secrets() {
    let config = load(
        "[database]\nurl = 'postgres://ada:hunter2@db/ws?sslmode=require'\n\
         [queue]\nurl = 'redis://:hunter2@cache/1'\n",
        &[],
    )
    .unwrap();
    let shown = config.redacted();
    assert!(shown.contains("postgres://ada:[redacted]@db/ws?sslmode=require"), "{shown}");
    assert!(shown.contains("redis://:[redacted]@cache/1"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!format!("{config:?}").contains("hunter2"));
    toml::from_str::<toml::Table>(&shown).unwrap();
}

#[test]
fn all_contradictions_are_told_at_once() {
    let mut config = Config::default();
    config.delivery.retry_base_ms = 400_000;
    config.worker.lease_seconds = 10;
    config.webhooks.retry_seconds = vec![30, 5];
    config.adapters.bundled = vec!["sms".to_owned(), "sms".to_owned()];
    let problems = config.validate().unwrap_err().to_string();
    for expected in [
        "`delivery.retry_base_ms` (400000 ms) must not exceed `delivery.retry_cap_ms` (300000 ms)",
        "`adapters.operation_deadline_ms` (30000 ms) must not exceed `worker.lease_seconds` (10000 ms)",
        "`webhooks.timeout_ms` (15000 ms) must not exceed `worker.lease_seconds` (10000 ms)",
        "ascending order",
        "\"sms\" is empty or listed twice",
    ] {
        assert!(problems.contains(expected), "{expected}\n{problems}");
    }
    assert_eq!(problems.lines().count(), 6, "{problems}");
}

#[test]
fn a_value_changed_after_loading_is_bounded_too() {
    let mut config = Config::default();
    config.database.connections = 0;
    let problems = config.validate().unwrap_err().to_string();
    assert!(problems.contains("`database.connections` must be from 1 to 1000, not 0"), "{problems}");
}

#[test]
fn the_public_address_follows_from_where_we_listen() {
    let mut config = Config::default();
    for (bound, expected) in [
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:81", "http://[::1]:81"),
        ("192.168.7.7:80", "http://192.168.7.7:80"),
    ] {
        assert_eq!(config.public_url(bound.parse().unwrap()), expected);
    }
    config.server.public_url = Some("https://wa.example.com/".parse().unwrap());
    assert_eq!(config.public_url("0.0.0.0:8080".parse().unwrap()), "https://wa.example.com");
}
