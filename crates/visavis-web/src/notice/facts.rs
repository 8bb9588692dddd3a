//! What the program does now, as far as the people in front of the cameras are concerned.

use std::sync::Arc;
use std::time::Duration;

use visavis_live::Snapshot;

use crate::app_state::AppState;
use crate::notice_params::NoticeParams;

/// What is analysed and stored, by at least one of the cameras.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Facts {
    pub(super) stated: NoticeParams,
    /// Number of cameras.
    pub(super) cameras: usize,
    pub(super) age: bool,
    pub(super) gender: bool,
    pub(super) smile: bool,
    pub(super) expression: bool,
    pub(super) head_pose: bool,
    /// Faces are compared with a gallery.
    pub(super) compared: bool,
    /// Alarms are raised for people on the watch list, and for all others.
    pub(super) alarms: bool,
    pub(super) alarms_of_unknown: bool,
    pub(super) alarm_pictures: bool,
    /// Visitors are added to the gallery and deleted if they were not seen for this time.
    pub(super) visitors: Option<Duration>,
    /// Sightings are recorded and deleted after this time.
    pub(super) sightings: Option<Duration>,
    /// A film is recorded.
    pub(super) film: bool,
}

impl Facts {
    pub(super) fn of(cameras: &[Arc<AppState>]) -> Self {
        let mut facts = Self { cameras: cameras.len(), ..Self::default() };
        for camera in cameras {
            facts.stated = camera.config.notice.clone();
            facts.film |= camera.recorder.is_running();
            facts.add(&camera.config.pipeline.snapshot());
        }
        facts.film |= facts.stated.film;
        facts
    }

    fn add(&mut self, snapshot: &Snapshot) {
        let params = &snapshot.params;
        let choice = &params.choice;
        self.age |= choice.age.is_some();
        self.gender |= choice.gender.is_some();
        self.smile |= choice.smile.is_some();
        self.expression |= choice.expression.is_some();
        self.head_pose |= choice.head_pose.is_some();
        // Alarms, visitors and the names of sightings follow from comparisons.
        let compared = choice.similarity.is_some() && snapshot.gallery.is_some();
        self.compared |= compared;
        if let Some(alarm) = params.alarm.as_ref().filter(|_| compared) {
            self.alarms = true;
            self.alarms_of_unknown |= alarm.unknown;
            self.alarm_pictures |= alarm.crops;
        }
        if let Some(growth) = params.growth.as_ref().filter(|_| compared) {
            self.visitors = self.visitors.max(Some(growth.keep));
        }
        if let Some(sightings) = params.sightings.as_ref().filter(|_| snapshot.gallery.is_some()) {
            self.sightings = self.sightings.max(Some(sightings.keep));
        }
    }

    /// Whether anything about the people in front of the cameras is kept.
    pub(super) fn stores(&self) -> bool {
        let Self { stated, alarms, visitors, sightings, film, .. } = self;
        *alarms || visitors.is_some() || sightings.is_some() || *film || stated.files || stated.sent
    }
}
