//! A table of contacts, read as it comes: of a row that is wrong the line and the column are kept, of
//! all others the contact. Whatever the table says, nobody who opted out is opted in again by it.
//!
//! Memory holds one batch of rows and no more, however long the table or one of its rows is.

use std::collections::HashMap;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::{
    ContactChange, Contacts,
    details::{COLUMNS, Definitions},
};
use crate::{
    audit::Actor,
    clock::now_ms,
    error::{ApiError, Breach, ErrorKind},
    ids::{BusinessId, ImportId},
    paging::{Page, Paging},
    store::{ImportCounts, ImportFault, ImportView, Upserted},
};

/// Rows of one table at most.
pub const IMPORT_MAX_ROWS: u64 = 100_000;
/// Largest row, in bytes of its cells.
pub const IMPORT_ROW_MAX_BYTES: usize = 64 * 1024;
/// Columns of a table at most.
pub const IMPORT_MAX_COLUMNS: usize = 100;
/// Rows that are written at once.
const BATCH_ROWS: usize = 500;
/// How often a batch is tried that met others who changed the same contacts.
const BATCH_TRIES: u32 = 5;
/// What stands between the tags in a cell.
const BETWEEN_TAGS: char = '|';
/// Columns that an export has and an import leaves alone.
const LEFT_ALONE: [&str; 4] = ["id", "profile_name", "created_at", "updated_at"];

/// What a column means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Phone,
    UserId,
    GivenName,
    Language,
    TimeZone,
    Tags,
    Attribute(String),
    LeftAlone,
}

/// A row that was read: its line, and its cells or why there are none.
type Row = (u64, Result<Vec<Vec<u8>>, String>);

/// Cuts bytes into rows.
struct Rows {
    reader: Reader,
    cells: Vec<u8>,
    ends: Vec<usize>,
    /// How much of both the row that is being read has filled.
    filled: (usize, usize),
    /// Whether the row that is being read is too long: what comes of it is thrown away.
    overlong: bool,
    /// The line that the row begins in, once it has begun.
    line: Option<u64>,
    /// Ends of lines so far.
    ended: u64,
}

impl Rows {
    fn new(separator: u8) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(separator).build(),
            cells: vec![0; IMPORT_ROW_MAX_BYTES],
            ends: vec![0; IMPORT_MAX_COLUMNS + 1],
            filled: (0, 0),
            overlong: false,
            line: None,
            ended: 0,
        }
    }

    /// The rows that end in `input`; an empty one is the end of the table.
    fn read(&mut self, mut input: &[u8]) -> Vec<Row> {
        let (mut rows, at_end) = (Vec::new(), input.is_empty());
        loop {
            if self.line.is_none() {
                let text = input.iter().position(|byte| !matches!(byte, b'\n' | b'\r')).unwrap_or(input.len());
                self.ended += ends_of_lines(&input[..text]);
                input = &input[text..];
                self.line = (!input.is_empty()).then_some(self.ended + 1);
            }
            // To the reader, nothing is the end.
            if input.is_empty() && !at_end {
                return rows;
            }
            let (cells, ends) = (&mut self.cells[self.filled.0..], &mut self.ends[self.filled.1..]);
            let (result, used, written, ended) = self.reader.read_record(input, cells, ends);
            self.ended += ends_of_lines(&input[..used]);
            input = &input[used..];
            self.filled.0 += written;
            self.filled.1 += ended;
            match result {
                ReadRecordResult::InputEmpty if at_end => continue,
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return rows,
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    self.overlong = true;
                    self.filled = (0, 0);
                }
                ReadRecordResult::Record => {
                    let row = if self.overlong {
                        Err(format!(
                            "has more than {IMPORT_MAX_COLUMNS} cells or {IMPORT_ROW_MAX_BYTES} bytes; is a quotation mark \
                             not closed?"
                        ))
                    } else {
                        let mut from = 0;
                        let cells = self.ends[..self.filled.1].iter().map(|end| {
                            let cell = self.cells[from..*end].to_vec();
                            from = *end;
                            cell
                        });
                        Ok(cells.collect())
                    };
                    rows.push((self.line.take().unwrap_or(self.ended + 1), row));
                    self.filled = (0, 0);
                    self.overlong = false;
                }
            }
        }
    }
}

fn ends_of_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A table that is being read.
#[allow(missing_debug_implementations, reason = "what it holds are people")]
pub struct Import {
    contacts: Contacts,
    by: Actor,
    business: BusinessId,
    definitions: Definitions,
    /// What came before the first line was whole.
    head: Vec<u8>,
    rows: Option<Rows>,
    columns: Vec<(String, Column)>,
    started: Option<ImportId>,
    batch: Vec<(u64, ContactChange)>,
    faults: Vec<ImportFault>,
    counts: ImportCounts,
}

impl Contacts {
    /// Begins to read a table.
    ///
    /// # Errors
    /// The database's.
    pub async fn import(&self, by: &Actor, business: &BusinessId) -> Result<Import, ApiError> {
        Ok(Import {
            definitions: self.store.definitions(business).await?,
            contacts: self.clone(),
            by: by.clone(),
            business: business.clone(),
            head: Vec::new(),
            rows: None,
            columns: Vec::new(),
            started: None,
            batch: Vec::new(),
            faults: Vec::new(),
            counts: ImportCounts::default(),
        })
    }

    /// How an import stands.
    ///
    /// # Errors
    /// It is not there.
    pub async fn import_view(&self, business: &BusinessId, id: &ImportId) -> Result<ImportView, ApiError> {
        self.store.import(business, id, now_ms()).await?.ok_or_else(|| ApiError::missing("import", id))
    }

    /// A page of what was wrong with a table, in the order of its lines.
    ///
    /// # Errors
    /// It is not there.
    pub async fn import_faults(
        &self,
        business: &BusinessId,
        id: &ImportId,
        paging: &Paging,
    ) -> Result<Page<ImportFault>, ApiError> {
        self.import_view(business, id).await?;
        Ok(self.store.import_faults(id, paging).await?)
    }
}

impl Import {
    /// Reads on.
    ///
    /// # Errors
    /// The table cannot be read at all, or the database cannot keep it. What was read before stays.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let Some(rows) = &mut self.rows else {
            self.head.extend_from_slice(bytes);
            if !self.head.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
                return if self.head.len() > IMPORT_ROW_MAX_BYTES { Err(no_head()) } else { Ok(()) };
            }
            return Box::pin(self.begin()).await;
        };
        let rows = rows.read(bytes);
        self.take(rows).await
    }

    /// Ends the table.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub async fn finish(mut self) -> Result<ImportView, ApiError> {
        if self.rows.is_none() {
            self.head.push(b'\n');
            self.begin().await?;
        }
        if let Some(rows) = &mut self.rows {
            let rest = rows.read(&[]);
            self.take(rest).await?;
        }
        self.write().await?;
        let id = self.started.ok_or_else(no_head)?;
        self.contacts.store.end_import(&self.by, &self.business, &id, None, now_ms()).await?;
        self.contacts.import_view(&self.business, &id).await
    }

    /// Ends a table that broke off, and says why. What was read before stays.
    pub async fn break_off(mut self, why: &ApiError) {
        let Some(id) = self.started.clone() else { return };
        let written = self.write().await;
        let ended = self.contacts.store.end_import(&self.by, &self.business, &id, Some(&why.details), now_ms()).await;
        if let Err(error) = written.and(ended.map_err(Into::into)) {
            tracing::warn!(%error, import = %id, "an import that broke off could not be ended");
        }
    }

    /// Reads the names of the columns.
    async fn begin(&mut self) -> Result<(), ApiError> {
        let mut head = std::mem::take(&mut self.head);
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            let details = "The table is in UTF-16; save it as CSV in UTF-8.";
            return Err(ApiError::new(ErrorKind::MalformedBody, details));
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        let mut rows = Rows::new(separator(&head));
        let mut read = rows.read(&head);
        if read.is_empty() {
            return Err(no_head());
        }
        let (_, names) = read.remove(0);
        self.columns = columns(names.map_err(|fault| ApiError::breach("/header", fault))?, &self.definitions)?;
        self.rows = Some(rows);
        self.started = Some(self.contacts.store.begin_import(&self.business, now_ms()).await?);
        self.take(read).await
    }

    async fn take(&mut self, rows: Vec<Row>) -> Result<(), ApiError> {
        for (line, row) in rows {
            if self.counts.read >= IMPORT_MAX_ROWS {
                let details = format!("The table has more than {IMPORT_MAX_ROWS} rows; those before are imported.");
                return Err(ApiError::new(ErrorKind::BodyTooLarge, details));
            }
            self.counts.read += 1;
            match self.change(row) {
                Ok(change) => self.batch.push((line, change)),
                Err(faults) => self.fail(line, faults),
            }
            if self.batch.len() >= BATCH_ROWS || self.faults.len() >= BATCH_ROWS {
                self.write().await?;
            }
        }
        Ok(())
    }

    fn fail(&mut self, line: u64, faults: Vec<(String, String)>) {
        self.counts.failed += 1;
        for (place, (column, message)) in faults.into_iter().enumerate() {
            self.faults.push(ImportFault { line, place: place as u64, column, message });
        }
    }

    /// What a row says, or what is wrong with it by column.
    fn change(&self, row: Result<Vec<Vec<u8>>, String>) -> Result<ContactChange, Vec<(String, String)>> {
        let cells = row.map_err(|fault| vec![(String::new(), fault)])?;
        if cells.len() > self.columns.len() {
            let fault = format!("has {} cells, and the table has {} columns", cells.len(), self.columns.len());
            return Err(vec![(String::new(), fault)]);
        }
        let mut change = ContactChange { adds_tags: true, ..ContactChange::default() };
        let mut faults = Vec::new();
        for (cell, (name, column)) in cells.into_iter().zip(&self.columns) {
            let Ok(text) = String::from_utf8(cell) else {
                faults.push((name.clone(), "is not UTF-8".to_owned()));
                continue;
            };
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            if text.contains('\0') {
                faults.push((name.clone(), "must not contain the character U+0000".to_owned()));
                continue;
            }
            let given = Some(Some(text.to_owned()));
            match column {
                Column::Phone => change.phone = given,
                Column::UserId => change.user_id = given,
                Column::GivenName => change.given_name = given,
                Column::Language => change.language = given,
                Column::TimeZone => change.time_zone = given,
                Column::Tags => {
                    let tags = text.split(BETWEEN_TAGS).map(str::trim).filter(|tag| !tag.is_empty());
                    change.tags = Some(tags.map(ToOwned::to_owned).collect());
                }
                Column::Attribute(attribute) => {
                    if let Some(kind) = self.definitions.get(attribute) {
                        let values = change.attributes.get_or_insert_default();
                        values.insert(attribute.clone(), kind.value_of_text(text));
                    }
                }
                Column::LeftAlone => {}
            }
        }
        match change.checked(&self.definitions) {
            Err(breaches) => faults.extend(breaches.into_iter().map(|breach| self.placed(breach))),
            Ok(change) if faults.is_empty() && change.addresses().is_empty() => {
                faults.push(("phone".to_owned(), "is required, or a user_id".to_owned()));
            }
            Ok(change) if faults.is_empty() => return Ok(change),
            Ok(_) => {}
        }
        Err(faults)
    }

    /// A breach by the name of its column.
    fn placed(&self, breach: Breach) -> (String, String) {
        let mut steps = breach.pointer.trim_start_matches('/').split('/');
        let name = match (steps.next(), steps.next()) {
            (Some("attributes"), Some(name)) => name,
            (Some(name), _) => name,
            (None, _) => "",
        };
        (name.to_owned(), breach.message)
    }

    /// Writes what was read so far.
    async fn write(&mut self) -> Result<(), ApiError> {
        let Some(id) = self.started.clone() else { return Ok(()) };
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            let (lines, changes): (Vec<u64>, Vec<ContactChange>) = batch.into_iter().unzip();
            let mut tries = 0;
            let results = loop {
                tries += 1;
                match self.contacts.store.upsert_contacts(&self.business, &changes, now_ms()).await {
                    Err(error) if error.is_transient() && tries < BATCH_TRIES => {}
                    other => break other?,
                }
            };
            for (line, result) in lines.into_iter().zip(results) {
                match result {
                    Upserted::Created(_) => self.counts.created += 1,
                    Upserted::Updated(_) => self.counts.updated += 1,
                    Upserted::Refused(breach) => {
                        let fault = self.placed(breach);
                        self.fail(line, vec![fault]);
                    }
                }
            }
        }
        let faults = std::mem::take(&mut self.faults);
        self.contacts.store.note_import(&id, &self.counts, &faults, now_ms()).await?;
        Ok(())
    }
}

fn no_head() -> ApiError {
    let details = "The table has no first line with the names of its columns, such as \"phone,given_name\".";
    ApiError::new(ErrorKind::MalformedBody, details)
}

/// What stands between the cells of the first line: comma, semicolon or tab, whichever is there most
/// often outside of quotation marks.
fn separator(head: &[u8]) -> u8 {
    let mut counts = HashMap::new();
    let mut quoted = false;
    for byte in head.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')) {
        match byte {
            b'"' => quoted = !quoted,
            b',' | b';' | b'\t' if !quoted => *counts.entry(*byte).or_insert(0) += 1,
            _ => {}
        }
    }
    // Of two that are there equally often the more usual one.
    [b'\t', b';', b','].into_iter().max_by_key(|byte| counts.get(byte).copied().unwrap_or(0)).unwrap_or(b',')
}

/// What the columns mean, or everything that is wrong with their names.
fn columns(names: Vec<Vec<u8>>, definitions: &Definitions) -> Result<Vec<(String, Column)>, ApiError> {
    let (mut columns, mut breaches) = (Vec::new(), Vec::new());
    for (index, name) in names.into_iter().enumerate() {
        let name = String::from_utf8_lossy(&name).trim().to_lowercase();
        let column = match name.as_str() {
            "phone" => Column::Phone,
            "user_id" => Column::UserId,
            "given_name" => Column::GivenName,
            "language" => Column::Language,
            "time_zone" => Column::TimeZone,
            "tags" => Column::Tags,
            other if LEFT_ALONE.contains(&other) => Column::LeftAlone,
            other if definitions.contains_key(other) && !COLUMNS.contains(&other) => Column::Attribute(name.clone()),
            _ => {
                let shown = crate::messages::request::excerpt(&name).to_string();
                let message = format!("\"{shown}\" is neither a member of contacts nor an attribute that is defined");
                breaches.push((index, message));
                continue;
            }
        };
        if columns.iter().any(|(known, _)| *known == name) {
            breaches.push((index, format!("\"{name}\" is there more than once")));
        }
        columns.push((name, column));
    }
    if breaches.is_empty() && !columns.iter().any(|(_, column)| matches!(column, Column::Phone | Column::UserId)) {
        breaches.push((0, "there has to be a column \"phone\" or \"user_id\"".to_owned()));
    }
    if breaches.is_empty() {
        return Ok(columns);
    }
    let breach = |(index, message): (usize, String)| Breach {
        pointer: format!("/header/{index}"),
        message,
        limit: None,
        actual: None,
    };
    Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches.into_iter().map(breach).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(input: &str, pieces: usize) -> Vec<(u64, Option<Vec<String>>)> {
        let mut rows = Rows::new(separator(input.as_bytes()));
        let mut read = Vec::new();
        for piece in input.as_bytes().chunks(pieces) {
            read.extend(rows.read(piece));
        }
        read.extend(rows.read(&[]));
        let text = |cell: Vec<u8>| String::from_utf8(cell).unwrap();
        read.into_iter().map(|(line, row)| (line, row.ok().map(|row| row.into_iter().map(text).collect()))).collect()
    }

    #[test]
    fn rows_are_the_same_however_the_bytes_come() {
        let table = "phone;name\r\n1;\"a;b\"\n\n2;\"two\nlines\"\r\n3;c";
        let whole = cells(table, table.len());
        assert_eq!(whole.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 4, 6]);
        assert_eq!(whole[1].1.as_deref(), Some(&["1".to_owned(), "a;b".to_owned()][..]));
        for pieces in [1, 2, 3, 7] {
            assert_eq!(cells(table, pieces), whole, "{pieces}");
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_one_fault_and_the_next_one_is_read() {
        let table = format!("phone,name\n1,{}\n2,b\n", "x".repeat(3 * IMPORT_ROW_MAX_BYTES));
        let rows = cells(&table, 4_096);
        assert_eq!(rows.iter().map(|(_, row)| row.is_some()).collect::<Vec<_>>(), [true, false, true]);
        let many = format!("phone\n{}\n2\n", ",".repeat(3 * IMPORT_MAX_COLUMNS));
        assert_eq!(cells(&many, 64).iter().filter(|(_, row)| row.is_none()).count(), 1);
    }

    #[test]
    fn the_separator_is_the_one_that_the_first_line_has() {
        for (head, expected) in
            [("a,b;c,d\n", b','), ("a;b\n1,2,3", b';'), ("a\tb\n", b'\t'), ("phone\n", b','), ("\"a;b;c\",d\n", b',')]
        {
            assert_eq!(separator(head.as_bytes()), expected, "{head}");
        }
    }

    #[test]
    fn names_that_mean_nothing_are_all_told_before_anything_is_read() {
        let names = ["phone", "shoe size", "phone", "x"].map(|name| name.as_bytes().to_vec()).to_vec();
        let error = columns(names, &Definitions::new()).unwrap_err();
        let pointers: Vec<&str> = error.breaches.iter().map(|breach| breach.pointer.as_str()).collect();
        assert_eq!(pointers, ["/header/1", "/header/2", "/header/3"]);
        assert!(columns(vec![b"given_name".to_vec()], &Definitions::new()).is_err());
        assert_eq!(columns(vec![b" Phone ".to_vec()], &Definitions::new()).unwrap()[0].1, Column::Phone);
    }
}
