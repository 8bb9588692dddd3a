//! Which face is looked at next, and for what: pure logic, time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use visavis_face::TrackId;
use visavis_infer::Task;

/// How recognition is shared out while live.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleParams {
    /// Looks after which age and gender count as steady.
    pub steady_after: u32,
    /// Pause between two looks at the age and gender of a face whose averages are steady.
    pub steady_pause: Duration,
    /// A face is compared with the gallery once in this many expression rounds (the paper's demo: 5).
    pub similarity_every: u32,
    /// Faces given to a network in one job, at most.
    pub batch: usize,
}

impl Default for ScheduleParams {
    fn default() -> Self {
        Self { steady_after: 20, steady_pause: Duration::from_secs(2), similarity_every: 5, batch: 4 }
    }
}

/// What a lane is to the schedule: its place in the lineup, its name and its tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneView<'a> {
    pub(crate) model: &'a str,
    pub(crate) tasks: &'a [Task],
}

impl LaneView<'_> {
    fn is_expression(&self) -> bool {
        self.tasks.contains(&Task::Smile)
    }
}

/// Which lane, and which faces (indices into the frame's faces).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) lane: usize,
    pub(crate) faces: Vec<usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    under_way: bool,
    done: u32,
    last_seq: Option<u64>,
    last_at: Duration,
    /// Rounds of the face when this lane last looked at it.
    round: u32,
}

/// Remembers for every face and lane what was done when.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    params: ScheduleParams,
    progress: HashMap<TrackId, HashMap<String, Progress>>,
    /// Expression rounds of a face.
    rounds: HashMap<TrackId, u32>,
    /// The last job was an expression: a slower one that is due goes first now.
    slow_turn: bool,
}

impl Schedule {
    pub(crate) fn new(params: ScheduleParams) -> Self {
        Self { params, ..Self::default() }
    }

    /// Forgets the faces that are not among `alive`.
    pub(crate) fn keep(&mut self, alive: &[TrackId]) {
        self.progress.retain(|track, _| alive.contains(track));
        self.rounds.retain(|track, _| alive.contains(track));
    }

    /// The next job on the frame `seq` captured at `now` with these faces, marked as under way; `None` if nothing is due.
    ///
    /// Expression goes first, every time there is a frame that a face's expression was not read from; between two such
    /// jobs one slower job gets its turn if any is due, so that with a single worker nobody starves. Among slower jobs:
    /// fewest looks first (so a new face is served at once), then longest ago, then order of the lanes.
    pub(crate) fn pick(&mut self, lanes: &[LaneView<'_>], seq: u64, now: Duration, faces: &[TrackId]) -> Option<Pick> {
        let expression = self.expression(lanes, seq, faces);
        let slow = || self.slow(lanes, seq, now, faces);
        let pick = match expression {
            Some(expression) if self.slow_turn => slow().unwrap_or(expression),
            Some(expression) => expression,
            None => slow()?,
        };
        let lane = lanes[pick.lane];
        self.slow_turn = lane.is_expression();
        for &face in &pick.faces {
            let rounds = self.rounds.entry(faces[face]).or_default();
            *rounds += u32::from(lane.is_expression());
            let round = *rounds;
            let entry = self.progress.entry(faces[face]).or_default().entry(lane.model.to_owned()).or_default();
            *entry = Progress { under_way: true, last_seq: Some(seq), last_at: now, round, ..*entry };
        }
        Some(pick)
    }

    /// The job is over; `done` if it brought an answer.
    pub(crate) fn finish(&mut self, model: &str, tracks: &[TrackId], done: bool) {
        for track in tracks {
            if let Some(entry) = self.progress.get_mut(track).and_then(|lanes| lanes.get_mut(model)) {
                entry.under_way = false;
                entry.done += u32::from(done);
            }
        }
    }

    fn of(&self, track: TrackId, model: &str) -> Progress {
        self.progress.get(&track).and_then(|lanes| lanes.get(model)).copied().unwrap_or_default()
    }

    fn expression(&self, lanes: &[LaneView<'_>], seq: u64, faces: &[TrackId]) -> Option<Pick> {
        let (lane, view) = lanes.iter().enumerate().find(|(_, lane)| lane.is_expression())?;
        let mut open: Vec<(u32, usize)> = faces
            .iter()
            .enumerate()
            .map(|(index, &track)| (index, self.of(track, view.model)))
            .filter(|(_, progress)| !progress.under_way && progress.last_seq != Some(seq))
            .map(|(index, progress)| (progress.done, index))
            .collect();
        open.sort_unstable();
        let faces: Vec<usize> = open.into_iter().take(self.params.batch.max(1)).map(|(_, index)| index).collect();
        (!faces.is_empty()).then_some(Pick { lane, faces })
    }

    fn slow(&self, lanes: &[LaneView<'_>], seq: u64, now: Duration, faces: &[TrackId]) -> Option<Pick> {
        let mut best: Option<((u32, Duration, usize, usize), Pick)> = None;
        // Without an expression network, frames count as rounds.
        let frames = !lanes.iter().any(LaneView::is_expression);
        for (lane, view) in lanes.iter().enumerate().filter(|(_, lane)| !lane.is_expression()) {
            for (index, &track) in faces.iter().enumerate() {
                let progress = self.of(track, view.model);
                let rounds = match progress.last_seq {
                    Some(last) if frames => u32::try_from(seq.saturating_sub(last)).unwrap_or(u32::MAX),
                    _ => self.rounds.get(&track).map_or(0, |rounds| rounds.saturating_sub(progress.round)),
                };
                let due = progress.last_seq != Some(seq) && self.is_due(view, rounds, &progress, now);
                if progress.under_way || !due {
                    continue;
                }
                let rank = (progress.done, progress.last_at, lane, index);
                if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                    best = Some((rank, Pick { lane, faces: vec![index] }));
                }
            }
        }
        best.map(|(_, pick)| pick)
    }

    /// `rounds` have gone by since the last look.
    fn is_due(&self, lane: &LaneView<'_>, rounds: u32, progress: &Progress, now: Duration) -> bool {
        if progress.last_seq.is_none() {
            return true;
        }
        lane.tasks.iter().any(|task| match task {
            Task::Similarity => rounds >= self.params.similarity_every,
            _ => {
                progress.done < self.params.steady_after
                    || now.saturating_sub(progress.last_at) >= self.params.steady_pause
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: [LaneView<'static>; 3] = [
        LaneView { model: "smile", tasks: &[Task::Smile] },
        LaneView { model: "age", tasks: &[Task::Age, Task::Gender] },
        LaneView { model: "who", tasks: &[Task::Similarity] },
    ];

    /// One worker on a camera of 30 frames a second where every job takes as long as a frame.
    fn run(schedule: &mut Schedule, lanes: &[LaneView<'_>], faces: &[TrackId], frames: u64) -> Vec<Pick> {
        (0..frames)
            .filter_map(|seq| {
                let pick = schedule.pick(lanes, seq, Duration::from_millis(33 * seq), faces)?;
                let tracks: Vec<_> = pick.faces.iter().map(|&f| faces[f]).collect();
                schedule.finish(lanes[pick.lane].model, &tracks, true);
                Some(pick)
            })
            .collect()
    }

    #[test]
    fn expression_comes_first_and_every_second_job_is_one() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        let picks = run(&mut schedule, &LANES, &[1, 2], 40);
        assert!(picks.iter().step_by(2).all(|pick| *pick == Pick { lane: 0, faces: vec![0, 1] }));
        assert!(picks.iter().skip(1).step_by(2).all(|pick| pick.lane != 0));
    }

    #[test]
    fn faces_take_turns_and_a_new_face_is_served_first() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        run(&mut schedule, &LANES, &[1, 2], 60);
        let pick = |s: &mut Schedule, seq| s.pick(&LANES, seq, Duration::from_secs(4), &[1, 2, 3]).unwrap();
        let first = pick(&mut schedule, 100);
        let second = pick(&mut schedule, 100);
        let (slow, fast) = if first.lane == 0 { (second, first) } else { (first, second) };
        assert_eq!(fast.faces[0], 2, "the new face leads the expression batch");
        assert_eq!((slow.lane, slow.faces), (1, vec![2]));
    }

    #[test]
    fn steady_averages_are_refreshed_only_now_and_then() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        let lanes = &LANES[..2];
        run(&mut schedule, lanes, &[1], 200);
        // Steady after 20 looks; then one look each two seconds.
        let ages = (200..320u64)
            .filter(|&seq| {
                let now = Duration::from_millis(33 * seq);
                let mut aged = false;
                while let Some(pick) = schedule.pick(lanes, seq, now, &[1]) {
                    aged |= pick.lane == 1;
                    schedule.finish(lanes[pick.lane].model, &[1], true);
                }
                aged
            })
            .count();
        assert!((1..=3).contains(&ages), "{ages} looks in four seconds");
    }

    #[test]
    fn similarity_comes_once_in_five_rounds() {
        // Beside an expression network, and alone.
        for lanes in [&[LANES[0], LANES[2]][..], &[LANES[2]]] {
            let mut schedule = Schedule::new(ScheduleParams::default());
            let mut seen = Vec::new();
            for seq in 0..31u64 {
                while let Some(pick) = schedule.pick(lanes, seq, Duration::from_millis(33 * seq), &[1]) {
                    if lanes[pick.lane].model == "who" {
                        seen.push(seq);
                    }
                    schedule.finish(lanes[pick.lane].model, &[1], true);
                }
            }
            assert_eq!(seen, [0, 5, 10, 15, 20, 25, 30], "{} networks", lanes.len());
        }
    }

    #[test]
    fn a_job_under_way_is_not_given_twice() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        let now = Duration::ZERO;
        let mut picks = Vec::new();
        while let Some(pick) = schedule.pick(&LANES, 0, now, &[7]) {
            picks.push(pick.lane);
        }
        assert_eq!(picks, [0, 1, 2], "one job for each lane, then nothing");
        assert_eq!(schedule.pick(&LANES, 1, now, &[7]), None, "all are still under way");
        schedule.finish("smile", &[7], true);
        assert_eq!(schedule.pick(&LANES, 1, now, &[7]).map(|pick| pick.lane), Some(0));
    }

    #[test]
    fn a_failed_look_does_not_count() {
        let mut schedule = Schedule::new(ScheduleParams::default());
        schedule.pick(&LANES, 0, Duration::ZERO, &[1]);
        schedule.finish("smile", &[1], false);
        assert_eq!(schedule.of(1, "smile").done, 0);
        schedule.keep(&[]);
        assert!(schedule.progress.is_empty() && schedule.rounds.is_empty());
    }
}
