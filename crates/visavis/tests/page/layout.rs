//! Where the parts of the page and the results over the picture are.

use crate::chromium::Browser;
use crate::program::Program;
use crate::{complaints, ready};

#[test]
fn the_panel_and_the_names_have_room() {
    let Some((chromium, photos)) = ready() else { return };
    let program = Program::start(&[&format!("virtual:{}", photos.join("obama.jpg").display())]);
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&program.address, 844, 390);
    page.wait("document.querySelector('#curtain').childElementCount === 0");
    // A phone held sideways: the panel is beside the picture; upright: below it.
    let boxes = "['#stage', '#panel', '#sheet'].map((id) => document.querySelector(id).getBoundingClientRect())";
    for (width, height) in [(844, 390), (667, 375), (568, 320)] {
        page.resize(width, height);
        page.wait(&format!("(([stage, panel]) => panel.left >= stage.right - 1 && stage.width > 250)({boxes})"));
        page.wait(&format!("(([, panel, sheet]) => panel.top === 0 && sheet.height > innerHeight * 0.6)({boxes})"));
    }
    page.resize(390, 844);
    page.wait(&format!("(([stage, panel]) => panel.top >= stage.bottom - 1)({boxes})"));

    // A face that is larger than the picture has no room for a card beside it, but for its label and its name.
    let places = page.eval(
        "(async () => { \
           const { place } = await import('/js/layout.js'); \
           const bounds = { x: 8, y: 8, width: 1264, height: 704 }; \
           const face = { x: 40, y: -60, width: 1200, height: 900 }; \
           const wish = (kind, width, height) => \
             ({ key: kind, kind, face, size: { width, height }, unless: kind === 'name' && 'card' }); \
           const wishes = [wish('label', 200, 55), wish('card', 220, 290), wish('name', 240, 90)]; \
           const places = place(wishes, [face], bounds, new Map(), 10); \
           const inside = (box) => box.x >= 8 && box.y >= 8 && box.x + box.width <= 1272 && box.y + box.height <= 712; \
           const [label, name] = [places.get('label'), places.get('name')]; \
           const apart = label.y + label.height <= name.y || name.y + name.height <= label.y \
             || label.x + label.width <= name.x || name.x + name.width <= label.x; \
           return [[...places.keys()].join(), [...places.values()].every(inside), apart] })()",
    );
    assert_eq!(places, serde_json::json!(["label,name", true, true]));
    assert_eq!(complaints(&mut page), Vec::<String>::new());
}
