//! Guarantee: nothing an adapter does in Rust leaves its shared library as anything but a status and bytes: a panic is
//! caught on this side, and input that is not what it should be is refused.
//!
//! The functions are generic over the adapter, so [`export_adapter!`](crate::export_adapter) itself is a table, a symbol
//! and nothing to review.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::abi::{
    AdapterTable, Buffer, Status, WAYSTATION_ADAPTER_MAGIC, WAYSTATION_ADAPTER_MAJOR, WAYSTATION_ADAPTER_MINOR,
};
use crate::coroutine::{Outcome, Shared, Task};
use crate::io::Io;
use crate::types::TransportAdapter;
use crate::wire::{
    Described, OP_ADMIT, OP_CONNECT, OP_DELETE_TEMPLATE, OP_DELIVER_CODE, OP_LOCATE_MEDIA, OP_MARK_READ, OP_PROFILE,
    OP_READ_TEMPLATE, OP_RECEIVE, OP_REGISTER, OP_REQUEST_CODE, OP_SEND, OP_SUBMIT_TEMPLATE, OP_UNPAUSE_TEMPLATE,
    OP_UPLOAD_MEDIA, OP_VERIFY_CODE, Resume, SCHEMA_VERSION, Start, Step,
};

/// Exports an adapter: `export_adapter!(Type);`, where `Type` is [`TransportAdapter`] and [`Default`].
///
/// Use it once in a crate with `crate-type = ["cdylib"]`. It defines the exported symbol `waystation_adapter_v1` and
/// `pub const BUILD_INFO: &str`, which the table carries too: the environment variable `WAYSTATION_BUILD_INFO` at
/// compile time, or else the package's name and version. `adapter_table()` answers the table to tests.
#[macro_export]
macro_rules! export_adapter {
    ($adapter:ty) => {
        #[cfg(panic = "abort")]
        compile_error!("an adapter must be built with panic = \"unwind\", so that its panics can be contained");

        /// What was built; the plugin's table has the same text.
        pub const BUILD_INFO: &str = match option_env!("WAYSTATION_BUILD_INFO") {
            Some(text) => text,
            None => concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
        };

        impl $crate::export::Exported for $adapter {
            fn runtime() -> &'static $crate::export::Runtime<Self> {
                static RUNTIME: $crate::export::Runtime<$adapter> = $crate::export::Runtime::new();
                &RUNTIME
            }
        }

        /// The adapter's table, for tests that link this crate.
        #[must_use]
        pub fn adapter_table() -> &'static $crate::abi::AdapterTable {
            const LENGTH: usize = BUILD_INFO.len() + 1;
            static TEXT: [u8; LENGTH] = $crate::export::nul_terminated(BUILD_INFO);
            static TABLE: $crate::abi::AdapterTable = $crate::export::table::<$adapter>(&TEXT);
            &TABLE
        }

        /// The exported symbol. In a module of its own and called by nobody, so that a program that links several
        /// adapters takes it from none of them.
        mod waystation_adapter_entry {
            #[allow(unsafe_code, reason = "the symbol a host looks for must keep its name")]
            #[unsafe(no_mangle)]
            extern "C" fn waystation_adapter_v1() -> *const $crate::abi::AdapterTable {
                super::adapter_table()
            }
        }
    };
}

/// An adapter with its one runtime.
pub trait Exported: TransportAdapter + Default {
    /// The runtime, the same at every call.
    fn runtime() -> &'static Runtime<Self>;
}

/// The adapter and its suspended tasks.
pub struct Runtime<A> {
    adapter: OnceLock<A>,
    tasks: Mutex<Option<HashMap<u64, Task>>>,
    last_task: AtomicU64,
}

/// A status, the task if it is pending, and the answer.
type Reply = (Status, u64, Vec<u8>);

impl<A: TransportAdapter + Default> Runtime<A> {
    /// No tasks; the adapter is made at its first use.
    #[must_use]
    pub const fn new() -> Self {
        Self { adapter: OnceLock::new(), tasks: Mutex::new(None), last_task: AtomicU64::new(0) }
    }

    fn adapter(&self) -> &A {
        self.adapter.get_or_init(A::default)
    }

    fn tasks(&self) -> MutexGuard<'_, Option<HashMap<u64, Task>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self) -> Reply {
        let described = Described { v: SCHEMA_VERSION, adapter: self.adapter().describe() };
        (Status::Done, 0, serde_json::to_vec(&described).expect("a description is JSON"))
    }

    fn start(&'static self, input: &[u8]) -> Reply {
        let start: Start = match serde_json::from_slice(input) {
            Ok(start) => start,
            Err(error) => {
                return refuse(Status::BadInput, format!("the input is not a start document: {error}"));
            }
        };
        if start.v != SCHEMA_VERSION {
            return refuse(Status::BadInput, other_schema(start.v));
        }
        let shared = Arc::new(Shared::default());
        let io = Io::new(Arc::clone(&shared));
        let adapter = || self.adapter();
        let lacks = |member: &str| refuse(Status::BadInput, format!("op `{}` has no `{member}`", start.op));
        let future: std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>> = match start.op.as_str() {
            OP_SEND => {
                let Some(message) = start.message else { return lacks("message") };
                Box::pin(async move { Outcome::Send(adapter().send(&io, message).await.into()) })
            }
            OP_ADMIT => {
                let Some(callback) = start.callback else { return lacks("callback") };
                Box::pin(async move { Outcome::Admit(adapter().admit(&io, callback).await.into()) })
            }
            OP_RECEIVE => {
                let Some(callback) = start.callback else { return lacks("callback") };
                Box::pin(async move { Outcome::Receive(adapter().receive(&io, callback).await.into()) })
            }
            OP_MARK_READ => {
                let Some(mark) = start.mark else { return lacks("mark") };
                Box::pin(async move { Outcome::Mark(adapter().mark_read(&io, mark).await.into()) })
            }
            OP_UPLOAD_MEDIA if !self.adapter().describe().capabilities.uploads_media => {
                return refuse(Status::Unsupported, "this adapter takes no files".to_owned());
            }
            OP_UPLOAD_MEDIA => {
                let Some(upload) = start.media else { return lacks("media") };
                Box::pin(async move { Outcome::Media(adapter().upload_media(&io, upload).await.into()) })
            }
            OP_LOCATE_MEDIA => {
                let Some(query) = start.query else { return lacks("query") };
                Box::pin(async move { Outcome::Locate(adapter().locate_media(&io, query).await.into()) })
            }
            OP_SUBMIT_TEMPLATE => {
                let Some(submission) = start.submission else { return lacks("submission") };
                Box::pin(async move { Outcome::Template(adapter().submit_template(&io, submission).await.into()) })
            }
            OP_READ_TEMPLATE => {
                let Some(template) = start.template else { return lacks("template") };
                Box::pin(async move { Outcome::Template(adapter().read_template(&io, template).await.into()) })
            }
            OP_UNPAUSE_TEMPLATE => {
                let Some(template) = start.template else { return lacks("template") };
                Box::pin(async move { Outcome::Template(adapter().unpause_template(&io, template).await.into()) })
            }
            OP_DELETE_TEMPLATE => {
                let Some(template) = start.template else { return lacks("template") };
                Box::pin(async move { Outcome::Template(adapter().delete_template(&io, template).await.into()) })
            }
            OP_PROFILE => {
                let Some(request) = start.profile else { return lacks("profile") };
                Box::pin(async move { Outcome::Profile(adapter().profile(&io, request).await.into()) })
            }
            OP_DELIVER_CODE => {
                let Some(delivery) = start.delivery else { return lacks("delivery") };
                Box::pin(async move { Outcome::Number(adapter().deliver_code(&io, delivery).await.into()) })
            }
            OP_REQUEST_CODE => {
                let Some(request) = start.request else { return lacks("request") };
                Box::pin(async move { Outcome::Number(adapter().request_code(&io, request).await.into()) })
            }
            OP_VERIFY_CODE => {
                let Some(check) = start.check else { return lacks("check") };
                Box::pin(async move { Outcome::Number(adapter().verify_code(&io, check).await.into()) })
            }
            OP_REGISTER => {
                let Some(registration) = start.registration else { return lacks("registration") };
                Box::pin(async move { Outcome::Number(adapter().register(&io, registration).await.into()) })
            }
            OP_CONNECT => {
                let Some(link) = start.link else { return lacks("link") };
                Box::pin(async move { Outcome::Connect(adapter().connect(&io, link).await) })
            }
            other => {
                return refuse(Status::Unsupported, format!("this SDK does not know the op `{other}`"));
            }
        };
        self.run(0, Task::new(shared, future), Vec::new())
    }

    fn resume(&self, id: u64, input: &[u8]) -> Reply {
        let resume: Resume = match serde_json::from_slice(input) {
            Ok(resume) => resume,
            Err(error) => {
                return refuse(Status::BadInput, format!("the input is not a resume document: {error}"));
            }
        };
        if resume.v != SCHEMA_VERSION {
            return refuse(Status::BadInput, other_schema(resume.v));
        }
        // Taken out while it runs: the lock is not held, and a second resume finds nothing.
        let task = self.tasks().as_mut().and_then(|tasks| tasks.remove(&id));
        match task {
            Some(task) => self.run(id, task, resume.results),
            None => refuse(Status::UnknownTask, format!("no task {id} waits here")),
        }
    }

    fn run(&self, id: u64, mut task: Task, results: Vec<crate::wire::IoResult>) -> Reply {
        let outcome = task.step(results);
        let mut step = Step { v: SCHEMA_VERSION, log: task.take_log(), ..Step::default() };
        match outcome {
            Some(outcome) => {
                match outcome {
                    Outcome::Send(answer) => step.send = Some(answer),
                    Outcome::Admit(answer) => step.admit = Some(answer),
                    Outcome::Receive(answer) => step.receive = Some(answer),
                    Outcome::Mark(answer) => step.mark = Some(answer),
                    Outcome::Media(answer) => step.media = Some(answer),
                    Outcome::Locate(answer) => step.location = Some(answer),
                    Outcome::Template(answer) => step.template = Some(answer),
                    Outcome::Profile(answer) => step.profile = Some(answer),
                    Outcome::Number(answer) => step.number = Some(answer),
                    Outcome::Connect(end) => step.connect = Some(end),
                }
                (Status::Done, 0, encode(&step))
            }
            None => {
                step.io = task.take_requests();
                let answer = encode(&step);
                let id = if id == 0 { self.last_task.fetch_add(1, Ordering::Relaxed) + 1 } else { id };
                self.tasks().get_or_insert_default().insert(id, task);
                (Status::Pending, id, answer)
            }
        }
    }

    fn free_task(&self, id: u64) {
        let task = self.tasks().as_mut().and_then(|tasks| tasks.remove(&id));
        drop(task);
    }
}

impl<A: TransportAdapter + Default> Default for Runtime<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// The table of an adapter. For [`export_adapter!`](crate::export_adapter).
#[must_use]
pub const fn table<A: Exported>(build_info: &'static [u8]) -> AdapterTable {
    assert!(size_of::<AdapterTable>() <= u32::MAX as usize);
    AdapterTable {
        magic: WAYSTATION_ADAPTER_MAGIC,
        major: WAYSTATION_ADAPTER_MAJOR,
        minor: WAYSTATION_ADAPTER_MINOR,
        size: size_of::<AdapterTable>() as u32,
        build_info: build_info.as_ptr().cast(),
        describe: Some(describe::<A>),
        start: Some(start::<A>),
        resume: Some(resume::<A>),
        free_task: Some(free_task::<A>),
        free_buffer: Some(free_buffer),
    }
}

/// `text` and a NUL; `LENGTH` is its length and 1. For [`export_adapter!`](crate::export_adapter).
#[must_use]
pub const fn nul_terminated<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    assert!(text.len() + 1 == LENGTH && LENGTH <= crate::abi::WAYSTATION_BUILD_INFO_MAX_BYTES);
    let mut bytes = [0; LENGTH];
    let mut position = 0;
    while position < text.len() {
        assert!(text.as_bytes()[position] != 0, "the build info has a NUL");
        bytes[position] = text.as_bytes()[position];
        position += 1;
    }
    bytes
}

fn encode(step: &Step) -> Vec<u8> {
    serde_json::to_vec(step).expect("a step is JSON")
}

fn refuse(status: Status, error: String) -> Reply {
    (status, 0, encode(&Step { v: SCHEMA_VERSION, error: Some(error), ..Step::default() }))
}

fn other_schema(found: u32) -> String {
    format!("the input has schema version {found}, this adapter knows {SCHEMA_VERSION}")
}

fn contained(call: impl FnOnce() -> Reply) -> Reply {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = describe_panic(panic.as_ref());
        // What a panic carries may panic when dropped; a leak is the better end.
        std::mem::forget(panic);
        refuse(Status::Panicked, text)
    })
}

fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a text").to_owned()
}

/// # Safety
/// `input` is readable for `len` bytes, or `len` is 0.
unsafe fn bytes<'a>(input: *const u8, len: usize) -> Option<&'a [u8]> {
    if len == 0 {
        return Some(&[]);
    }
    if input.is_null() || isize::try_from(len).is_err() {
        return None;
    }
    // SAFETY: by the contract of this function, for the time of the call.
    Some(unsafe { std::slice::from_raw_parts(input, len) })
}

/// # Safety
/// `answer` is null or writable.
unsafe fn give(answer: *mut Buffer, status: Status, bytes: Vec<u8>) -> i32 {
    if answer.is_null() {
        return Status::BadInput as i32;
    }
    let mut bytes = std::mem::ManuallyDrop::new(bytes);
    let buffer = Buffer { ptr: bytes.as_mut_ptr(), len: bytes.len(), capacity: bytes.capacity() };
    // SAFETY: by the contract of this function.
    unsafe { answer.write(buffer) };
    status as i32
}

fn null_input() -> Reply {
    refuse(Status::BadInput, "the input is a null pointer".to_owned())
}

unsafe extern "C" fn describe<A: Exported>(answer: *mut Buffer) -> i32 {
    let (status, _, bytes) = contained(|| A::runtime().describe());
    // SAFETY: the host passes a writable buffer.
    unsafe { give(answer, status, bytes) }
}

unsafe extern "C" fn start<A: Exported>(input: *const u8, len: usize, task: *mut u64, answer: *mut Buffer) -> i32 {
    if task.is_null() || answer.is_null() {
        return Status::BadInput as i32;
    }
    // SAFETY: the host passes readable input that outlives the call.
    let input = unsafe { bytes(input, len) };
    let (status, id, bytes) = input.map_or_else(null_input, |input| contained(|| A::runtime().start(input)));
    // SAFETY: the host passes a writable task, checked for null above.
    unsafe { task.write(id) };
    // SAFETY: the host passes a writable buffer.
    unsafe { give(answer, status, bytes) }
}

unsafe extern "C" fn resume<A: Exported>(task: u64, input: *const u8, len: usize, answer: *mut Buffer) -> i32 {
    if answer.is_null() {
        return Status::BadInput as i32;
    }
    // SAFETY: the host passes readable input that outlives the call.
    let input = unsafe { bytes(input, len) };
    let (status, _, bytes) = input.map_or_else(null_input, |input| contained(|| A::runtime().resume(task, input)));
    // SAFETY: the host passes a writable buffer.
    unsafe { give(answer, status, bytes) }
}

unsafe extern "C" fn free_task<A: Exported>(task: u64) {
    contained(|| {
        A::runtime().free_task(task);
        (Status::Done, 0, Vec::new())
    });
}

unsafe extern "C" fn free_buffer(buffer: Buffer) {
    if !buffer.ptr.is_null() {
        // SAFETY: `give` made this buffer of a vector it did not drop, and the host hands it back once.
        drop(unsafe { Vec::from_raw_parts(buffer.ptr, buffer.len, buffer.capacity) });
    }
}
