//! Tests the page in a real browser, with the real program and the demo's photos. If Chromium or the photos are not
//! available, the tests are skipped with a message.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]
#![allow(clippy::print_stderr, reason = "a skipped test prints why")]

mod chromium;
mod clients;
mod grid;
mod keyboard;
mod killed;
mod layout;
mod program;
mod reached;
mod screenshots;
mod service;
mod sightings;

use std::fs;
use std::path::{Path, PathBuf};

use chromium::{Browser, Page};
use program::{Program, folder, photos, run};
use visavis_image::codec;

/// Chromium and the photos; `None` with a message if they are not available.
fn ready() -> Option<(PathBuf, PathBuf)> {
    match chromium::find().and_then(|browser| Ok((browser, photos()?))) {
        Ok(ready) => Some(ready),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

/// A gallery of the two people who are not in the played photos.
fn gallery(at: &Path, photos: &Path) -> String {
    let people =
        folder(&at.join("people"), photos, &[("biden.jpg", "Joe_Biden.jpg"), ("collins.png", "Eileen_Collins.png")]);
    let file = at.join("people.gallery").display().to_string();
    run(&["gallery", "build", &people, "--out", &file]).unwrap();
    file
}

/// All errors in the page. Waits a moment for those that are under way.
fn complaints(page: &mut Page) -> Vec<String> {
    page.eval("new Promise((done) => setTimeout(done, 300))");
    // A face may leave the picture while the page requests or enrols it, and one picture of an enrolled face is enough. The
    // browser reports each request that fails for these reasons.
    let refused = |complaint: &String| {
        let left = complaint.contains("404 (Not Found)");
        let enrolment = complaint.contains("/people/from-face");
        (left && complaint.contains("/api/v1/faces/")) || (enrolment && (left || complaint.contains("409 (Conflict)")))
    };
    page.complaints.drain(..).filter(|complaint| !refused(complaint)).collect()
}

/// The errors without failed requests for photos of removed people: the last scene may still name a person who was just
/// removed.
fn complaints_of_who_is_there(page: &mut Page) -> Vec<String> {
    let people = page.eval("(async () => (await (await fetch('/api/v1/people')).json()).people.map((p) => p.id))()");
    let portraits: Vec<String> =
        people.as_array().unwrap().iter().map(|person| format!("/people/{person}/portrait\"")).collect();
    let mut complaints = complaints(page);
    complaints.retain(|complaint| {
        let in_vain = complaint.contains("404 (Not Found)") && complaint.contains("/portrait\"");
        !in_vain || portraits.iter().any(|portrait| complaint.contains(portrait))
    });
    complaints
}

const SCENE: &str = "await (await fetch('/api/v1/scene')).json()";

#[test]
fn a_day_at_the_page() {
    let Some((chromium, photos)) = ready() else { return };
    let home = tempfile::tempdir().unwrap();
    let gallery = gallery(home.path(), &photos);
    let played = folder(&home.path().join("played"), &photos, &[("obama.jpg", "1.jpg"), ("obama2.jpg", "2.jpg")]);
    let source = format!("virtual:{played}");
    let words = [source.as_str(), "--gallery", gallery.as_str(), "--alarm-confirm", "2", "--alarm-rate", "0.05"];
    let program = Program::start(&words);
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&program.address, 1280, 720);

    // The picture moves.
    page.wait("document.querySelector('#curtain').childElementCount === 0");
    let pixels = "(() => { const c = document.querySelector('#picture'); \
         return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.reduce((a, v) => (a * 31 + v) % 1000003, 7) })()";
    let first = page.eval(pixels);
    page.wait(&format!("({pixels}) !== {first}"));

    // All four kinds of results appear over the face.
    page.wait(&format!(
        "({SCENE}).faces.some((f) => f.age !== undefined && f.female !== undefined && f.smile !== undefined && f.resembles)"
    ));
    let heard = page.wait("document.querySelector('#heard').textContent");
    for word in ["man", "years", "looks like"] {
        assert!(heard.as_str().unwrap().contains(word), "{heard}");
    }
    assert!(page.wait(OVER_THE_FACE).as_f64().unwrap() > 0.0);

    // A network is switched during playback.
    page.click("[role=tab]", "Networks");
    page.click(".task summary", "Age");
    page.click("[data-choice='age age_mobilenetv1']", "age_mobilenetv1");
    page.wait("(await (await fetch('/api/v1/status')).json()).tasks.age.network === 'age_mobilenetv1'");
    page.wait(
        "document.querySelector(\"[data-choice='age age_mobilenetv1']\").getAttribute('aria-checked') === 'true'",
    );
    page.wait(&format!("({SCENE}).faces.some((f) => f.age !== undefined)"));

    // The face as input of the network.
    page.click("[role=tab]", "Face");
    page.wait("document.querySelector('.head canvas')?.title.includes('similarity network')");

    // A face is enrolled from the picture and recognised by name.
    let place = page.wait(&format!("await {PLACE_OF_THE_FACE}"));
    page.click_at(place["x"].as_f64().unwrap(), place["y"].as_f64().unwrap());
    page.click(".enrol button", "Add to the gallery");
    page.wait("document.activeElement.closest('dialog')");
    page.eval("document.activeElement.value = ''");
    page.type_text("Barack Obama");
    page.eval("document.querySelector('#notices').replaceChildren()");
    page.click("dialog button.main", "Add");
    let notice = page.wait("document.querySelector('.notice')?.textContent");
    assert_eq!(notice, "Barack Obama was added to the gallery");
    page.wait(&format!("({SCENE}).faces.some((f) => f.resembles?.name === 'Barack Obama' && f.resembles.same_person)"));
    page.wait("document.querySelector('#heard').textContent.includes('identified as Barack Obama')");

    // A watched person raises one alarm, which is acknowledged.
    page.click("[role=tab]", "Gallery");
    page.click(".person", "Barack Obama");
    page.click(".toggle", "Watch");
    page.wait("document.querySelectorAll('.alarm').length === 1");
    page.wait("/is in view|was seen at/.test(document.querySelector('.alarm small').textContent)");
    page.wait("document.querySelector('#tabs').scrollWidth <= document.querySelector('#tabs').clientWidth");
    page.click("[role=tab]", "Alarms");
    page.click(".alarm button", "Acknowledge");
    page.wait("document.querySelectorAll('.alarm').length === 0");
    page.wait("document.querySelector('.log').textContent.includes('acknowledged')");
    let alarms = page.eval("(async () => (await (await fetch('/api/v1/alarms')).json()).map((a) => a.answer))()");
    assert_eq!(alarms, serde_json::json!(["acknowledged"]), "one alarm was raised");

    // The person is removed, restored, removed again, and stays removed after a restart, even if the program was killed.
    for undone in [true, false] {
        page.click("[role=tab]", "Gallery");
        page.click(".person", "Barack Obama");
        page.click("button.danger", "Remove");
        page.wait("![...document.querySelectorAll('.person')].some((e) => e.textContent.includes('Obama'))");
        if undone {
            page.click(".notice button", "Undo");
        }
    }
    // No pane shows a word such as "undefined".
    for tab in ["Networks", "Gallery", "Alarms", "Face", "Insight", "Settings", "Gallery"] {
        page.click("[role=tab]", tab);
        page.wait("document.querySelector('.pane').textContent.length > 20");
        page.wait(WORDS);
    }
    page.click(".person", "Eileen Collins");
    page.wait("document.querySelector('.actions')");
    page.wait(WORDS);
    assert_eq!(complaints_of_who_is_there(&mut page), Vec::<String>::new());
    program.kill();
    let program = Program::start(&words);
    let mut page = browser.open(&program.address, 1280, 720);
    page.click("[role=tab]", "Gallery");
    page.wait("document.querySelectorAll('.person').length === 2");
    assert!(!page.eval("document.querySelector('.people').textContent").to_string().contains("Obama"));
    let alarms = page.eval("(async () => (await (await fetch('/api/v1/alarms')).json()).length)()");
    assert_eq!(alarms, 0, "alarms are removed with their person");
    assert_eq!(complaints(&mut page), Vec::<String>::new());
}

#[test]
fn the_camera_of_the_browser_becomes_the_source() {
    let Some((chromium, photos)) = ready() else { return };
    let home = tempfile::tempdir().unwrap();
    // The fake camera repeats a photo as JPEG.
    let photo = codec::decode(&fs::read(photos.join("obama.jpg")).unwrap(), codec::MAX_PIXELS).unwrap();
    let mut small = visavis_image::Picture::new(640, 480);
    let scale = photo.width() as f32 / 640.0;
    visavis_image::warp_into(&photo, &visavis_image::Similarity::scale_then_shift(scale, 0.0, 0.0), &mut small);
    let film = home.path().join("camera.mjpeg");
    fs::write(&film, codec::encode_jpeg(&small, 90).unwrap().repeat(3)).unwrap();
    let still = folder(&home.path().join("still"), &photos, &[("collins.png", "1.png")]);
    let program = Program::start(&[&format!("virtual:{still}")]);
    let browser = Browser::start(&chromium, Some(&film));
    let mut page = browser.open(&program.address, 1280, 720);
    page.wait("document.querySelector('#curtain').childElementCount === 0");
    page.wait(OPEN_MENU);
    page.click(".menu button", "this browser's camera");
    page.wait(&format!(
        "(s => s.width === 640 && s.height === 480 && s.faces.some((f) => f.age !== undefined))({SCENE})"
    ));
    page.wait("document.querySelector('#source').textContent.includes('camera of a browser')");
    // It stops, and the first source continues.
    page.wait(OPEN_MENU);
    page.click(".menu button", "Stop this browser's camera");
    page.wait(&format!("({SCENE}).width === 1280"));
    assert_eq!(complaints(&mut page), Vec::<String>::new());
}

/// Opens the menu of sources if it is closed: it closes when the window is resized.
const OPEN_MENU: &str =
    "document.querySelector('.menu') !== null || (document.querySelector('#source').click(), false)";

/// Whether the panel contains no word that results from a programming error.
const WORDS: &str = r"!/\b(false|true|null|undefined|NaN)\b/.test(document.querySelector('.pane').innerText)";

/// Number of pixels that are drawn over the picture.
const OVER_THE_FACE: &str = "(() => { const c = document.querySelector('#overlay'); \
    return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v > 0).length })()";

/// The position of the centre of the first face on the page.
const PLACE_OF_THE_FACE: &str = "(async () => { const s = await (await fetch('/api/v1/scene')).json(); \
    const b = document.querySelector('#frame').getBoundingClientRect(); \
    const scale = Math.min(b.width / s.width, b.height / s.height); const [x, y, w, h] = s.faces[0].box; \
    return { x: b.left + (b.width - s.width * scale) / 2 + (x + w / 2) * scale, \
             y: b.top + (b.height - s.height * scale) / 2 + (y + h / 2) * scale } })()";
