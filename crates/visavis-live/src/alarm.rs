//! Alarms, and the decision when one is raised. Pure logic; time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use visavis_face::TrackId;
use visavis_gallery::{AlarmId, EmbeddingId, Match, PersonId, distance};
use visavis_image::Rect;

/// When alarms are raised, and what they contain.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmParams {
    /// Number of recognition results in a row that must agree on a face.
    pub confirm: usize,
    /// An alarm about the same person is raised again only after no result has shown the person for this time. A person who stays
    /// in view raises one alarm. A face that matches no person of the gallery is the same person as an earlier one if it is within
    /// the network's same-person distance of it.
    pub cool_down: Duration,
    /// The wanted false match rate: share of the results of people outside the gallery that may match a watched person, 0 to 1.
    /// The distance threshold follows from it and from the number of photos of watched people, by the network's measured
    /// distances ([`visavis_gallery::distance_at`]) and by the distances between the people of the gallery
    /// ([`visavis_gallery::Gallery::strangers_within`]); the smaller threshold is used. `None`: the network's same-person
    /// distance.
    pub false_alarms: Option<f64>,
    /// Whether a face that matches no person of the gallery raises an alarm.
    pub unknown: bool,
    /// Whether an alarm contains the face as JPEG.
    pub crops: bool,
}

impl Default for AlarmParams {
    fn default() -> Self {
        Self { confirm: 4, cool_down: Duration::from_secs(60), false_alarms: Some(0.001), unknown: false, crops: false }
    }
}

/// An alarm that was raised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// Number of the alarm in this run, from 1.
    pub number: u64,
    /// Number of the alarm in the gallery's list; `None` if it could not be recorded.
    #[serde(skip)]
    pub id: Option<AlarmId>,
    /// Seconds since 1970.
    pub time: i64,
    /// Number of the frame.
    pub frame: u64,
    /// The tracked face.
    pub track: TrackId,
    /// Box of the face in that frame: x, y, width, height in pixels.
    #[serde(serialize_with = "numbers")]
    pub rect: Rect,
    /// Why the alarm was raised.
    #[serde(flatten)]
    pub cause: Cause,
    /// The face as JPEG, with [`AlarmParams::crops`].
    #[serde(skip)]
    pub crop: Option<Vec<u8>>,
}

fn numbers<S: serde::Serializer>(rect: &Rect, serializer: S) -> Result<S::Ok, S::Error> {
    <[f32; 4]>::from(*rect).serialize(serializer)
}

/// Why an alarm was raised.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The face matches a watched person.
    Watched {
        /// Number of the person in the gallery.
        #[serde(serialize_with = "number")]
        person: PersonId,
        /// The name.
        name: String,
        /// Chance that the face is this person, 0 to 1, from the last result. Absent if the network's distances were not measured.
        #[serde(skip_serializing_if = "Option::is_none")]
        identified: Option<f32>,
        /// Likeness on a scale from 0 to 1, from the last result. Not a probability.
        likeness: f32,
        /// Distance of the embeddings, from the last result.
        distance: f32,
    },
    /// The face matches no person of the gallery.
    Unknown,
}

fn number<S: serde::Serializer>(person: &PersonId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(person.0)
}

/// Who a face is according to one result, as far as alarms depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Identity {
    Watched(PersonId),
    Unknown,
    /// A person of the gallery who raises no alarm.
    Other,
}

/// An unknown face that raised an alarm.
#[derive(Debug)]
struct UnknownFace {
    /// Its last track.
    track: TrackId,
    /// Its embedding. Empty after a change of the network.
    vector: Vec<f32>,
    /// When it was last in view.
    last: Duration,
}

/// Decides from recognition results of tracked faces when an alarm is raised.
#[derive(Debug)]
pub(crate) struct AlarmTrigger {
    params: AlarmParams,
    /// Of each track: when the last result came, and the last results.
    results: HashMap<TrackId, (Duration, VecDeque<Identity>)>,
    /// The watched people of past alarms, and when each was last in view.
    raised: HashMap<PersonId, Duration>,
    /// The unknown faces of past alarms.
    unknown: Vec<UnknownFace>,
}

/// The results of a track are discarded after this time without a new one.
const TRACK_TIMEOUT: Duration = Duration::from_secs(30);
/// Limit for the number of unknown faces that a face is compared with. The more there are, the likelier another person is taken for
/// one of them and raises no alarm.
const MAX_UNKNOWN: usize = 64;

impl AlarmTrigger {
    pub(crate) fn new(params: AlarmParams) -> Self {
        Self { params, results: HashMap::new(), raised: HashMap::new(), unknown: Vec::new() }
    }

    /// Sets other parameters. Past alarms are still taken into account.
    pub(crate) fn set_params(&mut self, params: AlarmParams) {
        self.params = params;
    }

    /// Takes a recognition result of a track at time `at`. `nearest` are the nearest people of the gallery, nearest first;
    /// `max_distance` is the largest distance that counts as a match with a watched person; `vector` is the embedding of the face,
    /// made by `network`. Returns the cause if an alarm is to be raised.
    pub(crate) fn observe(
        &mut self,
        at: Duration,
        track: TrackId,
        nearest: &[Match],
        max_distance: f32,
        vector: &[f32],
        network: &EmbeddingId,
    ) -> Option<Cause> {
        self.results.retain(|_, (last, _)| *last + TRACK_TIMEOUT > at);
        let cool_down = self.params.cool_down;
        self.raised.retain(|_, last| *last + cool_down > at);
        self.unknown.retain(|face| face.last + cool_down > at);
        let first = nearest.first();
        let identity = match first {
            Some(found) if found.watched && found.distance <= max_distance => Identity::Watched(found.person),
            Some(found) if found.same_person => Identity::Other,
            _ => Identity::Unknown,
        };
        let confirm = self.params.confirm.max(1);
        let (last, identities) = self.results.entry(track).or_default();
        *last = at;
        identities.push_back(identity);
        while identities.len() > confirm {
            identities.pop_front();
        }
        if identities.len() < confirm || identities.iter().any(|other| *other != identity) {
            return None;
        }
        match (identity, first) {
            (Identity::Watched(person), Some(found)) => {
                let Match { identified, likeness, distance, .. } = *found;
                let name = found.name.to_string();
                // An entry that is there already is renewed: the person is still in view.
                let is_new = self.raised.insert(person, at).is_none();
                is_new.then_some(Cause::Watched { person, name, identified, likeness, distance })
            }
            (Identity::Unknown, _) if self.params.unknown => {
                self.is_new_unknown(at, track, vector, network).then_some(Cause::Unknown)
            }
            _ => None,
        }
    }

    /// Notes that an unknown face is in view. Returns whether none of the past alarms was about it.
    fn is_new_unknown(&mut self, at: Duration, track: TrackId, vector: &[f32], network: &EmbeddingId) -> bool {
        let is_same = |face: &UnknownFace| {
            let is_near = || distance(network.metric, &face.vector, vector) <= network.same_person;
            face.track == track || (!face.vector.is_empty() && is_near())
        };
        if let Some(face) = self.unknown.iter_mut().find(|face| is_same(face)) {
            // It is still in view, or again.
            (face.track, face.last) = (track, at);
            return false;
        }
        if self.unknown.len() >= MAX_UNKNOWN {
            // The one that left first.
            self.unknown.sort_by_key(|face| face.last);
            self.unknown.remove(0);
        }
        self.unknown.push(UnknownFace { track, vector: vector.to_vec(), last: at });
        true
    }

    /// Discards the vectors of the old network, which cannot be compared with those of the new one.
    pub(crate) fn change_network(&mut self) {
        self.unknown.iter_mut().for_each(|face| face.vector.clear());
    }

    /// Discards the results of a track, after its alarm was denied.
    pub(crate) fn reset(&mut self, track: TrackId) {
        self.results.remove(&track);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_gallery::{IdentityParams, PhotoId};
    use visavis_infer::manifest::Metric;

    fn person_at(person: i64, distance: f32, watched: bool) -> [Match; 1] {
        let (same_person, likeness) = (distance <= 0.6, 1.0 - distance / 1.2);
        let (person, photo) = (PersonId(person), PhotoId(1));
        [Match { person, name: "Eve".into(), photo, distance, likeness, identified: None, same_person, watched }]
    }

    fn observe(trigger: &mut AlarmTrigger, second: f64, track: TrackId, nearest: &[Match]) -> Option<Cause> {
        observe_face(trigger, second, track, nearest, [1.0, 0.0])
    }

    fn observe_face(
        trigger: &mut AlarmTrigger,
        second: f64,
        track: TrackId,
        nearest: &[Match],
        vector: [f32; 2],
    ) -> Option<Cause> {
        let network = EmbeddingId {
            name: "owl".into(),
            fingerprint: "1a2b".into(),
            length: 2,
            metric: Metric::Euclidean,
            same_person: 0.6,
            likeness: None,
            identity: IdentityParams::default(),
        };
        trigger.observe(Duration::from_secs_f64(second), track, nearest, 0.5, &vector, &network)
    }

    fn trigger(params: AlarmParams) -> AlarmTrigger {
        AlarmTrigger::new(AlarmParams { confirm: 3, cool_down: Duration::from_secs(10), ..params })
    }

    #[test]
    fn an_alarm_is_raised_once_when_confirmed_and_again_after_an_absence() {
        let mut trigger = trigger(AlarmParams::default());
        let eve = person_at(1, 0.3, true);
        assert_eq!([observe(&mut trigger, 0.0, 1, &eve), observe(&mut trigger, 1.0, 1, &eve)], [None, None]);
        assert!(matches!(observe(&mut trigger, 2.0, 1, &eve), Some(Cause::Watched { person: PersonId(1), .. })));
        // In view for longer than the cool-down, also as another track: no alarm.
        for second in 3..20 {
            assert_eq!(observe(&mut trigger, f64::from(second), 1, &eve), None);
        }
        for second in 20..24 {
            assert_eq!(observe(&mut trigger, f64::from(second), 2, &eve), None);
        }
        for second in [40.0, 41.0] {
            assert_eq!(observe(&mut trigger, second, 3, &eve), None);
        }
        assert!(observe(&mut trigger, 42.0, 3, &eve).is_some());
    }

    #[test]
    fn one_result_that_disagrees_starts_the_count_again() {
        let mut trigger = trigger(AlarmParams::default());
        let eve = person_at(1, 0.3, true);
        for other in [person_at(2, 0.2, true), person_at(1, 0.55, true), person_at(1, 0.3, false)] {
            trigger.reset(1);
            for nearest in [&eve, &eve, &other, &eve, &eve] {
                assert_eq!(observe(&mut trigger, 0.0, 1, nearest), None);
            }
        }
        // The results of two tracks are not counted together.
        for track in [5, 6, 5, 6] {
            assert_eq!(observe(&mut trigger, 1.0, track, &eve), None);
        }
    }

    #[test]
    fn unknown_faces_raise_alarms_if_wanted_once_for_each_face() {
        let far = person_at(1, 0.9, false);
        let mut without_unknown = trigger(AlarmParams::default());
        let mut with_unknown = trigger(AlarmParams { unknown: true, ..AlarmParams::default() });
        for second in [0.0, 1.0, 2.0] {
            assert_eq!(observe(&mut without_unknown, second, 1, &far), None);
        }
        assert_eq!(observe(&mut with_unknown, 0.0, 1, &far), None);
        assert_eq!(observe(&mut with_unknown, 1.0, 1, &[]), None);
        assert_eq!(observe(&mut with_unknown, 2.0, 1, &far), Some(Cause::Unknown));
        for second in [3.0, 4.0] {
            assert_eq!(observe_face(&mut with_unknown, second, 2, &far, [0.0, 1.0]), None);
        }
        assert_eq!(observe_face(&mut with_unknown, 5.0, 2, &far, [0.0, 1.0]), Some(Cause::Unknown));
        // A person of the gallery who is not watched is not unknown.
        for second in [6.0, 7.0, 8.0] {
            assert_eq!(observe(&mut with_unknown, second, 3, &person_at(1, 0.3, false)), None);
        }
    }

    #[test]
    fn an_unknown_face_that_comes_back_soon_raises_no_second_alarm() {
        let mut trigger = trigger(AlarmParams { unknown: true, ..AlarmParams::default() });
        // The number of alarms of three results.
        let alarms = |trigger: &mut AlarmTrigger, from: u32, track: TrackId, vector: [f32; 2]| {
            let seconds = (from..from + 3).map(f64::from);
            seconds.filter_map(|second| observe_face(trigger, second, track, &[], vector)).count()
        };
        assert_eq!(alarms(&mut trigger, 0, 1, [1.0, 0.0]), 1);
        assert_eq!(alarms(&mut trigger, 6, 2, [1.0, 0.3]), 0, "the same face, as another track");
        assert_eq!(alarms(&mut trigger, 14, 3, [1.0, 0.0]), 0, "it was in view less than ten seconds ago");
        assert_eq!(alarms(&mut trigger, 17, 4, [0.0, 1.0]), 1, "another face");
        assert_eq!(alarms(&mut trigger, 40, 5, [1.0, 0.0]), 1, "after the cool-down");
        // The vectors of two networks are not compared. A face that stays in view raises no alarm.
        trigger.change_network();
        assert_eq!(alarms(&mut trigger, 43, 5, [0.0, 0.0]), 0);
        assert_eq!(alarms(&mut trigger, 46, 6, [1.0, 0.0]), 1);
    }

    #[test]
    fn the_number_of_unknown_faces_is_limited() {
        let mut trigger = AlarmTrigger::new(AlarmParams { confirm: 1, unknown: true, ..AlarmParams::default() });
        for track in 1..=200 {
            assert!(observe_face(&mut trigger, 0.0, track, &[], [track as f32, 0.0]).is_some());
        }
        assert_eq!(trigger.unknown.len(), MAX_UNKNOWN);
        assert_eq!(observe_face(&mut trigger, 1.0, 300, &[], [200.0, 0.0]), None, "the newest ones are kept");
    }

    #[test]
    fn after_a_denial_an_alarm_must_be_confirmed_again() {
        let mut trigger = trigger(AlarmParams::default());
        let eve = person_at(1, 0.3, true);
        observe(&mut trigger, 0.0, 1, &eve);
        observe(&mut trigger, 1.0, 1, &eve);
        trigger.reset(1);
        assert_eq!(observe(&mut trigger, 2.0, 1, &eve), None);
    }
}
