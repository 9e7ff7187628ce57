//! A browser does what a person does, says what is wrong with a page, and does not outlive the
//! process that owns it.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use waystation_testkit::{
    browser::{Browser, Look, walk},
    papers,
    servers::ChromeDriver,
};

/// How long a browser may take to go away.
const GONE_WITHIN: Duration = Duration::from_secs(20);

const FORM: &str = r#"<!doctype html><html lang="en"><head><title>Form</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"></head><body><main><h1>A form</h1><a href="/admin/next">Next</a>
<form id="name" method="post" action="/admin/echo" enctype="multipart/form-data">
<label>Name <input name="name" value="old"></label>
<label>Country <select name="country"><option value="de">Germany</option><option value="in">India</option></select></label>
<label><input type="radio" name="size" value="s"> Small</label>
<input type="radio" name="size" value="l" id="large"><label for="large">Large</label>
<label><input type="checkbox" name="agree" value="yes"> Agree</label>
<label>File <input type="file" name="file"></label>
<button>Send it</button></form>
<p id="script">no script ran</p><script>document.getElementById('script').textContent = 'a script ran';</script>
<noscript>scripts are off</noscript>
<style>a:focus, button:focus { outline: 2px solid blue } @media (prefers-color-scheme: dark) { body { background: black } }
#phone { display: none } @media (max-width: 400px) { #phone { display: block } }</style><p id="phone">a phone</p>
</main></body></html>"#;

const FAULTY: &str = r#"<!doctype html><html><head><title></title></head><body><h1>One</h1><h1>Two</h1>
<input name="nameless"><button></button><p id="a"></p><p id="a" aria-describedby="b"></p>
<img src="http://127.0.0.1:9/far.png"><table><tr><td>1</td></tr></table>
<div style="width: 3000px">wide</div><script>console.error('it says so'); nothing.at.all</script></body></html>"#;

const NEXT: &str = r#"<!doctype html><html lang="en"><head><title>Next</title><link rel="icon" href="data:,"></head>
<body><main><h1>The next page</h1><a href="/admin/thing/1">One</a> <a href="/admin/thing/2">Two</a>
<a href="/admin/thing/3">Three</a> <a href="http://127.0.0.1:9/">Away</a> <a href="/elsewhere">Elsewhere</a>
<ul><li>Ana <a href="/admin/thing/1">Show</a></li><li>Bob <a href="/admin/thing/2">Show</a></li></ul>
</main></body></html>"#;

/// Serves the pages above, and what was sent, as text.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream));
        }
    });
    home
}

fn answer(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?;
    if path == "/admin/paper.pdf" {
        let file = papers::pdf(&["A line on a paper"]);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            file.len()
        );
        return reader.into_inner().write_all(&[head.as_bytes(), &file].concat()).ok();
    }
    let page = match path {
        "/admin/paper" => "<h1>Paper</h1><iframe src='/admin/paper.pdf' title='A paper'></iframe>".to_owned(),
        "/admin/no-paper" => "<h1>Paper</h1><iframe src='/admin/form' title='A paper'></iframe>".to_owned(),
        "/admin/form" => FORM.to_owned(),
        "/admin/faulty" => FAULTY.to_owned(),
        "/admin/echo" => format!("<h1>You sent</h1><pre>{}</pre>", String::from_utf8_lossy(&body)),
        "/admin/" | "/admin/next" => NEXT.to_owned(),
        path => format!("<h1>{path}</h1>"),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    reader.into_inner().write_all((head + &page).as_bytes()).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_filled_and_sent() -> Result<()> {
    send_the_form(&Browser::start(&serve()).await?).await
}

async fn send_the_form(browser: &Browser) -> Result<()> {
    let file = tempfile::NamedTempFile::with_suffix(".txt")?;
    std::fs::write(file.path(), "what is in the file")?;
    browser.open("/admin/form").await?;
    browser.fill_in("form", "name", "Ana \"the\" baker").await?;
    browser.choose("country", "India").await?;
    browser.choose("size", "Large").await?;
    browser.tick("agree").await?;
    browser.tick("agree").await?;
    browser.upload("file", file.path()).await?;
    browser.press("Send it").await?;
    assert_eq!(browser.path().await?, "/admin/echo");
    let sent = browser.text().await?;
    for expected in ["Ana \"the\" baker", "\nin\n", "\nl\n", "\nyes\n", "what is in the file"] {
        assert!(sent.contains(expected), "{expected:?} is not in {sent}");
    }
    assert!(!sent.contains("old"), "{sent}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_done_with_the_keyboard_alone() -> Result<()> {
    let browser = Browser::start(&serve()).await?;
    browser.use_keyboard(true);
    send_the_form(&browser).await?;

    browser.open("/admin/form").await?;
    browser.press("Nex*").await?;
    assert_eq!(browser.path().await?, "/admin/next");
    browser.press_beside("Bob", "Show").await?;
    assert_eq!(browser.path().await?, "/admin/thing/2");

    browser.open("/admin/form").await?;
    browser.script("document.querySelector('button').tabIndex = -1", vec![]).await?;
    let lost = browser.press("Send it").await.unwrap_err().to_string();
    assert!(lost.contains("does not get to") && lost.contains("A form"), "{lost}");
    browser.script("document.querySelector('a').style.outline = 'none'", vec![]).await?;
    let unseen = browser.press("Next").await.unwrap_err().to_string();
    assert!(unseen.contains("nothing shows that the focus is on"), "{unseen}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_looked_at_in_every_way() -> Result<()> {
    let browser = Browser::start(&serve()).await?;
    browser.open("/admin/form").await?;
    browser.sees("a script ran").await?;
    let background = "return getComputedStyle(document.body).backgroundColor";
    for look in [Look::Light, Look::Dark, Look::Phone, Look::Narrow] {
        browser.look(look).await?;
        browser.open("/admin/form").await?;
        let colour = browser.script(background, vec![]).await?;
        assert_eq!(colour == "rgb(0, 0, 0)", look == Look::Dark, "{look:?} {colour}");
        let (width, _) = look.size();
        assert_eq!(browser.text().await?.contains("a phone"), width <= 400, "{look:?}");
        let picture = browser.screenshot().await?;
        assert_eq!(&picture[1..4], b"PNG");
        assert_eq!(u32::from_be_bytes(picture[16..20].try_into()?), width, "{look:?}");
    }
    browser.scripts(false).await?;
    browser.open("/admin/form").await?;
    browser.sees("no script ran").await?;
    browser.sees("scripts are off").await?;
    browser.fill("name", "without a script").await?;
    browser.press("Send it").await?;
    browser.sees("without a script").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_page_is_found() -> Result<()> {
    let browser = Browser::start(&serve()).await?;
    browser.open("/admin/form").await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    browser.look(Look::Narrow).await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    browser.look(Look::Light).await?;

    browser.open("/admin/faulty").await?;
    let complaints = browser.complaints().await?;
    for expected in [
        "it says so",
        "nothing is not defined",
        "a request to another host: http://127.0.0.1:9/far.png",
        "scrolls sideways: 3",
        "no language",
        "no title",
        "not exactly one h1",
        "not exactly one main",
        "id a twice",
        "aria-describedby of nothing",
        "no label: <input name=\"nameless\">",
        "no text: <button></button>",
        "no alt: <img",
        "no header cell: <table",
    ] {
        let found = complaints.iter().any(|complaint| complaint.contains(expected));
        assert!(found, "{expected:?} is not in {complaints:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_comes_to_every_page_that_links_lead_to_and_to_a_few_of_a_kind() -> Result<()> {
    let browser = Browser::start(&serve()).await?;
    let mut visited = Vec::new();
    let stops = walk(
        &browser,
        "/admin/",
        |_| 2,
        async |stop| {
            visited.push(browser.text_of("h1").await?);
            assert_eq!(browser.path().await?, stop.path);
            Ok(())
        },
    )
    .await?;
    let kinds: Vec<(&str, usize)> = stops.iter().map(|stop| (stop.kind.as_str(), stop.number)).collect();
    assert_eq!(kinds, [("overview", 1), ("thing-ID", 1), ("thing-ID", 2)]);
    assert_eq!(visited, ["The next page", "/admin/thing/1", "/admin/thing/2"]);

    browser.open("/admin/").await?;
    browser.press_beside("Bob", "Show").await?;
    assert_eq!(browser.path().await?, "/admin/thing/2");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_is_shown_inside_a_page() -> Result<()> {
    let browser = Browser::start(&serve()).await?;
    browser.open("/admin/no-paper").await?;
    assert!(!browser.shows_pdf().await?);
    browser.open("/admin/paper").await?;
    browser.wait("the paper is shown", async || Ok(browser.shows_pdf().await?.then_some(()))).await
}

/// Set for the process that owns a browser and is killed.
const OWNER_VARIABLE: &str = "WAYSTATION_TEST_OWNS_A_BROWSER";

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_dies_with_the_process_that_owns_it() -> Result<()> {
    if env::var_os(OWNER_VARIABLE).is_some() {
        let browser = Browser::start(&serve()).await?;
        browser.open("/admin/form").await?;
        println!("{OWNER_VARIABLE}={}", ChromeDriver::shared().await?.folder().display());
        return std::future::pending().await;
    }
    let name = "a_browser_dies_with_the_process_that_owns_it";
    let mut owner = Command::new(env::current_exe()?)
        .args([name, "--exact", "--nocapture"])
        .env(OWNER_VARIABLE, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let folder = lines
        .filter_map(|line| Some(line.split_once(OWNER_VARIABLE)?.1.strip_prefix('=')?.to_owned()))
        .next()
        .expect("the folder of a browser");
    assert!(processes_in(&folder) >= 3, "ChromeDriver, a browser, a page");
    owner.kill()?;
    owner.wait()?;
    let killed = Instant::now();
    while processes_in(&folder) > 0 || Path::new(&folder).exists() {
        assert!(killed.elapsed() < GONE_WITHIN, "{folder}: {} processes", processes_in(&folder));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// How many processes have this folder as their home.
fn processes_in(folder: &str) -> usize {
    let home = format!("HOME={folder}");
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
    environments.filter(|environment| environment.split(|byte| *byte == 0).any(|set| set == home.as_bytes())).count()
}
