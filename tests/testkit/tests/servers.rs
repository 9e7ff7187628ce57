//! The private servers do not outlive the process that owns them.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to go away.
const GONE_WITHIN: Duration = Duration::from_secs(20);

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn servers_die_with_the_process_that_owns_them() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_waystation-servers")).stdout(Stdio::piped()).spawn().unwrap();
    let servers: Vec<(u16, String)> = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map_while(|line| line.ok().filter(|line| !line.ends_with("ends both.")))
        .filter_map(|line| {
            let (port, folder) = line.strip_prefix("# ")?.split_once(' ')?;
            Some((port.parse().ok()?, folder.to_owned()))
        })
        .collect();
    assert_eq!(servers.len(), 2);
    assert!(servers.iter().all(|(port, _)| answers(*port)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let killed = Instant::now();
    for (port, folder) in servers {
        while answers(port) || Path::new(&folder).exists() {
            assert!(killed.elapsed() < GONE_WITHIN, "{folder} is still there");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
