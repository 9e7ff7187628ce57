//! Every address in the configuration is understood where it is read: a scheme
//! that nothing here speaks never reaches a driver.
//!
//! The same types parse a key of the file, an environment variable and a
//! command-line flag, so all three refuse the same things in the same words.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use url::Url;

use super::secret::{Secret, redact};

/// The database: one SQLite file, or a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`: one file, created when it does not exist. A relative path
    /// starts at the working directory.
    Sqlite(PathBuf),
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, as the driver takes it.
    Postgres(Secret<String>),
}

/// The queue: inside this process, or a Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueUrl {
    /// `memory:`: for one process; rebuilt from the database at the start.
    Memory,
    /// `redis://HOST:PORT/NUMBER`, or `rediss:` for TLS.
    Redis(Secret<String>),
}

/// Where the bytes of files are: a folder, or a bucket of a store that speaks S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaUrl {
    /// `folder:PATH`: created when it does not exist. A relative path starts at the working
    /// directory.
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys of all objects start with; may be empty.
        prefix: String,
    },
}

/// An address that was refused, and what would be accepted. Holds no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for DatabaseUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match scheme_of(text) {
            Some(("sqlite", path)) => sqlite(path.strip_prefix("//").unwrap_or(path)),
            Some(("postgres" | "postgresql", rest)) => match rest.strip_prefix("//") {
                Some(rest) if !rest.is_empty() => Ok(Self::Postgres(Secret::new(text.to_owned()))),
                _ => Err(AddressError(format!("`{}` names no server: write postgres://HOST/DATABASE", redact(text)))),
            },
            found => Err(unknown_scheme(text, found, "sqlite:PATH or postgres://HOST/DATABASE")),
        }
    }
}

fn sqlite(path: &str) -> Result<DatabaseUrl, AddressError> {
    if path.is_empty() {
        return Err(AddressError("`sqlite:` names no file: write sqlite:PATH".to_owned()));
    }
    if path == ":memory:" {
        return Err(AddressError("a database in memory cannot keep what it accepted: write sqlite:PATH".to_owned()));
    }
    if path.contains('?') {
        return Err(AddressError("a SQLite address takes no parameters: write sqlite:PATH".to_owned()));
    }
    Ok(DatabaseUrl::Sqlite(PathBuf::from(path)))
}

impl FromStr for QueueUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match scheme_of(text) {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err(AddressError(format!(
                "`{}`: the queue in memory takes nothing after the colon: write memory:",
                redact(text)
            ))),
            Some(("redis" | "rediss", _)) => redis(text),
            found => Err(unknown_scheme(text, found, "memory: or redis://HOST:PORT")),
        }
    }
}

impl FromStr for MediaUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match scheme_of(text) {
            Some(("folder", "")) => Err(AddressError("`folder:` names no folder: write folder:PATH".to_owned())),
            Some(("folder", path)) => Ok(Self::Folder(PathBuf::from(path))),
            Some(("s3", rest)) => {
                let place = rest.strip_prefix("//").unwrap_or_default();
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
                    let shown = redact(text);
                    return Err(AddressError(format!("`{shown}` names no bucket: write s3://BUCKET/PREFIX")));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            found => Err(unknown_scheme(text, found, "folder:PATH or s3://BUCKET/PREFIX")),
        }
    }
}

fn redis(text: &str) -> Result<QueueUrl, AddressError> {
    let refuse = |why: &str| AddressError(format!("`{}` {why}: write redis://HOST:PORT/NUMBER", redact(text)));
    let url = Url::parse(text).map_err(|error| refuse(&format!("is no URL ({error})")))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refuse("names no server"));
    }
    let number = url.path().trim_start_matches('/');
    if !number.is_empty() && number.parse::<u32>().is_err() {
        return Err(refuse("has a path that is no database number"));
    }
    Ok(QueueUrl::Redis(Secret::new(text.to_owned())))
}

fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let well_formed = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    well_formed.then_some((scheme, rest))
}

fn unknown_scheme(text: &str, found: Option<(&str, &str)>, expected: &str) -> AddressError {
    AddressError(match found {
        Some((scheme, _)) => format!("unknown scheme `{scheme}:`: write {expected}"),
        None => format!("`{}` has no scheme: write {expected}", redact(text)),
    })
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&redact(url.expose())),
        }
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Redis(url) => f.write_str(&redact(url.expose())),
        }
    }
}

/// Writes the address without its password, so it cannot be read back.
impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for MediaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "folder:{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Serialize for MediaUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MediaUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Writes the address without its password, so it cannot be read back.
impl Serialize for QueueUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QueueUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An address clients reach us at: `http:` or `https:`, a host, and possibly a
/// path, with no slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The address, with no slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse =
            |why: &str| AddressError(format!("`{}` {why}: write https://HOST or https://HOST/PATH", redact(text)));
        let url = Url::parse(text).map_err(|error| refuse(&format!("is no URL ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("is not http: or https:"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("carries a user"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("has something after its path"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl Serialize for PublicUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl DatabaseUrl {
    /// The SQLite file `name` inside `folder`.
    pub(super) fn file_in(folder: &Path, name: &str) -> Self {
        Self::Sqlite(folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: FromStr<Err = AddressError> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn media_addresses_are_understood() {
        let s3 = |bucket: &str, prefix: &str| MediaUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        for (text, expected, shown) in [
            ("folder:files", MediaUrl::Folder(PathBuf::from("files")), "folder:files"),
            ("s3://files", s3("files", ""), "s3://files"),
            ("s3://files/", s3("files", ""), "s3://files"),
            ("s3://files/ws/media/", s3("files", "ws/media"), "s3://files/ws/media"),
        ] {
            let address: MediaUrl = text.parse().unwrap();
            assert_eq!((address.clone(), address.to_string().as_str()), (expected, shown), "{text}");
        }
        for text in ["folder:", "s3:", "s3://", "s3:///x", "s3://key:secret@files", "http://files", "files"] {
            assert!(refusal::<MediaUrl>(text).contains("write"), "{text}");
            assert!(!refusal::<MediaUrl>(text).contains("key:secret"), "{text}");
        }
    }

    #[test]
    fn database_addresses_are_understood() {
        for (text, path) in [
            ("sqlite:ws.db", "ws.db"),
            ("sqlite://ws.db", "ws.db"),
            ("sqlite:/var/ws.db", "/var/ws.db"),
            ("sqlite:///var/ws.db", "/var/ws.db"),
        ] {
            assert_eq!(text.parse(), Ok(DatabaseUrl::Sqlite(PathBuf::from(path))));
        }
        for text in ["postgres://db/ws", "postgresql://a:b@h1:1,h2:2/ws"] {
            let Ok(DatabaseUrl::Postgres(url)) = text.parse() else {
                panic!("{text}");
            };
            assert_eq!(url.expose(), text);
        }
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_what_is_known() {
        assert_eq!(
            refusal::<DatabaseUrl>("mysql://root@db/ws"),
            "unknown scheme `mysql:`: write sqlite:PATH or postgres://HOST/DATABASE"
        );
        assert_eq!(refusal::<QueueUrl>("nats://q"), "unknown scheme `nats:`: write memory: or redis://HOST:PORT");
        assert!(refusal::<PublicUrl>("ftp://a").contains("is not http: or https:"));
    }

    #[test]
    fn an_address_that_cannot_work_is_refused_before_a_driver_sees_it() {
        for (text, why) in [
            ("", "has no scheme"),
            ("waystation.db", "has no scheme"),
            ("sqlite:", "names no file"),
            ("sqlite::memory:", "cannot keep what it accepted"),
            ("sqlite:ws.db?mode=ro", "takes no parameters"),
            ("postgres:ws", "names no server"),
            ("postgres://", "names no server"),
        ] {
            let refused = refusal::<DatabaseUrl>(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
        for (text, why) in [
            ("memory:big", "takes nothing"),
            ("redis:", "names no server"),
            ("redis://h:99999", "is no URL"),
            ("redis://h/first", "no database number"),
        ] {
            let refused = refusal::<QueueUrl>(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn no_form_of_an_address_shows_its_password() {
        let database: DatabaseUrl = "postgres://ada:hunter2@db/ws".parse().unwrap();
        let queue: QueueUrl = "rediss://:hunter2@cache/1".parse().unwrap();
        for shown in [
            database.to_string(),
            format!("{database:?}"),
            serde_json::to_string(&database).unwrap(),
            queue.to_string(),
            format!("{queue:?}"),
            serde_json::to_string(&queue).unwrap(),
            refusal::<DatabaseUrl>("host=db password=hunter2"),
            refusal::<QueueUrl>("redis://:hunter2@h/first"),
            refusal::<PublicUrl>("https://ada:hunter2@h"),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_public_url_has_no_slash_at_its_end() {
        let url: PublicUrl = "https://api.example.com/wa/".parse().unwrap();
        assert_eq!(url.as_str(), "https://api.example.com/wa");
        assert!(refusal::<PublicUrl>("https://h/?a=1").contains("after its path"));
    }
}
