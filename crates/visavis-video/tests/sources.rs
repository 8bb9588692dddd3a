//! Everything that [`open`] accepts, and its errors for other inputs.

#![allow(clippy::unwrap_used)] // also in the helpers beside the tests

use std::fs;
use std::path::Path;
use std::time::Duration;

use visavis_image::{Picture, codec};
use visavis_video::{
    FileKind, FolderContents, Mp4Writer, OpenOptions, Pace, RawFormat, Source, VideoError, VirtualCameraParams, open,
};

fn open_path(path: &Path) -> Result<Box<dyn Source>, VideoError> {
    open(path.to_str().unwrap(), &OpenOptions::default())
}

fn error_of(path: &Path) -> VideoError {
    open_path(path).err().unwrap_or_else(|| panic!("{} opened", path.display()))
}

fn grey(level: u8) -> Picture {
    Picture::filled(32, 24, [level; 3])
}

#[test]
fn a_picture_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4"); // a PNG, in truth
    fs::write(&path, codec::encode_png(&grey(77)).unwrap()).unwrap();
    let mut source = open_path(&path).unwrap();
    assert_eq!((source.info().width, source.info().height, source.info().frames), (32, 24, Some(1)));
    for _ in 0..2 {
        let shot = source.read().unwrap().unwrap();
        assert_eq!((shot.picture, shot.at), (grey(77), Duration::ZERO));
        assert!(source.read().unwrap().is_none());
        source.rewind().unwrap();
    }
}

#[test]
fn a_folder_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    put("b.jpg", &codec::encode_jpeg(&grey(200), 95).unwrap());
    put("a.dat", &codec::encode_png(&grey(10)).unwrap());
    put("c.png", &codec::encode_png(&Picture::filled(9, 8, [90; 3])).unwrap());
    put("notes.txt", b"not a picture");
    put("empty.png", b"");
    let broken = codec::encode_png(&grey(1)).unwrap();
    put("bb.png", &broken[..broken.len() / 2]);
    fs::create_dir(folder.path().join("more")).unwrap();

    let options = OpenOptions { still_interval: Duration::from_millis(250), ..OpenOptions::default() };
    let mut source = open(folder.path().to_str().unwrap(), &options).unwrap();
    assert_eq!((source.info().frames, source.info().frame_rate), (Some(4), Some(4.0)));
    let shot = source.read().unwrap().unwrap();
    assert_eq!((shot.picture.pixel(0, 0)[0], shot.at), (10, Duration::ZERO));
    assert!(source.read().unwrap().unwrap().picture.pixel(0, 0)[0] > 190);
    let error = source.read().unwrap_err();
    assert!(error.to_string().contains("bb.png"), "{error}");
    let shot = source.read().unwrap().unwrap();
    assert_eq!((shot.picture.width(), shot.at), (9, Duration::from_millis(750)));
    assert!(source.read().unwrap().is_none());
    source.rewind().unwrap();
    assert_eq!(source.read().unwrap().unwrap().at, Duration::ZERO);
}

#[test]
fn what_is_not_there_or_not_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    assert!(matches!(error_of(&folder.path().join("none.jpg")), VideoError::NotFound { .. }));
    assert!(matches!(error_of(folder.path()), VideoError::NoPictures { .. }));
    assert!(matches!(error_of(&put("zero.mp4", b"")), VideoError::Empty { .. }));
    assert!(matches!(error_of(&put("text.jpg", b"hello there, reader")), VideoError::UnknownFormat { .. }));
    let error = error_of(&put("x.mkv", b"\x1A\x45\xDF\xA3\x01\0\0\0\0\0\0\x1F"));
    assert!(error.to_string().contains("x.mkv") && error.to_string().contains("ffmpeg"), "{error}");
    assert!(matches!(error, VideoError::NoFfmpeg { .. } | VideoError::Ffmpeg { .. }), "{error}");
    let apple = error_of(&put("._a.jpg", b"\0\x05\x16\x07\0\x02\0\0Mac OS X        "));
    assert!(matches!(apple, VideoError::AppleDouble { .. }), "{apple}");
    let error = error_of(&put("start.jpg", b"\xFF\xD8\xFF")).to_string();
    assert!(!error.contains('\n'), "{error}");
    assert!(matches!(error_of(Path::new("")), VideoError::Spec { .. }));
    let options = OpenOptions { frame_rate: Some(0.0), ..OpenOptions::default() };
    assert!(matches!(open("x", &options), Err(VideoError::Spec { .. })));
    for spec in ["/dev/video9999", "camera:9999"] {
        let error = open(spec, &OpenOptions::default()).err().unwrap().to_string();
        assert!(error.contains("video9999") && error.contains("virtual:"), "{error}");
    }
}

#[test]
fn no_error_contains_a_password() {
    for spec in [
        " rtsp://u:secret@host/x",
        "rtsp:/u:secret@host/x",
        "virtual:rtsp://u:secret@host/x",
        "camera:rtsp://u:secret@host/x",
        "gopher://u:secret@host/x",
    ] {
        let opened = open(spec, &OpenOptions::default()).err().unwrap();
        let examined = FileKind::of_file(Path::new(spec)).unwrap_err();
        let written = Mp4Writer::create(Path::new(spec), 64, 64, 30.0).err().unwrap();
        for error in [opened, examined, written].map(|error| error.to_string()) {
            assert!(error.contains("host") && !error.contains("secret"), "{error}");
        }
    }
}

#[test]
fn a_folder_named_by_a_number_is_no_camera() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("2024");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.png"), codec::encode_png(&grey(5)).unwrap()).unwrap();
    // Only a relative name can look like a number.
    let before = std::env::current_dir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let opened = open("2024", &OpenOptions::default()).map(|source| source.info().frames);
    std::env::set_current_dir(before).unwrap();
    assert_eq!(opened.unwrap(), Some(1));
}

#[test]
fn what_a_folder_holds_and_what_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    put("photo.jfif", &codec::encode_jpeg(&grey(200), 95).unwrap());
    put("film", b"\0\0\0\x14ftypisom\0\0\0\0mp41");
    put("phone.jpg", b"\0\0\0\x14ftypheic\0\0\0\0mif1");
    put("._photo.jfif", b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ");
    put("notes.txt", b"hello there");
    put("empty.png", b"");
    fs::create_dir(folder.path().join("more")).unwrap();
    let contents = FolderContents::of(folder.path()).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files: Vec<_> = contents.files.iter().map(|(path, kind)| (name(path), *kind)).collect();
    let expected =
        [("film", FileKind::Mp4), ("phone.jpg", FileKind::OtherStill("HEIC")), ("photo.jfif", FileKind::Still)];
    assert_eq!(files, expected.map(|(name, kind)| (name.to_owned(), kind)));
    let passed_over: Vec<_> = contents.passed_over.iter().map(|(path, reason)| (name(path), reason.as_str())).collect();
    let expected = [
        ("._photo.jfif", "metadata of macOS (AppleDouble)"),
        ("empty.png", "empty"),
        ("notes.txt", "neither a picture nor a film"),
    ];
    assert_eq!(passed_over, expected.map(|(name, reason)| (name.to_owned(), reason)));
}

#[cfg(unix)]
#[test]
fn names_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.png"));
    if fs::write(&path, codec::encode_png(&grey(5)).unwrap()).is_err() {
        eprintln!("skipped: this file system takes no such names");
        return;
    }
    assert!(visavis_video::open_path(&path, &OpenOptions::default()).unwrap().read().unwrap().is_some());
    assert!(open_path(folder.path()).unwrap().read().unwrap().is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn a_named_pipe_goes_on_after_its_writer_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut source = open_path(&path).unwrap();
    assert_eq!(source.info().pace, Pace::Own);
    for level in [30u8, 220] {
        let (path, jpeg) = (path.clone(), codec::encode_jpeg(&grey(level), 95).unwrap());
        let writer = std::thread::spawn(move || fs::write(path, jpeg).unwrap());
        let picture = source.read().unwrap().unwrap().picture;
        assert!(picture.pixel(3, 3)[0].abs_diff(level) < 5);
        writer.join().unwrap();
    }
    // The pipe is open but nothing is written: a waiting read is interrupted.
    let interrupt = source.interrupter().unwrap();
    interrupt();
    assert!(matches!(source.read(), Err(VideoError::Interrupted { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_named_pipe_in_a_folder_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.png"), codec::encode_png(&grey(5)).unwrap()).unwrap();
    let pipe = folder.path().join("b.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let contents = FolderContents::of(folder.path()).unwrap();
    assert_eq!(contents.files.len(), 1);
    assert_eq!(contents.passed_over, [(pipe.clone(), "neither a file nor a folder".to_owned())]);
    assert_eq!(open_path(folder.path()).unwrap().info().frames, Some(1));
    // Nor is it opened when its type is asked for.
    let error = FileKind::of_file(&pipe).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_file_of_jpeg_pictures_is_a_film() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.jpg");
    let levels = [10u8, 90, 170, 250];
    let pictures = levels.map(|level| codec::encode_jpeg(&grey(level), 90).unwrap());
    fs::write(&path, pictures.concat()).unwrap();
    let mut source = open_path(&path).unwrap();
    let info = source.info().clone();
    assert_eq!((info.width, info.height, info.frame_rate, info.pace), (32, 24, Some(25.0), Pace::Timeline));
    for _ in 0..2 {
        for (number, level) in levels.into_iter().enumerate() {
            let shot = source.read().unwrap().unwrap();
            assert!(shot.picture.pixel(5, 5)[0].abs_diff(level) < 5);
            assert_eq!(shot.at, Duration::from_millis(40 * number as u64));
        }
        assert!(source.read().unwrap().is_none());
        source.rewind().unwrap();
    }
    assert!(matches!(FileKind::of_file(&path), Ok(FileKind::OtherFilm(_))));
    // A photo with a preview behind it.
    fs::write(&path, pictures[..2].concat()).unwrap();
    assert!(matches!(FileKind::of_file(&path), Ok(FileKind::Still)));
    assert!(open_path(&path).unwrap().read().unwrap().is_some());
}

#[test]
fn cut_pictures_are_errors_or_pictures_but_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for whole in [codec::encode_png(&grey(50)).unwrap(), codec::encode_jpeg(&grey(50), 90).unwrap(), gif(&[(50, 5)])] {
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            match open_path(&path) {
                Ok(mut source) => while let Ok(Some(_)) = source.read() {},
                Err(error) => assert!(error.to_string().contains("cut"), "{error}"),
            }
        }
    }
}

#[test]
fn a_giant_is_refused_by_its_header() {
    // A PNG header with a valid checksum that announces 60,000 × 60,000 pixels.
    let mut bytes = codec::encode_png(&grey(0)).unwrap();
    bytes[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("giant.png");
    fs::write(&path, bytes).unwrap();
    let error = error_of(&path);
    assert!(matches!(error, VideoError::TooLarge { width: 60_000, height: 60_000, .. }), "{error}");

    let mut bytes = gif(&[(1, 1)]);
    bytes[6..10].copy_from_slice(&[0xFF; 4]);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(error_of(&path), VideoError::TooLarge { width: 65_535, .. }));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A GIF of flat grey frames: (level, delay in hundredths).
fn gif(frames: &[(u8, u16)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let palette: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
    let mut encoder = gif::Encoder::new(&mut bytes, 6, 4, &palette).unwrap();
    for &(level, delay) in frames {
        let frame = gif::Frame { width: 6, height: 4, delay, buffer: vec![level; 24].into(), ..gif::Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

#[test]
fn a_gif_keeps_its_delays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    fs::write(&path, gif(&[(10, 5), (20, 0), (30, 30), (40, 1)])).unwrap();
    let mut source = open_path(&path).unwrap();
    assert_eq!((source.info().width, source.info().height, source.info().pace), (6, 4, Pace::Timeline));
    for _ in 0..2 {
        // No delay counts as a tenth of a second.
        for (level, at) in [(10, 0), (20, 50), (30, 150), (40, 450)] {
            let shot = source.read().unwrap().unwrap();
            assert_eq!((shot.picture.pixel(5, 3), shot.at), ([level; 3], Duration::from_millis(at)));
        }
        assert!(source.read().unwrap().is_none());
        source.rewind().unwrap();
    }
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 8]).unwrap();
    let mut source = open_path(&path).unwrap();
    for _ in 0..3 {
        assert!(source.read().unwrap().is_some());
    }
    let error = source.read().unwrap_err();
    assert!(matches!(error, VideoError::CutShort { frame: 3, .. } | VideoError::Frame { frame: 3, .. }), "{error}");
    assert!(source.read().unwrap().is_none());
}

#[test]
fn a_virtual_camera_films_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in [("1.png", 60u8), ("2.png", 200)] {
        fs::write(folder.path().join(name), codec::encode_png(&grey(level)).unwrap()).unwrap();
    }
    let virtual_camera = VirtualCameraParams {
        width: 64,
        height: 36,
        frame_rate: 10.0,
        seconds_per_photo: 0.5,
        loops: Some(2),
        ..VirtualCameraParams::default()
    };
    let options = OpenOptions { virtual_camera, ..OpenOptions::default() };
    let spec = format!("virtual:{}", folder.path().display());
    let mut source = open(&spec, &options).unwrap();
    assert_eq!((source.info().frames, source.info().frame_rate), (Some(20), Some(10.0)));
    let film = |source: &mut dyn Source| {
        let mut shots = Vec::new();
        while let Some(shot) = source.read().unwrap() {
            assert_eq!((shot.picture.width(), shot.picture.height()), (64, 36));
            assert_eq!(shot.at, Duration::from_secs_f64(shots.len() as f64 / 10.0));
            shots.push(shot.picture);
        }
        shots
    };
    let first = film(source.as_mut());
    let levels: Vec<u8> = first.iter().map(|picture| picture.pixel(32, 18)[0]).collect();
    assert_eq!(levels, [[60; 5], [200; 5], [60; 5], [200; 5]].concat());
    source.rewind().unwrap();
    assert_eq!(film(source.as_mut()), first);

    // At a change of the photo, the picture is unrelated to the one before.
    source.rewind().unwrap();
    let cuts: Vec<bool> = (0..20).map(|_| source.read().unwrap().unwrap().cut).collect();
    assert_eq!(cuts, [true, false, false, false, false].repeat(4));

    // A photo that cannot be decoded is skipped, also if it is the first.
    let png = codec::encode_png(&grey(9)).unwrap();
    fs::write(folder.path().join("0.png"), &png[..40]).unwrap();
    let mut source = open(&spec, &options).unwrap();
    assert!(source.read().unwrap_err().to_string().contains("0.png"));
    let shot = source.read().unwrap().unwrap();
    assert_eq!((shot.picture.pixel(32, 18)[0], shot.at), (60, Duration::ZERO), "the next one takes its time");
    fs::remove_file(folder.path().join("0.png")).unwrap();

    // A photo that cannot be decoded is skipped.
    let png = codec::encode_png(&grey(9)).unwrap();
    fs::write(folder.path().join("11.png"), &png[..40]).unwrap();
    let mut source = open(&spec, &options).unwrap();
    for _ in 0..5 {
        assert!(source.read().unwrap().is_some());
    }
    assert!(source.read().unwrap_err().to_string().contains("11.png"));
    assert_eq!(source.read().unwrap().unwrap().picture.pixel(32, 18)[0], 200);

    for bad in [
        VirtualCameraParams { zoom: 0.5, ..virtual_camera },
        VirtualCameraParams { width: 0, ..virtual_camera },
        VirtualCameraParams { frame_rate: f64::NAN, ..virtual_camera },
    ] {
        let options = OpenOptions { virtual_camera: bad, ..OpenOptions::default() };
        assert!(matches!(open(&spec, &options), Err(VideoError::Spec { .. })), "{bad:?}");
    }
}

#[test]
fn an_endless_virtual_camera_of_one_photo() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    fs::write(&path, codec::encode_png(&grey(120)).unwrap()).unwrap();
    let virtual_camera =
        VirtualCameraParams { width: 32, height: 32, seconds_per_photo: 0.1, ..VirtualCameraParams::default() };
    let options = OpenOptions { virtual_camera, ..OpenOptions::default() };
    let mut source = open(&format!("virtual:{}", path.display()), &options).unwrap();
    assert_eq!(source.info().frames, None);
    for _ in 0..20 {
        assert_eq!(source.read().unwrap().unwrap().picture.pixel(16, 16), [120; 3]);
    }
}

#[test]
fn bare_pixels_need_a_shape() {
    let raw = Some(RawFormat { width: 0, height: 4, frame_rate: 30.0 });
    // Whether standard input is a terminal or not, this cannot be opened.
    assert!(matches!(open("-", &OpenOptions { raw, ..OpenOptions::default() }), Err(VideoError::Spec { .. })));
}
