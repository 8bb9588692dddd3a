//! A crash amid enrolments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use visavis_face::gallery::GalleryFile;

use crate::program::{Program, folder, photos};

/// Enrolments that are begun, if nothing comes in between.
const ENROLMENTS: usize = 1_000;
/// How many of them are answered when the program is killed.
const ANSWERED: usize = 300;
/// People who enrol at the same time.
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
                    // The others find nobody there any more.
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
    // Opening checks that the file is whole.
    let file = GalleryFile::open(&gallery, None).unwrap();
    let there: BTreeMap<String, _> = file.people().unwrap().into_iter().map(|who| (who.name.clone(), who)).collect();
    let lost: Vec<&String> = answered.iter().filter(|name| !there.contains_key(*name)).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    // Those whose answers were on their way may be there, as whole as all others.
    assert!(there.len() <= answered.len() + AT_ONCE, "{}", there.len());
    for person in there.values() {
        assert_eq!(person.photos, 1, "{}", person.name);
        assert!(file.portrait(person.id).unwrap().is_some(), "{}", person.name);
    }
    assert_eq!(file.snapshot().unwrap().photos(), there.len(), "every vector is whole");
    drop(file);
    // The program goes on with it.
    let program = Program::start(&[&source, "--gallery", &path]);
    let people = ureq::get(&format!("{}api/v1/people?limit=1", program.address)).call().unwrap();
    let people: serde_json::Value = serde_json::from_reader(people.into_body().into_reader()).unwrap();
    assert_eq!(people["total"], there.len());
}
