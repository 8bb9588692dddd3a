//! Films written and read back, complete and damaged.

#![allow(clippy::unwrap_used)] // also in the helpers beside the tests

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use visavis_image::Picture;
use visavis_video::{Ffmpeg, Mp4Writer, OpenOptions, Pace, Shot, Source, VideoError, open};

/// A bright square that moves over a soft gradient. Its positions are even: otherwise the halved resolution of the colours,
/// which all such films have, would cost more at its edges than the encoder does.
fn scene(number: u32, width: u32, height: u32) -> Picture {
    let mut picture = Picture::new(width, height);
    let (left, top) = (number * 6 % (width - 30) / 2 * 2, number * 4 % (height - 30) / 2 * 2);
    for y in 0..height {
        for x in 0..width {
            let inside = (left..left + 30).contains(&x) && (top..top + 30).contains(&y);
            let colour = if inside {
                [250, 220, (number * 8 % 256) as u8]
            } else {
                [(x * 200 / width) as u8, (y * 200 / height) as u8, 90]
            };
            picture.set_pixel(x, y, colour);
        }
    }
    picture
}

fn psnr(a: &Picture, b: &Picture, width: u32, height: u32) -> f64 {
    let mut squares = 0.0;
    for y in 0..height {
        for x in 0..width {
            for (a, b) in a.pixel(x, y).iter().zip(b.pixel(x, y)) {
                squares += f64::from(a.abs_diff(b)).powi(2);
            }
        }
    }
    10.0 * (255.0 * 255.0 * f64::from(width * height * 3) / squares).log10()
}

fn write_film(path: &Path, times: &[Duration], width: u32, height: u32) {
    let mut writer = Mp4Writer::create(path, width, height, 30.0).unwrap();
    for (number, &at) in times.iter().enumerate() {
        writer.write(&scene(number as u32, width, height), at).unwrap();
    }
    writer.finish().unwrap();
}

fn regular(count: u64) -> Vec<Duration> {
    (0..count).map(|number| Duration::from_nanos(number * 1_000_000_000 / 30)).collect()
}

fn open_path(path: &Path) -> Result<Box<dyn Source>, VideoError> {
    open(path.to_str().unwrap(), &OpenOptions::default())
}

/// All pictures and errors. More than `most` means that the source does not end.
fn drain(source: &mut dyn Source, most: usize) -> (Vec<Shot>, Vec<VideoError>) {
    let (mut shots, mut errors) = (Vec::new(), Vec::new());
    for _ in 0..most {
        match source.read() {
            Ok(Some(shot)) => shots.push(shot),
            Ok(None) => return (shots, errors),
            Err(error) => errors.push(error),
        }
    }
    panic!("no end after {most} reads");
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn round_trip_keeps_count_times_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    // More than two chunks and a key picture interval; the times jump like those of a camera in the dark.
    let mut times = regular(70);
    for at in &mut times[40..] {
        *at += Duration::from_millis(250);
    }
    write_film(&path, &times, 160, 96);
    assert_eq!(names(folder.path()), std::slice::from_ref(&path), "no temporary file is left");

    let mut source = open_path(&path).unwrap();
    let info = source.info().clone();
    assert_eq!((info.width, info.height, info.frames, info.pace), (160, 96, Some(70), Pace::Timeline));
    assert!((info.frame_rate.unwrap() - 70.0 / (70.0 / 30.0 + 0.25)).abs() < 0.1, "{info:?}");
    for pass in 0..2 {
        let (shots, errors) = drain(source.as_mut(), 100);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(shots.len(), 70);
        for (number, shot) in shots.iter().enumerate() {
            let off = shot.at.abs_diff(times[number]);
            assert!(off < Duration::from_micros(12), "frame {number} of pass {pass}: {off:?} off");
            let quality = psnr(&shot.picture, &scene(number as u32, 160, 96), 160, 96);
            assert!(quality > 30.0, "frame {number}: {quality:.1} dB");
        }
        source.rewind().unwrap();
    }
}

#[test]
fn odd_sizes_are_rounded_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.mp4");
    write_film(&path, &regular(3), 101, 77);
    let (shots, errors) = drain(open_path(&path).unwrap().as_mut(), 10);
    assert!(errors.is_empty());
    assert_eq!((shots[2].picture.width(), shots[2].picture.height()), (102, 78));
    assert!(psnr(&shots[2].picture, &scene(2, 101, 77), 101, 77) > 30.0);
    let last = shots[2].picture.pixel(101, 40);
    assert!(last.iter().zip(shots[2].picture.pixel(100, 40)).all(|(a, b)| a.abs_diff(b) < 12));
}

#[test]
fn times_that_stand_still_are_moved_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("still.mp4");
    write_film(&path, &[900, 900, 850, 1000].map(Duration::from_millis), 64, 64);
    let (shots, _) = drain(open_path(&path).unwrap().as_mut(), 10);
    assert!(shots.windows(2).all(|pair| pair[0].at < pair[1].at));
    assert_eq!((shots[0].at, shots[3].at), (Duration::ZERO, Duration::from_millis(100)));
}

#[test]
fn an_unfinished_film_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let mut writer = Mp4Writer::create(&path, 64, 64, 30.0).unwrap();
    writer.write(&scene(0, 64, 64), Duration::ZERO).unwrap();
    assert_eq!(names(folder.path()).len(), 1);
    drop(writer);
    assert!(names(folder.path()).is_empty());

    let empty = Mp4Writer::create(&path, 64, 64, 30.0).unwrap();
    assert!(matches!(empty.finish(), Err(VideoError::Encode { .. })));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    for (width, height, rate) in [(8, 64, 30.0), (5000, 10, 30.0), (64, 64, 0.0), (64, 64, f64::NAN)] {
        assert!(matches!(Mp4Writer::create(&path, width, height, rate), Err(VideoError::Encode { .. })));
    }
    let nowhere = folder.path().join("no/such/film.mp4");
    let error = Mp4Writer::create(&nowhere, 64, 64, 30.0).unwrap_err();
    assert!(matches!(error, VideoError::Write { .. }), "{error}");
    let mut writer = Mp4Writer::create(&path, 64, 64, 30.0).unwrap();
    let error = writer.write(&Picture::new(0, 0), Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains("no pixels"), "{error}");
    // The film continues after it.
    writer.write(&Picture::new(64, 64), Duration::ZERO).unwrap();
    writer.finish().unwrap();
    assert_eq!(drain(open_path(&path).unwrap().as_mut(), 5).0.len(), 1);
}

#[test]
fn a_film_that_is_too_large_is_scaled_and_another_size_fitted_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let mut writer = Mp4Writer::create(&path, 4000, 3000, 10.0).unwrap();
    writer.write(&Picture::filled(4000, 3000, [200, 100, 50]), Duration::ZERO).unwrap();
    writer.write(&Picture::filled(300, 300, [200, 100, 50]), Duration::from_millis(100)).unwrap();
    writer.finish().unwrap();
    let (shots, errors) = drain(open_path(&path).unwrap().as_mut(), 10);
    assert_eq!((shots.len(), errors.len()), (2, 0));
    let near = |pixel: [u8; 3], colour: [u8; 3]| pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 10);
    for shot in &shots {
        assert_eq!((shot.picture.width(), shot.picture.height()), (2880, 2160));
        assert!(near(shot.picture.pixel(1440, 1080), [200, 100, 50]));
    }
    assert!(near(shots[0].picture.pixel(100, 1080), [200, 100, 50]) && near(shots[1].picture.pixel(100, 1080), [0; 3]));
}

#[test]
fn smallest_and_tallest_films() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(16, 16), (17, 200), (1080, 1920)] {
        let path = folder.path().join(format!("{width}x{height}.mp4"));
        let mut writer = Mp4Writer::create(&path, width, height, 10.0).unwrap();
        for number in 0..2 {
            writer.write(&Picture::filled(width, height, [200, 100, 50]), Duration::from_millis(number * 100)).unwrap();
        }
        writer.finish().unwrap();
        let (shots, errors) = drain(open_path(&path).unwrap().as_mut(), 10);
        assert_eq!((shots.len(), errors.len()), (2, 0), "{width}x{height}");
        let middle = shots[1].picture.pixel(width / 2, height / 2);
        assert!(middle.iter().zip([200, 100, 50]).all(|(a, b)| a.abs_diff(b) < 8), "{middle:?}");
    }
}

#[test]
fn a_film_cut_anywhere_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    write_film(&path, &regular(40), 96, 64);
    let whole = fs::read(&path).unwrap();
    let cut_path = folder.path().join("cut.mp4");
    // The index is at the end: without the last byte there is none.
    for part in 0..40 {
        let cut = whole.len() * part / 40;
        fs::write(&cut_path, &whole[..cut]).unwrap();
        let error = open_path(&cut_path).err().unwrap_or_else(|| panic!("opened with {cut} bytes"));
        assert!(error.to_string().contains("cut.mp4"), "{error}");
        match cut {
            0 => assert!(matches!(error, VideoError::Empty { .. })),
            64.. => assert!(matches!(error, VideoError::NoIndex { .. }), "{error}"),
            _ => {}
        }
    }
}

/// The same film with its index at the front, as for web servers.
fn index_in_front(film: &[u8]) -> Vec<u8> {
    let ftyp = u32::from_be_bytes(film[..4].try_into().unwrap()) as usize;
    let mdat = u64::from_be_bytes(film[ftyp + 8..ftyp + 16].try_into().unwrap()) as usize;
    let mut moov = film[ftyp + mdat..].to_vec();
    let shift = moov.len() as u64;
    let co64 = moov.windows(4).position(|kind| kind == b"co64").unwrap();
    let count = u32::from_be_bytes(moov[co64 + 8..co64 + 12].try_into().unwrap()) as usize;
    for entry in 0..count {
        let at = co64 + 12 + entry * 8;
        let offset = u64::from_be_bytes(moov[at..at + 8].try_into().unwrap());
        moov[at..at + 8].copy_from_slice(&(offset + shift).to_be_bytes());
    }
    [&film[..ftyp], &moov, &film[ftyp..ftyp + mdat]].concat()
}

#[test]
fn pictures_before_a_cut_come_out_and_then_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    write_film(&path, &regular(40), 96, 64);
    let film = index_in_front(&fs::read(&path).unwrap());
    fs::write(&path, &film).unwrap();
    assert_eq!(drain(open_path(&path).unwrap().as_mut(), 100).0.len(), 40);

    let cut_path = folder.path().join("cut.mp4");
    let (mut before, mut partial) = (0, 0);
    for part in 1..40 {
        fs::write(&cut_path, &film[..film.len() * part / 40]).unwrap();
        let Ok(mut source) = open_path(&cut_path) else { continue };
        let (shots, errors) = drain(source.as_mut(), 100);
        assert!(shots.len() >= before, "a longer file has no fewer pictures");
        before = shots.len();
        let [VideoError::CutShort { frame, of: Some(40), .. }] = errors[..] else { panic!("{errors:?}") };
        assert_eq!(frame, shots.len() as u64);
        partial += u32::from(!shots.is_empty());
    }
    assert!(partial > 5, "only {partial} cuts left pictures");
}

#[test]
fn flipped_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    write_film(&path, &regular(6), 64, 64);
    let film = index_in_front(&fs::read(&path).unwrap());
    let damaged = folder.path().join("damaged.mp4");
    for at in (0..film.len()).step_by(film.len() / 150) {
        let mut bytes = film.clone();
        bytes[at] ^= 0xFF;
        fs::write(&damaged, &bytes).unwrap();
        if let Ok(mut source) = open_path(&damaged) {
            drain(source.as_mut(), 100);
        }
    }
}

#[test]
fn another_codec_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    write_film(&path, &regular(2), 64, 64);
    let film = fs::read(&path).unwrap();
    let at = film.windows(4).rposition(|kind| kind == b"avc1").unwrap();
    for (kind, name) in [(b"hev1", "hev1 (H.265)"), (b"vp09", "vp09 (VP9)"), (b"zzzz", "zzzz")] {
        let mut other = film.clone();
        other[at..at + 4].copy_from_slice(kind);
        fs::write(&path, other).unwrap();
        let Err(error) = open_path(&path) else {
            assert!(Ffmpeg::installed().is_some(), "{name}: no decoder for it is installed");
            continue;
        };
        let told = error.to_string();
        assert!(told.contains("film.mp4") && told.contains("ffmpeg"), "{told}");
        if Ffmpeg::installed().is_none() {
            assert!(matches!(&error, VideoError::NoFfmpeg { format, .. } if format == name), "{error}");
        }
    }
}

#[test]
fn a_film_stored_sideways_is_turned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let mut picture = Picture::filled(96, 64, [20; 3]);
    for y in 0..32 {
        for x in 0..48 {
            picture.set_pixel(x, y, [230; 3]);
        }
    }
    let mut writer = Mp4Writer::create(&path, 96, 64, 30.0).unwrap();
    writer.write(&picture, Duration::ZERO).unwrap();
    writer.finish().unwrap();
    // The matrix of tkhd (version 1): 40 bytes behind its times, the first five entries are a b u c d.
    let mut film = fs::read(&path).unwrap();
    let tkhd = film.windows(4).position(|kind| kind == b"tkhd").unwrap();
    let matrix = tkhd + 4 + 4 + 32 + 16;
    // The corner where the bright quarter is to be seen: right, bottom.
    for (turn, size, right, bottom) in [
        ([0i8, 1, 0, -1, 0], (64, 96), true, false), // a quarter clockwise
        ([0, -1, 0, 1, 0], (64, 96), false, true),
        ([-1, 0, 0, 0, -1], (96, 64), true, true),
        ([-1, 0, 0, 0, 1], (96, 64), true, false), // a mirror
        ([0, 1, 0, 1, 0], (64, 96), false, false), // a mirror and a quarter
    ] {
        for (entry, value) in turn.into_iter().enumerate() {
            film[matrix + entry * 4..][..4].copy_from_slice(&(i32::from(value) << 16).to_be_bytes());
        }
        fs::write(&path, &film).unwrap();
        let mut source = open_path(&path).unwrap();
        assert_eq!((source.info().width, source.info().height), size, "{turn:?}");
        let shot = source.read().unwrap().unwrap().picture;
        assert_eq!((shot.width(), shot.height()), size);
        for (x, y) in [(false, false), (false, true), (true, false), (true, true)] {
            let pixel = shot.pixel(if x { size.0 - 5 } else { 5 }, if y { size.1 - 5 } else { 5 });
            let bright = (x, y) == (right, bottom);
            assert!(if bright { pixel[0] > 200 } else { pixel[0] < 60 }, "{turn:?}: {pixel:?} at {x}, {y}");
        }
    }
}

#[test]
fn real_films_decode_completely() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/video");
    for (file, size, frames) in [("one_face.mp4", (480, 480), 1008), ("meeting4.mp4", (1280, 720), 600)] {
        let path = shared.join(file);
        if !path.exists() {
            eprintln!("skipped: {} is not there", path.display());
            continue;
        }
        let mut source = open_path(&path).unwrap();
        let info = source.info().clone();
        assert_eq!((info.width, info.height, info.frames), (size.0, size.1, Some(frames)));
        assert!((info.frame_rate.unwrap() - 30.0).abs() < 0.01);
        let mut before = None;
        let mut count = 0;
        while let Some(shot) = source.read().unwrap() {
            assert!(before.is_none_or(|before| shot.at > before), "frame {count}: {:?} after {before:?}", shot.at);
            before = Some(shot.at);
            count += 1;
        }
        assert_eq!(count, frames, "{file}");
        assert!(
            before.unwrap().abs_diff(Duration::from_secs_f64((frames - 1) as f64 / 30.0)) < Duration::from_millis(2)
        );
    }
}

#[test]
fn samples_without_data_end_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let mut writer = Mp4Writer::create(&path, 32, 16, 25.0).unwrap();
    for number in 0..150 {
        writer.write(&Picture::filled(32, 16, [90; 3]), Duration::from_millis(40) * number).unwrap();
    }
    writer.finish().unwrap();
    // The sizes of all samples become 0 (ISO/IEC 14496-12, 8.7.3).
    let mut bytes = std::fs::read(&path).unwrap();
    let sizes = bytes.windows(4).position(|window| window == b"stsz").unwrap() + 16;
    bytes[sizes..sizes + 4 * 150].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let mut source = visavis_video::fuzzing::open_file(&path, 1000).unwrap();
    for frame in [64, 128] {
        let error = source.read().unwrap_err();
        assert!(matches!(error, VideoError::Frame { frame: at, .. } if at == frame), "{error}");
    }
    assert!(source.read().unwrap().is_none());
}
