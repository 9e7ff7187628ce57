//! Lists in pages: a page goes on exactly where the one before it ended, whatever was
//! added or removed meanwhile, because a cursor names the last thing seen and not a count.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::error::{ApiError, Breach, ErrorKind};

/// Entries of a page when the request does not say.
pub const PAGE_DEFAULT_ENTRIES: u32 = 50;
/// Most entries of a page.
pub const PAGE_MAX_ENTRIES: u32 = 200;
/// Longest cursor, in characters.
const CURSOR_MAX_CHARS: usize = 128;

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// The key of the last entry before the page; none for the first page.
    pub(crate) after: Option<String>,
    /// Entries at most.
    pub(crate) limit: u32,
}

impl Default for Paging {
    fn default() -> Self {
        Self { after: None, limit: PAGE_DEFAULT_ENTRIES }
    }
}

impl Paging {
    /// The page that a request asks for.
    ///
    /// # Errors
    /// A cursor that no page gave out, or a limit that is not from 1 to
    /// [`PAGE_MAX_ENTRIES`].
    pub fn read(cursor: Option<&str>, limit: Option<u32>) -> Result<Self, ApiError> {
        let mut breaches = Vec::new();
        let limit = limit.unwrap_or(PAGE_DEFAULT_ENTRIES);
        if !(1..=PAGE_MAX_ENTRIES).contains(&limit) {
            breaches.push(Breach {
                pointer: "?limit".to_owned(),
                message: format!("must be from 1 to {PAGE_MAX_ENTRIES}, is {limit}"),
                limit: Some(PAGE_MAX_ENTRIES.into()),
                actual: Some(limit.into()),
            });
        }
        let after = cursor.filter(|cursor| !cursor.is_empty()).map(decode);
        if after == Some(None) {
            let message = "is not a cursor of this list; take it from \"next\" of the page before".to_owned();
            breaches.push(Breach { pointer: "?cursor".to_owned(), message, limit: None, actual: None });
        }
        if breaches.is_empty() {
            return Ok(Self { after: after.flatten(), limit });
        }
        Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches))
    }

    /// The cursor that goes on behind the entry with this key.
    #[must_use]
    pub fn cursor(key: &str) -> String {
        URL_SAFE_NO_PAD.encode(key)
    }

    /// Rows to ask for: one more than the page has, to know whether there is a next one.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

fn decode(cursor: &str) -> Option<String> {
    if cursor.len() > CURSOR_MAX_CHARS {
        return None;
    }
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    // Keys are ULIDs and numbers, alone or two of them.
    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.').then_some(key)
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its entries.
    pub entries: Vec<T>,
    /// The cursor of the next page; none at the end of the list.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The page that `rows` make, of which there may be one too many. `key` names a row in
    /// cursors.
    pub(crate) fn new(mut rows: Vec<T>, paging: &Paging, key: impl Fn(&T) -> String) -> Self {
        let limit = paging.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| Paging::cursor(&key(last)));
        Self { entries: rows, next }
    }

    /// The same page of a list that goes on after the row `last`, which the page itself may not have.
    #[must_use]
    pub(crate) fn going_on_after(self, last: Option<String>) -> Self {
        Self { next: self.next.or_else(|| last.map(|key| URL_SAFE_NO_PAD.encode(key))), ..self }
    }

    /// The page that `entries` are, after which there are more or not.
    pub(crate) fn of(entries: Vec<T>, more: bool, key: impl Fn(&T) -> String) -> Self {
        let next = entries.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Self { entries, next }
    }

    /// The same page of something else.
    #[must_use]
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { entries: self.entries.into_iter().map(convert).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let all: Vec<u32> = (0..5).collect();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let paging = Paging::read(cursor.as_deref(), Some(2)).unwrap();
            let after = paging.after.as_ref().map(|key| key.parse::<u32>().unwrap());
            let rows = all.iter().copied().filter(|n| after.is_none_or(|after| *n > after)).take(3).collect();
            let page = Page::new(rows, &paging, u32::to_string);
            seen.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_cursor_that_no_page_gave_out_is_refused() {
        for cursor in ["%", "a'b", "JyBPUiAx", &"A".repeat(200)] {
            let error = Paging::read(Some(cursor), None).unwrap_err();
            assert_eq!(error.breaches[0].pointer, "?cursor", "{cursor}");
        }
        assert!(Paging::read(Some(""), None).unwrap().after.is_none());
        assert_eq!(Paging::read(None, Some(0)).unwrap_err().breaches[0].actual, Some(0));
        assert!(Paging::read(None, Some(PAGE_MAX_ENTRIES + 1)).is_err());
    }
}
