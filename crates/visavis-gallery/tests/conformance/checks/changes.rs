//! Adding, listing and changing people.

use visavis_gallery::{Gallery, GalleryError, NewPhoto, PersonId, Wanted};

use super::{JPEG, Make, found, id, names_near, network, people, photo, sighting, two};

pub(super) fn once(make: Make<'_>) {
    let gallery = make(&network());
    let hashed = |byte| NewPhoto { sha256: Some([byte; 32]), ..photo(0.0, 0.0) };
    let first = gallery.add("Ada", &[hashed(1), hashed(1), hashed(2)]).unwrap();
    let second = gallery.add(" Ada ", &[hashed(2), hashed(3)]).unwrap();
    assert_eq!((first.photos, second.photos, first.person), (2, 1, second.person));
    assert_eq!(gallery.add("Twin", &[hashed(1)]).unwrap().photos, 1);
    assert_eq!(people(&gallery), [("Ada".into(), 3), ("Twin".into(), 1)]);
}

pub(super) fn unusable(make: Make<'_>) {
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

pub(super) fn names(make: Make<'_>) {
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

pub(super) fn unknown(make: Make<'_>) {
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

pub(super) fn listed(make: Make<'_>) {
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
        ("Zoe", &[]),
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

pub(super) fn portraits(make: Make<'_>) {
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

pub(super) fn renamed(make: Make<'_>) {
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

pub(super) fn watched(make: Make<'_>) {
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

pub(super) fn denied(make: Make<'_>) {
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

pub(super) fn visitors(make: Make<'_>) {
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

pub(super) fn met(make: Make<'_>) {
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

pub(super) fn ignored(make: Make<'_>) {
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

pub(super) fn exported(make: Make<'_>) {
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
