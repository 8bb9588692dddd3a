//! The keyboard focus after lists of the page were built again.

use crate::chromium::{Browser, Page};
use crate::program::Program;
use crate::{complaints_of_who_is_there, gallery, ready};

/// Focuses and presses a control, and waits until it was replaced.
fn press(page: &mut Page, control: &str) {
    page.wait(&format!("({control}).checkVisibility()"));
    page.eval(&format!("(pressed => {{ window.pressed = pressed; pressed.focus(); pressed.click(); }})({control})"));
    page.wait("!window.pressed.isConnected");
}

/// The first element that matches a selector and contains a text.
fn with_text(selector: &str, text: &str) -> String {
    format!("[...document.querySelectorAll({selector:?})].find((e) => e.textContent.includes({text:?}))")
}

#[test]
fn the_keyboard_focus_stays_when_a_list_is_built_again() {
    let Some((chromium, photos)) = ready() else { return };
    let home = tempfile::tempdir().unwrap();
    let gallery = gallery(home.path(), &photos);
    let source = format!("virtual:{}", photos.join("obama.jpg").display());
    let program = Program::start(&[&source, "--gallery", &gallery, "--remember"]);
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&program.address, 1280, 720);

    // The same network, when it is loaded.
    page.click("[role=tab]", "Networks");
    page.click(".task summary", "Age");
    press(&mut page, "document.querySelector(\"[data-choice='age age_mobilenetv1']\")");
    page.wait("document.activeElement.dataset.choice === 'age age_mobilenetv1'");
    page.wait("document.activeElement.getAttribute('aria-checked') === 'true'");

    // A person is opened, watched and left again.
    page.click("[role=tab]", "Gallery");
    press(&mut page, &with_text(".person", "Joe Biden"));
    page.wait("document.activeElement.matches('.pane')");
    let watch = with_text(".toggle", "Watch");
    press(&mut page, &format!("{watch}?.querySelector('input')"));
    page.wait(&format!("document.activeElement === {watch}.querySelector('input') && document.activeElement.checked"));
    // The list is built again while a dialog is open.
    let rename = with_text(".actions button", "Rename");
    page.eval(&format!("(button => {{ window.pressed = button; button.focus(); button.click(); }})({rename})"));
    page.wait("document.activeElement.closest('dialog')");
    page.eval(&format!("{watch}.querySelector('input').click()"));
    page.wait("!window.pressed.isConnected");
    page.click("dialog button", "Cancel");
    page.wait(&format!("document.activeElement === {rename}"));
    press(&mut page, &with_text(".pane button", "All people"));
    page.wait("document.activeElement.matches('.person') && document.activeElement.textContent === 'Joe Biden'");

    page.click("[role=tab]", "Settings");
    press(&mut page, &format!("{}?.querySelector('input')", with_text(".toggle", "Store the picture")));
    page.wait("document.activeElement.closest('.toggle').textContent.includes('Store the picture')");

    page.click("[role=tab]", "Sightings");
    press(&mut page, "document.querySelector('.sighting input')");
    page.wait("document.activeElement.matches('.sighting input:checked')");
    assert_eq!(complaints_of_who_is_there(&mut page), Vec::<String>::new());

    // If the row has gone, the next one is focused; if there is none, the list.
    let focused = page.eval(
        "(async () => { \
           const { fill, h } = await import('/js/dom.js'); \
           const list = h('div'); \
           document.body.append(list); \
           const row = (id) => h('p', { 'data-row': id }, h('button', {}, 'Open'), h('button', {}, 'Remove')); \
           fill(list, [1, 2, 3].map(row)); \
           list.querySelector('[data-row=\"2\"] button:last-child').focus(); \
           const seen = []; \
           for (const rows of [[9, 1, 2, 3], [9, 1, 3], [9, 1], []]) { \
             fill(list, rows.map(row)); \
             const now = document.activeElement; \
             seen.push(now === list ? 'list' : `${now.textContent} ${now.parentElement.dataset.row}`); \
           } \
           list.remove(); \
           return seen })()",
    );
    assert_eq!(focused, serde_json::json!(["Remove 2", "Remove 3", "Remove 1", "list"]));
}
