//! What runs now, as the API tells it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use visavis_infer::Task;
use visavis_live::{Choice, Event};

/// What runs now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Status {
    /// The version of visavis.
    pub(crate) version: &'static str,
    /// Where the pictures come from.
    pub(crate) source: SourceStatus,
    /// Whether a recording runs.
    pub(crate) recording: bool,
    /// The six tasks by name.
    pub(crate) tasks: BTreeMap<String, TaskStatus>,
    /// The gallery, where there is one.
    pub(crate) gallery: Option<GalleryStatus>,
}

/// Where the pictures come from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceStatus {
    /// Its number among [`crate::api`]'s sources; `None` for the camera of a browser.
    pub(crate) id: Option<String>,
    /// For people.
    pub(crate) name: String,
    /// Whether the picture is mirrored.
    pub(crate) mirrored: bool,
    /// Whether there is no source yet.
    pub(crate) waiting: bool,
    /// Why the source before it ended, if it broke.
    pub(crate) failure: Option<String>,
}

/// The gallery that faces are compared with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct GalleryStatus {
    /// The network that made its vectors.
    pub(crate) network: String,
    /// Whether everyone seen is added.
    pub(crate) grows: bool,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub(crate) struct TaskStatus {
    /// The network that does it.
    pub(crate) network: Option<String>,
    /// The network that is being loaded for it.
    pub(crate) loading: Option<String>,
    /// Why the last network that was wanted does not run.
    pub(crate) failure: Option<String>,
    /// Engine, device and threads.
    pub(crate) runs_with: Option<String>,
}

impl Status {
    pub(crate) fn tasks_of(choice: &Choice) -> BTreeMap<String, TaskStatus> {
        let task = |task: Task| {
            let network = choice.of(task).map(str::to_owned);
            (task.to_string(), TaskStatus { network, ..TaskStatus::default() })
        };
        Task::ALL.into_iter().map(task).collect()
    }

    /// The network that does `task` now.
    pub(crate) fn network(&self, task: Task) -> Option<&str> {
        self.tasks.get(&task.to_string())?.network.as_deref()
    }

    /// Takes in what happened; whether that changed anything.
    pub(crate) fn absorb(&mut self, event: &Event) -> bool {
        let mut with = |task: &Task, change: &mut dyn FnMut(&mut TaskStatus)| {
            change(self.tasks.entry(task.to_string()).or_default());
            true
        };
        match event {
            Event::Running { task, model, placement } => with(task, &mut |status| {
                status.runs_with = Some(placement.to_string());
                // Until the switch is told, the old one does the task.
                status.network.get_or_insert_with(|| model.clone());
            }),
            Event::Loading { task, model } => with(task, &mut |status| {
                (status.loading, status.failure) = (Some(model.clone()), None);
            }),
            Event::Switched { task, model } => with(task, &mut |status| {
                (status.network, status.loading, status.failure) = (model.clone(), None, None);
                if model.is_none() {
                    status.runs_with = None;
                }
            }),
            Event::SwitchFailed { task, reason, .. } => with(task, &mut |status| {
                (status.loading, status.failure) = (None, Some(reason.clone()));
            }),
            Event::GaveUp { model, .. } => {
                for status in self.tasks.values_mut().filter(|status| status.network.as_ref() == Some(model)) {
                    *status = TaskStatus { failure: Some(event.to_string()), ..TaskStatus::default() };
                }
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let choice = Choice { detector: "d".into(), age: Some("a".into()), ..Choice::default() };
        Status {
            version: "0",
            source: SourceStatus { id: None, name: "film".into(), mirrored: false, waiting: false, failure: None },
            recording: false,
            tasks: Status::tasks_of(&choice),
            gallery: None,
        }
    }

    #[test]
    fn a_switch_shows_loading_and_what_came_of_it() {
        let mut status = status();
        let (task, model) = (Task::Age, "b".to_owned());
        assert!(status.absorb(&Event::Loading { task, model: model.clone() }));
        assert_eq!((status.network(task), status.tasks["age"].loading.as_deref()), (Some("a"), Some("b")));
        status.absorb(&Event::SwitchFailed { task, model: model.clone(), reason: "no".into() });
        assert_eq!((status.network(task), status.tasks["age"].failure.as_deref()), (Some("a"), Some("no")));
        status.absorb(&Event::Loading { task, model: model.clone() });
        status.absorb(&Event::Switched { task, model: Some(model.clone()) });
        let expected = TaskStatus { network: Some("b".into()), ..TaskStatus::default() };
        assert_eq!(status.tasks["age"], expected);
        status.absorb(&Event::GaveUp { model, failures: 5 });
        assert!(status.network(task).is_none() && status.tasks["age"].failure.is_some());
        assert!(!status.absorb(&Event::SourceEnded));
    }
}
