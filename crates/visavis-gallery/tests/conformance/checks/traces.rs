//! Alarms and sightings.

use visavis_gallery::{AlarmId, Answer, Gallery, GalleryError, NewAlarm, PersonId, SightingFilter, SightingId};

use super::{JPEG, Make, id, names_near, network, people, sighting, two};

pub(super) fn restored_traces(make: Make<'_>) {
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

pub(super) fn alarms(make: Make<'_>) {
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

pub(super) fn acknowledged(make: Make<'_>) {
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

fn listed_sightings(gallery: &Gallery, filter: &SightingFilter, most: usize) -> Vec<i64> {
    gallery.sightings(filter, most).unwrap().into_iter().map(|entry| entry.id.0).collect()
}

fn sightings_near(gallery: &Gallery, x: f32, now: i64) -> Vec<(i64, f32)> {
    let found = gallery.sightings_like(&[x, 0.0], 2, now).unwrap();
    found.into_iter().map(|found| (found.sighting.id.0, found.distance)).collect()
}

pub(super) fn sightings(make: Make<'_>) {
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
    // A removed sighting, and a person that the gallery does not have.
    assert!(!gallery.remove_sighting(third).unwrap());
    assert_eq!(gallery.sighting(third).unwrap(), None);
    assert_eq!(gallery.update_sighting(third, &sighting("door", 1, None, &[0.0, 0.0])).unwrap(), None);
    let of_unknown_person = sighting("door", 1, Some(PersonId(99)), &[0.0, 0.0]);
    assert_eq!(gallery.record_sighting(&of_unknown_person).unwrap(), None);
    let other = sighting("door", 1, None, &[0.0]);
    assert!(matches!(gallery.record_sighting(&other), Err(GalleryError::Query { .. })));
}

pub(super) fn named_sightings(make: Make<'_>) {
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

pub(super) fn old_sightings(make: Make<'_>) {
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
