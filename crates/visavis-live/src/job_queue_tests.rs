//! Tests of the division of the workers' time among cameras. Time is simulated.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use visavis_face::{FaceView, TrackId};
use visavis_image::{Frame, Picture, Rect};
use visavis_infer::Task;

use crate::buffer::Pacing;
use crate::job_queue::{CameraId, JobQueue, Next, Work, WorkFace};
use crate::model_set::{Instances, ModelSet, RecognitionModel};
use crate::schedule::ScheduleParams;

const FRAME: Duration = Duration::from_millis(33);

fn queue() -> JobQueue<()> {
    let smile = RecognitionModel {
        name: "smile".into(),
        tasks: vec![Task::Smile],
        supports: vec![Task::Smile],
        needs_landmarks: false,
        instances: Arc::new(Instances::new(Vec::new())),
        failures: AtomicU32::new(0),
    };
    JobQueue::new(ModelSet { generation: 1, recognition: vec![Arc::new(smile)], ..ModelSet::default() }, 1)
}

fn camera(queue: &JobQueue<()>) -> CameraId {
    let id = queue.register(ScheduleParams::default());
    queue.connect(id, ());
    id
}

/// Adds a frame with this number of faces.
fn show(queue: &JobQueue<()>, id: CameraId, at: Duration, faces: u64) {
    let tracks: Vec<TrackId> = (1..=faces).collect();
    let face = |&track: &TrackId| WorkFace::new(track, FaceView::upright(Rect::new(0.0, 0.0, 8.0, 8.0), None));
    let seq = u64::try_from(at.as_micros()).unwrap();
    let frame = Frame::new(seq, at, Picture::new(8, 8));
    queue.add(id, &Arc::new(Work { frame, faces: tracks.iter().map(face).collect() }), Pacing::Live, &tracks);
}

/// One worker for `seconds` seconds; every camera shows a frame 30 times a second from its start on. A job takes 10 ms for each
/// face. Returns for each camera the jobs and the working time.
fn work(cameras: &[(u64, Duration)], seconds: u64) -> Vec<(u32, Duration)> {
    let queue = queue();
    let ids: Vec<CameraId> = cameras.iter().map(|_| camera(&queue)).collect();
    let mut done = vec![(0, Duration::ZERO); cameras.len()];
    let (mut now, mut shown) = (Duration::ZERO, Duration::ZERO);
    while now < Duration::from_secs(seconds) {
        while shown <= now {
            for (&id, &(faces, start)) in ids.iter().zip(cameras) {
                if shown >= start {
                    show(&queue, id, shown, faces);
                }
            }
            shown += FRAME;
        }
        let Some((id, job)) = queue.take_now() else {
            now = shown;
            continue;
        };
        let took = Duration::from_millis(10) * u32::try_from(job.faces.len()).unwrap();
        now += took;
        queue.finish(id, "smile", &job.tracks(), true, took);
        let place = ids.iter().position(|known| *known == id).unwrap();
        done[place].0 += 1;
        done[place].1 += took;
    }
    done
}

#[test]
fn a_camera_with_many_faces_leaves_a_camera_with_one_face_its_share() {
    let done = work(&[(20, Duration::ZERO), (1, Duration::ZERO)], 10);
    // The worker is busy all the time. It alternates between four of the 20 faces, 40 ms, and the one face, 10 ms: 200 times.
    assert!(done[1].0 > 180, "{done:?}");
    assert!(done[0].1 + done[1].1 >= Duration::from_millis(9_900), "{done:?}");
    assert!(done[0].1 > Duration::from_secs(6), "{done:?}");
}

#[test]
fn busy_cameras_get_the_same_time() {
    let done = work(&[(20, Duration::ZERO), (4, Duration::ZERO), (9, Duration::ZERO)], 12);
    for (_, time) in &done {
        assert!(time.abs_diff(Duration::from_secs(4)) < Duration::from_millis(200), "{done:?}");
    }
}

#[test]
fn a_camera_that_had_no_faces_for_a_while_is_not_preferred_afterwards() {
    let done = work(&[(20, Duration::ZERO), (20, Duration::from_secs(10))], 20);
    assert!(done[0].1.abs_diff(Duration::from_secs(15)) < Duration::from_millis(200), "{done:?}");
    assert!(done[1].1.abs_diff(Duration::from_secs(5)) < Duration::from_millis(200), "{done:?}");
}

#[test]
fn a_camera_that_has_ended_gets_no_jobs_and_its_end_waits_for_those_that_run() {
    let queue = queue();
    let (ends, stays) = (camera(&queue), camera(&queue));
    show(&queue, ends, Duration::ZERO, 4);
    let (id, job) = queue.take_now().unwrap();
    assert!(id == ends);
    std::thread::scope(|scope| {
        let removing = scope.spawn(|| queue.remove(ends));
        show(&queue, stays, Duration::ZERO, 1);
        assert!(matches!(queue.take(1, 1), Next::Job(id, (), _) if id == stays));
        assert!(!removing.is_finished());
        queue.finish(ends, "smile", &job.tracks(), true, FRAME);
    });
    show(&queue, ends, FRAME, 4);
    assert!(queue.take_now().is_none());
}
