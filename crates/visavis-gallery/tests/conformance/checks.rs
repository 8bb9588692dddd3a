//! The behaviour of every gallery, whichever store it uses. The tests of both stores include this file by path.

use visavis_gallery::{
    AlarmId, Answer, EmbeddingId, Gallery, GalleryError, IdentityParams, NewAlarm, NewPhoto, NewSighting, PersonId,
    SightingFilter, SightingId, Wanted, distance, strangers_within,
};
use visavis_infer::manifest::Metric;

/// Creates a new empty gallery.
pub(crate) type Make<'a> = &'a dyn Fn(&EmbeddingId) -> Gallery;

/// A check and its description.
pub(crate) type Check = (&'static str, fn(Make<'_>));

pub(crate) const CHECKS: &[Check] = &[
    ("the nearest photo of each person counts", nearest_photos),
    ("no person is hidden behind one with many photos", many_photos),
    ("equally near people come by number", equally_near),
    ("cosine compares directions", cosine),
    ("the same photo is added once", once),
    ("unusable photos change nothing", unusable),
    ("unusual names are stored unchanged", names),
    ("unknown people get suggestions", unknown),
    ("people are listed by parts of their names", listed),
    ("a person is shown by the best photo", portraits),
    ("a renamed person is not deleted", renamed),
    ("a match says whether the person is watched", watched),
    ("a denied person is not found", denied),
    ("visitors are added, counted, merged and deleted", visitors),
    ("only visitors are changed automatically", met),
    ("a merged person keeps all", joined),
    ("a removed person is not found", removed),
    ("a removed person can be restored completely", restored),
    ("alarms and sightings are restored with their person", restored_traces),
    ("merged people can be separated", parted),
    ("single photos go but for the last", single_photos),
    ("alarms are kept, answered and gone with the person", alarms),
    ("an acknowledged alarm is not denied", acknowledged),
    ("sightings are found by time, camera, person and face", sightings),
    ("sightings are named, and belong to their person", named_sightings),
    ("old sightings are deleted", old_sightings),
    ("people are ignored, for other programs too", ignored),
    ("everything about a person is exported", exported),
    ("how near strangers come is measured", strangers),
    ("one's own change is no news", news),
];

pub(crate) fn network() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b3c4d5e6f".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 0.5,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

pub(crate) fn photo(x: f32, y: f32) -> NewPhoto {
    NewPhoto { source: "/home/eve/x.jpg".into(), sha256: None, vector: vec![x, y], thumbnail: None, score: None }
}

fn id(gallery: &Gallery, name: &str) -> PersonId {
    gallery.find_person(name).unwrap().id
}

fn found(gallery: &Gallery, x: f32, y: f32) -> Vec<(String, f32)> {
    let found = gallery.search(&[x, y], 9).unwrap();
    found.into_iter().map(|found| (found.name.to_string(), found.distance)).collect()
}

fn names_near(gallery: &Gallery, x: f32, y: f32) -> Vec<String> {
    found(gallery, x, y).into_iter().map(|(name, _)| name).collect()
}

fn people(gallery: &Gallery) -> Vec<(String, usize)> {
    gallery.people().unwrap().into_iter().map(|person| (person.name, person.photos)).collect()
}

/// Ada at (0, 0) and (1, 0), Grace at (5, 0).
fn two(make: Make<'_>) -> Gallery {
    let gallery = make(&network());
    gallery.add("Ada", &[photo(0.0, 0.0), photo(1.0, 0.0)]).unwrap();
    gallery.add("Grace", &[photo(5.0, 0.0)]).unwrap();
    gallery
}

fn nearest_photos(make: Make<'_>) {
    assert_eq!(make(&network()).search(&[0.0, 0.0], 3).unwrap(), []);
    let gallery = two(make);
    assert_eq!(gallery.embedding(), &network());
    assert_eq!(found(&gallery, 1.0, 0.0), [("Ada".into(), 0.0), ("Grace".into(), 4.0)]);
    let nearest = gallery.search(&[1.25, 0.0], 1).unwrap();
    assert_eq!((nearest.len(), nearest[0].distance, nearest[0].likeness), (1, 0.25, 0.75));
    assert!(nearest[0].same_person && !nearest[0].watched);
    assert_eq!(gallery.search(&[1.0, 0.0], 0).unwrap(), []);
    assert_eq!(gallery.search(&[1.0, 0.0], usize::MAX).unwrap().len(), 2);
    for bad in [&[0.0][..], &[f32::NAN, 0.0], &[3e38, 0.0]] {
        assert!(matches!(gallery.search(bad, 1), Err(GalleryError::Query { .. })));
    }
    // Both are equally far: the first number comes first.
    assert_eq!(found(&gallery, 3.0, 4.0), [("Ada".into(), 20f32.sqrt()), ("Grace".into(), 20f32.sqrt())]);
}

fn many_photos(make: Make<'_>) {
    let gallery = make(&network());
    let photos: Vec<NewPhoto> = (0..300).map(|at| photo(at as f32 / 1000.0, 0.0)).collect();
    gallery.add("Many", &photos).unwrap();
    gallery.add("Few", &[photo(7.0, 0.0)]).unwrap();
    gallery.add("Far", &[photo(9.0, 0.0)]).unwrap();
    assert_eq!(found(&gallery, 0.0, 0.0), [("Many".into(), 0.0), ("Few".into(), 7.0), ("Far".into(), 9.0)]);
}

fn equally_near(make: Make<'_>) {
    let gallery = make(&network());
    let ids: Vec<PersonId> =
        (0..60).map(|at| gallery.add(&format!("Twin {at}"), &[photo(1.0, 1.0)]).unwrap().person).collect();
    let nearest = gallery.search(&[1.0, 2.0], 2).unwrap();
    assert_eq!(nearest.iter().map(|found| found.person).collect::<Vec<_>>(), ids[..2]);
}

fn cosine(make: Make<'_>) {
    let gallery = make(&EmbeddingId { metric: Metric::Cosine, ..network() });
    gallery.add("Ada", &[photo(0.0, 2.0), photo(3.0, 4.0)]).unwrap();
    gallery.add("Grace", &[photo(-5.0, 0.0)]).unwrap();
    let found = found(&gallery, 7.0, 0.0);
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Ada", "Grace"]);
    assert!((found[0].1 - 0.4).abs() < 1e-6 && (found[1].1 - 2.0).abs() < 1e-6, "{found:?}");
    assert!(matches!(gallery.search(&[0.0, 0.0], 1), Err(GalleryError::Query { .. })));
    assert!(matches!(gallery.add("Eve", &[photo(0.0, 0.0)]), Err(GalleryError::Photo { .. })));
}

fn once(make: Make<'_>) {
    let gallery = make(&network());
    let hashed = |byte| NewPhoto { sha256: Some([byte; 32]), ..photo(0.0, 0.0) };
    let first = gallery.add("Ada", &[hashed(1), hashed(1), hashed(2)]).unwrap();
    let second = gallery.add(" Ada ", &[hashed(2), hashed(3)]).unwrap();
    assert_eq!((first.photos, second.photos, first.person), (2, 1, second.person));
    assert_eq!(gallery.add("Twin", &[hashed(1)]).unwrap().photos, 1);
    assert_eq!(people(&gallery), [("Ada".into(), 3), ("Twin".into(), 1)]);
}

fn unusable(make: Make<'_>) {
    let gallery = two(make);
    let good = photo(0.0, 0.0);
    for bad in [
        NewPhoto { vector: vec![0.0; 3], ..good.clone() },
        NewPhoto { vector: vec![0.0, f32::NAN], ..good.clone() },
        NewPhoto { thumbnail: Some(b"GIF89a".to_vec()), ..good.clone() },
        NewPhoto { score: Some(f32::INFINITY), ..good.clone() },
    ] {
        let photos = [good.clone(), bad.clone()];
        assert!(matches!(gallery.add("Eve", &photos), Err(GalleryError::Photo { .. })));
        assert!(matches!(gallery.meet(&bad, 1), Err(GalleryError::Photo { .. })));
        let ada = gallery.find_person("Ada").unwrap().id;
        assert!(matches!(gallery.add_to(ada, &bad), Err(GalleryError::Photo { .. })));
    }
    assert!(matches!(gallery.add("Eve", &[]), Err(GalleryError::NoPhoto { .. })));
    assert_eq!(people(&gallery), [("Ada".into(), 2), ("Grace".into(), 1)]);
}

fn names(make: Make<'_>) {
    let gallery = make(&network());
    let odd = [
        "Robert'); DROP TABLE person;--",
        "O'Brien",
        "\"quoted\"",
        "back\\slash",
        "$1 %s {} ?",
        "Zoë 山田 🦉",
        "zzz",
        "Ä",
    ];
    for name in odd {
        gallery.add(name, &[photo(1.0, 1.0)]).unwrap();
        let person = gallery.find_person(name).unwrap();
        assert_eq!(person.name, name);
        assert_eq!(gallery.person(person.id).unwrap(), Some(person));
        gallery.watch(id(&gallery, name), true).unwrap();
    }
    let mut sorted = odd.to_vec();
    sorted.sort_unstable();
    assert_eq!(people(&gallery).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), sorted);
    for (name, next) in odd.into_iter().zip(["it's", "\"", "\\", "';", "$$", "é", "a b", "%"]) {
        gallery.rename(id(&gallery, name), next).unwrap();
        assert_eq!(gallery.remove_person(id(&gallery, next)).unwrap().record.photos.len(), 1);
    }
    assert_eq!(people(&gallery), []);
    // Names that look the same are the same, and no name has characters that do not show.
    let jose = gallery.add("Jose\u{301}", &[photo(1.0, 1.0)]).unwrap().person;
    assert_eq!(gallery.add("Jos\u{E9}", &[photo(1.0, 1.0)]).unwrap().person, jose);
    assert_eq!(people(&gallery), [("Jos\u{E9}".into(), 2)]);
    assert_eq!([id(&gallery, "Jos\u{E9}"), id(&gallery, "Jose\u{301}")], [jose, jose]);
    let wanted = Wanted { name: "SE\u{301}".into(), watched: false, named: false, offset: 0, limit: 9 };
    assert_eq!(gallery.people_like(&wanted).unwrap().0, 1);
    for bad in ["", "  \t", "a\nb", "a\0b", "a\u{202E}b", "a\u{200B}b", &"x".repeat(201)] {
        assert!(matches!(gallery.add(bad, &[photo(0.0, 0.0)]), Err(GalleryError::Name { .. })), "{bad:?}");
    }
}

fn unknown(make: Make<'_>) {
    let gallery = two(make);
    for (asked, said) in
        [("ada", "did you mean \"Ada\"?"), ("Grase", "\"Grace\"?"), ("Zebedee", "no person named \"Zebedee\"")]
    {
        let error = gallery.find_person(asked).unwrap_err();
        assert!(matches!(error, GalleryError::UnknownPerson { .. }) && error.to_string().contains(said), "{error}");
    }
    let gone = PersonId(77_777);
    for error in [
        gallery.remove_person(gone).map(drop).unwrap_err(),
        gallery.watch(gone, true).unwrap_err(),
        gallery.rename(gone, "Eve").unwrap_err(),
    ] {
        assert!(matches!(error, GalleryError::NoSuchPerson { person, .. } if person == gone), "{error}");
    }
    assert_eq!(people(&gallery), [("Ada".into(), 2), ("Grace".into(), 1)]);
}

fn listed(make: Make<'_>) {
    let gallery = make(&network());
    for name in ["Ada", "Adam 100%", "Eve_1", "Éva", "back\\slash"] {
        gallery.add(name, &[photo(1.0, 2.0)]).unwrap();
    }
    gallery.watch(id(&gallery, "Ada"), true).unwrap();
    let list = |name: &str, watched, offset, limit| {
        let wanted = Wanted { name: name.into(), watched, named: false, offset, limit };
        let (total, people) = gallery.people_like(&wanted).unwrap();
        (total, people.into_iter().map(|person| person.name).collect::<Vec<_>>())
    };
    let all: Vec<String> = gallery.people().unwrap().into_iter().map(|person| person.name).collect();
    assert_eq!(list("", false, 0, 9), (5, all.clone()));
    assert_eq!(list(" ", false, 1, 2), (5, all[1..3].to_vec()));
    assert_eq!(list("", false, 7, 9), (5, Vec::new()));
    for (name, found) in [
        ("aDA", &["Ada", "Adam 100%"][..]),
        ("%", &["Adam 100%"]),
        ("e_", &["Eve_1"]),
        ("\\", &["back\\slash"]),
        ("éVA", &["Éva"]),
        ("nobody", &[]),
    ] {
        assert_eq!(list(name, false, 0, 9), (found.len(), found.iter().map(ToString::to_string).collect()), "{name}");
    }
    assert_eq!(list("a", true, 0, 9), (1, vec!["Ada".to_owned()]));
    // A visitor is left out until renamed. Both are changes.
    gallery.search(&photo(1.0, 2.0).vector, 1).unwrap();
    let before = gallery.changes();
    let visitor = gallery.meet(&photo(3.0, 3.0), 1).unwrap();
    let met = gallery.changes();
    assert!(met > before, "{met:?} {before:?}");
    let named = || {
        let wanted = Wanted { name: String::new(), watched: false, named: true, offset: 0, limit: 9 };
        gallery.people_like(&wanted).unwrap().1.into_iter().any(|person| person.id == visitor)
    };
    assert!(!named());
    gallery.rename(visitor, "Zoe").unwrap();
    assert!(named() && gallery.changes() > met);
}

fn portraits(make: Make<'_>) {
    let gallery = make(&network());
    let jpeg = |mark: u8| Some(vec![0xFF, 0xD8, 0xFF, mark]);
    let scored = |mark, score| NewPhoto { score, thumbnail: jpeg(mark), ..photo(0.0, 0.0) };
    let bare = NewPhoto { thumbnail: None, ..scored(9, Some(9.0)) };
    let photos = [scored(1, None), scored(2, Some(0.5)), scored(3, Some(0.5)), bare.clone()];
    let ada = gallery.add("Ada", &photos).unwrap().person;
    assert_eq!(gallery.portrait(ada).unwrap(), jpeg(2));
    let eve = gallery.add("Eve", &[bare]).unwrap().person;
    assert_eq!(gallery.portrait(eve).unwrap(), None);
    assert_eq!(gallery.portrait(PersonId(77_777)).unwrap(), None);
}

fn renamed(make: Make<'_>) {
    let gallery = two(make);
    let visitor = gallery.meet(&photo(3.0, 3.0), 1).unwrap();
    let name = format!("Visitor {}", visitor.0);
    assert!(matches!(gallery.rename(id(&gallery, &name), "Grace"), Err(GalleryError::NameTaken { .. })));
    assert!(matches!(gallery.rename(id(&gallery, &name), ""), Err(GalleryError::Name { .. })));
    gallery.rename(visitor, " Eve ").unwrap();
    gallery.rename(visitor, "Eve").unwrap();
    assert_eq!(id(&gallery, "Eve"), visitor);
    assert_eq!(gallery.forget_met_before(i64::MAX).unwrap(), 0);
    assert_eq!(names_near(&gallery, 3.0, 3.0)[0], "Eve");
}

fn watched(make: Make<'_>) {
    let gallery = two(make);
    gallery.watch(id(&gallery, "Ada"), true).unwrap();
    let flags = |gallery: &Gallery| {
        let nearest = gallery.search(&[0.0, 0.0], 2).unwrap();
        nearest.into_iter().map(|found| found.watched).collect::<Vec<_>>()
    };
    assert_eq!(flags(&gallery), [true, false]);
    assert!(gallery.find_person("Ada").unwrap().watched);
    gallery.watch(id(&gallery, "Ada"), false).unwrap();
    assert_eq!(flags(&gallery), [false, false]);
}

fn denied(make: Make<'_>) {
    let gallery = two(make);
    let ada = gallery.find_person("Ada").unwrap().id;
    gallery.deny(ada, &[2.0, 0.0]).unwrap();
    assert_eq!(names_near(&gallery, 2.0, 0.0), ["Grace"]);
    assert_eq!(gallery.search(&[2.0, 0.0], 1).unwrap()[0].name.as_ref(), "Grace");
    // The query is nearer to the person than to the denied face.
    assert_eq!(names_near(&gallery, 1.4, 0.0), ["Ada", "Grace"]);
    assert!(matches!(gallery.deny(ada, &[f32::NAN, 0.0]), Err(GalleryError::Query { .. })));
    gallery.deny(PersonId(77_777), &[2.0, 0.0]).unwrap();
    // The denial is removed with the person.
    gallery.remove_person(id(&gallery, "Ada")).unwrap();
    gallery.add("Ada", &[photo(2.0, 0.0)]).unwrap();
    assert_eq!(names_near(&gallery, 2.0, 0.0), ["Ada", "Grace"]);
}

fn visitors(make: Make<'_>) {
    let gallery = two(make);
    let first = gallery.meet(&photo(3.0, 3.0), 1_000).unwrap();
    let second = gallery.meet(&photo(3.0, 3.4), 2_000).unwrap();
    assert!(gallery.add_to(first, &photo(3.0, 2.8)).unwrap());
    assert!(!gallery.add_to(PersonId(77_777), &photo(3.0, 2.8)).unwrap());
    gallery.seen(first, 1_500, true).unwrap();
    gallery.seen(first, 1_400, false).unwrap();
    gallery.seen(PersonId(77_777), 1_400, true).unwrap();
    gallery.merge(second, first).unwrap();
    gallery.merge(first, first).unwrap();
    gallery.merge(PersonId(77_777), first).unwrap();
    gallery.merge(first, PersonId(77_777)).unwrap();
    let all = gallery.people().unwrap();
    let visitor = all.iter().find(|person| person.id == first).unwrap();
    assert_eq!((visitor.name.clone(), visitor.photos, visitor.met), (format!("Visitor {}", first.0), 3, true));
    assert_eq!((visitor.seen, visitor.last_seen), (3, Some(2_000)));
    assert_eq!(all.len(), 3);
    let nearest = gallery.search(&[3.0, 3.4], 1).unwrap();
    assert_eq!((nearest[0].person, nearest[0].distance), (first, 0.0));
    // Not due yet, then due. A person who was added by hand is never deleted.
    assert_eq!(gallery.forget_met_before(2_000).unwrap(), 0);
    assert_eq!(gallery.forget_met_before(2_001).unwrap(), 1);
    assert_eq!(gallery.forget_met_before(i64::MAX).unwrap(), 0);
    assert_eq!(names_near(&gallery, 3.0, 3.0), ["Ada", "Grace"]);
    // Another person may already have a visitor's name.
    let next = PersonId(second.0 + 2);
    gallery.add(&format!("Visitor {}", next.0), &[photo(8.0, 8.0)]).unwrap();
    let visitor = gallery.meet(&photo(9.0, 9.0), 1).unwrap();
    let names: Vec<String> = gallery.people().unwrap().into_iter().map(|person| person.name).collect();
    assert_eq!((visitor, names.len()), (next, 4));
    assert!(names.contains(&format!("Visitor {}+", next.0)), "{names:?}");
}

fn met(make: Make<'_>) {
    let gallery = two(make);
    let ada = gallery.find_person("Ada").unwrap().id;
    let (first, second) = (gallery.meet(&photo(3.0, 3.0), 1).unwrap(), gallery.meet(&photo(3.0, 3.4), 1).unwrap());
    let is_met = |person| gallery.person(person).unwrap().is_some_and(|person| person.met);
    assert!(is_met(first) && !is_met(ada));
    assert!(!gallery.add_photo_if_met(ada, &photo(0.0, 1.0)).unwrap());
    assert!(gallery.add_photo_if_met(first, &photo(3.0, 2.0)).unwrap());
    assert!(!gallery.add_photo_if_met(PersonId(77_777), &photo(0.0, 1.0)).unwrap());
    assert_eq!(gallery.merge_if_met(ada, first).unwrap(), None);
    assert!(gallery.merge_if_met(first, ada).unwrap().is_some());
    assert_eq!(gallery.find_person("Ada").unwrap().photos, 4);
    // Named by a user.
    gallery.add(&format!("Visitor {}", second.0), &[photo(3.0, 3.5)]).unwrap();
    assert!(!is_met(second));
}

fn joined(make: Make<'_>) {
    let gallery = make(&network());
    let hashed = |byte, x| NewPhoto { sha256: Some([byte; 32]), ..photo(x, 0.0) };
    let ada = gallery.add("Ada", &[hashed(1, 0.0), photo(1.0, 0.0)]).unwrap().person;
    let double = gallery.add("Double", &[hashed(1, 0.0), hashed(2, 2.0), photo(3.0, 0.0)]).unwrap().person;
    gallery.watch(id(&gallery, "Double"), true).unwrap();
    gallery.seen(double, 7, true).unwrap();
    gallery.deny(double, &[9.0, 0.0]).unwrap();
    gallery.merge(double, ada).unwrap();
    let left = gallery.people().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].id, left[0].photos, left[0].watched), (ada, 4, true));
    assert_eq!((left[0].seen, left[0].last_seen), (1, Some(7)));
    assert_eq!(names_near(&gallery, 9.0, 0.0), Vec::<String>::new());
}

fn removed(make: Make<'_>) {
    let gallery = two(make);
    let grace = gallery.find_person("Grace").unwrap().id;
    assert_eq!(gallery.remove_person(id(&gallery, " Grace ")).unwrap().record.photos.len(), 1);
    assert_eq!(found(&gallery, 5.0, 0.0), [("Ada".into(), 4.0)]);
    assert_eq!(gallery.portrait(grace).unwrap(), None);
    // The number is not reused.
    assert!(gallery.add("Grace", &[photo(5.0, 0.0)]).unwrap().person > grace);
}

fn restored(make: Make<'_>) {
    let gallery = two(make);
    let ada = id(&gallery, "Ada");
    gallery.watch(ada, true).unwrap();
    gallery.deny(ada, &[9.0, 9.0]).unwrap();
    gallery.seen(ada, 50, true).unwrap();
    let record = gallery.person_record(ada).unwrap().unwrap();
    assert_eq!((record.photos.len(), record.denials.clone(), record.watched), (2, vec![vec![9.0, 9.0]], true));
    gallery.remove_person(id(&gallery, "Ada")).unwrap();
    assert_eq!(names_near(&gallery, 0.0, 0.0), ["Grace"]);
    assert_eq!(gallery.person_record(ada).unwrap(), None);
    let back = gallery.restore(&record).unwrap();
    assert_ne!(back, ada, "a number is never given again");
    assert_eq!(names_near(&gallery, 0.0, 0.0), ["Ada", "Grace"]);
    assert_eq!(gallery.person_record(back).unwrap().unwrap(), record);
    assert!(gallery.people().unwrap()[0].watched);
    assert!(matches!(gallery.restore(&record), Err(GalleryError::NameTaken { name, .. }) if name == "Ada"));
    assert_eq!(gallery.photos(back).unwrap().len(), 2);
    let mut other = record;
    other.made_by.fingerprint = "another".into();
    gallery.remove_person(id(&gallery, "Ada")).unwrap();
    assert!(matches!(gallery.restore(&other), Err(GalleryError::OtherNetwork { .. })));
}

fn restored_traces(make: Make<'_>) {
    let gallery = two(make);
    let (ada, all) = (id(&gallery, "Ada"), SightingFilter::default());
    let vector = [0.4, 0.0];
    let (person, identified, crop) = (Some(ada), Some(0.75), Some(JPEG));
    let alarm = NewAlarm { time: 7, source: "door", person, identified, vector: &vector, crop };
    let answered = gallery.record_alarm(&alarm).unwrap().unwrap();
    assert!(gallery.answer_alarm(answered, Answer::Acknowledged).unwrap());
    gallery.record_alarm(&NewAlarm { time: 8, crop: None, ..alarm }).unwrap().unwrap();
    gallery.record_sighting(&sighting("door", 100, person, &[0.5, 0.0])).unwrap().unwrap();
    let stated = gallery.record_sighting(&sighting("yard", 200, None, &[0.6, 0.0])).unwrap().unwrap();
    gallery.name_sightings(&[stated], "Ada", false).unwrap();
    let removed = gallery.remove_person(ada).unwrap();
    assert_eq!((gallery.alarms(None, 9).unwrap(), gallery.sightings(&all, 9).unwrap()), (Vec::new(), Vec::new()));
    let back = gallery.restore(&removed.record).unwrap();
    let who = Some((back, "Ada".to_owned()));
    let alarms = gallery.alarms(None, 9).unwrap();
    assert_eq!(
        alarms.iter().map(|alarm| (alarm.time, alarm.answer)).collect::<Vec<_>>(),
        [(8, Answer::Open), (7, Answer::Acknowledged)]
    );
    assert!(alarms.iter().all(|alarm| alarm.person == who && alarm.identified == identified));
    assert_eq!(alarms[1].source.as_deref(), Some("door"));
    let crops = [0, 1].map(|at: usize| gallery.alarm_crop(alarms[at].id).unwrap());
    assert_eq!(crops, [None, Some(JPEG.to_vec())]);
    let seen = gallery.sightings(&all, 9).unwrap();
    assert_eq!(
        seen.iter().map(|entry| (entry.camera.as_str(), entry.first_seen)).collect::<Vec<_>>(),
        [("yard", 200), ("door", 100)]
    );
    assert!(seen.iter().all(|entry| entry.person == who && entry.age == Some(40.0) && entry.has_crop));
    assert_eq!((seen[0].identified, seen[1].identified), (None, Some(0.9)));
    assert_eq!(sightings_near(&gallery, 0.5, 9_000)[0], (seen[1].id.0, 0.0));
    // What a user stated stays stated, and an open alarm can still be denied.
    gallery.update_sighting(seen[0].id, &sighting("yard", 200, None, &[0.6, 0.0])).unwrap().unwrap();
    assert_eq!(gallery.sighting(seen[0].id).unwrap().unwrap().person, who);
    assert!(gallery.answer_alarm(alarms[0].id, Answer::Denied).unwrap());
    assert_eq!(names_near(&gallery, 0.45, 0.0), ["Grace"]);
}

fn parted(make: Make<'_>) {
    let gallery = two(make);
    let twin = NewPhoto { sha256: Some([7; 32]), ..photo(0.5, 0.5) };
    gallery.add("Ada", std::slice::from_ref(&twin)).unwrap();
    gallery.add("Grace", std::slice::from_ref(&twin)).unwrap();
    let (ada, grace) = (id(&gallery, "Ada"), id(&gallery, "Grace"));
    gallery.watch(ada, true).unwrap();
    gallery.deny(ada, &[9.0, 9.0]).unwrap();
    gallery.seen(ada, 50, true).unwrap();
    gallery.seen(grace, 40, true).unwrap();
    let vector = [0.4, 0.0];
    let alarm = NewAlarm { time: 7, source: "door", person: Some(ada), identified: None, vector: &vector, crop: None };
    gallery.record_alarm(&alarm).unwrap();
    let before = [ada, grace].map(|person| gallery.person_record(person).unwrap().unwrap());
    let merge = gallery.merge(ada, grace).unwrap().unwrap();
    let joined = gallery.person(grace).unwrap().unwrap();
    assert_eq!((joined.photos, joined.seen, joined.last_seen, joined.watched), (4, 2, Some(50), true));
    assert_eq!(gallery.alarms(None, 9).unwrap()[0].person, Some((grace, "Grace".into())));
    // What was added since the merge belongs to the person who remained.
    gallery.add("Grace", &[photo(5.0, 5.0)]).unwrap();
    let back = gallery.separate(&merge).unwrap().unwrap();
    let [mut adas, mut graces] = [back, grace].map(|person| gallery.person_record(person).unwrap().unwrap());
    adas.photos.sort_by_key(|photo| before[0].photos.iter().position(|known| known == photo));
    let [adas_before, graces_before] = before;
    assert_eq!(adas, adas_before);
    assert_eq!(graces.photos.pop().unwrap().vector, [5.0, 5.0]);
    assert_eq!(graces, graces_before);
    assert_eq!(gallery.alarms(None, 9).unwrap()[0].person, Some((back, "Ada".into())));
    assert_eq!(names_near(&gallery, 0.0, 0.0), ["Ada", "Grace"]);
    assert!(matches!(gallery.separate(&merge), Err(GalleryError::NameTaken { .. })));
    assert_eq!(gallery.merge(back, back).unwrap(), None);
    assert_eq!(gallery.merge(back, PersonId(99)).unwrap(), None);
    gallery.remove_person(id(&gallery, "Ada")).unwrap();
    gallery.remove_person(id(&gallery, "Grace")).unwrap();
    assert_eq!(gallery.separate(&merge).unwrap(), None, "there is no person to separate");
}

fn single_photos(make: Make<'_>) {
    let gallery = two(make);
    let jpeg = Some(vec![0xFF, 0xD8, 0xFF, 1]);
    gallery.add("Ada", &[NewPhoto { thumbnail: jpeg.clone(), ..photo(2.0, 0.0) }]).unwrap();
    let ada = gallery.find_person("Ada").unwrap().id;
    let photos = gallery.photos(ada).unwrap();
    assert_eq!((photos.len(), gallery.thumbnail(photos[0]).unwrap()), (3, None));
    assert_eq!(gallery.thumbnail(photos[2]).unwrap(), jpeg);
    let record = gallery.person_record(ada).unwrap().unwrap();
    let removed = gallery.remove_photo(photos[2]).unwrap().unwrap();
    assert_eq!((removed.person, &removed.photo.thumbnail), (ada, &jpeg));
    assert_eq!(gallery.photos(ada).unwrap(), photos[..2]);
    assert_eq!((gallery.thumbnail(photos[2]).unwrap(), gallery.remove_photo(photos[2]).unwrap()), (None, None));
    assert_eq!(found(&gallery, 2.0, 0.0)[0], ("Ada".into(), 1.0));
    gallery.remove_photo(photos[1]).unwrap();
    assert!(matches!(gallery.remove_photo(photos[0]), Err(GalleryError::OnlyPhoto { name, .. }) if name == "Ada"));
    assert!(gallery.restore_photo(&removed).unwrap());
    assert_eq!(found(&gallery, 2.0, 0.0)[0], ("Ada".into(), 0.0));
    let restored = gallery.person_record(ada).unwrap().unwrap().photos;
    assert_eq!(restored, [record.photos[0].clone(), record.photos[2].clone()]);
    gallery.remove_person(id(&gallery, "Ada")).unwrap();
    assert!(!gallery.restore_photo(&removed).unwrap(), "whose it was is gone");
}

fn alarms(make: Make<'_>) {
    let gallery = two(make);
    let ada = gallery.find_person("Ada").unwrap().id;
    let vector = [0.4, 0.0];
    let alarm = NewAlarm {
        time: 7,
        source: "door",
        person: Some(ada),
        identified: Some(0.75),
        vector: &vector,
        crop: Some(b"x"),
    };
    let first = gallery.record_alarm(&alarm).unwrap().unwrap();
    let unknown =
        gallery.record_alarm(&NewAlarm { person: None, identified: None, crop: None, ..alarm }).unwrap().unwrap();
    assert_eq!(gallery.record_alarm(&NewAlarm { person: Some(PersonId(99)), ..alarm }).unwrap(), None);
    let unusable = gallery.record_alarm(&NewAlarm { vector: &[0.4], ..alarm });
    assert!(matches!(unusable, Err(GalleryError::Query { .. })));
    let list = gallery.alarms(None, 9).unwrap();
    assert_eq!(list.iter().map(|alarm| alarm.id).collect::<Vec<_>>(), [unknown, first]);
    assert_eq!((list[1].time, list[1].source.as_deref()), (7, Some("door")));
    assert_eq!((list[1].person.clone(), list[1].identified), (Some((ada, "Ada".into())), Some(0.75)));
    assert_eq!((list[1].answer, list[1].has_crop, list[0].person.is_none()), (Answer::Open, true, true));
    assert_eq!((gallery.alarms(Some(unknown), 9).unwrap().len(), gallery.alarms(None, 1).unwrap().len()), (1, 1));
    assert_eq!(gallery.alarm_crop(first).unwrap().as_deref(), Some(&b"x"[..]));
    assert_eq!((gallery.alarm_crop(unknown).unwrap(), gallery.alarm_crop(AlarmId(99)).unwrap()), (None, None));
    assert!(gallery.answer_alarm(unknown, Answer::Acknowledged).unwrap());
    assert!(!gallery.answer_alarm(AlarmId(99), Answer::Acknowledged).unwrap());
    // It was another person: that face is not identified as Ada again.
    assert_eq!(names_near(&gallery, 0.45, 0.0)[0], "Ada");
    assert!(gallery.answer_alarm(first, Answer::Denied).unwrap());
    assert_eq!(names_near(&gallery, 0.45, 0.0), ["Grace"]);
    let answers: Vec<Answer> = gallery.alarms(None, 9).unwrap().iter().map(|alarm| alarm.answer).collect();
    assert_eq!(answers, [Answer::Acknowledged, Answer::Denied]);
    gallery.remove_person(id(&gallery, "Ada")).unwrap();
    assert_eq!(gallery.alarms(None, 9).unwrap().len(), 1);
}

fn acknowledged(make: Make<'_>) {
    let gallery = two(make);
    let vector = [0.4, 0.0];
    let (person, source) = (Some(id(&gallery, "Ada")), "door");
    let alarm = NewAlarm { time: 7, source, person, identified: None, vector: &vector, crop: None };
    let raised = gallery.record_alarm(&alarm).unwrap().unwrap();
    let unknown = gallery.record_alarm(&NewAlarm { person: None, ..alarm }).unwrap().unwrap();
    for alarm in [raised, unknown] {
        assert!(gallery.answer_alarm(alarm, Answer::Acknowledged).unwrap());
    }
    // Its face was deleted, so the gallery could not learn from a denial.
    let refused = gallery.answer_alarm(raised, Answer::Denied);
    assert!(matches!(refused, Err(GalleryError::AlarmAcknowledged { alarm }) if alarm == raised), "{refused:?}");
    assert!(gallery.answer_alarm(raised, Answer::Acknowledged).unwrap());
    assert!(gallery.answer_alarm(unknown, Answer::Denied).unwrap());
    let answers: Vec<Answer> = gallery.alarms(None, 9).unwrap().iter().map(|alarm| alarm.answer).collect();
    assert_eq!(answers, [Answer::Denied, Answer::Acknowledged]);
    assert_eq!(names_near(&gallery, 0.45, 0.0)[0], "Ada");
}

fn strangers(make: Make<'_>) {
    let gallery = two(make);
    assert_eq!(gallery.strangers_within(0.5).unwrap(), None);
    for at in 0..20 {
        gallery.add(&format!("Person {}", at / 2), &[photo(at as f32, (at * at % 7) as f32)]).unwrap();
    }
    // A gallery measures the photos that it had when it was opened. Measured from memory or from the store, the result is
    // the same.
    if let Some(within) = gallery.strangers_within(0.25).unwrap() {
        let mut all = vec![(-1, vec![0.0, 0.0]), (-1, vec![1.0, 0.0]), (-2, vec![5.0, 0.0])];
        all.extend((0..20).map(|at: i32| (at / 2, vec![at as f32, (at * at % 7) as f32])));
        assert_eq!(Some(within), strangers_within(Metric::Euclidean, &all, 0.25));
        let near = all.iter().enumerate().flat_map(|(at, (person, a))| {
            let others = all[..at].iter().filter(move |(other, _)| other != person);
            others.map(move |(_, b)| distance(Metric::Euclidean, a, b))
        });
        let near: Vec<f32> = near.collect();
        let share = near.iter().filter(|far| **far <= within).count() as f64 / near.len() as f64;
        assert!((0.2..0.35).contains(&share), "{share}");
    }
}

fn news(make: Make<'_>) {
    let gallery = two(make);
    assert!(!gallery.refresh().unwrap());
    gallery.watch(id(&gallery, "Ada"), true).unwrap();
    gallery.remove_person(id(&gallery, "Grace")).unwrap();
    assert!(!gallery.refresh().unwrap());
}

const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0];

fn sighting(camera: &'static str, at: i64, person: Option<PersonId>, vector: &'static [f32]) -> NewSighting<'static> {
    NewSighting {
        camera,
        first_seen: at,
        last_seen: at + 9,
        person,
        identified: person.map(|_| 0.9),
        age: Some(40.0),
        female: Some(0.5),
        smiling: None,
        quality: 1.5,
        vector,
        crop: Some(JPEG),
    }
}

fn listed_sightings(gallery: &Gallery, filter: &SightingFilter, most: usize) -> Vec<i64> {
    gallery.sightings(filter, most).unwrap().into_iter().map(|entry| entry.id.0).collect()
}

fn sightings_near(gallery: &Gallery, x: f32, now: i64) -> Vec<(i64, f32)> {
    let found = gallery.sightings_like(&[x, 0.0], 2, now).unwrap();
    found.into_iter().map(|found| (found.sighting.id.0, found.distance)).collect()
}

fn sightings(make: Make<'_>) {
    let gallery = two(make);
    let (ada, all) = (id(&gallery, "Ada"), SightingFilter::default());
    let record = |sighting| gallery.record_sighting(&sighting).unwrap().unwrap();
    let first = record(sighting("door", 100, Some(ada), &[0.0, 0.0]));
    let second = record(sighting("yard", 200, None, &[3.0, 0.0]));
    let third = record(sighting("door", 200, None, &[7.0, 0.0]));
    let entry = gallery.sighting(first).unwrap().unwrap();
    assert_eq!((entry.camera.as_str(), entry.first_seen, entry.last_seen), ("door", 100, 109));
    assert_eq!(entry.person, Some((ada, "Ada".into())));
    assert_eq!((entry.identified, entry.age, entry.smiling, entry.has_crop), (Some(0.9), Some(40.0), None, true));
    assert_eq!(gallery.sighting_crop(first).unwrap().unwrap(), JPEG);
    assert_eq!(gallery.sighting_cameras().unwrap(), ["door", "yard"]);
    // The last one first; of those that began together, the one that was stored last.
    assert_eq!(listed_sightings(&gallery, &all, 9), [third.0, second.0, first.0]);
    assert_eq!(listed_sightings(&gallery, &all, 2), [third.0, second.0]);
    let only = |filter: SightingFilter| listed_sightings(&gallery, &filter, 9);
    assert_eq!(only(SightingFilter { after: Some(third), ..all.clone() }), [second.0, first.0]);
    assert_eq!(only(SightingFilter { after: Some(first), ..all.clone() }), [0i64; 0]);
    assert_eq!(only(SightingFilter { from: Some(101), ..all.clone() }), [third.0, second.0]);
    assert_eq!(only(SightingFilter { until: Some(200), ..all.clone() }), [first.0]);
    assert_eq!(only(SightingFilter { camera: Some("door".into()), ..all }), [third.0, first.0]);
    assert_eq!(only(SightingFilter { person: Some(ada), ..all.clone() }), [first.0]);
    assert_eq!(only(SightingFilter { unnamed: true, from: Some(200), ..all }), [third.0, second.0]);
    // By a face: while they may change, and after that, also those added later.
    assert_eq!(sightings_near(&gallery, 2.5, 210), [(second.0, 0.5), (first.0, 2.5)]);
    assert_eq!(gallery.update_sighting(third, &sighting("door", 200, None, &[2.0, 0.0])).unwrap(), Some(()));
    assert_eq!(sightings_near(&gallery, 2.0, 210), [(third.0, 0.0), (second.0, 1.0)]);
    assert_eq!(sightings_near(&gallery, 2.0, 9_000), [(third.0, 0.0), (second.0, 1.0)]);
    let fourth = record(sighting("yard", 9_000, None, &[2.25, 0.0]));
    assert_eq!(sightings_near(&gallery, 2.0, 9_010), [(third.0, 0.0), (fourth.0, 0.25)]);
    assert!(gallery.remove_sighting(third).unwrap());
    assert_eq!(sightings_near(&gallery, 2.0, 9_010), [(fourth.0, 0.25), (second.0, 1.0)]);
    // What is not there.
    assert!(!gallery.remove_sighting(third).unwrap());
    assert_eq!(gallery.sighting(third).unwrap(), None);
    assert_eq!(gallery.update_sighting(third, &sighting("door", 1, None, &[0.0, 0.0])).unwrap(), None);
    let nobody = sighting("door", 1, Some(PersonId(99)), &[0.0, 0.0]);
    assert_eq!(gallery.record_sighting(&nobody).unwrap(), None);
    let other = sighting("door", 1, None, &[0.0]);
    assert!(matches!(gallery.record_sighting(&other), Err(GalleryError::Query { .. })));
}

fn named_sightings(make: Make<'_>) {
    let gallery = two(make);
    let (ada, grace) = (id(&gallery, "Ada"), id(&gallery, "Grace"));
    let record = |at, person, vector| gallery.record_sighting(&sighting("door", at, person, vector)).unwrap().unwrap();
    let of =
        |person| listed_sightings(&gallery, &SightingFilter { person: Some(person), ..SightingFilter::default() }, 9);
    let (one, two) = (record(1, None, &[9.0, 0.0]), record(2, None, &[9.5, 0.0]));
    let groups = |unnamed| {
        let groups = gallery.sighting_groups(&SightingFilter { unnamed, ..SightingFilter::default() }, 9).unwrap();
        groups.iter().map(|group| group.iter().map(|entry| entry.id.0).collect()).collect::<Vec<Vec<i64>>>()
    };
    let far = record(0, None, &[20.0, 0.0]);
    assert_eq!(groups(true), [vec![two.0, one.0], vec![far.0]]);
    assert!(gallery.remove_sighting(far).unwrap());
    // Both are of one new person, who is found by their pictures from then on.
    let lin = gallery.name_sightings(&[one, two, SightingId(99)], " Lin ", true).unwrap().unwrap();
    assert_eq!(of(lin), [two.0, one.0]);
    assert_eq!((groups(true).len(), groups(false).len()), (0, 1));
    assert_eq!(names_near(&gallery, 9.0, 0.0)[0], "Lin");
    assert_eq!(people(&gallery), [("Ada".into(), 2), ("Grace".into(), 1), ("Lin".into(), 2)]);
    assert_eq!(gallery.name_sightings(&[SightingId(99)], "Eve", true).unwrap(), None);
    assert!(matches!(gallery.name_sightings(&[one], " ", true), Err(GalleryError::Name { .. })));
    // What a user stated stays, whatever the recorder finds later.
    gallery.update_sighting(one, &sighting("door", 1, Some(ada), &[9.0, 0.0])).unwrap().unwrap();
    assert_eq!(of(lin), [two.0, one.0]);
    // Without learning, no photo is added.
    let three = record(3, None, &[5.0, 0.0]);
    assert_eq!(gallery.name_sightings(&[three], "Grace", false).unwrap(), Some(grace));
    assert_eq!(people(&gallery)[1], ("Grace".into(), 1));
    // A merge moves sightings and its undo moves them back; a removal deletes them.
    let four = record(4, Some(ada), &[0.0, 0.0]);
    let merge = gallery.merge(ada, grace).unwrap().unwrap();
    assert_eq!(of(grace), [four.0, three.0]);
    let ada = gallery.separate(&merge).unwrap().unwrap();
    assert_eq!((of(ada), of(grace)), (vec![four.0], vec![three.0]));
    gallery.remove_person(lin).unwrap();
    assert_eq!(listed_sightings(&gallery, &SightingFilter::default(), 9), [four.0, three.0]);
    assert_eq!(sightings_near(&gallery, 9.0, 9_000), [(three.0, 4.0), (four.0, 9.0)]);
}

fn old_sightings(make: Make<'_>) {
    let gallery = make(&network());
    for at in [100, 200, 300] {
        gallery.record_sighting(&sighting("door", at, None, &[0.0, 0.0])).unwrap();
    }
    assert_eq!(gallery.forget_sightings_before(109).unwrap(), 0);
    assert_eq!(gallery.forget_sightings_before(210).unwrap(), 2);
    assert_eq!(listed_sightings(&gallery, &SightingFilter::default(), 9).len(), 1);
    // A number is never given again.
    let newest = gallery.record_sighting(&sighting("door", 400, None, &[0.0, 0.0])).unwrap();
    assert_eq!(newest, Some(SightingId(4)));
}

fn ignored(make: Make<'_>) {
    let gallery = two(make);
    let (ada, grace) = (id(&gallery, "Ada"), id(&gallery, "Grace"));
    found(&gallery, 0.0, 0.0);
    gallery.ignore(ada, true).unwrap();
    assert!(gallery.is_ignored(ada) && !gallery.is_ignored(grace));
    assert!(gallery.person(ada).unwrap().unwrap().ignored);
    let removed = gallery.remove_person(ada).unwrap();
    assert!(!gallery.is_ignored(ada));
    let back = gallery.restore(&removed.record).unwrap();
    assert!(gallery.is_ignored(back));
    gallery.ignore(back, false).unwrap();
    assert!(!gallery.is_ignored(back));
    assert!(matches!(gallery.ignore(PersonId(99), true), Err(GalleryError::NoSuchPerson { .. })));
}

fn exported(make: Make<'_>) {
    let gallery = make(&network());
    let picture = NewPhoto { thumbnail: Some(JPEG.into()), ..photo(0.0, 0.0) };
    let ada = gallery.add("Ada", &[picture, photo(1.0, 0.0)]).unwrap().person;
    let seen = gallery.record_sighting(&sighting("door", 100, Some(ada), &[0.5, 0.0])).unwrap().unwrap();
    gallery.record_sighting(&sighting("door", 100, None, &[0.5, 0.0])).unwrap();
    let mut file = std::io::Cursor::new(Vec::new());
    assert!(gallery.export_person(ada, &mut file).unwrap());
    let mut zip = zip::ZipArchive::new(file).unwrap();
    assert_eq!(zip.len(), 3);
    let data: serde_json::Value = serde_json::from_reader(zip.by_name("data.json").unwrap()).unwrap();
    assert_eq!((&data["name"], data["photos"].as_array().unwrap().len()), (&"Ada".into(), 2));
    assert_eq!(data["sightings"][0]["camera"], "door");
    assert_eq!(data["sightings"][0]["embedding"], serde_json::json!([0.5, 0.0]));
    let name = format!("sightings/{}.jpg", seen.0);
    assert_eq!(data["sightings"][0]["picture"], name);
    let mut jpeg = Vec::new();
    std::io::Read::read_to_end(&mut zip.by_name(&name).unwrap(), &mut jpeg).unwrap();
    assert_eq!(jpeg, JPEG);
    assert!(!gallery.export_person(PersonId(99), std::io::Cursor::new(Vec::new())).unwrap());
    // There is no space for it.
    let full = gallery.export_person(ada, &mut [0_u8; 100][..]);
    assert!(matches!(full, Err(GalleryError::Store { .. })), "{full:?}");
}
