//! Configuration files of `visavis live`, completions of shells and manual pages.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "../command_line/stage.rs"]
mod stage;
#[path = "../../../visavis-infer/tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use stage::{Stage, files};

const PROGRAM: &str = env!("CARGO_BIN_EXE_visavis");

#[test]
fn a_live_run_takes_all_its_settings_from_a_file() {
    let stage = Stage::new();
    stage.film("film.mp4", 10);
    let settings = "sources = ['film.mp4']\nmodels = ['models']\ndetector = 'bright'\nno-page = true\njsonl = '-'\n";
    stage.write("visavis.toml", settings.as_bytes());
    let seen = stage.succeeds(&["live", "--config", "visavis.toml"]);
    let seen: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!seen.is_empty() && seen.iter().any(|frame| !frame["faces"].as_array().unwrap().is_empty()), "{seen:?}");
    assert_eq!(stage.succeeds(&["config", "check", "visavis.toml"]).trim(), "visavis.toml: 5 settings, no errors");

    // A flag has priority over the file, as has a variable.
    let said = stage.fails(&["live", "--config", "visavis.toml", "missing.mp4"]);
    assert!(said.contains("missing.mp4"), "{said}");
    let output =
        stage.command(&["live", "--config", "visavis.toml"]).env("VISAVIS_MODELS", "nowhere").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"), "{output:?}");
    // The variable names the file.
    let output = stage.command(&["live"]).env("VISAVIS_CONFIG", "missing.toml").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.toml"), "{output:?}");
}

#[test]
fn errors_of_a_file_are_reported_with_their_lines_by_check_and_by_live() {
    let stage = Stage::new();
    stage.film("film.mp4", 2);
    stage.write("keys.toml", b"no-page = true\ngalery = 'x'\ngrow = 1\n");
    stage.write("values.toml", b"token = 'sh0rt'\n\nfalse-matches = 0.7\nremember-days = 3\n");
    let cases: [(&str, &[&str]); 2] = [
        ("keys.toml", &["keys.toml:2: ", "`gallery`", "keys.toml:3: ", "true or false", "2 errors"]),
        ("values.toml", &["values.toml:1: ", "16 or more", "values.toml:3: ", "0.5", "values.toml:4: ", "`remember`"]),
    ];
    for (file, told) in cases {
        for words in [&["config", "check", file][..], &["live", "film.mp4", "--config", file]] {
            let said = stage.fails(words);
            assert!(told.iter().all(|word| said.contains(word)) && !said.contains("sh0rt"), "{words:?}: {said}");
        }
    }
    assert!(stage.fails(&["config", "check", "missing.toml"]).contains("missing.toml"));
}

#[test]
fn files_and_folders_that_do_not_exist_are_warned_of() {
    let stage = Stage::new();
    stage.film("film.mp4", 2);
    stage.write(
        "visavis.toml",
        b"sources = ['film.mp4', 'yard=missing.mp4', 'virtual:photos', 'rtsp://127.0.0.1:9/', 'camera:0', '-']\n\
          models = ['models', 'networks']\ngallery = 'people.gallery'\nrecord = 'out/seen.mp4'\njsonl = '-'\n\
          tls-cert = 'certificate.pem'\ntls-key = 'film.mp4'\n",
    );
    let output = stage.run(&["config", "check", "visavis.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let settings = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(settings, "visavis.toml: 7 settings, no errors, 6 warnings", "{said}");
    let missing = [
        (1, "sources", "missing.mp4"),
        (1, "sources", "photos"),
        (2, "models", "networks"),
        (3, "gallery", "people.gallery"),
        (4, "record", "out"),
        (6, "tls-cert", "certificate.pem"),
    ];
    for (line, key, path) in missing {
        let begin = format!("warning: visavis.toml:{line}: `{key}`: ");
        assert!(said.lines().any(|told| told.starts_with(&begin) && told.contains(path)), "{begin}{path}: {said}");
    }
    // A gallery that the run makes needs only a folder, and a database is not opened.
    for (text, warnings) in [
        ("gallery = 'people.gallery'\nnew-gallery = true\n", ""),
        ("gallery = 'nowhere/people.gallery'\ngrow = true\n", ", 1 warning"),
        ("gallery = 'postgres://ada@db.invalid/faces'\nremember = true\n", ""),
    ] {
        stage.write("gallery.toml", text.as_bytes());
        let checked = stage.succeeds(&["config", "check", "gallery.toml"]);
        assert_eq!(checked.trim(), format!("gallery.toml: 2 settings, no errors{warnings}"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_with_a_secret_that_all_users_can_read_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    stage.write("visavis.toml", b"no-page = true\nsources = ['rtsp://ada:l0ve@127.0.0.1:9/']\n");
    for (mode, warned) in [(0o644, true), (0o640, false)] {
        std::fs::set_permissions(stage.path("visavis.toml"), std::fs::Permissions::from_mode(mode)).unwrap();
        let output = stage.run(&["config", "check", "visavis.toml"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("visavis.toml:2: all users can read `sources`"), warned, "{said}");
        assert!(!said.contains("l0ve"), "{said}");
    }
}

#[test]
fn the_example_completions_and_manual_pages_contain_the_flags() {
    let stage = Stage::new();
    let example = stage.succeeds(&["config", "example", "--set", "gallery=people.gallery"]);
    stage.write("example.toml", example.as_bytes());
    let checked = stage.succeeds(&["config", "check", "example.toml"]);
    assert_eq!(checked.trim(), "example.toml: 1 setting, no errors, 1 warning", "there is no gallery");
    assert!(stage.fails(&["config", "example", "--set", "galery=x"]).contains("`gallery`"));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(stage.succeeds(&["completions", shell]).contains("alarm-webhook"), "{shell}");
    }
    stage.succeeds(&["man", "--out", "man"]);
    let pages = files(&stage.path("man"));
    for page in ["visavis.1", "visavis-live.1", "visavis-gallery-build.1", "visavis-config-check.1"] {
        assert!(pages.iter().any(|name| name == page), "{pages:?}");
    }
    let page = String::from_utf8(stage.read("man/visavis-live.1")).unwrap();
    for part in ["VISAVIS_WEBHOOK_SECRET", "Secret that signs the posts", "Number of threads that each network uses"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn health_tells_whether_a_page_answers() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/cameras/door/", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let answer = |status: u16| {
            let (mut client, _) = listener.accept().unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
            let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            write!(client, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            request
        };
        [200, 404, 421].map(answer)
    });
    assert!(stage.succeeds(&["health", &address]).contains("answers"));
    assert!(stage.fails(&["health", &address]).contains("404"));
    assert!(stage.fails(&["health", &address]).contains("--allow-host"));
    for wrong in ["127.0.0.1:8080", "localhost:8080", "http://", "postgres://127.0.0.1/faces"] {
        let said = stage.fails(&["health", wrong]);
        assert!(said.contains("is not the address of a page") && said.contains("http://127.0.0.1:8080/"), "{said}");
    }
    for request in asked.join().unwrap() {
        assert!(request[0].starts_with("GET /cameras/door/healthz "), "{request:?}");
    }
    let said = stage.fails(&["health", &address, "--timeout", "2"]);
    assert!(said.contains("does not answer") && said.contains("check the address"), "{said}");
}
