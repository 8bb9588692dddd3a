//! A crash during enrolments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use visavis_gallery::Gallery;

use crate::program::{Program, folder, photos};

/// Number of enrolments that would be made without the crash.
const ENROLMENTS: usize = 1_000;
/// Number of answered enrolments at which the program is killed.
const ANSWERED: usize = 300;
/// Number of concurrent enrolments.
const AT_ONCE: usize = 4;

#[test]
fn a_kill_amid_enrolments_loses_none_that_was_acknowledged() {
    let photos = match photos() {
        Ok(photos) => photos,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let home = tempfile::tempdir().unwrap();
    let played = folder(&home.path().join("played"), &photos, &[("obama.jpg", "1.jpg")]);
    let gallery = home.path().join("people.gallery");
    let (source, path) = (format!("virtual:{played}"), gallery.display().to_string());
    let program = Program::start(&[&source, "--new-gallery", "--gallery", &path]);
    let photo = fs::read(photos.join("collins.png")).unwrap();
    let (begun, answered) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let address = program.address.clone();
    let program = Mutex::new(Some(program));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = begun.fetch_add(1, Ordering::SeqCst);
                    if number >= ENROLMENTS {
                        return;
                    }
                    let link = format!("{address}api/v1/people?name=Person%20{number}&file=collins.png");
                    // The program has ended, so the other requests fail.
                    let Ok(answer) = ureq::post(&link).send(&photo[..]) else { return };
                    assert_eq!(answer.status(), 201);
                    let mut answered = answered.lock().unwrap();
                    answered.insert(format!("Person {number}"));
                    if answered.len() == ANSWERED
                        && let Some(program) = program.lock().unwrap().take()
                    {
                        program.kill();
                    }
                }
            });
        }
    });
    let answered = answered.into_inner().unwrap();
    assert!((ANSWERED..ANSWERED + AT_ONCE).contains(&answered.len()), "{}", answered.len());
    // Opening checks that the file is undamaged.
    let file = Gallery::open(&gallery, None).unwrap();
    let there: BTreeMap<String, _> = file.people().unwrap().into_iter().map(|who| (who.name.clone(), who)).collect();
    let lost: Vec<&String> = answered.iter().filter(|name| !there.contains_key(*name)).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    // Enrolments whose answers were under way may exist; they must be complete too.
    assert!(there.len() <= answered.len() + AT_ONCE, "{}", there.len());
    for person in there.values() {
        assert_eq!(person.photos, 1, "{}", person.name);
        assert!(file.portrait(person.id).unwrap().is_some(), "{}", person.name);
    }
    assert_eq!(file.snapshot().unwrap().photos(), there.len(), "every vector is whole");
    drop(file);
    // The program can continue with the gallery.
    let program = Program::start(&[&source, "--gallery", &path]);
    let people = ureq::get(&format!("{}api/v1/people?limit=1", program.address)).call().unwrap();
    let people: serde_json::Value = serde_json::from_reader(people.into_body().into_reader()).unwrap();
    assert_eq!(people["total"], there.len());
}
