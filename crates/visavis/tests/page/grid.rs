//! Several cameras: the page with the pictures of all, and the page of each.

use serde_json::Value;

use crate::chromium::Browser;
use crate::program::{Program, folder};
use crate::{complaints, ready};

#[test]
fn several_cameras_are_shown_on_one_page() {
    let Some((chromium, photos)) = ready() else { return };
    let home = tempfile::tempdir().unwrap();
    let shown = |name: &str, file: &str| {
        format!("{name}=virtual:{}", folder(&home.path().join(name), &photos, &[(file, "1.jpg")]))
    };
    let (door, yard) = (shown("door", "obama.jpg"), shown("yard", "biden.jpg"));
    let program = Program::start(&[&door, &yard]);
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&program.address, 1280, 720);
    page.wait("document.querySelectorAll('.tile').length === 2");
    page.wait("[...document.querySelectorAll('.tile .caption')].every((tile) => tile.innerText.includes('1 face'))");
    page.wait("[...document.querySelectorAll('.tile .old')].every((mark) => mark.hidden)");
    assert_eq!(page.eval("document.querySelector('.tile b').innerText"), Value::from("door"));
    // Each camera has its own API.
    let names = "(async (number) => (await (await fetch(`cameras/${number}/api/v1/status`)).json()).source.name)";
    let named = page.eval(&format!("(async () => [await {names}(1), await {names}(2)])()"));
    assert!(named[0].as_str().unwrap().contains("door") && named[1].as_str().unwrap().contains("yard"), "{named}");
    // Its description leads to it: the address of the server is relative to that of the document.
    let described = "(async (number) => {
        const document = new URL(`cameras/${number}/api/v1/openapi.json`, location.href);
        const server = new URL((await (await fetch(document)).json()).servers[0].url, document);
        return (await (await fetch(`${server}/status`)).json()).source.name; })";
    assert_eq!(page.eval(&format!("(async () => [await {described}(1), await {described}(2)])()")), named);
    // Networks, workers and the settings of face detection are the same for all cameras.
    let change = "{ method: 'PATCH', headers: { 'Content-Type': 'application/json' }, \
        body: JSON.stringify({ smallest_face: 33, workers: 3 }) }";
    page.wait(&format!("(await fetch('cameras/1/api/v1/settings', {change})).ok"));
    let changed = "(now => now.smallest_face === 33 && now.workers === 3)";
    page.wait(&format!("{changed}(await (await fetch('cameras/2/api/v1/settings')).json())"));
    let switch = "{ method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{\"network\":null}' }";
    page.wait(&format!("(await fetch('cameras/1/api/v1/tasks/age', {switch})).ok"));
    page.wait("(await (await fetch('cameras/2/api/v1/status')).json()).tasks.age.network === null");
    // There is a notice about all cameras, and one about each.
    let notice = "(async (path) => { const answer = await fetch(path); return answer.ok && await answer.text(); })";
    let notices = page.eval(&format!("Promise.all(['notice', 'cameras/1/notice', 'cameras/2/notice'].map({notice}))"));
    for notice in notices.as_array().unwrap() {
        assert!(notice.as_str().unwrap().contains("<html lang=\"en\""), "{notice}");
    }
    // A click opens the page of a camera.
    page.click(".tile", "yard");
    page.wait("location.pathname === '/cameras/2/'");
    page.wait("document.title === 'yard · visavis' && document.querySelector('h1').textContent === 'yard'");
    page.wait("document.querySelector('#curtain')?.childElementCount === 0");
    page.wait("(await (await fetch('api/v1/scene')).json()).faces.length === 1");
    assert_eq!(complaints(&mut page), Vec::<String>::new());
}
