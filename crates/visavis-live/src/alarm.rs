//! When an alarm rings: the decisions, from looks at tracked faces.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use visavis_face::TrackId;
use visavis_face::gallery::{Match, PersonId};

/// When an alarm rings, and what it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmParams {
    /// Looks in a row that must agree.
    pub confirm: usize,
    /// Silence after the last look at somebody who rang: who stays in view rings once, and who was away for so long rings
    /// again.
    pub cool_down: Duration,
    /// Share of the looks at strangers that may be taken for somebody who is watched; the distance that counts follows from
    /// it, see [`visavis_face::gallery::Gallery::strangers_within`]. `None`: the network's same-person distance.
    pub false_alarms: Option<f64>,
    /// Ring for faces of nobody in the gallery too.
    pub unknown: bool,
    /// Put the face into the alarm, as JPEG.
    pub crops: bool,
}

impl Default for AlarmParams {
    fn default() -> Self {
        Self { confirm: 4, cool_down: Duration::from_secs(60), false_alarms: Some(0.001), unknown: false, crops: false }
    }
}

/// Whom an alarm is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// Somebody on the watch list.
    Watched {
        /// Number in the gallery.
        #[serde(serialize_with = "number")]
        person: PersonId,
        /// The name.
        name: String,
        /// Of the last look, 0 to 1.
        similarity: f32,
        /// Of the last look.
        distance: f32,
    },
    /// Nobody in the gallery.
    Unknown,
}

fn number<S: serde::Serializer>(person: &PersonId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(person.0)
}

/// Whom a look says a face is, as far as alarms care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verdict {
    Watched(PersonId),
    Unknown,
    /// Somebody known who is not watched, or nobody for sure.
    Nobody,
}

/// Who rang: a person, whichever face; a stranger only by the face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ringer {
    Person(PersonId),
    Face(TrackId),
}

/// The watch: remembers the last looks at each face, and who rang when.
#[derive(Debug)]
pub(crate) struct Watch {
    params: AlarmParams,
    looks: HashMap<TrackId, (Duration, VecDeque<Verdict>)>,
    rang: HashMap<Ringer, Duration>,
}

/// A face without looks for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

impl Watch {
    pub(crate) fn new(params: AlarmParams) -> Self {
        Self { params, looks: HashMap::new(), rang: HashMap::new() }
    }

    /// From now on alarms ring so. Who rang stays known, so that nobody rings anew for it.
    pub(crate) fn set_params(&mut self, params: AlarmParams) {
        self.params = params;
    }

    /// Takes in a look at `at`; `within` is the distance that somebody watched must be within.
    pub(crate) fn look(&mut self, at: Duration, track: TrackId, nearest: &[Match], within: f32) -> Option<Cause> {
        self.looks.retain(|_, (last, _)| *last + FORGOTTEN_AFTER > at);
        let cool_down = self.params.cool_down;
        self.rang.retain(|_, last| *last + cool_down > at);
        let first = nearest.first();
        let verdict = match first {
            Some(found) if found.watched && found.distance <= within => Verdict::Watched(found.person),
            Some(found) if found.same_person => Verdict::Nobody,
            _ => Verdict::Unknown,
        };
        let confirm = self.params.confirm.max(1);
        let (last, verdicts) = self.looks.entry(track).or_default();
        *last = at;
        verdicts.push_back(verdict);
        while verdicts.len() > confirm {
            verdicts.pop_front();
        }
        if verdicts.len() < confirm || verdicts.iter().any(|other| *other != verdict) {
            return None;
        }
        let (ringer, cause) = match (verdict, first) {
            (Verdict::Watched(person), Some(found)) => {
                let (similarity, distance) = (found.similarity, found.distance);
                (Ringer::Person(person), Cause::Watched { person, name: found.name.to_string(), similarity, distance })
            }
            (Verdict::Unknown, _) if self.params.unknown => (Ringer::Face(track), Cause::Unknown),
            _ => return None,
        };
        // Whoever is still in view goes on being silent.
        self.rang.insert(ringer, at).is_none().then_some(cause)
    }

    /// Somebody said of the face that it is not this person: whatever the looks before said is void.
    pub(crate) fn void(&mut self, track: TrackId) {
        self.looks.remove(&track);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_face::gallery::PhotoId;

    fn like(person: i64, distance: f32, watched: bool) -> [Match; 1] {
        let (same_person, similarity) = (distance <= 0.6, 1.0 - distance / 1.2);
        let (person, photo) = (PersonId(person), PhotoId(1));
        [Match { person, name: "Eve".into(), photo, distance, similarity, same_person, watched }]
    }

    fn rings(watch: &mut Watch, second: f64, track: TrackId, nearest: &[Match]) -> Option<Cause> {
        watch.look(Duration::from_secs_f64(second), track, nearest, 0.5)
    }

    fn watch(params: AlarmParams) -> Watch {
        Watch::new(AlarmParams { confirm: 3, cool_down: Duration::from_secs(10), ..params })
    }

    #[test]
    fn it_rings_once_when_confirmed_and_again_after_an_absence() {
        let mut watch = watch(AlarmParams::default());
        let eve = like(1, 0.3, true);
        assert_eq!([rings(&mut watch, 0.0, 1, &eve), rings(&mut watch, 1.0, 1, &eve)], [None, None]);
        assert!(matches!(rings(&mut watch, 2.0, 1, &eve), Some(Cause::Watched { person: PersonId(1), .. })));
        // In view for longer than the cool-down, also as another face: silent.
        for second in 3..20 {
            assert_eq!(rings(&mut watch, f64::from(second), 1, &eve), None);
        }
        for second in 20..24 {
            assert_eq!(rings(&mut watch, f64::from(second), 2, &eve), None);
        }
        for second in [40.0, 41.0] {
            assert_eq!(rings(&mut watch, second, 3, &eve), None);
        }
        assert!(rings(&mut watch, 42.0, 3, &eve).is_some());
    }

    #[test]
    fn one_look_that_disagrees_begins_anew() {
        let mut watch = watch(AlarmParams::default());
        let eve = like(1, 0.3, true);
        for other in [like(2, 0.2, true), like(1, 0.55, true), like(1, 0.3, false)] {
            watch.void(1);
            for nearest in [&eve, &eve, &other, &eve, &eve] {
                assert_eq!(rings(&mut watch, 0.0, 1, nearest), None);
            }
        }
        // Two faces do not confirm one another.
        for track in [5, 6, 5, 6] {
            assert_eq!(rings(&mut watch, 1.0, track, &eve), None);
        }
    }

    #[test]
    fn strangers_ring_where_wanted_each_by_their_face() {
        let far = like(1, 0.9, false);
        let mut silent = watch(AlarmParams::default());
        let mut wary = watch(AlarmParams { unknown: true, ..AlarmParams::default() });
        for second in [0.0, 1.0, 2.0] {
            assert_eq!(rings(&mut silent, second, 1, &far), None);
        }
        assert_eq!(rings(&mut wary, 0.0, 1, &far), None);
        assert_eq!(rings(&mut wary, 1.0, 1, &[]), None);
        assert_eq!(rings(&mut wary, 2.0, 1, &far), Some(Cause::Unknown));
        for second in [3.0, 4.0] {
            assert_eq!(rings(&mut wary, second, 2, &far), None);
        }
        assert_eq!(rings(&mut wary, 5.0, 2, &far), Some(Cause::Unknown));
        // Somebody known who is not watched is no stranger.
        for second in [6.0, 7.0, 8.0] {
            assert_eq!(rings(&mut wary, second, 3, &like(1, 0.3, false)), None);
        }
    }

    #[test]
    fn what_was_said_to_be_wrong_must_be_confirmed_anew() {
        let mut watch = watch(AlarmParams::default());
        let eve = like(1, 0.3, true);
        rings(&mut watch, 0.0, 1, &eve);
        rings(&mut watch, 1.0, 1, &eve);
        watch.void(1);
        assert_eq!(rings(&mut watch, 2.0, 1, &eve), None);
    }
}
