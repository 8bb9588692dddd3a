//! Which network runs next on which faces. Pure logic; time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use visavis_face::TrackId;
use visavis_infer::Task;

/// How often each network runs on each face.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleParams {
    /// Number of results after which the averages of age and gender count as steady.
    pub steady_after: u32,
    /// Pause between two results for age and gender of a face whose averages are steady.
    pub steady_pause: Duration,
    /// Live: a face whose identity is not settled is compared with the gallery once in this many expression rounds (the
    /// paper's demo: 5).
    pub similarity_every: u32,
    /// Number of comparisons with the gallery after which the identity of a face counts as settled, if they agree.
    pub settled_after: u32,
    /// Pause between two comparisons of a face whose identity is settled.
    pub settled_pause: Duration,
    /// Largest number of faces in one job.
    pub batch: usize,
}

impl Default for ScheduleParams {
    fn default() -> Self {
        Self {
            steady_after: 20,
            steady_pause: Duration::from_secs(2),
            similarity_every: 5,
            settled_after: 15,
            settled_pause: Duration::from_secs(1),
            batch: 4,
        }
    }
}

/// Name and tasks of a recognition network. The schedule refers to a network by its index in a list of these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelTasks<'a> {
    pub(crate) name: &'a str,
    pub(crate) tasks: &'a [Task],
}

impl ModelTasks<'_> {
    /// Whether the network runs on every frame that there is time for: a change of expression must be visible at once.
    fn is_expression(&self) -> bool {
        self.tasks.contains(&Task::Smile) || self.tasks.contains(&Task::Expression)
    }

    fn compares(&self) -> bool {
        self.tasks.contains(&Task::Similarity)
    }
}

/// A job: index of the network, and indices into the frame's faces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) model: usize,
    pub(crate) faces: Vec<usize>,
    /// Those of the faces that are compared with the gallery.
    pub(crate) compared: Vec<usize>,
}

/// The comparisons of a face with the gallery.
#[derive(Debug, Clone, Copy, Default)]
struct Comparisons {
    done: u32,
    last_seq: Option<u64>,
    last_at: Duration,
    /// Number of expression jobs of the face at the last comparison.
    round: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    under_way: bool,
    done: u32,
    last_seq: Option<u64>,
    last_at: Duration,
}

/// Decides the order of jobs from what was done when for each face and network.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    params: ScheduleParams,
    progress: HashMap<TrackId, HashMap<String, Progress>>,
    comparisons: HashMap<TrackId, Comparisons>,
    /// Number of expression jobs of each face.
    rounds: HashMap<TrackId, u32>,
    /// Whether the last job was an expression job. A slower job that is due comes next then.
    slow_turn: bool,
}

impl Schedule {
    pub(crate) fn new(params: ScheduleParams) -> Self {
        Self { params, ..Self::default() }
    }

    /// Forgets all faces that are not in `alive`.
    pub(crate) fn keep(&mut self, alive: &[TrackId]) {
        self.progress.retain(|track, _| alive.contains(track));
        self.rounds.retain(|track, _| alive.contains(track));
        self.comparisons.retain(|track, _| alive.contains(track));
    }

    /// Marks the identity of a face as not settled.
    pub(crate) fn reopen_identity(&mut self, track: TrackId) {
        if let Some(comparisons) = self.comparisons.get_mut(&track) {
            comparisons.done = 0;
        }
    }

    /// Marks the identities of all faces as not settled, after the gallery has changed.
    pub(crate) fn reopen_identities(&mut self) {
        self.comparisons.values_mut().for_each(|comparisons| comparisons.done = 0);
    }

    /// The next job on frame `seq`, captured at `now`, with these faces; the job is marked as under way. `None` if nothing is due.
    ///
    /// Expression jobs come first, whenever there is a frame on which the expression of a face was not determined. Between two of
    /// them comes one slower job if any is due, so that slower jobs also run with a single worker. Slower jobs are ordered by the
    /// number of results (fewest first, so a new face comes at once), then by time (oldest first), then by network.
    pub(crate) fn pick(
        &mut self,
        models: &[ModelTasks<'_>],
        seq: u64,
        now: Duration,
        faces: &[TrackId],
    ) -> Option<Pick> {
        let expression = self.expression(models, seq, faces);
        let slow = || self.slow(models, seq, now, faces);
        let mut pick = match expression {
            Some(expression) if self.slow_turn => slow().unwrap_or(expression),
            Some(expression) => expression,
            None => slow()?,
        };
        let model = models[pick.model];
        self.slow_turn = model.is_expression();
        for &face in &pick.faces {
            *self.rounds.entry(faces[face]).or_default() += u32::from(model.is_expression());
            let entry = self.progress.entry(faces[face]).or_default().entry(model.name.to_owned()).or_default();
            *entry = Progress { under_way: true, last_seq: Some(seq), last_at: now, ..*entry };
        }
        pick.compared = self.compare(models, pick.model, seq, now, faces, &pick.faces, self.params.similarity_every);
        Some(pick)
    }

    /// All jobs on frame `seq`, captured at `now`, when every frame is processed: expressions of all faces, and everything else that
    /// is due. Depends on the frames alone and not on when jobs end, so that runs are reproducible.
    pub(crate) fn all(&mut self, models: &[ModelTasks<'_>], seq: u64, now: Duration, faces: &[TrackId]) -> Vec<Pick> {
        let mut picks = Vec::new();
        for (place, model) in models.iter().enumerate() {
            let due = |index: &usize| {
                let track = faces[*index];
                let compares = || self.is_comparison_due(track, seq, now, true, 1);
                model.is_expression()
                    || self.is_due(model, &self.of(track, model.name), now)
                    || (model.compares() && compares())
            };
            let due: Vec<usize> = (0..faces.len()).filter(due).collect();
            if due.is_empty() {
                continue;
            }
            for &face in &due {
                let entry = self.progress.entry(faces[face]).or_default().entry(model.name.to_owned()).or_default();
                *entry = Progress { last_seq: Some(seq), last_at: now, done: entry.done + 1, ..*entry };
            }
            let compared = self.compare(models, place, seq, now, faces, &due, 1);
            picks.push(Pick { model: place, faces: due, compared });
        }
        picks
    }

    /// The faces that a job compares with the gallery; they are recorded as compared.
    #[expect(clippy::too_many_arguments, reason = "a frame, a model and its faces")]
    fn compare(
        &mut self,
        models: &[ModelTasks<'_>],
        model: usize,
        seq: u64,
        now: Duration,
        tracks: &[TrackId],
        faces: &[usize],
        every: u32,
    ) -> Vec<usize> {
        if !models[model].compares() {
            return Vec::new();
        }
        let frames = !models.iter().any(ModelTasks::is_expression);
        let due = |face: &&usize| self.is_comparison_due(tracks[**face], seq, now, frames, every);
        let compared: Vec<usize> = faces.iter().filter(due).copied().collect();
        for &face in &compared {
            let round = self.rounds.get(&tracks[face]).copied().unwrap_or(0);
            let entry = self.comparisons.entry(tracks[face]).or_default();
            *entry = Comparisons { done: entry.done + 1, last_seq: Some(seq), last_at: now, round };
        }
        compared
    }

    /// Whether a face is to be compared with the gallery on frame `seq`. With `frames`, frames are counted instead of expression
    /// jobs, as without an expression network. Until the identity is settled, `every` of them are between two comparisons.
    fn is_comparison_due(&self, track: TrackId, seq: u64, now: Duration, frames: bool, every: u32) -> bool {
        let Some(last) = self.comparisons.get(&track) else { return true };
        let Some(last_seq) = last.last_seq else { return true };
        if last.done >= self.params.settled_after {
            return now.saturating_sub(last.last_at) >= self.params.settled_pause;
        }
        let rounds = if frames || every <= 1 {
            u32::try_from(seq.saturating_sub(last_seq)).unwrap_or(u32::MAX)
        } else {
            self.rounds.get(&track).map_or(0, |rounds| rounds.saturating_sub(last.round))
        };
        rounds >= every
    }

    /// Records that a job has ended, and whether it succeeded.
    pub(crate) fn finish(&mut self, name: &str, tracks: &[TrackId], succeeded: bool) {
        for track in tracks {
            let entry = self.progress.get_mut(track).and_then(|models| models.get_mut(name));
            if let Some(entry) = entry.filter(|entry| entry.under_way) {
                entry.under_way = false;
                entry.done += u32::from(succeeded);
            }
        }
    }

    fn of(&self, track: TrackId, name: &str) -> Progress {
        self.progress.get(&track).and_then(|models| models.get(name)).copied().unwrap_or_default()
    }

    /// An expression job: of the networks for expressions the one with the fewest results, with the faces that have the fewest.
    fn expression(&self, models: &[ModelTasks<'_>], seq: u64, faces: &[TrackId]) -> Option<Pick> {
        let of_model = |(model, view): (usize, &ModelTasks<'_>)| {
            let mut open: Vec<(u32, usize)> = faces
                .iter()
                .enumerate()
                .map(|(index, &track)| (index, self.of(track, view.name)))
                .filter(|(_, progress)| !progress.under_way && progress.last_seq != Some(seq))
                .map(|(index, progress)| (progress.done, index))
                .collect();
            open.sort_unstable();
            open.truncate(self.params.batch.max(1));
            let least = open.first()?.0;
            let faces = open.into_iter().map(|(_, index)| index).collect();
            Some((least, Pick { model, faces, compared: Vec::new() }))
        };
        let models = models.iter().enumerate().filter(|(_, model)| model.is_expression());
        models.filter_map(of_model).min_by_key(|(least, pick)| (*least, pick.model)).map(|(_, pick)| pick)
    }

    /// The slower job that is due first.
    fn slow(&self, models: &[ModelTasks<'_>], seq: u64, now: Duration, faces: &[TrackId]) -> Option<Pick> {
        let mut best: Option<((u32, Duration, usize, usize), Pick)> = None;
        for (model, view) in models.iter().enumerate().filter(|(_, model)| !model.is_expression()) {
            for (index, &track) in faces.iter().enumerate() {
                let progress = self.of(track, view.name);
                let frames = !models.iter().any(ModelTasks::is_expression);
                let compares = || self.is_comparison_due(track, seq, now, frames, self.params.similarity_every);
                let due = self.is_due(view, &progress, now) || (view.compares() && compares());
                if progress.under_way || progress.last_seq == Some(seq) || !due {
                    continue;
                }
                let rank = (progress.done, progress.last_at, model, index);
                if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                    best = Some((rank, Pick { model, faces: vec![index], compared: Vec::new() }));
                }
            }
        }
        best.map(|(_, pick)| pick)
    }

    /// Whether a network is to run on a face for a task other than similarity.
    fn is_due(&self, model: &ModelTasks<'_>, progress: &Progress, now: Duration) -> bool {
        model.tasks.iter().any(|task| *task != Task::Similarity)
            && (progress.last_seq.is_none()
                || progress.done < self.params.steady_after
                || now.saturating_sub(progress.last_at) >= self.params.steady_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [ModelTasks<'static>; 3] = [
        ModelTasks { name: "smile", tasks: &[Task::Smile] },
        ModelTasks { name: "age", tasks: &[Task::Age, Task::Gender] },
        ModelTasks { name: "who", tasks: &[Task::Similarity] },
    ];

    /// One worker and a camera with 30 frames per second; each job takes as long as a frame.
    fn run(schedule: &mut Schedule, models: &[ModelTasks<'_>], faces: &[TrackId], frames: u64) -> Vec<Pick> {
        (0..frames)
            .filter_map(|seq| {
                let pick = schedule.pick(models, seq, Duration::from_millis(33 * seq), faces)?;
                let tracks: Vec<_> = pick.faces.iter().map(|&f| faces[f]).collect();
                schedule.finish(models[pick.model].name, &tracks, true);
                Some(pick)
            })
            .collect()
    }

    #[test]
    fn expression_comes_first_and_every_second_job_is_one() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        let picks = run(&mut schedule, &MODELS, &[1, 2], 40);
        assert!(picks.iter().step_by(2).all(|pick| (pick.model, &pick.faces[..]) == (0, &[0, 1][..])));
        assert!(picks.iter().skip(1).step_by(2).all(|pick| pick.model != 0));
    }

    #[test]
    fn faces_take_turns_and_a_new_face_is_served_first() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        run(&mut schedule, &MODELS, &[1, 2], 60);
        let pick = |s: &mut Schedule, seq| s.pick(&MODELS, seq, Duration::from_secs(4), &[1, 2, 3]).unwrap();
        let first = pick(&mut schedule, 100);
        let second = pick(&mut schedule, 100);
        let (slow, fast) = if first.model == 0 { (second, first) } else { (first, second) };
        assert_eq!(fast.faces[0], 2, "the new face leads the expression batch");
        assert_eq!((slow.model, slow.faces), (1, vec![2]));
    }

    #[test]
    fn steady_averages_are_updated_at_intervals() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        let models = &MODELS[..2];
        run(&mut schedule, models, &[1], 200);
        // Steady after 20 results; then one result every two seconds.
        let ages = (200..320u64)
            .filter(|&seq| {
                let now = Duration::from_millis(33 * seq);
                let mut aged = false;
                while let Some(pick) = schedule.pick(models, seq, now, &[1]) {
                    aged |= pick.model == 1;
                    schedule.finish(models[pick.model].name, &[1], true);
                }
                aged
            })
            .count();
        assert!((1..=3).contains(&ages), "{ages} results in four seconds");
    }

    #[test]
    fn similarity_comes_once_in_five_rounds() {
        // Beside an expression network, and alone.
        for models in [&[MODELS[0], MODELS[2]][..], &[MODELS[2]]] {
            let mut schedule = Schedule::new(ScheduleParams::default());
            let mut seen = Vec::new();
            for seq in 0..31u64 {
                while let Some(pick) = schedule.pick(models, seq, Duration::from_millis(33 * seq), &[1]) {
                    if models[pick.model].name == "who" {
                        seen.push(seq);
                    }
                    schedule.finish(models[pick.model].name, &[1], true);
                }
            }
            assert_eq!(seen, [0, 5, 10, 15, 20, 25, 30], "{} networks", models.len());
        }
    }

    #[test]
    fn a_settled_face_is_compared_at_intervals() {
        // With a network of its own, and with one that also determines expressions and so runs on every frame.
        let one_pass = [ModelTasks { name: "all", tasks: &[Task::Smile, Task::Age, Task::Similarity] }];
        for models in [&[MODELS[0], MODELS[2]][..], &one_pass] {
            let params = ScheduleParams { settled_after: 3, ..ScheduleParams::default() };
            let mut schedule = Schedule::new(params);
            let compared = |schedule: &mut Schedule, frames: std::ops::Range<u64>| {
                let mut seen = Vec::new();
                for seq in frames {
                    while let Some(pick) = schedule.pick(models, seq, Duration::from_millis(40 * seq), &[1]) {
                        seen.extend(pick.compared.iter().map(|_| seq));
                        schedule.finish(models[pick.model].name, &[1], true);
                    }
                }
                seen
            };
            // Every fifth round three times, then once a second.
            assert_eq!(compared(&mut schedule, 0..80), [0, 5, 10, 35, 60], "{} networks", models.len());
            schedule.reopen_identities();
            // A comparison may come before the expression of its own frame, whose round then counts already.
            let seen = compared(&mut schedule, 80..120);
            let gaps: Vec<u64> = seen.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(seen[0] == 80 && matches!(gaps[..], [4..=5, 4..=5, 25]), "{} networks: {seen:?}", models.len());
        }
    }

    #[test]
    fn with_every_frame_all_tasks_run_until_they_are_steady() {
        let params = ScheduleParams { steady_after: 4, settled_after: 2, ..ScheduleParams::default() };
        let run = || {
            let mut schedule = Schedule::new(params.clone());
            (0..120u64)
                .map(|seq| schedule.all(&MODELS, seq, Duration::from_millis(40 * seq), &[1, 2]))
                .collect::<Vec<_>>()
        };
        let frames = run();
        let seen = |model: usize| -> Vec<usize> {
            let has = |picks: &&Vec<Pick>| picks.iter().any(|pick| pick.model == model && pick.faces == [0, 1]);
            frames.iter().enumerate().filter(|(_, picks)| has(picks)).map(|(seq, _)| seq).collect()
        };
        assert_eq!(seen(0).len(), 120, "expressions of every frame");
        assert_eq!(seen(1), [0, 1, 2, 3, 53, 103], "then every two seconds");
        assert_eq!(seen(2), [0, 1, 26, 51, 76, 101], "then every second");
        assert!(frames[2].iter().all(|pick| pick.compared.is_empty()));
        assert_eq!(frames, run());
        let mut schedule = Schedule::new(params.clone());
        assert_eq!(schedule.all(&MODELS, 0, Duration::ZERO, &[]), []);
    }

    #[test]
    fn two_networks_for_expressions_take_turns() {
        let models = [MODELS[0], ModelTasks { name: "mood", tasks: &[Task::Expression] }];
        let mut schedule = Schedule::new(ScheduleParams::default());
        let picks = run(&mut schedule, &models, &[1], 10);
        assert_eq!(picks.iter().map(|pick| pick.model).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn a_job_under_way_is_not_given_twice() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        let now = Duration::ZERO;
        let mut picks = Vec::new();
        while let Some(pick) = schedule.pick(&MODELS, 0, now, &[7]) {
            picks.push(pick.model);
        }
        assert_eq!(picks, [0, 1, 2], "one job for each network, then nothing");
        assert_eq!(schedule.pick(&MODELS, 1, now, &[7]), None, "all are still under way");
        schedule.finish("smile", &[7], true);
        assert_eq!(schedule.pick(&MODELS, 1, now, &[7]).map(|pick| pick.model), Some(0));
    }

    #[test]
    fn a_failed_job_does_not_count() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        schedule.pick(&MODELS, 0, Duration::ZERO, &[1]);
        schedule.finish("smile", &[1], false);
        assert_eq!(schedule.of(1, "smile").done, 0);
        schedule.keep(&[]);
        assert!(schedule.progress.is_empty() && schedule.rounds.is_empty());
    }
}
