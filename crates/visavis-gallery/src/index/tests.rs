use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::IdentityParams;

fn network(metric: Metric, length: usize, same_person: f32) -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length,
        metric,
        same_person,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

/// A snapshot of photos given as (person, vector), numbered from 1 in this order; people must come by increasing id.
fn snapshot(embedding: EmbeddingId, photos: &[(i64, Vec<f32>)]) -> Snapshot {
    let mut snapshot = Snapshot::empty(embedding).unwrap();
    for ((person, vector), photo) in photos.iter().zip(1..) {
        snapshot.push(PersonId(*person), &format!("Person {person}"), false, PhotoId(photo), vector).unwrap();
    }
    snapshot
}

/// (person, photo, distance, similarity, same person)
fn table(found: &[Match]) -> Vec<(i64, i64, f32, f32, bool)> {
    found.iter().map(|m| (m.person.0, m.photo.0, m.distance, m.likeness, m.same_person)).collect()
}

#[test]
fn euclidean_by_hand() {
    let gallery = snapshot(
        network(Metric::Euclidean, 2, 5.0),
        &[(1, vec![9.0, 12.0]), (1, vec![3.0, 4.0]), (4, vec![0.0, 1.0]), (7, vec![6.0, 8.0]), (9, vec![-30.0, 40.0])],
    );
    assert_eq!((gallery.people(), gallery.photos()), (4, 5));
    // Distances 15 and 5 (person 1), 1, 10, 50; the threshold is 5.
    let all = [(4, 3, 1.0, 0.9, true), (1, 2, 5.0, 0.5, true), (7, 4, 10.0, 0.0, false), (9, 5, 50.0, 0.0, false)];
    for k in 0..=all.len() + 3 {
        let found = gallery.search(&[0.0, 0.0], k).unwrap();
        assert_eq!(table(&found), all[..k.min(all.len())], "k = {k}");
    }
    let found = gallery.search(&[3.0, 4.0], 1).unwrap();
    assert_eq!(table(&found), [(1, 2, 0.0, 1.0, true)]);
    assert_eq!(&*found[0].name, "Person 1");
    assert_eq!(gallery.name(PersonId(7)), Some("Person 7"));
    assert_eq!(gallery.name(PersonId(8)), None);
}

#[test]
fn cosine_by_hand() {
    // Lengths do not matter. Cosines with (2, 0): 1, 0, -1, 0.6.
    let gallery = snapshot(
        network(Metric::Cosine, 2, 0.5),
        &[(1, vec![100.0, 0.0]), (2, vec![0.0, 0.25]), (3, vec![-4.0, 0.0]), (4, vec![3.0, 4.0])],
    );
    let found = gallery.search(&[2.0, 0.0], 9).unwrap();
    let expected = [(1, 0.0, 1.0, true), (4, 0.4, 0.6, true), (2, 1.0, 0.0, false), (3, 2.0, 0.0, false)];
    assert_eq!(found.len(), expected.len());
    for (m, (person, distance, similarity, same_person)) in found.iter().zip(expected) {
        assert_eq!((m.person.0, m.same_person), (person, same_person));
        assert!((m.distance - distance).abs() < 1e-6 && (m.likeness - similarity).abs() < 1e-6, "{m:?}");
    }
}

#[test]
fn likeness_goes_straight_through_three_points() {
    let gallery = Snapshot::empty(network(Metric::Euclidean, 2, 0.6)).unwrap();
    for (distance, similarity) in
        [(0.0, 1.0), (0.3, 0.75), (0.6, 0.5), (0.9, 0.25), (1.2, 0.0), (1.3, 0.0), (1e30, 0.0), (f32::INFINITY, 0.0)]
    {
        assert!((gallery.embedding().likeness(distance) - similarity).abs() < 1e-6, "{distance}");
    }
}

#[test]
fn equally_near_people_come_by_id_and_photos_too() {
    let gallery = snapshot(
        network(Metric::Euclidean, 1, 1.0),
        &[(2, vec![1.0]), (2, vec![-1.0]), (3, vec![-1.0]), (5, vec![1.0]), (6, vec![0.5])],
    );
    let found = gallery.search(&[0.0], 3).unwrap();
    assert_eq!(found.iter().map(|m| (m.person.0, m.photo.0)).collect::<Vec<_>>(), [(6, 5), (2, 1), (3, 3)]);
}

#[test]
fn unusable_queries_are_refused() {
    let euclidean = snapshot(network(Metric::Euclidean, 2, 1.0), &[(1, vec![1.0, 2.0])]);
    let cosine = snapshot(network(Metric::Cosine, 2, 1.0), &[(1, vec![1.0, 2.0])]);
    for (query, fault) in [
        (&[][..], VectorFault::Length { found: 0, expected: 2 }),
        (&[1.0], VectorFault::Length { found: 1, expected: 2 }),
        (&[1.0, 2.0, 3.0], VectorFault::Length { found: 3, expected: 2 }),
        (&[f32::NAN, 0.0], VectorFault::NotFinite { position: 0 }),
        (&[0.0, f32::INFINITY], VectorFault::NotFinite { position: 1 }),
        (&[1e30, 0.0], VectorFault::TooLarge),
    ] {
        for gallery in [&euclidean, &cosine] {
            for k in [0, 1] {
                let error = gallery.search(query, k).unwrap_err();
                assert!(matches!(&error, GalleryError::Query { fault: found, .. } if *found == fault), "{error}");
                assert!(error.to_string().contains("owl"), "{error}");
            }
        }
    }
    let error = cosine.search(&[0.0, -0.0], 1).unwrap_err();
    assert!(matches!(error, GalleryError::Query { fault: VectorFault::NoDirection, .. }), "{error}");
    assert_eq!(euclidean.search(&[0.0, 0.0], 1).unwrap().len(), 1);
}

#[test]
fn an_empty_gallery_finds_no_person() {
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let gallery = Snapshot::empty(network(metric, 2, 1.0)).unwrap();
        assert!(gallery.search(&[1.0, 2.0], 5).unwrap().is_empty());
        assert!(gallery.search(&[1.0], 5).is_err());
    }
}

#[test]
fn the_largest_vectors_stay_comparable() {
    // At the limits of what is accepted: no distance may overflow.
    let large = (f32::MAX / 8.0).sqrt() * 0.999;
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let gallery = snapshot(network(metric, 1, 1.0), &[(1, vec![large])]);
        let found = gallery.search(&[-large], 1).unwrap();
        assert!(found[0].distance.is_finite() && found[0].likeness == 0.0, "{found:?}");
        assert_eq!(gallery.search(&[large], 1).unwrap()[0].distance, 0.0);
    }
}

/// The expected result: all distances in `f64`, sorted.
fn naive(metric: Metric, photos: &[(i64, Vec<f32>)], query: &[f32]) -> Vec<(f64, i64, i64)> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let mut best: BTreeMap<i64, (f64, i64)> = BTreeMap::new();
    for ((person, vector), photo) in photos.iter().zip(1..) {
        let distance = match metric {
            Metric::Euclidean => (dot(vector, vector) - 2.0 * dot(vector, query) + dot(query, query)).max(0.0).sqrt(),
            Metric::Cosine => 1.0 - dot(vector, query) / (dot(vector, vector) * dot(query, query)).sqrt(),
        };
        let entry = best.entry(*person).or_insert((distance, photo));
        if distance < entry.0 {
            *entry = (distance, photo);
        }
    }
    let mut all: Vec<_> = best.into_iter().map(|(person, (distance, photo))| (distance, person, photo)).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all
}

/// A gallery of up to 60 photos and a query. Small integers, so that `f32` is exact and ties are common.
fn whole_numbers() -> impl Strategy<Value = (Vec<(i64, Vec<f32>)>, Vec<f32>)> {
    (1usize..70).prop_flat_map(|length| {
        let vector = prop::collection::vec((-3i8..=3).prop_map(f32::from), length);
        let photos = prop::collection::vec((0i64..20, vector.clone()), 0..60).prop_map(|mut photos| {
            photos.sort_by_key(|(person, _)| *person);
            photos
        });
        (photos, vector)
    })
}

fn real_numbers() -> impl Strategy<Value = (Vec<(i64, Vec<f32>)>, Vec<f32>)> {
    (1usize..70).prop_flat_map(|length| {
        // Not zero, which has no direction for cosine.
        let number = prop_oneof![-2000i32..-100, 100i32..2000].prop_map(|thousandths| thousandths as f32 / 1000.0);
        let vector = prop::collection::vec(number, length);
        let photos = prop::collection::vec((0i64..20, vector.clone()), 0..60).prop_map(|mut photos| {
            photos.sort_by_key(|(person, _)| *person);
            photos
        });
        (photos, vector)
    })
}

proptest! {
    #[test]
    fn euclidean_search_is_exact((photos, query) in whole_numbers(), k in 0usize..25) {
        let gallery = snapshot(network(Metric::Euclidean, query.len(), 1.5), &photos);
        let found = gallery.search(&query, k).unwrap();
        let expected = naive(Metric::Euclidean, &photos, &query);
        prop_assert_eq!(found.len(), k.min(expected.len()));
        for (found, (distance, person, photo)) in found.iter().zip(expected) {
            prop_assert_eq!((found.person.0, found.photo.0), (person, photo));
            prop_assert_eq!(found.distance, distance as f32);
        }
    }

    #[test]
    fn cosine_search_is_exact_but_for_rounding((photos, query) in real_numbers(), k in 0usize..25) {
        let gallery = snapshot(network(Metric::Cosine, query.len(), 0.4), &photos);
        let found = gallery.search(&query, k).unwrap();
        let expected = naive(Metric::Cosine, &photos, &query);
        prop_assert_eq!(found.len(), k.min(expected.len()));
        prop_assert!(found.is_sorted_by(|a, b| (a.distance, a.person) < (b.distance, b.person)));
        let true_distances: BTreeMap<i64, f64> = expected.iter().map(|(distance, person, _)| (*person, *distance)).collect();
        for (found, (distance, _, _)) in found.iter().zip(&expected) {
            // Rounding may swap people with nearly equal distances, but the distances must agree.
            prop_assert!((f64::from(found.distance) - distance).abs() < 1e-5, "{:?} {}", found, distance);
            prop_assert!((f64::from(found.distance) - true_distances[&found.person.0]).abs() < 1e-5);
            prop_assert!((0.0..=2.0).contains(&found.distance) && (0.0..=1.0).contains(&found.likeness));
            prop_assert_eq!(found.same_person, found.distance <= 0.4);
            prop_assert_eq!(found.same_person, found.likeness >= 0.5);
        }
    }

    #[test]
    fn any_numbers_never_panic(photos in prop::collection::vec(prop::collection::vec(any::<f32>(), 5), 0..8), query in prop::collection::vec(any::<f32>(), 4..7)) {
        for metric in [Metric::Euclidean, Metric::Cosine] {
            let mut gallery = Snapshot::empty(network(metric, 5, 1.0)).unwrap();
            for (vector, id) in photos.iter().zip(1..) {
                let taken = gallery.push(PersonId(id), "x", false, PhotoId(id), vector);
                prop_assert!(taken.is_ok() || vector.iter().any(|x| !(1e-15..1e18).contains(&x.abs())));
            }
            if let Ok(found) = gallery.search(&query, 8) {
                prop_assert_eq!(found.len(), gallery.people());
                prop_assert!(found.iter().all(|m| m.distance.is_finite() && m.distance >= 0.0));
            }
        }
    }
}

/// Pseudorandom numbers that are equal in every run: approximately normal, as sums of four.
pub(super) fn noise(seed: u32) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        (0..4)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
            })
            .sum()
    }
}

/// `each` photos of each of `people`, around the person, as (person from 1, unit vector).
pub(super) fn clustered(people: usize, each: usize, length: usize) -> Vec<(i64, Vec<f32>)> {
    let mut number = noise(7);
    let mut photos = Vec::new();
    for person in 1..=people as i64 {
        let centre: Vec<f32> = (0..length).map(|_| number()).collect();
        for _ in 0..each {
            let photo: Vec<f32> = centre.iter().map(|value| value + 0.4 * number()).collect();
            let far = super::length(&photo);
            photos.push((person, photo.into_iter().map(|value| value / far).collect()));
        }
    }
    photos
}

/// A unit vector with noise of a length about `amount`.
pub(super) fn noisy(vector: &[f32], amount: f32, seed: u32) -> Vec<f32> {
    let mut number = noise(seed);
    let spread = amount / (vector.len() as f32 / 3.0).sqrt();
    vector.iter().map(|value| value + spread * number()).collect()
}

/// Whether the graph and the exact search find the same nearest person for every query.
fn agreement(gallery: &Snapshot, queries: &[Vec<f32>], k: usize, keep: impl Fn(PhotoId) -> bool) -> f64 {
    let same = queries.iter().filter(|query| {
        let near = gallery.search_among(query, k, false, &keep).unwrap();
        let exact = gallery.search_among(query, k, true, &keep).unwrap();
        assert_eq!(near.len(), exact.len());
        near == exact
    });
    same.count() as f64 / queries.len() as f64
}

#[test]
fn the_graph_finds_whom_the_exact_search_finds() {
    for metric in [Metric::Cosine, Metric::Euclidean] {
        for (people, each) in [(4_000, 1), (800, 5), (40, 100)] {
            let photos = clustered(people, each, 48);
            let gallery = snapshot(network(metric, 48, 0.4), &photos).with_graph(0);
            assert!(gallery.is_approximate());
            let queries: Vec<Vec<f32>> =
                photos.iter().step_by(13).zip(1..).map(|((_, vector), seed)| noisy(vector, 0.3, seed)).collect();
            assert!(agreement(&gallery, &queries, 1, |_| true) >= 0.99, "{metric:?}, {each} photos each");
            // More people are requested than the first candidates contain; and almost all photos are ignored.
            assert!(agreement(&gallery, &queries, 5, |_| true) >= 0.95, "{metric:?}, {each} photos each");
            assert!(agreement(&gallery, &queries, 2, |photo| photo.0 % 3 == 0) >= 0.95);
            assert_eq!(agreement(&gallery, &queries[..20], 3, |photo| photo.0 % 997 == 0), 1.0);
            assert_eq!(agreement(&gallery, &queries[..20], 3, |_| false), 1.0);
            assert_eq!(agreement(&gallery, &queries[..2], 9_999, |_| true), 1.0);
            assert_eq!(agreement(&gallery, &queries[..2], 0, |_| true), 1.0);
        }
    }
}

#[test]
fn few_photos_are_searched_exactly_even_with_a_graph() {
    let gallery = snapshot(network(Metric::Cosine, 2, 0.5), &[(1, vec![1.0, 0.0]), (2, vec![0.0, 1.0])]).with_graph(3);
    assert!(!gallery.is_approximate());
    assert_eq!(gallery.search(&[1.0, 0.1], 1).unwrap()[0].person, PersonId(1));
    let none = snapshot(network(Metric::Cosine, 2, 0.5), &[]).with_graph(0);
    assert_eq!(none.search(&[1.0, 0.1], 1).unwrap(), []);
}
