//! The API over real sockets: what it does, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

mod house;
mod http;

use std::net::SocketAddr;
use std::sync::Arc;

use house::{DETECTOR, House};
use http::{Answer, get, send, socket, with_json};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};
use visavis_face::gallery::PersonId;
use visavis_image::Rect;
use visavis_live::{Alarm, Cause, Event};

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status);
    assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
}

/// The next picture with its scene, answered or not.
fn picture<S: std::io::Read + std::io::Write>(socket: &mut WebSocket<S>, answer: bool) -> (Value, Vec<u8>) {
    loop {
        let Message::Binary(bytes) = socket.read().unwrap() else { continue };
        let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        if answer {
            socket.send(Message::text("seen")).unwrap();
        }
        return (serde_json::from_slice(&bytes[4..4 + length]).unwrap(), bytes[4 + length..].to_vec());
    }
}

fn assert_pictures_flow(address: SocketAddr) {
    let mut socket = socket(address, "/api/v1/live", None).unwrap();
    let (first, jpeg) = picture(&mut socket, true);
    assert!(jpeg.starts_with(&[0xFF, 0xD8, 0xFF]));
    assert_eq!((first["width"].as_u64(), first["height"].as_u64()), (Some(1280), Some(720)));
    assert!(picture(&mut socket, true).0["seq"].as_u64() > first["seq"].as_u64());
}

#[test]
fn whatever_is_wrong_is_refused_and_the_picture_goes_on() {
    let house = House::new(None);
    let to = house.address;
    // Names that somebody made point here, and pages of others.
    for host in ["evil.example", "evil.example:80", ""] {
        assert_problem(&send(to, "GET", "/", &[("Host", host)], b""), 421);
    }
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        assert_problem(&send(to, "GET", "/api/v1/status", &[("Origin", origin)], b""), 403);
        let refused = socket(to, "/api/v1/live", Some(origin)).err().unwrap();
        assert!(refused.contains("403"), "{refused}");
    }
    let ours = format!("http://{to}");
    assert_eq!(send(to, "GET", "/api/v1/status", &[("Origin", &ours)], b"").status, 200);
    // Paths of the machine, methods that are none.
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
    // Bodies that are too large or make no sense.
    assert_problem(&send(to, "POST", "/api/v1/people?name=x", &[("Content-Length", "209715200")], &[7; 4096]), 413);
    assert_problem(&send(to, "POST", "/api/v1/people?name=x", &[], &huge_png()), 413);
    assert_problem(&send(to, "POST", "/api/v1/people?name=x", &[], b"no picture"), 415);
    assert_problem(&send(to, "POST", "/api/v1/people", &[], b""), 400);
    let typed = [("Content-Type", "application/json")];
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
    // Frames that are none, and more than a client may say.
    let mut wild = socket(to, "/api/v1/live", None).unwrap();
    std::io::Write::write_all(wild.get_mut(), &[0xFF; 64]).unwrap();
    let mut long = socket(to, "/api/v1/live", None).unwrap();
    long.send(Message::text("x".repeat(100_000))).unwrap();
    let mut camera = socket(to, "/api/v1/camera", None).unwrap();
    camera.send(Message::binary(b"no picture".to_vec())).unwrap();
    drop(camera);
    assert_pictures_flow(to);
}

/// A PNG whose header promises 60,000 × 60,000 pixels.
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
    let house = House::new(None);
    let page = get(house.address, "/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("frame-ancestors 'none'")
            && !policy.contains("unsafe")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(get(house.address, "/js/main.js").header("content-type"), Some("text/javascript; charset=utf-8"));
}

#[test]
fn a_token_is_asked_for_and_given_by_the_link() {
    let token = "0123456789abcdef0123";
    let house = House::new(Some(token));
    let to = house.address;
    assert!(house.link.ends_with(&format!("/?token={token}")));
    assert_problem(&get(to, "/"), 401);
    assert_problem(&get(to, "/api/v1/status"), 401);
    assert_problem(&get(to, &format!("/api/v1/status?token={token}")), 401);
    assert_problem(&get(to, "/?token=0123456789abcdef0124"), 401);
    assert!(socket(to, "/api/v1/live", None).is_err());
    let bearer =
        |token: &str| send(to, "GET", "/api/v1/status", &[("Authorization", &format!("Bearer {token}"))], b"").status;
    assert_eq!((bearer(token), bearer("0123456789abcdef0124"), bearer("")), (200, 401, 401));
    let admitted = get(to, &format!("/?token={token}"));
    assert_eq!((admitted.status, admitted.header("location")), (303, Some("/")));
    let cookie = admitted.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(send(to, "GET", "/", &[("Cookie", cookie)], b"").status, 200);
}

#[test]
fn a_client_that_stops_reading_slows_nobody() {
    let house = House::new(None);
    let mut stalled = socket(house.address, "/api/v1/live", None).unwrap();
    let mut other = socket(house.address, "/api/v1/live", None).unwrap();
    let first = picture(&mut other, true).0["seq"].as_u64().unwrap();
    let mut last = first;
    for _ in 0..10 {
        last = picture(&mut other, true).0["seq"].as_u64().unwrap();
    }
    assert!(last >= first + 10);
    // It was sent two pictures and no more; once it answers, it gets the newest.
    let stale =
        [picture(&mut stalled, false), picture(&mut stalled, false)].map(|(scene, _)| scene["seq"].as_u64().unwrap());
    stalled.send(Message::text("seen")).unwrap();
    let fresh = picture(&mut stalled, false).0["seq"].as_u64().unwrap();
    assert!(fresh >= last && fresh > stale[1] + 1, "{stale:?}, then {fresh}; the other was at {last}");
}

#[test]
fn people_are_renamed_watched_joined_removed_and_put_back() {
    let house = House::new(None);
    let to = house.address;
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
    assert_eq!(names_of(&alike), ["Ada Lovelace", "Grace"], "and not Eve");
    assert_problem(&get(to, "/api/v1/people/99/alike"), 404);
    let undo = |done: &Value| with_json(to, "POST", "/api/v1/people/undo", &json!({ "undo": done["undo"] }));
    let join = |id: i64| with_json(to, "POST", &format!("{}/merge", path(id)), &json!({ "into": grace })).json();
    let joined = join(eve);
    assert_eq!(joined["person"]["photos"], 2);
    assert_eq!(names(), ["Ada Lovelace", "Grace"]);
    // They were two after all; and then they were not.
    assert_eq!(undo(&joined).json()["name"], "Eve");
    assert_eq!(names(), ["Ada Lovelace", "Eve", "Grace"]);
    assert_problem(&undo(&joined), 404);
    assert_eq!(join(id("Eve"))["person"], get(to, &path(grace)).json());
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
    let is_in_the_file = |text: &str| house.bytes().windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!is_in_the_file("Lovelace"), "it is gone from the pages of the file");
    let back = undo(&removed);
    assert_eq!((back.json()["name"].as_str(), back.json()["watched"].as_bool()), (Some("Ada Lovelace"), Some(true)));
    assert_problem(&undo(&removed), 404);
    assert_problem(&send(to, "DELETE", &path(ada), &[], b""), 404);
}

#[test]
fn an_alarm_is_told_kept_and_answered() {
    let house = House::new(None);
    let to = house.address;
    let mut socket = socket(to, "/api/v1/live", None).unwrap();
    picture(&mut socket, false);
    let ring = |number, person| {
        let cause = Cause::Watched { person: PersonId(person), name: "Ada".into(), similarity: 0.5, distance: 0.5 };
        let mut vector = vec![0.01; house.gallery.embedding().length];
        vector[0] = 0.9;
        let rect = Rect::new(1.0, 1.0, 9.0, 9.0);
        Event::Alarm(Arc::new(Alarm { number, time: 7, frame: 3, track: 1, rect, cause, crop: None, vector }))
    };
    house.server().tell(&ring(1, 1));
    let told = loop {
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["type"] == "alarm" {
            break message;
        }
    };
    assert_eq!(
        (told["name"].as_str(), told["person"].as_i64(), told["track"].as_u64()),
        (Some("Ada"), Some(1), Some(1))
    );
    house.server().tell(&ring(2, 1));
    let alarms = || get(to, "/api/v1/alarms").json();
    assert_eq!(alarms().as_array().unwrap().len(), 2);
    assert_eq!((&alarms()[1]["id"], &alarms()[1]["answer"]), (&told["id"], &json!("open")));
    let answer = |id: &Value, answer: &str| {
        with_json(to, "PATCH", &format!("/api/v1/alarms/{id}"), &json!({ "answer": answer })).status
    };
    assert_eq!(answer(&told["id"], "acknowledged"), 204);
    assert_eq!(answer(&alarms()[0]["id"], "denied"), 204);
    assert_eq!(
        (answer(&json!(99), "denied"), answer(&told["id"], "open"), answer(&told["id"], "maybe")),
        (404, 422, 422)
    );
    assert_eq!((&alarms()[1]["answer"], &alarms()[0]["answer"]), (&json!("acknowledged"), &json!("denied")));
    // That face is not taken for her again.
    let mut query = vec![0.01; house.gallery.embedding().length];
    query[0] = 0.9;
    assert!(house.gallery.search(&query, 9).unwrap().iter().all(|found| found.person != PersonId(1)));
    assert_eq!(house.gallery.alarms(None, 9).unwrap().len(), 2);
}

#[test]
fn settings_and_networks_change_while_it_plays() {
    let house = House::new(None);
    let to = house.address;
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
    house.steer(visavis_infer::Task::Age, None);
    assert_eq!(get(to, "/api/v1/status").json()["tasks"]["detection"]["network"], DETECTOR);
    assert_pictures_flow(to);
}

#[test]
fn the_description_is_served_and_leads_everywhere() {
    let house = House::new(None);
    let document = get(house.address, "/api/v1/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in
        ["/api/v1/people", "/api/v1/people/{id}", "/api/v1/tasks/{task}", "/api/v1/alarms/{id}", "/api/v1/scene"]
    {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    // Without names and descriptions it is no valid document.
    let requests = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let requests: Vec<&Value> = requests.collect();
    let names: std::collections::BTreeSet<&str> =
        requests.iter().map(|request| request["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), requests.len(), "each is called by a name of its own");
    let answers: Vec<&Value> =
        requests.iter().flat_map(|operation| operation["responses"].as_object().unwrap().values()).collect();
    assert!(answers.len() > 100);
    assert!(answers.iter().all(|answer| answer["description"].as_str().is_some_and(|words| !words.is_empty())));
    let viewer = get(house.address, "/api/v1/docs/");
    assert_eq!((viewer.status, viewer.header("content-type").map(|kind| kind.contains("html"))), (200, Some(true)));
    assert_eq!(serde_json::from_str::<Value>(&visavis_web::openapi_json()).unwrap(), document);
}
