//! Searching, and what concerns all people of a gallery.

use visavis_gallery::{EmbeddingId, GalleryError, NewPhoto, PersonId, distance, strangers_within};
use visavis_infer::manifest::Metric;

use super::{Make, found, id, network, photo, two};

pub(super) fn nearest_photos(make: Make<'_>) {
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

pub(super) fn many_photos(make: Make<'_>) {
    let gallery = make(&network());
    let photos: Vec<NewPhoto> = (0..300).map(|at| photo(at as f32 / 1000.0, 0.0)).collect();
    gallery.add("Many", &photos).unwrap();
    gallery.add("Few", &[photo(7.0, 0.0)]).unwrap();
    gallery.add("Far", &[photo(9.0, 0.0)]).unwrap();
    assert_eq!(found(&gallery, 0.0, 0.0), [("Many".into(), 0.0), ("Few".into(), 7.0), ("Far".into(), 9.0)]);
}

pub(super) fn equally_near(make: Make<'_>) {
    let gallery = make(&network());
    let ids: Vec<PersonId> =
        (0..60).map(|at| gallery.add(&format!("Twin {at}"), &[photo(1.0, 1.0)]).unwrap().person).collect();
    let nearest = gallery.search(&[1.0, 2.0], 2).unwrap();
    assert_eq!(nearest.iter().map(|found| found.person).collect::<Vec<_>>(), ids[..2]);
}

pub(super) fn cosine(make: Make<'_>) {
    let gallery = make(&EmbeddingId { metric: Metric::Cosine, ..network() });
    gallery.add("Ada", &[photo(0.0, 2.0), photo(3.0, 4.0)]).unwrap();
    gallery.add("Grace", &[photo(-5.0, 0.0)]).unwrap();
    let found = found(&gallery, 7.0, 0.0);
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Ada", "Grace"]);
    assert!((found[0].1 - 0.4).abs() < 1e-6 && (found[1].1 - 2.0).abs() < 1e-6, "{found:?}");
    assert!(matches!(gallery.search(&[0.0, 0.0], 1), Err(GalleryError::Query { .. })));
    assert!(matches!(gallery.add("Eve", &[photo(0.0, 0.0)]), Err(GalleryError::Photo { .. })));
}

pub(super) fn strangers(make: Make<'_>) {
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

pub(super) fn news(make: Make<'_>) {
    let gallery = two(make);
    assert!(!gallery.refresh().unwrap());
    gallery.watch(id(&gallery, "Ada"), true).unwrap();
    gallery.remove_person(id(&gallery, "Grace")).unwrap();
    assert!(!gallery.refresh().unwrap());
}
