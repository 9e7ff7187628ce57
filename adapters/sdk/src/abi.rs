//! Guarantee: what this module lays out is the whole binary interface; `include/waystation_adapter.h` is generated from
//! it and a test fails when they differ.
//!
//! Five functions, bytes in and bytes out. Integers where C and Rust could disagree about an enum, a length with every
//! pointer, and a size in the table so that it can grow at its end.

use std::ffi::c_char;
use std::mem::offset_of;

/// First member of every table: `WSAD` read as a little-endian integer.
pub const WAYSTATION_ADAPTER_MAGIC: u32 = 0x4441_5357;

/// A host refuses any other major version.
pub const WAYSTATION_ADAPTER_MAJOR: u16 = 1;

/// Counts additions at the end of the table within a major version.
pub const WAYSTATION_ADAPTER_MINOR: u16 = 0;

/// The name of the symbol a plugin exports.
pub const ENTRY_SYMBOL: &str = "waystation_adapter_v1";

/// The answer of a function of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// The call is over. `start` and `resume`: the answer has the outcome, and the task no longer exists.
    Done = 0,
    /// The task waits for the requests in the answer, and for earlier ones that have no result yet.
    Pending = 1,
    /// The input is not a document of the schema. Nothing was done; a task given to `resume` is as it was.
    BadInput = 2,
    /// The input asks for an operation this adapter does not know. Nothing was done.
    Unsupported = 3,
    /// No such task, or it is being resumed by another thread.
    UnknownTask = 4,
    /// The adapter failed inside; the failure was contained, and the task no longer exists.
    Panicked = 5,
}

impl Status {
    /// The status with this value, if there is one.
    #[must_use]
    pub fn from_raw(raw: i32) -> Option<Self> {
        [Self::Done, Self::Pending, Self::BadInput, Self::Unsupported, Self::UnknownTask, Self::Panicked]
            .into_iter()
            .find(|status| *status as i32 == raw)
    }
}

/// Bytes that belong to the plugin.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Buffer {
    /// The first byte; may be null when `len` is 0.
    pub ptr: *mut u8,
    /// How many bytes.
    pub len: usize,
    /// For the plugin's use; a host hands it back as it was.
    pub capacity: usize,
}

impl Buffer {
    /// No bytes.
    pub const EMPTY: Self = Self { ptr: std::ptr::null_mut(), len: 0, capacity: 0 };
}

/// See [`AdapterTable::describe`].
pub type DescribeFn = unsafe extern "C" fn(*mut Buffer) -> i32;

/// See [`AdapterTable::start`].
pub type StartFn = unsafe extern "C" fn(*const u8, usize, *mut u64, *mut Buffer) -> i32;

/// See [`AdapterTable::resume`].
pub type ResumeFn = unsafe extern "C" fn(u64, *const u8, usize, *mut Buffer) -> i32;

/// See [`AdapterTable::free_task`].
pub type FreeTaskFn = unsafe extern "C" fn(u64);

/// See [`AdapterTable::free_buffer`].
pub type FreeBufferFn = unsafe extern "C" fn(Buffer);

/// The table a plugin exports. Static and constant: it is valid until the process ends.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AdapterTable {
    /// `WAYSTATION_ADAPTER_MAGIC`.
    pub magic: u32,
    /// `WAYSTATION_ADAPTER_MAJOR`.
    pub major: u16,
    /// `WAYSTATION_ADAPTER_MINOR`.
    pub minor: u16,
    /// The size of this table in bytes, as the plugin was compiled. Members beyond it do not exist.
    pub size: u32,
    /// What was built, for people and for pins: UTF-8, NUL at the end, at most `WAYSTATION_BUILD_INFO_MAX_BYTES`.
    pub build_info: *const c_char,
    /// Writes the adapter's description. Returns a status.
    pub describe: Option<unsafe extern "C" fn(answer_owned_by_plugin: *mut Buffer) -> i32>,
    /// Starts an operation, runs it until it is over or waits, and writes the step. With `PENDING` it also writes the
    /// new task, never 0, to `task`; otherwise it writes 0 there. Returns a status.
    pub start: Option<
        unsafe extern "C" fn(
            input_owned_by_host: *const u8,
            input_len: usize,
            task: *mut u64,
            answer_owned_by_plugin: *mut Buffer,
        ) -> i32,
    >,
    /// Hands results to a task, runs it until it is over or waits again, and writes the step. Returns a status.
    pub resume: Option<
        unsafe extern "C" fn(
            task: u64,
            input_owned_by_host: *const u8,
            input_len: usize,
            answer_owned_by_plugin: *mut Buffer,
        ) -> i32,
    >,
    /// Gives up a task. Unknown tasks are ignored.
    pub free_task: Option<unsafe extern "C" fn(task: u64)>,
    /// Frees a buffer the plugin wrote.
    pub free_buffer: Option<unsafe extern "C" fn(owned_by_plugin: Buffer)>,
}

/// The longest `build_info`, its NUL included.
pub const WAYSTATION_BUILD_INFO_MAX_BYTES: usize = 512;

/// What is read before anything else of a table: enough to know whether the rest may be.
pub const HEADER_BYTES: usize = offset_of!(AdapterTable, build_info);

/// The type of the exported symbol.
pub type EntryFn = unsafe extern "C" fn() -> *const AdapterTable;

// SAFETY: a table is constant, and its one data pointer points to a constant string of static lifetime.
unsafe impl Sync for AdapterTable {}

// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for AdapterTable {}
