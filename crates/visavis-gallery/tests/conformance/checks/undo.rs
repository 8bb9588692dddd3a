//! Merging, removing and restoring.

use visavis_gallery::{GalleryError, NewAlarm, NewPhoto, PersonId};

use super::{Make, found, id, names_near, network, photo, two};

pub(super) fn joined(make: Make<'_>) {
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

pub(super) fn removed(make: Make<'_>) {
    let gallery = two(make);
    let grace = gallery.find_person("Grace").unwrap().id;
    assert_eq!(gallery.remove_person(id(&gallery, " Grace ")).unwrap().record.photos.len(), 1);
    assert_eq!(found(&gallery, 5.0, 0.0), [("Ada".into(), 4.0)]);
    assert_eq!(gallery.portrait(grace).unwrap(), None);
    // The number is not reused.
    assert!(gallery.add("Grace", &[photo(5.0, 0.0)]).unwrap().person > grace);
}

pub(super) fn restored(make: Make<'_>) {
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

pub(super) fn parted(make: Make<'_>) {
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

pub(super) fn single_photos(make: Make<'_>) {
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
