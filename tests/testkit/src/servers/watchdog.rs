//! A shell that owns one server process, with the process group it leads if it leads one, and one
//! folder, and cleans up both when its input ends:
//! that happens when the owner is dropped and when the owner's process dies, by whatever signal.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

/// The orders are lines; each is answered with one line. Only processes it started are signalled.
const SCRIPT: &str = r#"
folder=$1 stop=$2
shift 2
server=
end() {
    [ -z "$server" ] && return
    kill -"$1" "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    # What it started, where it leads a process group of its own.
    kill -KILL -"$server" 2>/dev/null
    server=
}
while read -r order; do
    case $order in
        start)
            end KILL
            "$@" </dev/null >>"$folder/log" 2>&1 &
            server=$!
            echo "$server" ;;
        kill)
            end KILL
            echo killed ;;
    esac
done
end "$stop"
# A killed PostgreSQL leaves its shared memory segment to the next start; there is none.
if [ -f "$folder/data/postmaster.pid" ]; then
    set -- $(sed -n 7p "$folder/data/postmaster.pid")
    [ -n "$2" ] && ipcrm -m "$2" 2>/dev/null
fi
rm -rf -- "$folder"
"#;

/// Whom the server runs as.
#[derive(Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

pub(super) struct Watchdog {
    shell: Child,
    talk: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
    folder: PathBuf,
}

impl Watchdog {
    /// Takes over `folder` and stands ready to run `command` in it. `stop` names the signal that
    /// ends the server in good order.
    pub(super) fn new(
        folder: tempfile::TempDir,
        command: &[String],
        stop: &str,
        account: Option<Account>,
    ) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SCRIPT, "server-watchdog"])
            .arg(folder.path())
            .arg(stop)
            .args(command)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt from the terminal ends the tests, and so the input, but not the shell.
            .process_group(0);
        if let Some(account) = account {
            shell.gid(account.gid).uid(account.uid);
        }
        let mut shell = shell.spawn().context("cannot run sh")?;
        let talk = shell.stdin.take().zip(shell.stdout.take());
        let (input, output) = talk.context("the shell has no pipes")?;
        Ok(Self { shell, talk: Mutex::new(Some((input, BufReader::new(output)))), folder: folder.keep() })
    }

    fn order(&self, order: &str) -> Result<String> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let (input, output) = talk.as_mut().context("the watchdog was dismissed")?;
        writeln!(input, "{order}").context("the watchdog is gone")?;
        let mut answer = String::new();
        if output.read_line(&mut answer)? == 0 {
            bail!("the watchdog is gone");
        }
        Ok(answer.trim().to_owned())
    }

    /// Starts the server, after killing the one that runs. Returns its process id.
    pub(super) fn start(&self) -> Result<u32> {
        let answer = self.order("start")?;
        answer.parse().with_context(|| format!("the watchdog answered {answer:?}"))
    }

    /// Kills the server with SIGKILL and returns when it is gone.
    pub(super) fn kill(&self) -> Result<()> {
        self.order("kill").map(drop)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last lines the server wrote, for an error.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.talk.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.shell.wait();
        // The server's account may not be allowed to remove the folder itself.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether the process has ended. Knows only where /proc exists; elsewhere it says no.
pub(super) fn has_ended(pid: u32) -> bool {
    if !Path::new("/proc/self/stat").exists() {
        return false;
    }
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    // The state follows the name, which is in parentheses and may contain anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}
