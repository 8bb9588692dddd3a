//! `visavis serve`: photos analysed and compared for other programs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Program, photos};

/// A form with files in its parts, as `curl -F` sends it: its content type and its bytes.
fn form(parts: &[(&str, &Path)]) -> (String, Vec<u8>) {
    let boundary = "-----part";
    let mut body = Vec::new();
    for (name, file) in parts {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(fs::read(file).unwrap());
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// Posts a body; the status and the JSON of the answer.
fn post(link: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let answer = agent.post(link).header("Content-Type", kind).send(body).unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_reader(answer.into_body().into_reader()).unwrap())
}

#[test]
fn photos_are_analysed_and_compared_without_a_camera() {
    let photos = match photos() {
        Ok(photos) => photos,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let program = Program::launch("serve", &[]);
    let link = |path: &str| format!("{}api/v1/{path}", program.address);
    let bytes = "application/octet-stream";

    let (status, seen) = post(&link("analyze"), bytes, &fs::read(photos.join("obama.jpg")).unwrap());
    let face = &seen["faces"][0];
    assert_eq!((status, seen["faces"].as_array().unwrap().len()), (200, 1), "{seen}");
    assert!(face["age"].as_f64().is_some_and(|age| (30.0..80.0).contains(&age)), "{seen}");
    assert!(face["female"].as_f64().is_some_and(|female| female < 0.5) && face["embedding"].is_null(), "{seen}");
    let (_, seen) = post(&link("analyze?embeddings=true"), bytes, &fs::read(photos.join("biden.jpg")).unwrap());
    assert!(seen["network"].is_string() && seen["faces"][0]["embedding"].as_array().unwrap().len() > 100, "{seen}");

    let compare = |a: &str, b: &str| {
        let (kind, body) = form(&[("a", &photos.join(a)), ("b", &photos.join(b))]);
        let (status, found) = post(&link("compare"), &kind, &body);
        assert_eq!(status, 200, "{found}");
        found
    };
    let (same, other) = (compare("obama.jpg", "obama2.jpg"), compare("obama.jpg", "biden.jpg"));
    assert_eq!((&same["same_person"], &other["same_person"]), (&Value::Bool(true), &Value::Bool(false)));
    assert!(same["distance"].as_f64() < other["distance"].as_f64(), "{same} {other}");
    assert!(same["false_match_rate"].as_f64() < other["false_match_rate"].as_f64(), "{same} {other}");

    // Faults of the caller are answered with what is wrong.
    let (kind, body) = form(&[("a", &photos.join("obama.jpg"))]);
    assert_eq!(post(&link("compare"), &kind, &body).0, 400);
    assert_eq!(post(&link("compare"), "multipart/form-data", &body).0, 400);
    assert_eq!(post(&link("analyze"), bytes, b"no photo").0, 415);
    assert_eq!(post(&link("people?name=Ada"), bytes, b"no photo").0, 409, "there is no gallery");
}
