//! The page's API, its WebSockets, and the configuration file.

mod server;

use visavis_image::{Picture, codec};

use crate::{Target, parts};
use server::ApiServer;

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "api", run: api, seeds: requests, most_bytes: 16 << 10, mutations: 300 },
    Target { name: "websocket", run: websocket, seeds: frames, most_bytes: 16 << 10, mutations: 100 },
    Target { name: "config", run: config, seeds: configurations, most_bytes: 8 << 10, mutations: 20 },
];

/// A request to the API: the name of the part is the method, the address and the content type; the part is the body.
fn api(bytes: &[u8]) {
    let parts = parts::split(bytes);
    let Some((head, body)) = parts.first() else { return };
    let mut words = head.split(' ');
    let method: String = words.next().unwrap_or_default().chars().filter(char::is_ascii_uppercase).take(16).collect();
    // What a client cannot send in an address is left out, so that the server and not the parser of HTTP decides.
    let sent = |c: &char| c.is_ascii_graphic();
    let address: String = words.next().unwrap_or_default().chars().filter(sent).collect();
    let kind: String = words.collect::<Vec<_>>().join(" ").chars().filter(|c| sent(c) || *c == ' ').collect();
    if method.is_empty() || method == "CONNECT" || !address.starts_with('/') {
        return;
    }
    ApiServer::with(|server| server.request(&method, &address, kind.trim(), body));
}

/// Frames of a WebSocket as a client sends them after the handshake; the first byte selects the camera of a browser or the page.
fn websocket(bytes: &[u8]) {
    let Some((which, frames)) = bytes.split_first() else { return };
    let path = if which % 2 == 0 { "/api/v1/camera" } else { "/api/v1/live" };
    ApiServer::with(|server| server.frames(path, frames));
}

/// A configuration file.
fn config(bytes: &[u8]) {
    let _ = visavis::fuzzing::config_problems(&String::from_utf8_lossy(bytes));
}

// Seeds.

fn jpeg() -> Vec<u8> {
    codec::encode_jpeg(&Picture::filled(24, 16, [90; 3]), 80).expect("a picture can be encoded")
}

fn requests() -> Vec<Vec<u8>> {
    let json: [(&str, &str); 32] = [
        ("GET /api/v1/status", ""),
        ("GET /api/v1/statistics", ""),
        ("GET /api/v1/people?name=a&watched=true&named=true&offset=0&limit=5", ""),
        ("GET /api/v1/people/1", ""),
        ("GET /api/v1/people/1/photos", ""),
        ("GET /api/v1/people/1/alike", ""),
        ("GET /api/v1/people/1/portrait", ""),
        ("GET /api/v1/people/1/export", ""),
        ("GET /api/v1/people/check", ""),
        ("PATCH /api/v1/people/1 application/json", r#"{"name": "Ada", "watched": true, "ignored": false}"#),
        ("DELETE /api/v1/people/2", ""),
        ("POST /api/v1/people/1/merge application/json", r#"{"into": 2}"#),
        ("POST /api/v1/people/undo application/json", r#"{"undo": 1}"#),
        ("POST /api/v1/people/from-face application/json", r#"{"track": 1, "name": "Ada"}"#),
        ("GET /api/v1/photos/1", ""),
        ("DELETE /api/v1/photos/2", ""),
        ("GET /api/v1/faces/1/crop?task=age", ""),
        ("GET /api/v1/faces/1/recognition", ""),
        ("PUT /api/v1/tasks/age application/json", r#"{"network": null}"#),
        ("PUT /api/v1/source application/json", r#"{"id": "offer:0"}"#),
        ("GET /api/v1/sources", ""),
        (
            "PATCH /api/v1/settings application/json",
            r#"{"mirror": true, "score": 0.5, "smallest_face": 20, "detector_size": [320, 256], "age_weight": 0.1,
            "resemblance_looks": 15, "workers": 2, "gallery": {"alarm_confirm": 3, "alarm_cool_down": 60, "alarm_rate": 0.01,
            "alarm_unknown": false, "alarm_crops": false, "grows": true, "keep_days": 30}}"#,
        ),
        (
            "GET /api/v1/sightings?from=1780000000&until=1790000099&camera=door&person=1&unnamed=false&after=1&limit=5",
            "",
        ),
        ("GET /api/v1/sightings/groups?limit=9", ""),
        ("GET /api/v1/sightings/1/alike", ""),
        ("POST /api/v1/sightings/name application/json", r#"{"sightings": [1, 2], "name": "Eve", "learn": true}"#),
        ("DELETE /api/v1/sightings/1", ""),
        ("GET /api/v1/alarms?before=9&limit=3", ""),
        ("PATCH /api/v1/alarms/1 application/json", r#"{"answer": "acknowledged"}"#),
        ("POST /api/v1/recording", ""),
        ("GET /metrics", ""),
        ("GET /", ""),
    ];
    let mut seeds: Vec<Vec<u8>> = json.map(|(head, body)| parts::join([(head, body.as_bytes())])).to_vec();
    let photo = jpeg();
    for head in [
        "POST /api/v1/analyze?embeddings=true image/jpeg",
        "POST /api/v1/people?name=Ada&accept_poor=true image/jpeg",
        "POST /api/v1/people/search?limit=3 image/jpeg",
        "POST /api/v1/sightings/search image/jpeg",
    ] {
        seeds.push(parts::join([(head, photo.as_slice())]));
    }
    let part = |name: &str| {
        let head = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}.jpg\"\r\n\r\n");
        [head.as_bytes(), &photo, b"\r\n"].concat()
    };
    let form = [part("a"), part("b"), b"--x--\r\n".to_vec()].concat();
    seeds.push(parts::join([("POST /api/v1/compare multipart/form-data; boundary=x", form.as_slice())]));
    seeds
}

/// A frame (RFC 6455, 5.2) with the mask 0.
fn frame(kind: u8, last: bool, contents: &[u8]) -> Vec<u8> {
    let mut frame = vec![if last { 0x80 | kind } else { kind }];
    match contents.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(contents);
    frame
}

fn frames() -> Vec<Vec<u8>> {
    let photo = jpeg();
    let (half, rest) = photo.split_at(photo.len() / 2);
    vec![
        [&[0][..], &frame(2, true, &photo), &frame(2, false, half), &frame(9, true, b"ping"), &frame(0, true, rest)]
            .concat(),
        [&[1][..], &frame(1, true, b"seen"), &frame(1, true, b"seen"), &frame(8, true, &[0x03, 0xE8, b'x'])].concat(),
    ]
}

fn configurations() -> Vec<Vec<u8>> {
    let texts = [
        "sources = ['door=rtsp://ada:x@10.0.0.7/s1', 'camera:0']\nlisten = '127.0.0.1:8080'\ngallery = 'people.gallery'\n\
         grow = true\ngrow-keep = 30\nfalse-matches = 0.01\nremember = true\nworkers = 3\nverbose = 2\n",
        "alarm-webhook = 'https://example.org/hook'\nalarm-secret = \"s\"\nalarm-confirm = 3\nalarm-cool-down = 60\nmirror = false\n\
         mqtt = 'mqtts://user:word@broker.local:8883/visavis'\nallow-host = ['faces.example']\nbase-path = '/faces'\n",
        "fps = 12.5\nsize = '640x480'\ndetector-size = '320x256'\nunknown = [1, {a = 1979-05-27}]\n[table]\nx = 0x10\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
