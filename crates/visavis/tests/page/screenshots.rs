//! Screenshots for visual inspection: `checks/screenshots`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::chromium::Browser;
use crate::program::{Program, folder};
use crate::{complaints, gallery, ready};

/// Names and sizes.
const SIZES: [(&str, u32, u32); 3] = [("1920x1080", 1920, 1080), ("1280x720", 1280, 720), ("390x844", 390, 844)];

#[test]
#[ignore = "makes pictures for people: run checks/screenshots"]
fn screenshots() {
    let Some((chromium, photos)) = ready() else { return };
    let out = PathBuf::from(std::env::var_os("OUT").unwrap_or_else(|| "out/screenshots".into()));
    fs::create_dir_all(&out).unwrap();
    let home = tempfile::tempdir().unwrap();
    let people = std::env::var("GALLERY").unwrap_or_else(|_| gallery(home.path(), &photos));
    let played = || folder(&home.path().join("played"), &photos, &[("obama.jpg", "1.jpg"), ("obama2.jpg", "2.jpg")]);
    let source = std::env::var("SOURCE").unwrap_or_else(|_| format!("virtual:{}", played()));
    let program = Program::start(&[&source, "--repeat", "--gallery", &people, "--remember", "--remember-gap", "3"]);
    let browser = Browser::start(&chromium, None);
    let mut page = browser.open(&program.address, 1280, 720);
    page.wait("document.querySelector('#curtain').childElementCount === 0");
    // Until every face was analysed for a while, and has sightings.
    std::thread::sleep(Duration::from_secs(20));
    for theme in ["dark", "light"] {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        page.call("Emulation.setEmulatedMedia", features);
        for (name, width, height) in SIZES {
            page.resize(width, height);
            for tab in ["networks", "gallery", "sightings", "alarms", "face", "insight", "settings"] {
                page.eval(&format!("document.querySelector('#tab-{tab}').click()"));
                if tab == "networks" {
                    page.eval("document.querySelectorAll('.task')[2].open = true");
                }
                std::thread::sleep(Duration::from_millis(1500));
                fs::write(out.join(format!("{name}-{theme}-{tab}.png")), page.screenshot()).unwrap();
                // The page of a person, and the lower part of it.
                let more = match tab {
                    "gallery" => "document.querySelector('.person').click()",
                    "sightings" => "document.querySelector('.sighting .look').click()",
                    "settings" => "document.querySelector('#sheet').scrollTop = 1e6",
                    _ => continue,
                };
                page.eval(more);
                std::thread::sleep(Duration::from_millis(1500));
                fs::write(out.join(format!("{name}-{theme}-{tab}-more.png")), page.screenshot()).unwrap();
            }
        }
    }
    page.eval("document.querySelector('[aria-label^=Kiosk]').click()");
    for (name, width, height) in SIZES {
        page.resize(width, height);
        std::thread::sleep(Duration::from_millis(1500));
        fs::write(out.join(format!("{name}-kiosk.png")), page.screenshot()).unwrap();
    }
    assert_eq!(complaints(&mut page), Vec::<String>::new());
}
