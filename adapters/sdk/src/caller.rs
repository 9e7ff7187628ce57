//! Guarantee: a [`Plugin`] is only made of a table that was checked, and frees everything the plugin hands out exactly
//! once, through the plugin.
//!
//! The host and the conformance suite call plugins through the same code, so what conforms also loads.

use std::ffi::c_char;
use std::fmt;
use std::mem::offset_of;
use std::ops::Deref;

use crate::abi::{
    AdapterTable, Buffer, DescribeFn, FreeBufferFn, FreeTaskFn, HEADER_BYTES, ResumeFn, StartFn,
    WAYSTATION_ADAPTER_MAGIC, WAYSTATION_ADAPTER_MAJOR, WAYSTATION_BUILD_INFO_MAX_BYTES,
};

/// The longest answer a plugin may give; a longer one is treated as [`AnswerFault::TooLong`].
pub const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The entry function answered null, or a pointer that no table can have.
    BadPointer,
    /// Something else is where the table should be.
    BadMagic {
        /// What was read.
        found: u32,
    },
    /// Built for another major version of the interface.
    OtherMajor {
        /// The plugin's major version.
        found: u16,
    },
    /// The table ends before a member that cannot be missing.
    TooSmall {
        /// The plugin's table size.
        bytes: u32,
        /// The member.
        missing: &'static str,
    },
    /// A function that cannot be missing is null.
    Missing {
        /// The member.
        member: &'static str,
    },
    /// The build info is null, has no end, or is not UTF-8.
    BadBuildInfo,
}

impl fmt::Display for TableError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPointer => out.write_str("the entry function does not answer a table"),
            Self::BadMagic { found } => write!(
                out,
                "the table starts with {found:#010x} where {WAYSTATION_ADAPTER_MAGIC:#010x} is expected: this is not a \
                 Waystation adapter"
            ),
            Self::OtherMajor { found } => write!(
                out,
                "the adapter speaks major version {found} of the interface, this host speaks \
                 {WAYSTATION_ADAPTER_MAJOR}: build it against this host's SDK"
            ),
            Self::TooSmall { bytes, missing } => {
                write!(out, "the table has {bytes} bytes and ends before `{missing}`")
            }
            Self::Missing { member } => write!(out, "the table's `{member}` is null"),
            Self::BadBuildInfo => write!(
                out,
                "the table's `build_info` is not UTF-8 ended by a NUL within {WAYSTATION_BUILD_INFO_MAX_BYTES} bytes"
            ),
        }
    }
}

impl std::error::Error for TableError {}

/// A checked table of a plugin that stays loaded.
#[derive(Clone, Debug)]
pub struct Plugin {
    minor: u16,
    build_info: String,
    describe: DescribeFn,
    start: StartFn,
    resume: ResumeFn,
    free_task: FreeTaskFn,
    free_buffer: FreeBufferFn,
}

impl Plugin {
    /// Checks a table and takes what this host knows of it.
    ///
    /// # Errors
    /// If it is not a table of this major version with every function of minor version 0.
    ///
    /// # Safety
    /// `table` is null, or what the entry symbol of a plugin answered, of a plugin that is never unloaded and that
    /// keeps the rules in `include/waystation_adapter.h`.
    pub unsafe fn from_table(table: *const AdapterTable) -> Result<Self, TableError> {
        if table.is_null() || !table.is_aligned() {
            return Err(TableError::BadPointer);
        }
        let mut copy = EMPTY_TABLE;
        // SAFETY: by the contract of this function at least the header of a table is readable there, and every bit
        // pattern is a valid header; the copy is as large.
        unsafe { copy_bytes(table, &mut copy, HEADER_BYTES) };
        if copy.magic != WAYSTATION_ADAPTER_MAGIC {
            return Err(TableError::BadMagic { found: copy.magic });
        }
        if copy.major != WAYSTATION_ADAPTER_MAJOR {
            return Err(TableError::OtherMajor { found: copy.major });
        }
        let size = usize::try_from(copy.size).unwrap_or(usize::MAX);
        for (member, offset) in MEMBERS {
            if size < offset + size_of::<usize>() {
                return Err(TableError::TooSmall { bytes: copy.size, missing: member });
            }
        }
        // SAFETY: the table says that it has at least so many bytes, and the copy has as many. The members are
        // pointers, of which null is valid for each.
        unsafe { copy_bytes(table, &mut copy, size.min(size_of::<AdapterTable>())) };
        let missing = |member| TableError::Missing { member };
        Ok(Self {
            minor: copy.minor,
            // SAFETY: a table's build info is a constant string that ends with a NUL or is longer than the limit.
            build_info: unsafe { read_build_info(copy.build_info) }.ok_or(TableError::BadBuildInfo)?,
            describe: copy.describe.ok_or(missing("describe"))?,
            start: copy.start.ok_or(missing("start"))?,
            resume: copy.resume.ok_or(missing("resume"))?,
            free_task: copy.free_task.ok_or(missing("free_task"))?,
            free_buffer: copy.free_buffer.ok_or(missing("free_buffer"))?,
        })
    }

    /// The plugin's minor version of the interface.
    #[must_use]
    pub fn minor(&self) -> u16 {
        self.minor
    }

    /// What was built.
    #[must_use]
    pub fn build_info(&self) -> &str {
        &self.build_info
    }

    /// Asks the plugin what it is: a [`crate::wire::Described`].
    #[must_use]
    pub fn describe(&self) -> (i32, Answer) {
        let mut buffer = Buffer::EMPTY;
        // SAFETY: the function is the checked table's; the buffer is writable for the call.
        let status = unsafe { (self.describe)(&raw mut buffer) };
        (status, self.answer(buffer))
    }

    /// Starts an operation with a [`crate::wire::Start`]. The task is 0 unless the status is [`crate::abi::Status::Pending`].
    #[must_use]
    pub fn start(&self, input: &[u8]) -> (i32, u64, Answer) {
        let mut buffer = Buffer::EMPTY;
        let mut task = 0;
        // SAFETY: the function is the checked table's; the input is readable and the results are writable for the
        // call.
        let status = unsafe { (self.start)(input.as_ptr(), input.len(), &raw mut task, &raw mut buffer) };
        (status, task, self.answer(buffer))
    }

    /// Resumes a task with a [`crate::wire::Resume`].
    #[must_use]
    pub fn resume(&self, task: u64, input: &[u8]) -> (i32, Answer) {
        let mut buffer = Buffer::EMPTY;
        // SAFETY: as for `start`; a plugin takes any number as a task.
        let status = unsafe { (self.resume)(task, input.as_ptr(), input.len(), &raw mut buffer) };
        (status, self.answer(buffer))
    }

    /// Gives up a task.
    pub fn free_task(&self, task: u64) {
        // SAFETY: the function is the checked table's; a plugin takes any number as a task.
        unsafe { (self.free_task)(task) };
    }

    /// `start`, with input that is null and claims a length.
    pub(crate) fn start_without_input(&self, len: usize) -> (i32, u64, Answer) {
        let mut buffer = Buffer::EMPTY;
        let mut task = 0;
        // SAFETY: as for `start`, but for the input: the interface has a plugin refuse null with a length.
        let status = unsafe { (self.start)(std::ptr::null(), len, &raw mut task, &raw mut buffer) };
        (status, task, self.answer(buffer))
    }

    /// `resume`, with input that is null and claims a length.
    pub(crate) fn resume_without_input(&self, task: u64, len: usize) -> (i32, Answer) {
        let mut buffer = Buffer::EMPTY;
        // SAFETY: as for `start_without_input`.
        let status = unsafe { (self.resume)(task, std::ptr::null(), len, &raw mut buffer) };
        (status, self.answer(buffer))
    }

    /// `start`, where the place for the task has something else in it.
    pub(crate) fn start_over(&self, input: &[u8], before: u64) -> (i32, u64, Answer) {
        let mut buffer = Buffer::EMPTY;
        let mut task = before;
        // SAFETY: as for `start`.
        let status = unsafe { (self.start)(input.as_ptr(), input.len(), &raw mut task, &raw mut buffer) };
        (status, task, self.answer(buffer))
    }

    /// Calls every function that answers without a place for what it answers; the statuses, by call.
    pub(crate) fn calls_without_a_place_for_the_answer(&self, input: &[u8]) -> [(&'static str, i32); 4] {
        let (bytes, len) = (input.as_ptr(), input.len());
        let mut buffer = Buffer::EMPTY;
        let mut task = 0;
        let nowhere = std::ptr::null_mut;
        // SAFETY: the functions are the checked table's and the input is readable; the interface has a plugin refuse a
        // place that is null, and write nothing then.
        let statuses = unsafe {
            [
                ("describe", (self.describe)(nowhere())),
                ("start", (self.start)(bytes, len, &raw mut task, nowhere())),
                ("start", (self.start)(bytes, len, std::ptr::null_mut(), &raw mut buffer)),
                ("resume", (self.resume)(1, bytes, len, nowhere())),
            ]
        };
        drop(self.answer(buffer));
        statuses
    }

    fn answer(&self, buffer: Buffer) -> Answer {
        Answer { buffer, free: self.free_buffer }
    }
}

const EMPTY_TABLE: AdapterTable = AdapterTable {
    magic: 0,
    major: 0,
    minor: 0,
    size: 0,
    build_info: std::ptr::null(),
    describe: None,
    start: None,
    resume: None,
    free_task: None,
    free_buffer: None,
};

/// What the entry symbol of a plugin answered, not yet checked.
#[derive(Clone, Copy, Debug)]
pub struct Entry(*const AdapterTable);

/// The members that may be read of any table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`WAYSTATION_ADAPTER_MAGIC`] in an adapter.
    pub magic: u32,
    /// The major version.
    pub major: u16,
    /// The minor version.
    pub minor: u16,
    /// The table's size in bytes.
    pub size: u32,
}

impl Entry {
    /// Keeps the pointer for checks.
    ///
    /// # Safety
    /// As for [`Plugin::from_table`].
    #[must_use]
    pub unsafe fn new(table: *const AdapterTable) -> Self {
        Self(table)
    }

    /// The table's first members, if there may be a table.
    #[must_use]
    pub fn header(&self) -> Option<Header> {
        if self.0.is_null() || !self.0.is_aligned() {
            return None;
        }
        let mut copy = EMPTY_TABLE;
        // SAFETY: by the contract of `new` at least the header of a table is readable there.
        unsafe { copy_bytes(self.0, &mut copy, HEADER_BYTES) };
        Some(Header { magic: copy.magic, major: copy.major, minor: copy.minor, size: copy.size })
    }

    /// Checks the table.
    ///
    /// # Errors
    /// As [`Plugin::from_table`].
    pub fn plugin(&self) -> Result<Plugin, TableError> {
        // SAFETY: by the contract of `new`.
        unsafe { Plugin::from_table(self.0) }
    }
}

const MEMBERS: [(&str, usize); 6] = [
    ("build_info", offset_of!(AdapterTable, build_info)),
    ("describe", offset_of!(AdapterTable, describe)),
    ("start", offset_of!(AdapterTable, start)),
    ("resume", offset_of!(AdapterTable, resume)),
    ("free_task", offset_of!(AdapterTable, free_task)),
    ("free_buffer", offset_of!(AdapterTable, free_buffer)),
];

/// # Safety
/// `from` is readable for `bytes`, which is at most the size of a table, and what is there is a valid prefix of one.
unsafe fn copy_bytes(from: *const AdapterTable, to: &mut AdapterTable, bytes: usize) {
    // SAFETY: by the contract of this function; the destination is a local value, so they do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), std::ptr::from_mut(to).cast::<u8>(), bytes);
    }
}

/// # Safety
/// `text` is null or readable up to a NUL or the limit, whichever comes first.
unsafe fn read_build_info(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut bytes = Vec::new();
    for position in 0..WAYSTATION_BUILD_INFO_MAX_BYTES {
        // SAFETY: no NUL came before this position, which is below the limit.
        let byte = unsafe { text.cast::<u8>().add(position).read() };
        if byte == 0 {
            return String::from_utf8(bytes).ok();
        }
        bytes.push(byte);
    }
    None
}

/// An answer of a plugin; freed through the plugin when dropped.
pub struct Answer {
    buffer: Buffer,
    free: FreeBufferFn,
}

// SAFETY: the interface requires that buffers may be read and freed on any thread.
unsafe impl Send for Answer {}

/// Why an answer has no bytes to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// A length without a pointer.
    NullPointer,
    /// Longer than [`ANSWER_MAX_BYTES`].
    TooLong,
}

impl fmt::Display for AnswerFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NullPointer => out.write_str("the answer has a length and no bytes"),
            Self::TooLong => write!(out, "the answer is longer than {ANSWER_MAX_BYTES} bytes"),
        }
    }
}

impl Answer {
    /// The bytes.
    ///
    /// # Errors
    /// If what the plugin wrote cannot be an answer.
    pub fn bytes(&self) -> Result<&[u8], AnswerFault> {
        if self.buffer.len == 0 {
            return Ok(&[]);
        }
        if self.buffer.ptr.is_null() {
            return Err(AnswerFault::NullPointer);
        }
        if self.buffer.len > ANSWER_MAX_BYTES {
            return Err(AnswerFault::TooLong);
        }
        // SAFETY: the interface requires that the plugin keeps these bytes, unchanged, until they are freed, which
        // happens when this value is dropped.
        Ok(unsafe { std::slice::from_raw_parts(self.buffer.ptr, self.buffer.len) })
    }
}

impl Deref for Answer {
    type Target = [u8];

    /// The bytes, none if they are faulty.
    fn deref(&self) -> &[u8] {
        self.bytes().unwrap_or_default()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.buffer.ptr.is_null() {
            // SAFETY: the plugin wrote this buffer, and it is handed back once.
            unsafe { (self.free)(self.buffer) };
        }
    }
}
