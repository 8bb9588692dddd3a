//! Sightings: recorded by the pipeline, listed and searched on the page, named, exported, deleted; and a crash.

use std::fs;

use serde_json::Value;

use crate::chromium::Browser;
use crate::program::{Program, folder, photos, said};
use crate::{complaints, gallery, ready};

const LIST: &str = "(await (await fetch('/api/v1/sightings?limit=200')).json()).sightings";

#[test]
fn who_was_seen_is_listed_searched_named_exported_and_deleted() {
    let Some((chromium, photos)) = ready() else { return };
    let home = tempfile::tempdir().unwrap();
    let gallery = gallery(home.path(), &photos);
    let played = folder(&home.path().join("played"), &photos, &[("obama.jpg", "1.jpg"), ("biden.jpg", "2.jpg")]);
    let source = format!("virtual:{played}");
    let program = Program::start(&[&source, "--gallery", &gallery, "--remember", "--remember-gap", "600"]);
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&program.address, 1280, 720);
    page.click("[role=tab]", "Sightings");
    // The film shows two people. The gallery contains one of them.
    page.wait("document.querySelectorAll('.sighting').length >= 2");
    page.wait("document.querySelector('.timeline').innerText.includes('Joe Biden')");
    page.wait("document.querySelector('.timeline').innerText.includes('Unknown person')");
    page.wait("[...document.querySelectorAll('.sighting img')].every((img) => img.complete && img.naturalWidth > 0)");
    page.eval("document.querySelector('.pane input[type=checkbox]').click()");
    page.wait("!document.querySelector('.timeline').innerText.includes('Joe Biden')");
    // All unknown ones are one person, who is named.
    page.wait("document.querySelectorAll('.sighting').length === 1");
    page.click(".sighting button.main", "Who is this?");
    page.wait("document.activeElement.closest('dialog')");
    page.type_text("Barack Obama");
    page.click("dialog button.main", "Save");
    page.wait(&format!("{LIST}.some((s) => s.name === 'Barack Obama')"));
    page.wait(
        "(await (await fetch('/api/v1/people')).json()).people.some((p) => p.name === 'Barack Obama' && p.photos >= 1)",
    );
    // Another photo of him finds his sightings.
    let found = post(&program, "sightings/search", &fs::read(photos.join("obama2.jpg")).unwrap());
    assert_eq!(
        (&found[0]["name"], &found[0]["same_person"]),
        (&Value::from("Barack Obama"), &Value::Bool(true)),
        "{found}"
    );
    let found = post(&program, "sightings/search", &fs::read(photos.join("collins.png")).unwrap());
    assert!(found.as_array().unwrap().iter().all(|found| found["same_person"] == false), "{found}");
    // The page shows those of one face.
    page.eval("document.querySelector('.pane input[type=checkbox]').click()");
    page.wait("document.querySelector('.timeline').innerText.includes('Barack Obama')");
    page.eval("[...document.querySelectorAll('.sighting')].find((e) => e.innerText.includes('Barack Obama')).querySelector('.look').click()");
    page.wait("document.querySelector('.pane h3')?.textContent.includes('Barack Obama')");
    page.wait("document.querySelectorAll('.sighting').length >= 1");
    page.click(".pane button", "All sightings");
    page.wait("document.querySelector('.timeline')");
    // Everything about a person, as a file; and their removal.
    let number = page.eval(&format!("(async () => {LIST}.find((s) => s.name === 'Barack Obama').person)()"));
    let zip = ureq::get(&format!("{}api/v1/people/{number}/export", program.address)).call().unwrap();
    assert_eq!(zip.headers()["content-type"], "application/zip");
    let zip = zip.into_body().read_to_vec().unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let data: Value = serde_json::from_reader(zip.by_name("data.json").unwrap()).unwrap();
    assert_eq!(data["name"], "Barack Obama");
    let picture = data["sightings"][0]["picture"].as_str().unwrap();
    assert!(zip.by_name(picture).unwrap().size() > 500);
    page.click("[role=tab]", "Gallery");
    page.click(".person", "Barack Obama");
    page.click(".actions button", "Sightings");
    page.wait("document.querySelector('.pane h3')?.textContent === 'Sightings of Barack Obama'");
    page.click("[role=tab]", "Gallery");
    page.click(".person", "Barack Obama");
    page.click("button.danger", "Remove");
    page.wait(&format!("{LIST}.every((s) => s.name !== 'Barack Obama')"));
    // A face that leaves while its name is typed is added from the picture in which it was clicked.
    page.click("[role=tab]", "Face");
    page.click(".enrol button", "Add to the gallery");
    page.wait("document.activeElement.closest('dialog')");
    let track = page.eval("document.querySelector('.facts dd').textContent.slice(1)");
    page.eval("document.activeElement.value = ''");
    page.type_text("Late");
    page.wait(&format!(
        "(await (await fetch('/api/v1/scene')).json()).faces.every((f) => f.track !== {})",
        track.as_str().unwrap()
    ));
    page.click("dialog button.main", "Add");
    page.wait("(await (await fetch('/api/v1/people')).json()).people.some((p) => p.name === 'Late')");
    // So is a face that has left when the button is clicked, but is still shown.
    page.eval("document.querySelector('#notices').replaceChildren()");
    page.eval(
        "(async () => { \
           const shown = () => document.querySelector('.facts dd')?.textContent; \
           for (;;) { \
             const scene = await (await fetch('/api/v1/scene')).json(); \
             if (shown() && scene.faces.every((f) => `#${f.track}` !== shown())) break; \
             await new Promise((resolve) => setTimeout(resolve, 20)); \
           } \
           document.querySelector('.enrol button').click() })()",
    );
    page.wait("document.activeElement.closest('dialog')");
    page.eval("document.activeElement.value = ''");
    page.type_text("Later");
    page.click("dialog button.main", "Add");
    assert_eq!(page.wait("document.querySelector('.notice')?.textContent"), "Later was added to the gallery");
    let gone = complaints(&mut page);
    // A list that was being drawn may still ask for a picture that is gone.
    let gone: Vec<_> =
        gone.into_iter().filter(|c| !(c.contains("404") && (c.contains("/crop") || c.contains("/portrait")))).collect();
    assert_eq!(gone, Vec::<String>::new());
}

fn post(program: &Program, path: &str, body: &[u8]) -> Value {
    let answer = ureq::post(&format!("{}api/v1/{path}", program.address)).send(body).unwrap();
    serde_json::from_reader(answer.into_body().into_reader()).unwrap()
}

#[test]
fn a_kill_loses_no_sighting_that_was_reported() {
    let photos = match photos() {
        Ok(photos) => photos,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let home = tempfile::tempdir().unwrap();
    let played = folder(&home.path().join("played"), &photos, &[("obama.jpg", "1.jpg"), ("biden.jpg", "2.jpg")]);
    let (file, log) = (home.path().join("seen.gallery"), home.path().join("seen.jsonl"));
    let (path, log_path) = (file.display().to_string(), log.display().to_string());
    // With so short an absence, every photo of the film begins a visit.
    let words = ["--gallery", &path, "--remember", "--remember-gap", "0.5", "--sighting-log", &log_path, "--no-page"];
    let source = format!("virtual:{played}");
    let program = Program::silent(&[&[source.as_str()][..], &words].concat());
    let lines = || fs::read_to_string(&log).unwrap_or_default();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while lines().matches("\"appeared\"").count() < 3 {
        assert!(std::time::Instant::now() < until, "too few sightings: {}", lines());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    program.kill();
    let reported: Vec<Value> = lines().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(reported.len() >= 3);
    let stored: Value = serde_json::from_str(&said(&["gallery", "sightings", &path, "--json"]).unwrap()).unwrap();
    for event in reported {
        let entry = stored.as_array().unwrap().iter().find(|entry| entry["sighting"] == event["sighting"]);
        let entry = entry.unwrap_or_else(|| panic!("reported and not there: {event}"));
        assert_eq!((&entry["camera"], &entry["first_seen"]), (&event["camera"], &event["first_seen"]));
    }
}
