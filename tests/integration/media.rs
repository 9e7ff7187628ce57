//! Files through the running program: uploaded, fetched, read, linked, sent, and gone.

use std::{fs, time::Duration};

use reqwest::{
    Body, Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{Answer, Client, Profile, Site, eventually, exchange, http, on_both_profiles};

on_both_profiles!(a_file_is_uploaded_read_sent_and_deleted, a_file_that_the_network_forgot_is_given_to_it_again);

const MIB: usize = 1_024 * 1_024;
/// How much a process may grow while a document of 100 MB passes through it, in kilobytes.
const GROWTH_MAX_KB: u64 = 32 * 1_024;

fn jpeg(length: usize) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0".to_vec();
    bytes.resize(length, 7);
    bytes
}

async fn upload(client: &Client, path: &str, bytes: Vec<u8>, name: &str) -> Answer {
    let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned())).text("type", "image/jpeg");
    exchange(client.request(Method::POST, path).multipart(form)).await.expect("an answer")
}

fn cloud(client: &Client) -> String {
    format!("/v24.0/{}/media", client.phone_number_id)
}

fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {}", answer.body)).to_owned()
}

fn message(kind: &str, id: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": "16505550002", "type": kind, kind: {"id": id}})
}

async fn a_file_is_uploaded_read_sent_and_deleted(profile: Profile) {
    let site = Site::new(profile).await;
    let other = site.add_business(None);
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let stranger = Client::new(&other, &demo.info().base_url);

    let bytes = jpeg(3_000);
    let answer = upload(&client, &cloud(&client), bytes.clone(), "C:\\menu of today.jpg").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let id = id_of(&answer);
    assert!(id.bytes().all(|byte| byte.is_ascii_digit()));
    let shown = client.get(&format!("/v24.0/{id}?phone_number_id={}", client.phone_number_id)).await.json();
    assert_eq!((&shown["mime_type"], &shown["file_size"]), (&json!("image/jpeg"), &json!(3_000)));
    let url = shown["url"].as_str().expect("an address");
    let download = |token: &str| http().get(url).header("authorization", format!("Bearer {token}"));
    let downloaded = download(&client.token).send().await.expect("an answer").bytes().await.expect("bytes");
    assert!(downloaded == bytes);
    let part = download(&client.token).header("range", "bytes=1-4").send().await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.expect("bytes"), bytes[1..5]);
    assert_eq!(http().get(url).send().await.expect("an answer").status(), 401);
    for path in [format!("/v24.0/{id}"), format!("/v24.0/{id}/content"), format!("/v1/media/{id}")] {
        assert_eq!(stranger.get(&path).await.status, 404, "{path}");
    }

    let link = client.get(&format!("/v1/media/{id}/link?expires_in_seconds=300")).await.json();
    let link = link["url"].as_str().expect("a link");
    let opened = http().get(link).send().await.expect("an answer");
    assert_eq!(opened.headers()["content-disposition"], "attachment; filename*=UTF-8''menu%20of%20today.jpg");
    assert!(opened.bytes().await.expect("bytes") == bytes);
    let changed = link.replace("/media/", "/media/A");
    assert_eq!(http().get(changed).send().await.expect("an answer").status(), 404);

    let sent = client.send(&message("image", &id)).await.accepted();
    client.reaches(&sent, "delivered").await;
    for (kind, id) in [("audio", id.as_str()), ("image", "100000000000007")] {
        let refused = client.send(&message(kind, id)).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(131_009)), "{}", refused.body);
    }
    assert_eq!(stranger.send(&message("image", &id)).await.status, 400);

    let gone = exchange(client.request(Method::DELETE, &format!("/v24.0/{id}"))).await.expect("an answer");
    assert_eq!(gone.json(), json!({"success": true}));
    assert_eq!(client.get(&format!("/v24.0/{id}")).await.status, 404);
    let gif = upload(&client, &cloud(&client), b"GIF89a....".to_vec(), "a.gif").await;
    assert_eq!((gif.status, &gif.json()["error"]["code"]), (400, &json!(100)), "{}", gif.body);
}

async fn a_file_that_the_network_forgot_is_given_to_it_again(profile: Profile) {
    let site = Site::new(profile).await;
    let info = site.add_business(None);
    site.set_connections(&json!({"forgets_media_after_ms": 1_500})).await;
    let server = site.serve("api,worker");
    let client = Client::new(&info, &server.base_url);
    let id = id_of(&upload(&client, &cloud(&client), jpeg(2_000), "a.jpg").await);
    let first = client.send(&message("image", &id)).await.accepted();
    client.reaches(&first, "delivered").await;
    let copy = "SELECT max(uploaded_at) FROM media_copies";
    let before = site.number(copy).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = client.send(&message("image", &id)).await.accepted();
    client.reaches(&second, "delivered").await;
    assert!(site.number(copy).await > before, "it has a new copy");
}

/// The files below the site's folder of media.
fn objects(site: &Site) -> Vec<std::path::PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![site.folder().join("media")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

fn peak_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_of_100_mb_passes_in_flat_memory() {
    let site = Site::new(Profile::Embedded).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let small = upload(&client, &cloud(&client), jpeg(4 * MIB), "a.jpg").await;
    assert_eq!(small.status, 200, "{}", small.body);
    let before = peak_kb(demo.pid());
    let chunk = bytes_of(64 * 1_024);
    let chunks = (0..1_600).map(move |index| {
        let mut chunk = chunk.clone();
        if index == 0 {
            chunk[..9].copy_from_slice(b"%PDF-1.7\n");
        }
        Ok::<_, std::io::Error>(chunk)
    });
    let body = Body::wrap_stream(futures_util::stream::iter(chunks));
    let form = Form::new().part("file", Part::stream(body).file_name("large.pdf"));
    let answer = exchange(client.request(Method::POST, &cloud(&client)).multipart(form)).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let shown = client.get(&format!("/v24.0/{}", id_of(&answer))).await.json();
    assert_eq!(shown["file_size"], json!(100 * MIB));
    let grown = peak_kb(demo.pid()) - before;
    assert!(grown < GROWTH_MAX_KB, "it grew by {grown} KB");
}

fn bytes_of(length: usize) -> Vec<u8> {
    vec![b'x'; length]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_leaves_nothing() {
    let site = Site::new(Profile::Embedded).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let address = demo.info().base_url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 50000000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n%PDF-1.7\n",
        cloud(&client),
        client.token
    );
    stream.write_all(head.as_bytes()).await.expect("a beginning");
    for _ in 0..200 {
        stream.write_all(&bytes_of(64 * 1_024)).await.expect("more");
    }
    eventually("a draft is there", async || (!objects(&site).is_empty()).then_some(())).await;
    drop(stream);
    eventually("the draft is gone", async || objects(&site).is_empty().then_some(())).await;
    assert_eq!(client.get("/v1/media").await.json()["data"], json!([]));
}

/// A server that answers every request with this.
async fn answering(address: &str, answer: String) -> String {
    let listener = TcpListener::bind(address).await.expect("a port");
    let bound = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4_096];
            // Requests of this test come in one piece.
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{bound}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_fetched_from_the_open_internet_only() {
    let mut site = Site::new(Profile::Embedded).await;
    site.set("egress.allow_private_networks", false);
    // What stands for the open internet here.
    site.set("egress.allow_networks", "127.0.0.2/32");
    let info = site.add_business(None);
    let server = site.serve("api,worker");
    let client = Client::new(&info, &server.base_url);
    let pdf = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n%PDF-1.7\n".to_owned();
    let inside = answering("127.0.0.1:0", pdf.clone()).await;
    let outside = answering("127.0.0.2:0", pdf).await;
    let to = |target: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    let inwards = answering("127.0.0.2:0", to(&inside)).await;
    let outwards = answering("127.0.0.2:0", to(&outside)).await;
    let by_name = inside.replace("127.0.0.1", "localhost");

    for url in [&outside, &outwards] {
        let fetched = client.made(201, "/v1/media", &json!({"url": format!("{url}/menu.pdf")})).await;
        assert_eq!((&fetched["content_type"], &fetched["origin"]), (&json!("application/pdf"), &json!("fetched")));
    }
    for url in [&inside, &inwards, &by_name, &"http://169.254.169.254".to_owned(), &"ftp://127.0.0.2".to_owned()] {
        let refused = client.post("/v1/media", &json!({"url": format!("{url}/menu.pdf")})).await;
        assert_eq!((refused.status, refused.problem().as_str()), (422, "parameter_invalid"), "{url}: {}", refused.body);
    }
    let dead = client.post("/v1/media", &json!({"url": "http://127.0.0.2:1/x"})).await;
    assert_eq!(dead.problem(), "media_unreachable", "{}", dead.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_resumed_and_gets_a_handle() {
    let site = Site::new(Profile::Embedded).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let bytes = jpeg(10_000);
    let query = "/v24.0/app/uploads?file_length=10000&file_type=image%2Fjpeg&file_name=logo.jpg";
    let id = id_of(&exchange(client.request(Method::POST, query)).await.expect("an answer"));
    assert!(id.starts_with("upload:"), "{id}");
    let path = format!("/v24.0/{id}");
    let send = async |offset: usize, bytes: &[u8]| {
        let request = client.request(Method::POST, &path).header("file_offset", offset).body(bytes.to_vec());
        exchange(request).await.expect("an answer")
    };
    assert_eq!(send(0, &bytes[..4_000]).await.status, 200);
    assert_eq!(client.get(&path).await.json(), json!({"id": id, "file_offset": 4_000}));
    assert_eq!(send(0, &bytes).await.status, 400);
    let done = send(4_000, &bytes[4_000..]).await.json();
    assert!(done["h"].as_str().is_some_and(|handle| handle.starts_with("4::")), "{done}");
}
