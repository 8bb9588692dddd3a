use visavis_gallery::PhotoId;
use visavis_infer::manifest::Strangers;

use super::*;

const GOOD: Quality = Quality { size: 120.0, sharpness: 30.0, turn: 0.1, yaw: 5.0 };

const SCALE: Scale = Scale { same_person: 0.5, likeness: None, photos: 9 };

fn like(person: i64, similarity: f32) -> Match {
    Match {
        person: PersonId(person),
        name: "x".into(),
        photo: PhotoId(1),
        distance: 1.0 - similarity,
        likeness: similarity,
        identified: None,
        same_person: similarity >= 0.5,
        watched: false,
    }
}

/// A result for a track at a time in seconds. It is the only face of its picture.
fn at(visitors: &mut Visitors, second: u64, track: TrackId, quality: Quality, nearest: &[Match]) -> Vec<VisitorAction> {
    among(visitors, second, track, &[track], quality, nearest)
}

/// A result for a track at a time in seconds, from a picture with the faces of several tracks.
fn among(
    visitors: &mut Visitors,
    second: u64,
    track: TrackId,
    in_view: &[TrackId],
    quality: Quality,
    nearest: &[Match],
) -> Vec<VisitorAction> {
    visitors.observe(&VisitorObservation {
        track,
        at: Duration::from_secs(second),
        in_view,
        quality,
        vector: &[2.0, 0.0],
        scale: SCALE,
        nearest,
    })
}

#[test]
fn an_unknown_person_is_added_after_good_results_only() {
    let mut visitors = Visitors::default();
    let blurred = Quality { sharpness: 3.0, ..GOOD };
    for second in 0..9 {
        assert_eq!(at(&mut visitors, second, 1, blurred, &[like(7, 0.2)]), []);
    }
    assert_eq!(at(&mut visitors, 9, 1, GOOD, &[like(7, 0.2)]), []);
    assert_eq!(at(&mut visitors, 10, 1, GOOD, &[]), []);
    assert_eq!(
        at(&mut visitors, 11, 1, GOOD, &[like(7, 0.3)]),
        [VisitorAction::Add { track: 1, vector: vec![2.0, 0.0] }]
    );
    assert_eq!(
        visitors.settled(1, PersonId(8), Duration::from_secs(11), &[1]),
        [VisitorAction::Seen { person: PersonId(8), new: true }]
    );
    // Still present: recorded every few seconds, not with every result.
    assert_eq!(at(&mut visitors, 12, 1, GOOD, &[like(8, 0.99)]), []);
    assert_eq!(
        at(&mut visitors, 22, 1, GOOD, &[like(8, 0.99)]),
        [VisitorAction::Seen { person: PersonId(8), new: false }]
    );
}

#[test]
fn a_track_is_undecided_until_its_person_is_known_or_it_has_ended() {
    let mut visitors = Visitors::default();
    at(&mut visitors, 0, 1, GOOD, &[]);
    at(&mut visitors, 0, 2, GOOD, &[]);
    assert!(visitors.is_undecided(1) && visitors.is_undecided(2) && !visitors.is_undecided(3));
    visitors.settled(1, PersonId(8), Duration::from_secs(1), &[1]);
    assert!(!visitors.is_undecided(1) && visitors.is_undecided(2));
    at(&mut visitors, 31, 3, GOOD, &[]);
    assert!(!visitors.is_undecided(2), "no result for 30 seconds");
}

#[test]
fn a_profile_is_not_added_as_a_photo() {
    let mut visitors = Visitors::default();
    for second in 0..9 {
        assert_eq!(at(&mut visitors, second, 1, Quality { yaw: 70.0, ..GOOD }, &[like(7, 0.2)]), []);
    }
    // Of two results that suffice, the frontal one has the higher score.
    assert!(GOOD.score() > Quality { yaw: 30.0, ..GOOD }.score());
}

#[test]
fn a_known_person_is_recorded_and_not_added() {
    let mut visitors = Visitors::default();
    assert_eq!(at(&mut visitors, 0, 1, GOOD, &[like(3, 0.9)]), []);
    assert_eq!(
        at(&mut visitors, 1, 1, GOOD, &[like(3, 0.9)]),
        [VisitorAction::Seen { person: PersonId(3), new: true }]
    );
    // The same person in another track, soon and after a while.
    at(&mut visitors, 30, 2, GOOD, &[like(3, 0.9)]);
    assert_eq!(
        at(&mut visitors, 31, 2, GOOD, &[like(3, 0.9)]),
        [VisitorAction::Seen { person: PersonId(3), new: false }]
    );
    at(&mut visitors, 300, 3, GOOD, &[like(3, 0.9)]);
    assert_eq!(
        at(&mut visitors, 301, 3, GOOD, &[like(3, 0.9)]),
        [VisitorAction::Seen { person: PersonId(3), new: true }]
    );
}

#[test]
fn photos_of_new_views_are_added_up_to_a_limit() {
    let mut visitors = Visitors::new(VisitorParams { photos: 3, ..VisitorParams::default() });
    visitors.settled(1, PersonId(3), Duration::ZERO, &[1]);
    assert_eq!(at(&mut visitors, 1, 1, GOOD, &[like(3, 0.95)]), []);
    assert_eq!(at(&mut visitors, 2, 1, GOOD, &[like(3, 0.6)]), [VisitorAction::AddPhoto { person: PersonId(3) }]);
    assert_eq!(at(&mut visitors, 3, 1, Quality { turn: 0.9, ..GOOD }, &[like(3, 0.6)]), []);
    assert_eq!(at(&mut visitors, 4, 1, GOOD, &[like(3, 0.6)]), [VisitorAction::AddPhoto { person: PersonId(3) }]);
    assert_eq!(at(&mut visitors, 5, 1, GOOD, &[like(3, 0.6)]), []);
}

#[test]
fn two_people_found_to_be_one_are_merged_unless_seen_together() {
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(5), Duration::ZERO, &[1]);
    for second in 1..3 {
        at(&mut visitors, second, 1, GOOD, &[like(5, 0.99)]);
    }
    assert_eq!(at(&mut visitors, 3, 1, GOOD, &[like(4, 0.99)]), []);
    assert_eq!(at(&mut visitors, 4, 1, GOOD, &[like(4, 0.99)]), []);
    assert_eq!(
        at(&mut visitors, 5, 1, GOOD, &[like(4, 0.99)]),
        [VisitorAction::Merge { from: PersonId(5), into: PersonId(4) }]
    );
    // Both were in one picture: two people, however similar, also after one has left.
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(4), Duration::ZERO, &[1, 2]);
    visitors.settled(2, PersonId(5), Duration::ZERO, &[1, 2]);
    for second in 1..6 {
        assert_eq!(at(&mut visitors, second, 2, GOOD, &[like(4, 0.99)]), []);
    }
}

#[test]
fn two_similar_people_in_view_are_not_merged() {
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(4), Duration::ZERO, &[1]);
    for second in 1..4 {
        among(&mut visitors, second, 1, &[1, 2], GOOD, &[like(4, 0.99)]);
        let actions = among(&mut visitors, second, 2, &[1, 2], GOOD, &[like(4, 0.9), like(6, 0.2)]);
        match second {
            1 | 2 => assert_eq!(actions, []),
            _ => assert!(matches!(actions[..], [VisitorAction::Add { track: 2, .. }]), "{actions:?}"),
        }
    }
    let near = [like(4, 0.9)];
    assert_eq!(visitors.known(2, &[1, 2], &near, SCALE), None);
    assert_eq!(visitors.known(2, &[2], &near, SCALE), Some(PersonId(4)), "the other one has left");
}

#[test]
fn after_a_cut_the_same_person_is_known_at_once() {
    let mut visitors = Visitors::default();
    at(&mut visitors, 0, 1, GOOD, &[like(4, 0.9)]);
    at(&mut visitors, 0, 1, GOOD, &[like(4, 0.9)]);
    // Within the same second another photo of the person follows, so the first track has ended.
    for _ in 0..9 {
        assert_eq!(at(&mut visitors, 0, 2, GOOD, &[like(4, 0.8), like(6, 0.2)]), [], "no visitor");
    }
    assert_eq!(visitors.tracks[&2].person, Some(PersonId(4)));
    assert_eq!(visitors.apart, HashSet::new());
}

#[test]
fn with_more_photos_the_distance_must_be_smaller() {
    let visitors = Visitors::new(VisitorParams { false_match_rate: 0.02, ..VisitorParams::default() });
    // One pair of strangers of 100 is within 0.5, of 1,000 within 0.4, of 10,000 within 0.3.
    let strangers = Strangers { within: 0.5, scale: 0.1 / 10f64.ln(), shape: 0.0 };
    let likeness = Some(Likeness { median: 0.2, spread: 0.4, strangers });
    let known = |distance: f32, photos| {
        let scale = Scale { likeness, photos, ..SCALE };
        visitors.known(1, &[1], &[like(4, 1.0 - distance)], scale).is_some()
    };
    assert_eq!([19, 22].map(|photos| known(0.4, photos)), [true, false]);
    assert_eq!([190, 210].map(|photos| known(0.3, photos)), [true, false]);
    assert_eq!([190_000, 210_000].map(|photos| known(0.0, photos)), [true, false]);
    assert!(known(0.499, 1) && !known(0.6, 0), "never beyond the threshold of a single pair");
}

#[test]
fn a_removed_person_is_unknown_again() {
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(5), Duration::ZERO, &[1]);
    visitors.forget(PersonId(5));
    at(&mut visitors, 1, 1, GOOD, &[]);
    at(&mut visitors, 2, 1, GOOD, &[]);
    assert!(matches!(at(&mut visitors, 3, 1, GOOD, &[])[..], [VisitorAction::Add { track: 1, .. }]));
}
