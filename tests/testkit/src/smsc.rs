//! A real SMSC: the server of the npm package `smpp`, installed once under `target/`, with a script of ours on top that
//! decides what it does. It can be killed and started again on its port, and stopped as a network that goes silent.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

/// How long it may take to listen.
const START_MAX: Duration = Duration::from_secs(20);
/// The account that it knows.
pub const SYSTEM_ID: &str = "waystati";
/// Its password.
pub const PASSWORD: &str = "s3cret";

/// A running SMSC.
#[derive(Debug)]
pub struct Smsc {
    port: u16,
    first_id: u64,
    running: Option<(Child, ChildStdin)>,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Smsc {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// If node or npm is missing, or it does not listen in time.
    pub fn start() -> anyhow::Result<Self> {
        let mut smsc = Self { port: 0, first_id: 0xa000, running: None, said: Arc::default() };
        smsc.restart()?;
        Ok(smsc)
    }

    /// The settings of a connection to it.
    #[must_use]
    pub fn connection(&self) -> Value {
        json!({
            "host": "127.0.0.1", "port": self.port, "system_id": SYSTEM_ID, "password": PASSWORD,
            "message_ids": "hex_in_response", "enquire_link_ms": 500, "response_timeout_ms": 1_000,
            "throttle_pause_ms": 300,
        })
    }

    /// Kills it, so that its connections break.
    pub fn kill(&mut self) {
        if let Some((mut child, input)) = self.running.take() {
            drop(input);
            self.signal(&child, "-CONT");
            // It is gone already, or it is now.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port, with new ids.
    ///
    /// # Errors
    /// As [`Smsc::start`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let before = self.said().len();
        let mut child = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("smsc/smsc.js"))
            .arg(package()?)
            .arg(self.port.to_string())
            .arg(self.first_id.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the tests' SMSC needs node")?;
        self.first_id += 0x10_000;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).context("it has no pipes")?;
        let said = Arc::clone(&self.said);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::Null);
                said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        self.running = Some((child, input));
        let since = Instant::now();
        loop {
            if let Some(port) = self.said()[before..].iter().find_map(|line| line["port"].as_u64()) {
                self.port = u16::try_from(port)?;
                return Ok(());
            }
            ensure!(since.elapsed() < START_MAX, "the SMSC does not listen: {:?}", &self.said()[before..]);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it as a network that goes silent: connections stay, and nothing is answered.
    pub fn silence(&self) {
        if let Some((child, _)) = &self.running {
            self.signal(child, "-STOP");
        }
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        if let Some((child, _)) = &self.running {
            self.signal(child, "-CONT");
        }
    }

    /// Everything it said.
    #[must_use]
    pub fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The messages, or parts of messages, that it took.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        self.said().into_iter().filter(|line| line["id"].is_u64()).collect()
    }

    /// Has a person send a text.
    ///
    /// # Errors
    /// If it does not run.
    pub fn mobile_originated(&mut self, from: &str, to: &str, text: &str) -> anyhow::Result<()> {
        let Some((_, input)) = &mut self.running else { bail!("the SMSC does not run") };
        writeln!(input, "{}", json!({"mo": {"from": from, "to": to, "text": text}}))?;
        Ok(())
    }

    fn signal(&self, child: &Child, signal: &str) {
        // A process that is gone needs none.
        drop(Command::new("kill").arg(signal).arg(child.id().to_string()).stderr(Stdio::null()).status());
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The installed package, of the version that `smsc/package.json` names.
fn package() -> anyhow::Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = kit.join("../../target/testkit-smsc");
    let package = folder.join("node_modules/smpp");
    let marker = folder.join("installed");
    let wanted = fs::read_to_string(kit.join("smsc/package.json"))?;
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(package);
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), &wanted)?;
    let npm = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    let status = Command::new("npm").args(npm).current_dir(&folder).status().context("the tests' SMSC needs npm")?;
    ensure!(status.success(), "npm could not install the tests' SMSC: {status}");
    fs::write(&marker, &wanted)?;
    Ok(package)
}
