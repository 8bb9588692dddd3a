//! The page under a host name, a path and https; and its messages when the program or the picture stops.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use visavis_image::{Picture, codec};

use crate::chromium::Browser;
use crate::program::Program;
use crate::{complaints, ready};

/// The message over the picture is shown if something is missing.
const PLAYS: &str = "document.querySelector('#curtain').childElementCount === 0";

fn signal(program: &Program, name: &str) {
    let sent = Command::new("kill").args([name, &program.id().to_string()]).status().unwrap();
    assert!(sent.success(), "kill {name}");
}

const TOKEN: &str = "0123456789abcdef";

/// A certificate for `faces.example` and its key.
fn certificate(home: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (home.join("certificate.pem"), home.join("key.pem"));
    let signed = rcgen::generate_simple_self_signed(["faces.example".to_owned()]).unwrap();
    fs::write(&certificate, signed.cert.pem()).unwrap();
    fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

/// Opens a link with the token and checks that everything works.
fn works(chromium: &Path, link: &str) {
    let browser = Browser::start(chromium, None);
    let mut page = browser.open(link, 1280, 720);
    page.wait(PLAYS);
    // The token is now in a cookie; styles, pictures and the stream were loaded from below the path.
    page.wait("location.pathname === '/cams/door/' && location.search === ''");
    page.wait("document.querySelector('.brand img').naturalWidth > 0");
    page.wait("(await (await fetch('api/v1/scene')).json()).width > 0");
    // A recording that is stopped at once contains the current picture.
    let record = "(async (method) => (await fetch('api/v1/recording', { method })).status)";
    let answers = page
        .eval(&format!("(async () => [await {record}('POST'), await {record}('DELETE'), await {record}('GET')])()"));
    assert_eq!(answers, serde_json::json!([204, 204, 200]));
    assert_eq!(complaints(&mut page), Vec::<String>::new());
}

#[test]
fn it_is_reached_under_a_name_and_a_path_by_https() {
    let Some((chromium, photos)) = ready() else { return };
    let home = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(home.path());
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let source = format!("virtual:{}", photos.join("obama.jpg").display());
    let named = ["--base-path", "/cams/door", "--allow-host", "faces.example", "--token", TOKEN];
    let encrypted = ["--tls-cert", &certificate, "--tls-key", &key];
    let program = Program::start(&[&[source.as_str()], &named[..], &encrypted].concat());
    assert!(program.address.starts_with("https://127.0.0.1:"), "{}", program.address);
    assert!(program.address.ends_with(&format!("/cams/door/?token={TOKEN}")), "{}", program.address);
    works(&chromium, &program.address.replace("127.0.0.1", "faces.example"));
}

/// An nginx that is killed on drop.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn it_is_reached_behind_nginx() {
    let Some((chromium, photos)) = ready() else { return };
    if Command::new("nginx").arg("-v").output().is_err() {
        return eprintln!("skipped: nginx is not installed");
    }
    let home = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(home.path());
    let source = format!("virtual:{}", photos.join("obama.jpg").display());
    let words = [&source, "--base-path", "/cams/door", "--allow-host", "faces.example", "--token", TOKEN];
    let program = Program::start(&words);
    let behind = program.address.split('/').nth(2).unwrap();
    // The proxy passes the path on, or removes it.
    for path in ["", "/"] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = home.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
            .concat();
        let configuration = format!(
            "pid {folder}/nginx.pid; error_log {folder}/error.log; daemon off; events {{}}
             http {{ access_log off; {temporary} server {{
                listen 127.0.0.1:{port} ssl; server_name faces.example;
                ssl_certificate {}; ssl_certificate_key {};
                location /cams/door/ {{
                    proxy_pass http://{behind}{path};
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto $scheme;
                    proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";
                    proxy_buffering off; proxy_read_timeout 1h;
                }} }} }}",
            certificate.display(),
            key.display()
        );
        let file = home.path().join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let nginx = Command::new("nginx").arg("-c").arg(&file).stderr(Stdio::null()).spawn().unwrap();
        let _nginx = Nginx(nginx);
        let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(
            (0..600).any(|_| answers() || (thread::sleep(Duration::from_millis(50)), false).1),
            "nginx does not start"
        );
        works(&chromium, &format!("https://faces.example:{port}/cams/door/?token={TOKEN}"));
    }
}

/// A header forbids frames to other pages, which the tests of the API check.
#[test]
fn a_page_that_was_allowed_shows_it_in_a_frame() {
    let Some((chromium, photos)) = ready() else { return };
    let source = format!("virtual:{}", photos.join("obama.jpg").display());
    // A page of another site with a frame that shows the address after its question mark.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://home.example:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            let _ = BufReader::new(client.try_clone().unwrap()).read_line(&mut line);
            let address = line.split(['?', ' ']).nth(2).unwrap_or_default().to_owned();
            let body = format!("<!doctype html><title>home</title><iframe src='{address}'></iframe>");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n", body.len());
            let _ = client.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    let program = Program::start(&[source.as_str(), "--allow-frame", origin.as_str()]);
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&format!("{origin}/?{}", program.address), 1280, 720);
    page.wait("document.readyState === 'complete' && document.querySelector('iframe') !== null");
    // For a frame of another site, the browser reveals only the address.
    let frames = browser.wait_for_frames();
    assert!(frames.iter().any(|address| address.starts_with(&program.address)), "{frames:?}");
}

#[test]
fn it_says_when_the_program_or_the_picture_stands_still() {
    let Some((chromium, _)) = ready() else { return };
    let home = tempfile::tempdir().unwrap();
    let pipe = home.path().join("camera");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let program = Program::start(&[&pipe.display().to_string()]);
    let mut camera = OpenOptions::new().write(true).open(&pipe).unwrap();
    let picture = codec::encode_jpeg(&Picture::filled(320, 240, [90; 3]), 90).unwrap();
    let mut bring = || {
        for _ in 0..5 {
            camera.write_all(&picture).unwrap();
        }
    };
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&program.address, 1280, 720);
    bring();
    page.wait(PLAYS);
    page.wait("!document.querySelector('#stale').hidden && document.querySelector('#stale').textContent.includes('No new picture')");
    bring();
    page.wait("document.querySelector('#stale').hidden");
    signal(&program, "-STOP");
    page.wait("document.querySelector('#curtain').textContent.includes('Connection lost')");
    signal(&program, "-CONT");
    page.wait("!document.querySelector('#curtain').textContent.includes('Connection lost')");
    bring();
    page.wait(PLAYS);
}
