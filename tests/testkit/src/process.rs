//! The real binary as a child process that never outlives its test: dropping
//! [`Waystation`] kills it, and fails the test when its log has a secret. Everything it
//! said is in files.
//!
//! What a platform promises about crashes is only tested by crashing it, so
//! [`Waystation::kill9`] is SIGKILL, with no chance to tidy up.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::secrets;

/// How long the first line may take: migrations and loading adapters included.
const START_MAX_SECONDS: u64 = 60;

/// How often an exit is looked for.
const EXIT_POLL_MS: u64 = 5;

/// How long a process that closed its output may take to end.
const EXIT_AFTER_OUTPUT_MS: u64 = 500;

/// How much of the log an error quotes.
const LOG_TAIL_LINES: usize = 30;

/// What /proc counts processor time in. Fixed by Linux for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// For a process whose environment is that of its parent and nothing more.
pub const NO_ENV: [(&str, &str); 0] = [];

/// What `waystation demo --json` prints on its first line.
#[derive(Clone, Debug, Deserialize)]
pub struct DemoInfo {
    /// Where the API is, with no slash at its end.
    pub base_url: String,
    /// The API key of the demo business.
    pub token: String,
    /// The API key of its reseller.
    pub partner_token: String,
    /// The demo business.
    pub business_id: String,
    /// The sender.
    pub phone_number_id: String,
    /// The WhatsApp Business account of the sender.
    pub waba_id: String,
    /// What webhooks are signed with.
    pub app_secret: String,
    /// What a webhook endpoint is asked for when it is registered.
    pub verify_token: String,
    /// An approved template.
    pub template: TemplateInfo,
    /// A phone of the sandbox that receives and reads.
    pub recipient: String,
    /// Where the dashboard is.
    pub dashboard_url: String,
    /// Signs in once, without a password.
    pub sign_in_url: String,
}

impl DemoInfo {
    fn keep_secrets(&self) {
        for (kind, secret) in [
            ("API key", &self.token),
            ("API key", &self.partner_token),
            ("app secret", &self.app_secret),
            ("verify token", &self.verify_token),
            ("phone number", &self.recipient),
        ] {
            secrets::keep(kind, secret);
        }
        secrets::keep_printed(&self.sign_in_url);
    }
}

/// A template, as a message names it.
#[derive(Clone, Debug, Deserialize)]
pub struct TemplateInfo {
    /// Its name.
    pub name: String,
    /// Its language code.
    pub language: String,
}

/// A running binary. Dropping it kills it.
pub struct Waystation {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
    printed: PathBuf,
    /// What the demo printed; none for a process started by [`Waystation::run`].
    demo: Option<DemoInfo>,
    _folder: TempDir,
}

impl Waystation {
    /// Runs `bin` with `args`, which are those of a `demo --json`, and waits for
    /// what it prints.
    ///
    /// # Errors
    /// It does not start, ends, prints something else, or prints nothing for a
    /// minute; with the end of its log.
    pub fn spawn<A, K, V>(
        bin: &Path,
        args: impl IntoIterator<Item = A>,
        envs: impl IntoIterator<Item = (K, V)>,
    ) -> anyhow::Result<Self>
    where
        A: AsRef<OsStr>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let mut process = Self::run(bin, args, envs)?;
        let line = process.next_line(Duration::from_secs(START_MAX_SECONDS))?;
        let demo: DemoInfo =
            serde_json::from_str(&line).with_context(|| format!("the first line is not what a demo prints: {line}"))?;
        demo.keep_secrets();
        process.demo = Some(demo);
        Ok(process)
    }

    /// Runs `bin` with `args` and waits for nothing.
    ///
    /// # Errors
    /// It does not start.
    pub fn run<A, K, V>(
        bin: &Path,
        args: impl IntoIterator<Item = A>,
        envs: impl IntoIterator<Item = (K, V)>,
    ) -> anyhow::Result<Self>
    where
        A: AsRef<OsStr>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let folder = TempDir::with_prefix("waystation-log-")?;
        let log = folder.path().join("waystation.log");
        let stderr = File::create(&log)?;
        let printed = folder.path().join("waystation.out");
        let mut copy = File::create(&printed)?;
        let mut child = Command::new(bin)
            .args(args)
            .envs(envs)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot run {}", bin.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody waits for lines any more, or the folder is gone: read
                // on all the same, so that the process never blocks on a pipe.
                let _ = writeln!(copy, "{line}");
                secrets::keep_printed(&line);
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, lines, log, printed, demo: None, _folder: folder })
    }

    /// What the demo printed.
    ///
    /// # Panics
    /// The process was started by [`Waystation::run`].
    pub fn info(&self) -> &DemoInfo {
        self.demo.as_ref().expect("only Waystation::spawn knows what the demo printed")
    }

    /// The next line of its standard output.
    ///
    /// # Errors
    /// There is none within `timeout`; with the end of its log.
    pub fn next_line(&mut self, timeout: Duration) -> anyhow::Result<String> {
        let error = match self.lines.recv_timeout(timeout) {
            Ok(line) => return Ok(line),
            Err(error) => error,
        };
        let ended = self.wait(Duration::from_millis(EXIT_AFTER_OUTPUT_MS));
        bail!(
            "no line on standard output ({error}); {}; the end of its log:\n{}",
            ended.map_or("still running".to_owned(), |status| status.to_string()),
            self.log_tail()
        );
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has logged so far: its standard error.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// Everything it has printed so far: its standard output.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn printed(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.printed)?).into_owned())
    }

    /// The end of both.
    fn log_tail(&self) -> String {
        let log = [self.printed(), self.log()].map(Result::unwrap_or_default).concat();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Kills it at once and waits until it is gone. Fine to call again.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill9(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks it to stop (SIGTERM), without waiting.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn terminate(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let status = Command::new("kill").arg(self.pid().to_string()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill: {status}"))) }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It has not within `timeout`; with the end of its log.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("still running after {timeout:?}; the end of its log:\n{}", self.log_tail());
            }
            thread::sleep(Duration::from_millis(EXIT_POLL_MS));
        }
    }

    /// The processor time it has taken, in seconds.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        cpu_seconds(self.pid())
    }
}

impl Drop for Waystation {
    fn drop(&mut self) {
        // It may be gone already; there is nobody to tell.
        let _ = self.kill9();
        if thread::panicking() {
            eprintln!("the end of the log of {}:\n{}", self.pid(), self.log_tail());
        } else {
            secrets::assert_none_in("the log of a process", &self.log().unwrap_or_default());
        }
    }
}

/// The processor time of a process, its threads and the children it has waited
/// for, in seconds, to a hundredth.
///
/// # Errors
/// There is no such process.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = Stat::read(&format!("/proc/{pid}/stat"))?;
    Ok(stat.own_seconds + stat.reaped_seconds)
}

/// The same for a process and all that descend from it, such as the backends of
/// a PostgreSQL server.
///
/// # Errors
/// There is no such process, or /proc cannot be read.
pub fn tree_cpu_seconds(root: u32) -> io::Result<f64> {
    let mut total = cpu_seconds(root)?;
    for (_, stat) in descendants(root)? {
        total += stat.own_seconds + stat.reaped_seconds;
    }
    Ok(total)
}

/// The process called `name` that this process started, itself or through
/// others; the one nearest to it where there are several. A server that was
/// started through a shell is found this way.
///
/// # Errors
/// /proc cannot be read.
pub fn descendant_named(name: &str) -> io::Result<Option<u32>> {
    let family = descendants(std::process::id())?;
    let found = family.into_iter().find(|(_, stat)| stat.name == name);
    Ok(found.map(|(pid, _)| pid))
}

/// All that descend from `root`, nearer ones first.
fn descendants(root: u32) -> io::Result<Vec<(u32, Stat)>> {
    let mut others = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended since the folder was listed.
        if let Ok(stat) = Stat::read(&format!("/proc/{pid}/stat")) {
            others.push((pid, stat));
        }
    }
    let mut parents = vec![root];
    let mut family = Vec::new();
    while !parents.is_empty() {
        let (children, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(_, stat)| parents.contains(&stat.parent));
        parents = children.iter().map(|(pid, _)| *pid).collect();
        family.extend(children);
        others = rest;
    }
    Ok(family)
}

/// A handle on the processor time of one thread of this process.
#[derive(Clone, Debug)]
pub struct ThreadClock(PathBuf);

impl ThreadClock {
    /// The clock of the calling thread.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn of_this_thread() -> io::Result<Self> {
        let thread = fs::read_link("/proc/thread-self")?;
        Ok(Self(Path::new("/proc").join(thread).join("stat")))
    }

    /// What the thread has taken so far, in seconds, to a hundredth.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn seconds(&self) -> io::Result<f64> {
        Ok(Stat::read(&self.0.to_string_lossy())?.own_seconds)
    }
}

/// The few fields of proc_pid_stat(5) that matter here.
struct Stat {
    name: String,
    parent: u32,
    own_seconds: f64,
    reaped_seconds: f64,
}

impl Stat {
    fn read(path: &str) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        Self::parse(&text).ok_or_else(|| io::Error::other(format!("{path}: not understood")))
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may hold spaces and parentheses, so fields count from the
        // last one: state is the third.
        let (start, rest) = text.rsplit_once(')')?;
        let (_, name) = start.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
        let seconds = |number: usize| field(number).map(|ticks| f64::from(ticks) / TICKS_PER_SECOND);
        Some(Self {
            name: name.to_owned(),
            parent: field(4)?,
            own_seconds: seconds(14)? + seconds(15)?,
            reaped_seconds: seconds(16)? + seconds(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = r#"{"base_url":"http://127.0.0.1:1","token":"t","partner_token":"p","business_id":"b","phone_number_id":"1","waba_id":"2","app_secret":"s","verify_token":"v","template":{"name":"hello","language":"en"},"recipient":"3","dashboard_url":"d","sign_in_url":"i","more":1}"#;

    fn shell(script: &str) -> anyhow::Result<Waystation> {
        Waystation::spawn(Path::new("/bin/sh"), ["-c", script], [("DEMO", DEMO)])
    }

    #[test]
    fn what_the_demo_prints_is_known_and_the_rest_is_logged() {
        let script = "echo starting >&2; echo \"$DEMO\"; echo later; exec sleep 60";
        let mut process = shell(script).unwrap();
        assert_eq!(process.info().template.name, "hello");
        assert_eq!(process.next_line(Duration::from_secs(5)).unwrap(), "later");
        assert_eq!(process.log().unwrap(), "starting\n");
        assert_eq!(process.printed().unwrap(), format!("{DEMO}\nlater\n"));
        assert!(process.cpu_seconds().unwrap() < 5.0);
    }

    #[test]
    fn a_secret_in_the_log_of_a_process_fails_the_test_that_started_it() {
        let careful = shell("echo started >&2; echo \"$DEMO\"; exec sleep 60").unwrap();
        drop(careful);
        secrets::keep("password", "correct-horse-of-process");
        let careless = shell("echo with correct-horse-of-process >&2; echo \"$DEMO\"; exec sleep 60").unwrap();
        let dropping = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(careless)));
        let said = dropping.unwrap_err().downcast::<String>().unwrap();
        assert!(said.contains("password") && said.contains("with correct-horse-of-process"), "{said}");
    }

    #[test]
    fn a_process_that_fails_to_start_says_why() {
        let error = shell("echo no database >&2; exit 3").err().unwrap().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no database"), "{error}");
        let quick = Waystation::spawn(Path::new("/bin/false"), ["demo"], NO_ENV);
        assert!(quick.is_err());
        let error = shell("echo hello").err().unwrap().to_string();
        assert!(error.contains("not what a demo prints: hello"), "{error}");
    }

    #[test]
    fn a_terminated_process_tidies_up_and_a_killed_one_does_not() {
        let script = "trap 'exit 7' TERM; echo \"$DEMO\"; while :; do sleep 0.01; done";
        let mut process = shell(script).unwrap();
        process.terminate().unwrap();
        let status = process.wait(Duration::from_secs(5)).unwrap();
        assert_eq!(status.code(), Some(7));

        let mut process = shell(script).unwrap();
        assert_eq!(process.kill9().unwrap().code(), None);
        process.kill9().unwrap();
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("echo \"$DEMO\"; exec sleep 60").unwrap();
        let pid = process.pid();
        drop(process);
        assert!(cpu_seconds(pid).is_err());
    }

    #[test]
    fn a_server_started_through_a_shell_is_found_by_name() {
        let name = format!("ws{}", std::process::id());
        let script = format!("cp \"$(command -v sleep)\" \"$TMPDIR/{name}\"; \"$TMPDIR/{name}\" 60 & echo; wait");
        let folder = TempDir::new().unwrap();
        let mut process = Waystation::run(Path::new("/bin/sh"), ["-c", &script], [("TMPDIR", folder.path())]).unwrap();
        process.next_line(Duration::from_secs(5)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let pid = loop {
            // Between fork and exec the child still has the shell's name.
            if let Some(pid) = descendant_named(&name).unwrap() {
                break pid;
            }
            assert!(Instant::now() < deadline, "not found");
        };
        assert_ne!(pid, process.pid());
        assert_eq!(descendant_named("no such process").unwrap(), None);
        Command::new("kill").arg(pid.to_string()).status().unwrap();
    }

    #[test]
    fn processor_time_is_read_from_proc() {
        let line = "7 (odd) name)) S 3 7 7 0 -1 4194304 1 2 3 4 150 50 20 30 20 0 1 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.name.as_str(), stat.parent), ("odd) name)", 3));
        assert!((stat.own_seconds - 2.0).abs() < 1e-9);
        assert!((stat.reaped_seconds - 0.5).abs() < 1e-9);

        let clock = ThreadClock::of_this_thread().unwrap();
        let before = clock.seconds().unwrap();
        let start = Instant::now();
        while clock.seconds().unwrap() <= before {
            assert!(start.elapsed() < Duration::from_secs(20), "spinning takes no processor time");
            std::hint::spin_loop();
        }
        let me = std::process::id();
        // This one goes on while the two are read: the part first, then the whole.
        let own = cpu_seconds(me).unwrap();
        assert!(tree_cpu_seconds(me).unwrap() >= own);
    }
}
