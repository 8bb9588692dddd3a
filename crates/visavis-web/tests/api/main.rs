//! The API over real sockets.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

mod http;
mod notice;
mod requests;
mod test_server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Answer, get, send, socket, with_json};
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use test_server::{DETECTOR, TestServer};
use tungstenite::{Message, WebSocket};
use visavis_gallery::{NewAlarm, NewSighting, PersonId};
use visavis_image::{Picture, Rect, codec};
use visavis_live::{Alarm, Cause, Event};
use visavis_web::{Access, Tls};

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status);
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(!detail.is_empty());
    // The reader may not be the person who started the program.
    assert!(!detail.contains("--"), "{detail} names a flag");
}

/// A wait of a test that takes longer than this fails the test.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The next picture with its scene. `answer`: whether to confirm it.
fn picture<S: std::io::Read + std::io::Write>(socket: &mut WebSocket<S>, answer: bool) -> (Value, Vec<u8>) {
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        let Message::Binary(bytes) = socket.read().unwrap() else { continue };
        let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        if answer {
            socket.send(Message::text("seen")).unwrap();
        }
        return (serde_json::from_slice(&bytes[4..4 + length]).unwrap(), bytes[4 + length..].to_vec());
    }
    panic!("no picture came")
}

fn assert_pictures_flow(address: SocketAddr) {
    let mut socket = socket(address, "/api/v1/live", None).unwrap();
    let (first, jpeg) = picture(&mut socket, true);
    assert!(jpeg.starts_with(&[0xFF, 0xD8, 0xFF]));
    assert_eq!((first["width"].as_u64(), first["height"].as_u64()), (Some(1280), Some(720)));
    assert!(picture(&mut socket, true).0["seq"].as_u64() > first["seq"].as_u64());
}

#[test]
fn invalid_requests_are_refused_and_pictures_flow() {
    let server = TestServer::new(None);
    let to = server.address;
    // Host names that are not allowed, and pages of other sites.
    for host in ["evil.example", "evil.example:80", ""] {
        assert_problem(&send(to, "GET", "/", &[("Host", host)], b""), 421);
    }
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        assert_problem(&send(to, "GET", "/api/v1/status", &[("Origin", origin)], b""), 403);
        let refused = socket(to, "/api/v1/live", Some(origin)).err().unwrap();
        assert!(refused.contains("403"), "{refused}");
    }
    let own = format!("http://{to}");
    assert_eq!(send(to, "GET", "/api/v1/status", &[("Origin", &own)], b"").status, 200);
    // Paths of the machine, a method that is not allowed.
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/js/..%2f..%2fCargo.toml",
        "/etc/passwd",
        "/api/v1/photos/../x",
    ] {
        assert_problem(&get(to, path), 404);
    }
    assert_problem(&send(to, "DELETE", "/api/v1/status", &[], b""), 405);
    assert_problem(&get(to, "/api/v1/people/0x10/portrait"), 404);
    assert_problem(&get(to, "/api/v1/people?limit=many"), 400);
    // Bodies that are too large or invalid.
    assert_problem(&send(to, "POST", "/api/v1/people?name=x", &[("Content-Length", "209715200")], &[7; 4096]), 413);
    assert_problem(&send(to, "POST", "/api/v1/people?name=x", &[], &huge_png()), 413);
    assert_problem(&send(to, "POST", "/api/v1/people?name=x", &[], b"no picture"), 415);
    assert_problem(&send(to, "POST", "/api/v1/people", &[], b""), 400);
    let typed = [("Content-Type", "application/json")];
    // A client that is refused can send its whole body first, and gets the answer.
    let photo = vec![7; 20 << 20];
    assert_problem(&send(to, "POST", "/api/v1/nothing", &[], &photo), 404);
    assert_problem(&send(to, "PUT", "/api/v1/status", &[], &photo), 405);
    assert_problem(&send(to, "POST", "/api/v1/people", &[("Origin", "null")], &photo), 403);
    assert_problem(&send(to, "POST", "/api/v1/people", &[], &photo), 400);
    assert_problem(&send(to, "PATCH", "/api/v1/settings", &typed, &photo), 413);
    assert_problem(&send(to, "POST", "/api/v1/compare", &[("Content-Type", "multipart/form-data")], &photo), 400);
    assert_problem(&send(to, "PATCH", "/api/v1/settings", &typed, b"{\"mirror\": tru"), 400);
    assert_problem(&send(to, "PATCH", "/api/v1/settings", &typed, b"{\"nonsense\": 1}"), 422);
    assert_problem(&send(to, "PATCH", "/api/v1/settings", &[], b"{}"), 415);
    assert_problem(&with_json(to, "PATCH", "/api/v1/settings", &json!({ "score": 7 })), 422);
    assert_problem(&with_json(to, "PATCH", "/api/v1/settings", &json!({ "detector_size": [8, 100] })), 422);
    assert_eq!(get(to, "/api/v1/faces/1/crop?task=age").status, 204);
    assert_problem(&get(to, "/api/v1/faces/1/crop?task=taste"), 404);
    assert_problem(&get(to, "/api/v1/faces/1/crop"), 400);
    assert_problem(&with_json(to, "PUT", "/api/v1/tasks/taste", &json!({ "network": null })), 404);
    assert_problem(&with_json(to, "PUT", "/api/v1/tasks/detection", &json!({ "network": null })), 422);
    assert_problem(&with_json(to, "PUT", "/api/v1/tasks/age", &json!({ "network": DETECTOR })), 422);
    assert_problem(&with_json(to, "PUT", "/api/v1/source", &json!({ "id": "/etc/passwd" })), 404);
    assert_problem(&with_json(to, "PUT", "/api/v1/source", &json!({ "id": "offer:0" })), 409);
    // Addresses of WebSockets without an upgrade.
    assert_problem(&get(to, "/api/v1/live"), 400);
    assert_problem(&get(to, "/api/v1/camera"), 400);
    // Invalid WebSocket frames, and messages that are too long.
    let mut invalid = socket(to, "/api/v1/live", None).unwrap();
    std::io::Write::write_all(invalid.get_mut(), &[0xFF; 64]).unwrap();
    let mut long = socket(to, "/api/v1/live", None).unwrap();
    long.send(Message::text("x".repeat(100_000))).unwrap();
    let mut camera = socket(to, "/api/v1/camera", None).unwrap();
    camera.send(Message::binary(b"no picture".to_vec())).unwrap();
    drop(camera);
    assert_pictures_flow(to);
}

/// A PNG with 60,000 × 60,000 pixels according to its header.
fn huge_png() -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(60_000u32.to_be_bytes());
    chunk.extend(60_000u32.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = !chunk.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &chunk, &crc.to_be_bytes(), b"\0\0\0\0IDAT\x35\xaf\x06\x1e"].concat()
}

#[test]
fn pages_say_what_they_may_do() {
    let server = TestServer::new(None);
    let page = get(server.address, "/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("frame-ancestors 'none'")
            && !policy.contains("unsafe")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(get(server.address, "/js/main.js").header("content-type"), Some("text/javascript; charset=utf-8"));
}

#[test]
fn a_token_is_asked_for_and_given_by_the_link() {
    let token = "0123456789abcdef0123";
    let server = TestServer::new(Some(token));
    let to = server.address;
    assert!(server.link.ends_with(&format!("/?token={token}")));
    assert_problem(&get(to, "/"), 401);
    assert_problem(&get(to, "/api/v1/status"), 401);
    assert_problem(&get(to, &format!("/api/v1/status?token={token}")), 401);
    assert_problem(&get(to, "/?token=0123456789abcdef0124"), 401);
    assert!(socket(to, "/api/v1/live", None).is_err());
    let bearer =
        |token: &str| send(to, "GET", "/api/v1/status", &[("Authorization", &format!("Bearer {token}"))], b"").status;
    assert_eq!((bearer(token), bearer("0123456789abcdef0124"), bearer("")), (200, 401, 401));
    let admitted = get(to, &format!("/?token={token}"));
    assert_eq!((admitted.status, admitted.header("location")), (303, Some("./")));
    let cookie = admitted.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(send(to, "GET", "/", &[("Cookie", cookie)], b"").status, 200);
}

#[test]
fn metrics_need_the_token_and_health_does_not() {
    let token = "0123456789abcdef0123";
    let server = TestServer::new(Some(token));
    let to = server.address;
    assert_problem(&get(to, "/metrics"), 401);
    let bearer = format!("Bearer {token}");
    let metrics = send(to, "GET", "/metrics", &[("Authorization", &bearer)], b"");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(metrics.body).unwrap();
    for line in [
        "visavis_events_dropped_total{output=\"alarm_webhook\"} 3",
        "visavis_gallery_photos 3",
        "visavis_gallery_up 1",
        "# TYPE visavis_latency_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for path in ["/healthz", "/readyz"] {
        let answer = get(to, path);
        assert!(matches!(answer.status, 200 | 503), "{path}: {}", answer.status);
        assert!(answer.json()["status"].is_string());
        assert_problem(&send(to, "GET", path, &[("Host", "evil.example")], b""), 421);
    }
    assert_eq!(get(to, "/healthz").json(), json!({ "status": "ok" }));
}

/// The path of a relative address that stands in the document at `document` (RFC 3986, 5.2).
fn resolved(document: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[test]
fn base_path_host_names_and_frames_can_be_set() {
    let server = TestServer::with(Access {
        hosts: vec!["faces.example".into()],
        base_path: "/cams/door".into(),
        frames: vec!["https://home.example".into()],
        ..Access::default()
    });
    let to = server.address;
    assert!(server.link.ends_with("/cams/door/"), "{}", server.link);
    let moved = get(to, "/cams/door?x=1");
    assert_eq!((moved.status, moved.header("location")), (308, Some("door/?x=1")));
    // With the base path, and without it, as behind a proxy that removes it.
    for base in ["/cams/door", ""] {
        let page = get(to, &format!("{base}/"));
        assert_eq!(page.status, 200, "{base}");
        assert!(page.header("content-security-policy").unwrap().ends_with("frame-ancestors https://home.example"));
        assert_eq!(get(to, &format!("{base}/js/main.js")).status, 200);
        let text = String::from_utf8(page.body).unwrap();
        assert!(!text.contains("=\"/"), "an absolute address: {text}");
        assert_eq!(get(to, &format!("{base}/api/v1/status")).status, 200);
        assert_problem(&get(to, &format!("{base}/nothing")), 404);
        let viewer = get(to, &format!("{base}/api/v1/docs/"));
        assert_eq!(viewer.status, 200);
        let started = get(to, &format!("{base}/api/v1/docs/swagger-initializer.js"));
        assert!(String::from_utf8_lossy(&started.body).contains("../openapi.json"));
        let described = get(to, &format!("{base}/api/v1/openapi.json")).json();
        let server = resolved(&format!("{base}/api/v1/openapi.json"), described["servers"][0]["url"].as_str().unwrap());
        assert_eq!(get(to, &format!("{server}/status")).status, 200, "{server}");
        assert!(socket(to, &format!("{base}/api/v1/live"), None).is_ok());
    }
    let proxied = [("Host", "faces.example"), ("Origin", "https://faces.example")];
    assert_eq!(send(to, "GET", "/cams/door/api/v1/status", &proxied, b"").status, 200);
    assert_problem(&send(to, "GET", "/cams/door/", &[("Host", "evil.example")], b""), 421);
}

#[test]
fn connections_can_be_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::self_signed(folder.path(), &["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let server = TestServer::with(Access { tls: Some(tls), ..Access::default() });
    assert!(server.link.starts_with("https://"), "{}", server.link);
    // A client that connects and sends nothing does not block other clients.
    let _silent = std::net::TcpStream::connect(server.address).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(folder.path().join("certificate.pem")).unwrap();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let connection = rustls::ClientConnection::new(config, "127.0.0.1".try_into().unwrap()).unwrap();
    let stream = std::net::TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_client_that_stops_reading_delays_no_other() {
    let server = TestServer::new(None);
    let mut stalled = socket(server.address, "/api/v1/live", None).unwrap();
    let mut other = socket(server.address, "/api/v1/live", None).unwrap();
    let first = picture(&mut other, true).0["seq"].as_u64().unwrap();
    let mut last = first;
    for _ in 0..10 {
        last = picture(&mut other, true).0["seq"].as_u64().unwrap();
    }
    assert!(last >= first + 10);
    // The stalled client was sent two pictures and no more. When it confirms one, it gets the newest.
    let stale =
        [picture(&mut stalled, false), picture(&mut stalled, false)].map(|(scene, _)| scene["seq"].as_u64().unwrap());
    stalled.send(Message::text("seen")).unwrap();
    let fresh = picture(&mut stalled, false).0["seq"].as_u64().unwrap();
    assert!(fresh >= last && fresh > stale[1] + 1, "{stale:?}, then {fresh}; the other was at {last}");
}

#[test]
fn people_are_renamed_watched_merged_removed_and_restored() {
    let server = TestServer::new(None);
    let to = server.address;
    let people = || get(to, "/api/v1/people").json()["people"].clone();
    let names =
        || people().as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(), ["Ada", "Eve", "Grace"]);
    let id =
        |name: &str| people().as_array().unwrap().iter().find(|p| p["name"] == name).unwrap()["id"].as_i64().unwrap();
    let (ada, eve, grace) = (id("Ada"), id("Eve"), id("Grace"));
    let path = |id: i64| format!("/api/v1/people/{id}");

    let changed = with_json(to, "PATCH", &path(ada), &json!({ "name": "Ada Lovelace", "watched": true }));
    assert_eq!((changed.status, changed.json()["watched"].as_bool()), (200, Some(true)));
    assert_problem(&with_json(to, "PATCH", &path(ada), &json!({ "name": "Eve" })), 409);
    assert_problem(&with_json(to, "PATCH", &path(ada), &json!({ "name": " " })), 422);
    assert_problem(&with_json(to, "PATCH", &path(99), &json!({ "name": "X" })), 404);
    assert_eq!(get(to, "/api/v1/people?watched=true").json()["total"], 1);
    assert_eq!(get(to, "/api/v1/people?name=LOVE").json()["people"][0]["id"], ada);

    let alike = get(to, &format!("{}/alike", path(eve))).json();
    let names_of = |people: &Value| {
        people.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names_of(&alike), ["Ada Lovelace", "Grace"], "without Eve herself");
    assert_problem(&get(to, "/api/v1/people/99/alike"), 404);
    let undo = |done: &Value| with_json(to, "POST", "/api/v1/people/undo", &json!({ "undo": done["undo"] }));
    let merge = |id: i64| with_json(to, "POST", &format!("{}/merge", path(id)), &json!({ "into": grace })).json();
    let findings = || get(to, "/api/v1/people/check").json();
    assert_eq!(findings(), json!([]));
    let merged = merge(eve);
    assert_eq!(merged["person"]["photos"], 2);
    // Their photos are not alike.
    assert!(findings().as_array().unwrap().iter().any(|found| found["kind"] == "unlike" && found["person"] == grace));
    assert_eq!(names(), ["Ada Lovelace", "Grace"]);
    // The merge is undone, and done again.
    assert_eq!(undo(&merged).json()["name"], "Eve");
    assert_eq!(names(), ["Ada Lovelace", "Eve", "Grace"]);
    assert_problem(&undo(&merged), 404);
    // The changes so far are in the audit log; those that were refused are not.
    let actions: Vec<&str> = server.audit.lock().unwrap().iter().map(|record| record.action).collect();
    assert_eq!(actions, ["person_renamed", "person_watched", "people_merged", "action_undone"]);
    let who = server.audit.lock().unwrap()[0].who.clone();
    assert_eq!(who, json!({ "via": "api", "authentication": "none", "address": "127.0.0.1" }));
    assert_eq!(merge(id("Eve"))["person"], get(to, &path(grace)).json());
    assert_eq!(get(to, &format!("{}/portrait", path(grace))).header("content-type"), Some("image/jpeg"));
    let photos = get(to, &format!("{}/photos", path(grace))).json();
    let photo = |at: usize| format!("/api/v1/photos/{}", photos[at]);
    assert_eq!(get(to, &photo(1)).status, 200);
    let removed = send(to, "DELETE", &photo(1), &[], b"").json();
    assert!(removed["erased"].as_bool().unwrap());
    assert_problem(&get(to, &photo(1)), 404);
    assert_problem(&send(to, "DELETE", &photo(1), &[], b""), 404);
    assert_problem(&send(to, "DELETE", &photo(0), &[], b""), 409);
    assert_eq!(undo(&removed).json()["photos"], 2);

    let removed = send(to, "DELETE", &path(ada), &[], b"").json();
    assert_eq!((names(), removed["photos"].as_u64()), (vec!["Grace".to_owned()], Some(1)));
    assert!(removed["erased"].as_bool().unwrap());
    let is_in_the_file = |text: &str| server.bytes().windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!is_in_the_file("Lovelace"), "the name is erased from the file");
    let back = undo(&removed);
    assert_eq!((back.json()["name"].as_str(), back.json()["watched"].as_bool()), (Some("Ada Lovelace"), Some(true)));
    assert_problem(&undo(&removed), 404);
    assert_problem(&send(to, "DELETE", &path(ada), &[], b""), 404);
}

#[test]
fn photos_are_analysed_on_request() {
    let server = TestServer::new(None);
    let to = server.address;
    let blank = codec::encode_jpeg(&Picture::filled(320, 240, [90; 3]), 90).unwrap();
    let seen = send(to, "POST", "/api/v1/analyze", &[], &blank);
    assert_eq!((seen.status, seen.json()), (200, json!({ "width": 320, "height": 240, "faces": [] })));
    assert_problem(&send(to, "POST", "/api/v1/analyze", &[], b"no picture"), 415);
    assert_problem(&send(to, "POST", "/api/v1/analyze?embeddings=perhaps", &[], &blank), 400);
    assert_problem(&send(to, "POST", "/api/v1/analyze", &[], &huge_png()), 413);
    let kind = ("Content-Type", "multipart/form-data; boundary=x");
    let part = |name: &str| {
        [format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(), &blank, b"\r\n"].concat()
    };
    let compare = |parts: &[&str]| {
        let form = [parts.iter().flat_map(|name| part(name)).collect(), b"--x--\r\n".to_vec()].concat();
        send(to, "POST", "/api/v1/compare", &[kind], &form)
    };
    assert_problem(&compare(&["a", "b"]), 422);
    assert_problem(&compare(&["a"]), 400);
    assert_problem(&send(to, "POST", "/api/v1/compare", &[kind], b"--x\r\n"), 400);
    assert_problem(&send(to, "POST", "/api/v1/compare", &[], &blank), 400);
}

#[test]
fn an_alarm_is_sent_listed_and_answered() {
    let server = TestServer::new(None);
    let to = server.address;
    let mut socket = socket(to, "/api/v1/live", None).unwrap();
    picture(&mut socket, false);
    let mut vector = vec![0.01; server.gallery.embedding().length];
    vector[0] = 0.9;
    // As the pipeline does it: recorded first, then reported.
    let raise = |number| {
        let (person, source, identified) = (Some(PersonId(1)), "door", Some(0.5));
        let alarm = NewAlarm { time: 7, source, person, identified, vector: &vector, crop: None };
        let id = server.gallery.record_alarm(&alarm).unwrap();
        let cause =
            Cause::Watched { person: PersonId(1), name: "Ada".into(), identified, likeness: 0.5, distance: 0.5 };
        let rect = Rect::new(1.0, 1.0, 9.0, 9.0);
        let alarm = Alarm { number, id, time: 7, frame: 3, track: 1, rect, cause, crop: None };
        server.inner().handle_event(0, &Event::Alarm(Arc::new(alarm)));
    };
    raise(1);
    let until = Instant::now() + TIMEOUT;
    let sent = loop {
        assert!(Instant::now() < until, "the alarm was not sent");
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["type"] == "alarm" {
            break message;
        }
    };
    assert_eq!(
        (sent["name"].as_str(), sent["person"].as_i64(), sent["track"].as_u64()),
        (Some("Ada"), Some(1), Some(1))
    );
    raise(2);
    let alarms = || get(to, "/api/v1/alarms").json();
    assert_eq!(alarms().as_array().unwrap().len(), 2);
    assert_eq!((&alarms()[1]["id"], &alarms()[1]["answer"]), (&sent["id"], &json!("open")));
    let answer = |id: &Value, answer: &str| {
        with_json(to, "PATCH", &format!("/api/v1/alarms/{id}"), &json!({ "answer": answer })).status
    };
    assert_eq!(answer(&sent["id"], "acknowledged"), 204);
    assert_eq!(answer(&alarms()[0]["id"], "denied"), 204);
    assert_eq!(
        (answer(&json!(99), "denied"), answer(&sent["id"], "open"), answer(&sent["id"], "maybe")),
        (404, 422, 422)
    );
    assert_eq!((&alarms()[1]["answer"], &alarms()[0]["answer"]), (&json!("acknowledged"), &json!("denied")));
    // The denied face is not taken for Ada again.
    let found = server.gallery.search(&vector, 9).unwrap();
    assert!(found.iter().all(|found| found.person != PersonId(1)));
}

#[test]
fn sightings_are_listed_grouped_named_and_deleted() {
    let server = TestServer::new(None);
    let to = server.address;
    let length = server.gallery.embedding().length;
    let record = |at: usize, camera: &str, person: Option<i64>, time: i64| {
        let mut vector = vec![0.01; length];
        vector[at] = 1.0;
        let sighting = NewSighting {
            camera,
            first_seen: time,
            last_seen: time + 5,
            person: person.map(PersonId),
            identified: person.map(|_| 0.9),
            age: Some(40.0),
            female: Some(0.2),
            smiling: None,
            quality: 1.0,
            vector: &vector,
            crop: Some(&[0xFF, 0xD8, 0xFF]),
        };
        server.gallery.record_sighting(&sighting).unwrap().unwrap().0
    };
    let ada = record(0, "door", Some(1), 100);
    let strangers = [record(7, "yard", None, 200), record(7, "door", None, 300)];
    let list = |query: &str| {
        let answer = get(to, &format!("/api/v1/sightings{query}"));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    };
    let ids = |page: &Value| -> Vec<i64> {
        page["sightings"].as_array().unwrap().iter().map(|sighting| sighting["id"].as_i64().unwrap()).collect()
    };
    let all = list("");
    assert_eq!(ids(&all), [strangers[1], strangers[0], ada]);
    assert_eq!((&all["recording"], &all["cameras"]), (&json!(false), &json!(["door", "yard"])));
    assert_eq!((&all["sightings"][2]["name"], &all["sightings"][2]["has_crop"]), (&json!("Ada"), &json!(true)));
    assert_eq!(ids(&list("?person=1")), [ada]);
    assert_eq!(ids(&list("?camera=door&from=200")), [strangers[1]]);
    assert_eq!(ids(&list(&format!("?limit=1&after={}", strangers[1]))), [strangers[0]]);
    assert_problem(&get(to, "/api/v1/sightings?from=yesterday"), 400);
    // Those of one unknown person are named at once, and found by each other.
    let groups = get(to, "/api/v1/sightings/groups?unnamed=true").json();
    assert_eq!((groups.as_array().unwrap().len(), ids(&groups[0])), (1, vec![strangers[1], strangers[0]]));
    let name = |sightings: &Value, name: &str| {
        with_json(to, "POST", "/api/v1/sightings/name", &json!({ "sightings": sightings, "name": name, "learn": true }))
    };
    assert_problem(&name(&json!([999]), "Lin"), 404);
    assert_problem(&name(&json!(strangers), " "), 422);
    let named = name(&json!(strangers), "Lin").json();
    assert_eq!(ids(&list(&format!("?person={}", named["person"]))), [strangers[1], strangers[0]]);
    let alike = get(to, &format!("/api/v1/sightings/{}/alike", strangers[0])).json();
    assert_eq!((&alike[0]["name"], &alike[1]["name"]), (&json!("Lin"), &json!("Lin")));
    assert_eq!((&alike[1]["same_person"], &alike[2]["same_person"]), (&json!(true), &json!(false)));
    // The picture, the file with everything, and what is not there.
    assert_eq!(get(to, &format!("/api/v1/sightings/{ada}/crop")).body, [0xFF, 0xD8, 0xFF]);
    let export = get(to, "/api/v1/people/1/export");
    assert_eq!(export.header("content-type"), Some("application/zip"));
    assert!(export.body.starts_with(b"PK"));
    assert_problem(&get(to, "/api/v1/people/999/export"), 404);
    assert_problem(&get(to, "/api/v1/sightings/999/crop"), 404);
    assert_problem(&get(to, "/api/v1/sightings/999/alike"), 404);
    assert_problem(&get(to, "/api/v1/faces/1/recognition"), 404);
    let delete = |id: i64| send(to, "DELETE", &format!("/api/v1/sightings/{id}"), &[], b"");
    assert_eq!(delete(strangers[0]).status, 204);
    assert_problem(&delete(strangers[0]), 404);
    // A person who is ignored, and the removal of a person.
    assert_eq!(with_json(to, "PATCH", "/api/v1/people/1", &json!({ "ignored": true })).json()["ignored"], true);
    assert!(server.gallery.is_ignored(PersonId(1)));
    assert_eq!(send(to, "DELETE", "/api/v1/people/1", &[], b"").status, 200);
    assert_eq!(ids(&list("")), [strangers[1]]);
}

#[test]
fn settings_and_networks_change_while_the_pipeline_runs() {
    let server = TestServer::new(None);
    let to = server.address;
    let set = with_json(to, "PATCH", "/api/v1/settings", &json!({ "score": 0.25, "mirror": true, "age_weight": 0.5 }));
    assert_eq!(set.status, 200, "{}", set.json());
    let settings = get(to, "/api/v1/settings").json();
    assert_eq!(
        (settings["score"].as_f64(), settings["mirror"].as_bool(), settings["age_weight"].as_f64()),
        (Some(0.25), Some(true), Some(0.5))
    );
    let set = with_json(to, "PATCH", "/api/v1/settings", &json!({ "score": null }));
    assert_eq!((&set.json()["score"], &set.json()["mirror"]), (&Value::Null, &json!(true)));
    let alarms = json!({ "alarm_confirm": 2, "alarm_rate": 0.01, "grows": true, "keep_days": 1.5 });
    let set = with_json(to, "PATCH", "/api/v1/settings", &json!({ "workers": 3, "gallery": alarms })).json();
    let expected = json!({ "alarm_confirm": 2, "alarm_cool_down": 60, "alarm_rate": 0.01, "alarm_unknown": false,
        "alarm_crops": false, "grows": true, "keep_days": 1.5 });
    assert_eq!((&set["workers"], &set["gallery"]), (&json!(3), &expected));
    assert_eq!(get(to, "/api/v1/status").json()["gallery"]["grows"], true);
    let set = with_json(to, "PATCH", "/api/v1/settings", &json!({ "gallery": { "grows": false } })).json();
    assert_eq!((&set["gallery"]["grows"], &set["gallery"]["keep_days"]), (&json!(false), &Value::Null));
    for (what, value) in [("alarm_confirm", json!(0)), ("alarm_rate", json!(0.9)), ("keep_days", json!(-1))] {
        assert_problem(&with_json(to, "PATCH", "/api/v1/settings", &json!({ "gallery": { what: value } })), 422);
    }
    assert_problem(&with_json(to, "PATCH", "/api/v1/settings", &json!({ "workers": 0 })), 422);
    let networks = get(to, "/api/v1/networks").json();
    let detector = networks.as_array().unwrap().iter().find(|network| network["name"] == DETECTOR).unwrap();
    assert!(detector["bytes"].as_u64().unwrap() > 10_000 && !detector["licence"].as_str().unwrap().is_empty());
    assert_eq!(with_json(to, "PUT", "/api/v1/tasks/age", &json!({ "network": "age_mobilenetv1" })).status, 202);
    server.steer(visavis_infer::Task::Age, None);
    assert_eq!(get(to, "/api/v1/status").json()["tasks"]["detection"]["network"], DETECTOR);
    assert_pictures_flow(to);
}

#[test]
fn the_openapi_document_is_served_and_complete() {
    let running = TestServer::new(None);
    let to = running.address;
    let document = get(to, "/api/v1/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    // A client puts a path right behind the address of the server.
    let server = resolved("/api/v1/openapi.json", document["servers"][0]["url"].as_str().unwrap());
    assert_eq!(get(to, &format!("{server}/people")).status, 200, "{server}");
    for path in ["/people", "/people/{id}", "/tasks/{task}", "/alarms/{id}", "/scene"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    // The document is valid only with names and descriptions.
    let requests = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let requests: Vec<&Value> = requests.collect();
    let names: std::collections::BTreeSet<&str> =
        requests.iter().map(|request| request["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), requests.len(), "every operation has its own name");
    let answers: Vec<&Value> =
        requests.iter().flat_map(|operation| operation["responses"].as_object().unwrap().values()).collect();
    assert!(answers.len() > 100);
    assert!(answers.iter().all(|answer| answer["description"].as_str().is_some_and(|words| !words.is_empty())));
    let viewer = get(to, "/api/v1/docs/");
    assert_eq!((viewer.status, viewer.header("content-type").map(|kind| kind.contains("html"))), (200, Some(true)));
    assert_eq!(serde_json::from_str::<Value>(&visavis_web::openapi_json()).unwrap(), document);
}
