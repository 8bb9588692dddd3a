use visavis_image::{Point, face_template};

use super::*;
use crate::gallery::PhotoId;

const GOOD: Quality = Quality { size: 120.0, sharpness: 30.0, turn: 0.1 };

const SCALE: Scale = Scale { same_person: 0.5, likeness: None, people: 9 };

fn like(person: i64, similarity: f32) -> Match {
    Match {
        person: PersonId(person),
        name: "x".into(),
        photo: PhotoId(1),
        distance: 1.0 - similarity,
        similarity,
        same_person: similarity >= 0.5,
        watched: false,
    }
}

/// A look of a track at a second.
fn at(visitors: &mut Visitors, second: u64, track: TrackId, quality: Quality, nearest: &[Match]) -> Vec<Deed> {
    visitors.look(&VisitorLook {
        track,
        at: Duration::from_secs(second),
        quality,
        vector: &[2.0, 0.0],
        scale: SCALE,
        nearest,
    })
}

#[test]
fn a_stranger_is_met_after_good_looks_only() {
    let mut visitors = Visitors::default();
    let blurred = Quality { sharpness: 3.0, ..GOOD };
    for second in 0..9 {
        assert_eq!(at(&mut visitors, second, 1, blurred, &[like(7, 0.2)]), []);
    }
    assert_eq!(at(&mut visitors, 9, 1, GOOD, &[like(7, 0.2)]), []);
    assert_eq!(at(&mut visitors, 10, 1, GOOD, &[]), []);
    assert_eq!(at(&mut visitors, 11, 1, GOOD, &[like(7, 0.3)]), [Deed::Meet { track: 1, vector: vec![2.0, 0.0] }]);
    assert_eq!(
        visitors.settled(1, PersonId(8), Duration::from_secs(11)),
        [Deed::Seen { person: PersonId(8), new: true }]
    );
    // Still there: noted now and then, not with every look.
    assert_eq!(at(&mut visitors, 12, 1, GOOD, &[like(8, 0.99)]), []);
    assert_eq!(at(&mut visitors, 22, 1, GOOD, &[like(8, 0.99)]), [Deed::Seen { person: PersonId(8), new: false }]);
}

#[test]
fn who_is_known_is_seen_again_and_not_added() {
    let mut visitors = Visitors::default();
    assert_eq!(at(&mut visitors, 0, 1, GOOD, &[like(3, 0.9)]), []);
    assert_eq!(at(&mut visitors, 1, 1, GOOD, &[like(3, 0.9)]), [Deed::Seen { person: PersonId(3), new: true }]);
    // The same person as another track, soon and after a while.
    at(&mut visitors, 30, 2, GOOD, &[like(3, 0.9)]);
    assert_eq!(at(&mut visitors, 31, 2, GOOD, &[like(3, 0.9)]), [Deed::Seen { person: PersonId(3), new: false }]);
    at(&mut visitors, 300, 3, GOOD, &[like(3, 0.9)]);
    assert_eq!(at(&mut visitors, 301, 3, GOOD, &[like(3, 0.9)]), [Deed::Seen { person: PersonId(3), new: true }]);
}

#[test]
fn another_view_of_somebody_is_kept_up_to_so_many() {
    let mut visitors = Visitors::new(VisitorParams { photos: 3, ..VisitorParams::default() });
    visitors.settled(1, PersonId(3), Duration::ZERO);
    assert_eq!(at(&mut visitors, 1, 1, GOOD, &[like(3, 0.95)]), []);
    assert_eq!(at(&mut visitors, 2, 1, GOOD, &[like(3, 0.6)]), [Deed::AddPhoto { person: PersonId(3) }]);
    assert_eq!(at(&mut visitors, 3, 1, Quality { turn: 0.9, ..GOOD }, &[like(3, 0.6)]), []);
    assert_eq!(at(&mut visitors, 4, 1, GOOD, &[like(3, 0.6)]), [Deed::AddPhoto { person: PersonId(3) }]);
    assert_eq!(at(&mut visitors, 5, 1, GOOD, &[like(3, 0.6)]), []);
}

#[test]
fn two_that_turn_out_to_be_one_are_joined_unless_they_were_seen_together() {
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(5), Duration::ZERO);
    for second in 1..3 {
        at(&mut visitors, second, 1, GOOD, &[like(5, 0.99)]);
    }
    assert_eq!(at(&mut visitors, 3, 1, GOOD, &[like(4, 0.99)]), []);
    assert_eq!(at(&mut visitors, 4, 1, GOOD, &[like(4, 0.99)]), []);
    assert_eq!(at(&mut visitors, 5, 1, GOOD, &[like(4, 0.99)]), [Deed::Merge { from: PersonId(5), into: PersonId(4) }]);
    // Both in view: two people, however alike.
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(4), Duration::ZERO);
    visitors.settled(2, PersonId(5), Duration::ZERO);
    for second in 1..6 {
        assert_eq!(at(&mut visitors, second, 2, GOOD, &[like(4, 0.99)]), []);
    }
}

#[test]
fn two_who_look_alike_are_not_one_while_both_are_in_view() {
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(4), Duration::ZERO);
    for second in 1..4 {
        at(&mut visitors, second, 1, GOOD, &[like(4, 0.99)]);
        let deeds = at(&mut visitors, second, 2, GOOD, &[like(4, 0.9), like(6, 0.2)]);
        match second {
            1 | 2 => assert_eq!(deeds, []),
            _ => assert!(matches!(deeds[..], [Deed::Meet { track: 2, .. }]), "{deeds:?}"),
        }
    }
    let near = [like(4, 0.9)];
    assert_eq!(visitors.known(2, Duration::from_secs(3), &near, SCALE), None);
    assert_eq!(visitors.known(2, Duration::from_secs(9), &near, SCALE), Some(PersonId(4)), "the other one has left");
}

#[test]
fn among_more_people_a_face_must_be_nearer() {
    let visitors = Visitors::new(VisitorParams { mistaken: 0.02, ..VisitorParams::default() });
    // One of 1,000 strangers is within 0.4, of 10,000 within 0.3, of 100,000 within 0.1.
    let likeness = Some(Likeness { middle: 0.5, width: 0.1, strangers: Some([0.4, 0.3, 0.1]) });
    let known = |distance: f32, people| {
        let scale = Scale { likeness, people, ..SCALE };
        visitors.known(1, Duration::ZERO, &[like(4, 1.0 - distance)], scale).is_some()
    };
    assert_eq!([19, 21].map(|people| known(0.4, people)), [true, false]);
    assert_eq!([190, 210].map(|people| known(0.3, people)), [true, false]);
    assert_eq!([1_900, 2_100].map(|people| known(0.1, people)), [true, false]);
    assert!(known(0.5, 1) && !known(0.6, 0), "never beyond the threshold of a single pair");
}

#[test]
fn who_was_removed_is_a_stranger_again() {
    let mut visitors = Visitors::default();
    visitors.settled(1, PersonId(5), Duration::ZERO);
    visitors.forget(PersonId(5));
    at(&mut visitors, 1, 1, GOOD, &[]);
    at(&mut visitors, 2, 1, GOOD, &[]);
    assert!(matches!(at(&mut visitors, 3, 1, GOOD, &[])[..], [Deed::Meet { track: 1, .. }]));
}

#[test]
fn quality_by_hand() {
    // Stripes of two pixels across the whole aligned face, and nothing at all.
    let five = face_template(64);
    let rect = Rect::new(10.0, 5.0, 40.0, 50.0);
    let plain = Quality::measure(&Picture::filled(64, 64, [90; 3]), &rect, Some(&five));
    assert!(plain.size == 40.0 && plain.sharpness < 1e-3, "{plain:?}");
    assert!(plain.turn < 1e-3, "{}", plain.turn);
    let mut striped = Picture::filled(64, 64, [90; 3]);
    for (y, x) in (0..64).flat_map(|y| (0..64).map(move |x| (y, x))).filter(|(_, x)| x % 4 < 2) {
        striped.set_pixel(x, y, [190; 3]);
    }
    // Every pixel stands at an edge: its Laplacian is the step of 100.
    let sharp = Quality::measure(&striped, &rect, Some(&five));
    assert!((sharp.sharpness - 100.0).abs() < 2.0, "{}", sharp.sharpness);
    let eyes = five.interocular();
    let turned = Landmarks { nose: Point::new(five.nose.x + 0.5 * eyes, five.nose.y), ..five };
    let turned = Quality::measure(&striped, &rect, Some(&turned));
    assert!((turned.turn - 0.5).abs() < 1e-3, "{}", turned.turn);
    assert!(!turned.suffices(&VisitorParams::default()) && turned.score() < sharp.score());
}
