//! Films and photos that an installed ffmpeg decodes. Without ffmpeg these tests are skipped with a message.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test fails; a test that is skipped says so"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use visavis_image::Picture;
use visavis_video::{Ffmpeg, OpenOptions, Shot, Source, VideoError, load_photo, open_path};

/// A folder for inputs; `None` if there is no ffmpeg.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Option<Self> {
        if Ffmpeg::installed().is_none() {
            eprintln!("skipped: ffmpeg and ffprobe are not installed");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs ffmpeg with these arguments and the name of the output; `None` if it lacks the encoder.
    fn make(&self, name: &str, words: &[&str]) -> Option<PathBuf> {
        let path = self.path(name);
        let made =
            Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(words).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        if said.contains("Unknown encoder") || said.contains("Encoder not found") {
            eprintln!("skipped {name}: {}", said.trim());
            return None;
        }
        assert!(made.status.success(), "{name}: {said}");
        Some(path)
    }
}

/// A film of 20 frames, 25 a second: the left half red, darker below, the right half blue.
const COLOURS: &str = "color=red:size=96x64:rate=25:duration=0.8,drawbox=x=48:w=48:h=64:color=blue:t=fill,\
                       drawbox=y=32:w=48:h=32:color=0x800000:t=fill,format=yuv420p";

fn open(path: &Path) -> Result<Box<dyn Source>, VideoError> {
    open_path(path, &OpenOptions::default())
}

fn drain(source: &mut dyn Source) -> (Vec<Shot>, Vec<VideoError>) {
    let (mut shots, mut errors) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        match source.read() {
            Ok(Some(shot)) => shots.push(shot),
            Ok(None) => return (shots, errors),
            Err(error) => errors.push(error),
        }
    }
    panic!("no end");
}

fn whole(path: &Path) -> Vec<Shot> {
    let (shots, errors) = drain(open(path).unwrap_or_else(|error| panic!("{error}")).as_mut());
    assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    shots
}

fn is_red(pixel: [u8; 3]) -> bool {
    pixel[0] > 60 && pixel[0] > 2 * pixel[1].max(pixel[2])
}

fn is_blue(pixel: [u8; 3]) -> bool {
    pixel[2] > 60 && pixel[2] > 2 * pixel[0].max(pixel[1])
}

fn looks_right(picture: &Picture) {
    let (width, height) = (picture.width(), picture.height());
    let (left, right) = (picture.pixel(width / 5, height / 5), picture.pixel(width * 4 / 5, height / 5));
    let below = picture.pixel(width / 5, height * 4 / 5);
    assert!(is_red(left) && is_blue(right) && is_red(below) && below[0] < left[0], "{left:?} {right:?} {below:?}");
}

#[test]
fn containers_and_codecs() {
    let Some(stage) = Stage::new() else { return };
    let x264 = ["-c:v", "libx264", "-bf", "2"];
    let table: [(&str, &[&str]); 12] = [
        ("a.mkv", &x264),
        ("b.avi", &["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"]),
        ("c.webm", &["-c:v", "libvpx", "-b:v", "1M"]),
        ("d.webm", &["-c:v", "libvpx-vp9", "-b:v", "1M", "-cpu-used", "8"]),
        ("e.mp4", &["-c:v", "libx265", "-x265-params", "log-level=none"]),
        ("f.mov", &["-c:v", "prores", "-pix_fmt", "yuv422p10le"]),
        ("g.ts", &x264),
        ("h.flv", &x264),
        ("i.mpg", &["-c:v", "mpeg2video", "-q:v", "2"]),
        ("j.mp4", &["-c:v", "libx264", "-pix_fmt", "yuv444p"]),
        ("k.mkv", &["-c:v", "ffv1"]),
        ("l.mp4", &["-c:v", "mpeg4", "-q:v", "2"]),
    ];
    for (name, words) in table {
        let words = [&["-f", "lavfi", "-i", COLOURS], words].concat();
        let Some(path) = stage.make(name, &words) else { continue };
        // The type follows from the contents, not the name.
        let hidden = stage.path(&format!("{}.dat", &name[..1]));
        fs::rename(&path, &hidden).unwrap();
        let mut source = open(&hidden).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((source.info().width, source.info().height), (96, 64), "{name}");
        for pass in 0..2 {
            let (shots, errors) = drain(source.as_mut());
            assert!(errors.is_empty(), "{name}: {errors:?}");
            assert_eq!(shots.len(), 20, "{name}, pass {pass}");
            for (number, shot) in shots.iter().enumerate() {
                let off = shot.at.abs_diff(Duration::from_millis(40 * number as u64));
                assert!(off <= Duration::from_millis(1), "{name}, frame {number}: {:?}", shot.at);
            }
            looks_right(&shots[10].picture);
            source.rewind().unwrap();
        }
    }
}

#[test]
fn times_are_exact_also_where_the_rate_varies() {
    let Some(stage) = Stage::new() else { return };
    let varying = "color=red:size=33x17:rate=30000/1001:duration=0.5,settb=1/30000,\
                   setpts='N*1001+gt(N,5)*105000',format=yuv444p";
    let words = ["-f", "lavfi", "-i", varying, "-vsync", "passthrough", "-enc_time_base", "1/30000", "-c:v", "ffv1"];
    let Some(path) = stage.make("a.nut", &words) else { return };
    let shots = whole(&path);
    assert_eq!(shots.len(), 15);
    for (number, shot) in shots.iter().enumerate() {
        let jump = if number > 5 { 3_500_000_000 } else { 0 };
        let expected = Duration::from_nanos(number as u64 * 1_001_000_000 / 30 + jump);
        assert!(shot.at.abs_diff(expected) < Duration::from_micros(20), "frame {number}: {:?}", shot.at);
        assert_eq!((shot.picture.width(), shot.picture.height()), (33, 17), "odd sizes are kept");
        assert!(is_red(shot.picture.pixel(32, 16)));
    }
}

#[test]
fn pictures_are_upright_and_their_pixels_square() {
    let Some(stage) = Stage::new() else { return };
    let coded = [
        "-f",
        "lavfi",
        "-i",
        COLOURS,
        "-vf",
        "scale=48:64,setsar=2",
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=none",
    ];
    let Some(path) = stage.make("wide.mp4", &coded) else { return };
    let shots = whole(&path);
    assert_eq!((shots[0].picture.width(), shots[0].picture.height()), (96, 64));
    looks_right(&shots[0].picture);
    let turned =
        stage.make("turned.mp4", &["-i", path.to_str().unwrap(), "-c", "copy", "-metadata:s:v", "rotate=90"]).unwrap();
    let source = open(&turned).unwrap();
    let size = (source.info().width, source.info().height);
    if size == (96, 64) {
        eprintln!("skipped: this ffmpeg writes no rotation from metadata");
        return;
    }
    assert_eq!(size, (64, 96));
    let picture = &whole(&turned)[0].picture;
    assert_eq!((picture.width(), picture.height()), (64, 96));
    // Red was on the left: it is now above or below.
    let (above, below) = (picture.pixel(10, 10), picture.pixel(10, 85));
    assert!(is_red(above) && is_blue(below) || is_blue(above) && is_red(below), "{above:?} {below:?}");
}

#[test]
fn interlaced_films_are_woven_apart() {
    let Some(stage) = Stage::new() else { return };
    // A white bar that moves: interlaced fields would give a comb, with rows alternating between black and white.
    let bar = "color=black:size=96x64:rate=50:duration=0.8,drawbox=x=8:w=16:h=64:color=white:t=fill,\
               scroll=horizontal=0.04,interlace,format=yuv420p";
    let words =
        ["-f", "lavfi", "-i", bar, "-c:v", "libx264", "-qp", "5", "-flags", "+ilme+ildct", "-x264-params", "tff=1"];
    let Some(path) = stage.make("a.mp4", &words) else { return };
    let comb = |picture: &Picture| {
        let rows = (20..44).step_by(2);
        let edges = rows.flat_map(|y| (0..96).map(move |x| (x, y)));
        edges.filter(|&(x, y)| picture.pixel(x, y)[0].abs_diff(picture.pixel(x, y + 1)[0]) > 150).count()
    };
    let shots = whole(&path);
    assert_eq!(shots.len(), 20);
    let worst = shots[2..18].iter().map(|shot| comb(&shot.picture)).max().unwrap();
    assert!(worst < 12, "{worst} pixels of a comb");
}

#[test]
fn colours_follow_range_and_matrix() {
    let Some(stage) = Stage::new() else { return };
    for (range, matrix) in [("tv", "bt709"), ("pc", "bt709"), ("tv", "smpte170m"), ("pc", "smpte170m")] {
        let scale = match matrix {
            "bt709" => "bt709",
            _ => "bt601",
        };
        let filter = format!("scale=out_range={range}:out_color_matrix={scale},format=yuv444p");
        let words = [
            "-f",
            "lavfi",
            "-i",
            "color=0xC86432:size=64x64:rate=5:duration=0.4",
            "-vf",
            &filter,
            "-color_range",
            range,
            "-colorspace",
            matrix,
            "-c:v",
            "libx264",
            "-qp",
            "1",
        ];
        let Some(path) = stage.make(&format!("{range}-{matrix}.mkv"), &words) else { return };
        let pixel = whole(&path)[0].picture.pixel(30, 30);
        assert!(pixel.iter().zip([0xC8u8, 0x64, 0x32]).all(|(a, b)| a.abs_diff(b) <= 6), "{range} {matrix}: {pixel:?}");
    }
}

#[test]
fn damage_costs_what_it_hits_and_is_told() {
    let Some(stage) = Stage::new() else { return };
    let words =
        ["-f", "lavfi", "-i", "testsrc2=size=192x128:rate=25:duration=4", "-c:v", "mpeg4", "-q:v", "3", "-g", "10"];
    let path = stage.make("a.avi", &words).unwrap();
    assert_eq!(whole(&path).len(), 100);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 6000].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
    fs::write(&path, &bytes).unwrap();
    let (shots, errors) = drain(open(&path).unwrap().as_mut());
    assert!(shots.len() > 80, "{} frames", shots.len());
    let [VideoError::PartlyDecoded { name, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert!(name.contains("a.avi"));

    // Only zeros after the first half, and far more of them than there is memory.
    let film = stage.make("b.mkv", &["-f", "lavfi", "-i", COLOURS, "-c:v", "ffv1"]).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&film).unwrap();
    file.set_len(2 << 30).unwrap();
    let (shots, _) = drain(open(&film).unwrap().as_mut());
    assert_eq!(shots.len(), 20);
}

#[test]
fn what_ffmpeg_cannot_read_either_is_named() {
    let Some(stage) = Stage::new() else { return };
    let error_of = |name: &str, bytes: &[u8]| {
        let path = stage.path(name);
        fs::write(&path, bytes).unwrap();
        let error = open(&path).and_then(|mut source| source.read().map(|_| ())).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        error
    };
    assert!(matches!(error_of("text.mkv", b"hello there, reader"), VideoError::UnknownFormat { .. }));
    let noise: Vec<u8> = (0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let head = |magic: &[u8]| [magic, &noise].concat();
    assert!(matches!(error_of("noise.webm", &head(b"\x1A\x45\xDF\xA3")), VideoError::Ffmpeg { .. }));
    assert!(matches!(
        error_of("noise.heic", &head(b"\0\0\0\x14ftypheic\0\0\0\0mif1")),
        VideoError::Ffmpeg { .. } | VideoError::NoPictureTrack { .. }
    ));
    // A playlist may contain files and addresses: none of them is opened.
    let secret = stage.make("secret.mkv", &["-f", "lavfi", "-i", COLOURS, "-c:v", "ffv1"]).unwrap();
    let list = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXTINF:1,\n{}\n",
        secret.display()
    );
    error_of("list.ts", list.as_bytes());
}

#[test]
fn a_sound_file_with_a_cover_is_no_film() {
    let Some(stage) = Stage::new() else { return };
    let sound = ["-f", "lavfi", "-i", "sine=duration=0.3", "-f", "lavfi", "-i", "color=red:size=64x64:duration=0.1"];
    let cover = ["-map", "0", "-map", "1", "-c:v", "mjpeg", "-frames:v", "1", "-disposition:v", "attached_pic"];
    let Some(path) = stage.make("a.mp4", &[&sound[..], &cover, &["-c:a", "aac"]].concat()) else { return };
    let error = open(&path).err().unwrap();
    assert!(matches!(error, VideoError::NoPictureTrack { .. }), "{error}");
}

#[test]
fn photos_in_other_formats() {
    let Some(stage) = Stage::new() else { return };
    let still = COLOURS.replace(":duration=0.8", ":duration=0.04");
    for (name, words) in [
        ("a.tiff", &["-pix_fmt", "rgb24"][..]),
        ("b.avif", &["-c:v", "libaom-av1", "-still-picture", "1", "-crf", "10"]),
        ("c.jxl", &["-c:v", "libjxl", "-pix_fmt", "rgb24"]),
        ("d.jp2", &["-pix_fmt", "rgb24"]),
        ("e.ppm", &["-pix_fmt", "rgb24"]),
        ("f.pcx", &["-pix_fmt", "rgb24"]),
        ("g.sgi", &["-pix_fmt", "rgb24"]),
        ("h.ico", &["-c:v", "png", "-pix_fmt", "rgba"]),
    ] {
        let Some(path) = stage.make(name, &[&["-f", "lavfi", "-i", &still], words].concat()) else { continue };
        let hidden = stage.path(&format!("{}.jpg", &name[..1]));
        fs::rename(&path, &hidden).unwrap();
        let photo = load_photo(&hidden, 1_000_000).unwrap_or_else(|error| panic!("{name}: {error}")).picture;
        assert_eq!((photo.width(), photo.height()), (96, 64), "{name}");
        looks_right(&photo);
        let error = load_photo(&hidden, 100).unwrap_err();
        assert!(matches!(error, VideoError::TooLarge { width: 96, .. }), "{error}");
    }
}

#[test]
fn a_picture_written_in_letters_is_no_playlist() {
    let Some(stage) = Stage::new() else { return };
    let path = stage.path("letters.pgm");
    fs::write(&path, "P2\n# by hand\n3 2\n255\n0 50 100 150 200 250\n").unwrap();
    let photo = load_photo(&path, 10_000).unwrap().picture;
    assert_eq!((photo.width(), photo.height()), (3, 2));
    assert!(photo.pixel(2, 1)[0] > photo.pixel(0, 0)[0] + 200);
}

/// A grey TIFF of 3×2 pixels, each brighter than the one before it.
fn tiff(little: bool, orientation: u16, compression: u16) -> Vec<u8> {
    let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let entries = [
        (256, 3),
        (257, 2),
        (258, 8),
        (259, compression),
        (262, 1),
        (273, 134), // where the pixels begin
        (274, orientation),
        (277, 1),
        (278, 2),
        (279, 6),
    ];
    let signature = if little { b"II*\0" } else { b"MM\0*" };
    let mut bytes = [&signature[..], &long(8), &short(10)].concat();
    for (number, value) in entries {
        // One number of 16 bits.
        bytes.extend([&short(number)[..], &short(3), &long(1), &short(value), &[0; 2]].concat());
    }
    bytes.extend(long(0));
    bytes.extend([10, 50, 90, 130, 170, 210]);
    bytes
}

#[test]
fn a_tiff_is_upright() {
    let Some(stage) = Stage::new() else { return };
    let path = stage.path("a.tiff");
    let load = |little: bool, orientation: u16| {
        fs::write(&path, tiff(little, orientation, 1)).unwrap();
        load_photo(&path, 1000).unwrap().picture
    };
    for little in [true, false] {
        let stored = load(little, 1);
        assert_eq!((stored.width(), stored.height()), (3, 2));
        // Where the upper corners of the upright picture are in the stored one.
        for (orientation, left, right) in [
            (0, (0, 0), (2, 0)),
            (2, (2, 0), (0, 0)),
            (3, (2, 1), (0, 1)),
            (4, (0, 1), (2, 1)),
            (5, (0, 0), (0, 1)),
            (6, (0, 1), (0, 0)),
            (7, (2, 1), (2, 0)),
            (8, (2, 0), (2, 1)),
        ] {
            let upright = load(little, orientation);
            let size = if orientation < 5 { (3, 2) } else { (2, 3) };
            assert_eq!((upright.width(), upright.height()), size, "{orientation}");
            let corners = (upright.pixel(0, 0), upright.pixel(size.0 - 1, 0));
            assert_eq!(corners, (stored.pixel(left.0, left.1), stored.pixel(right.0, right.1)), "{orientation}");
        }
    }
}

#[test]
fn a_tiff_that_ffmpeg_leaves_empty_is_an_error() {
    let Some(stage) = Stage::new() else { return };
    let path = stage.path("a.tiff");
    fs::write(&path, tiff(true, 1, 7)).unwrap();
    let error = load_photo(&path, 1000).unwrap_err();
    assert!(matches!(error, VideoError::Ffmpeg { .. }), "{error}");
}

#[test]
fn chapters_and_timecodes_are_no_pictures() {
    let Some(stage) = Stage::new() else { return };
    let chapters = stage.path("chapters.txt");
    fs::write(&chapters, ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=800\ntitle=one\n").unwrap();
    let film = ["-f", "lavfi", "-i", COLOURS];
    let chapters = ["-i", chapters.to_str().unwrap(), "-map_metadata", "1", "-map_chapters", "1", "-c:v", "ffv1"];
    let timecode = ["-c:v", "mpeg4", "-timecode", "01:00:00:00"];
    for (name, words) in [("a.mkv", &chapters[..]), ("b.mov", &timecode[..])] {
        let Some(path) = stage.make(name, &[&film[..], words].concat()) else { continue };
        assert_eq!(whole(&path).len(), 20, "{name}");
    }
}

#[test]
fn every_name_is_a_file() {
    let Some(stage) = Stage::new() else { return };
    let film = stage.make("plain.mkv", &["-f", "lavfi", "-i", COLOURS, "-c:v", "ffv1"]).unwrap();
    for name in ["-i.mkv", "concat:a|b.mkv", "%03d.mkv", "a b'\"$.mkv", "名前.mkv"] {
        let path = stage.path(name);
        fs::copy(&film, &path).unwrap();
        assert_eq!(whole(&path).len(), 20, "{name}");
    }
    // With a `%` ffmpeg would read the files with a number in this place.
    let picture = |name: &str, size: &str| {
        stage.make(name, &["-f", "lavfi", "-i", &format!("color=red:size={size}"), "-frames:v", "1"]).unwrap()
    };
    picture("photo1.tif", "64x32");
    let other = picture("other.tif", "32x64");
    fs::create_dir(stage.path("50%done")).unwrap();
    for name in ["photo%d.tif", "50%done/photo.tif"] {
        let path = stage.path(name);
        fs::copy(&other, &path).unwrap();
        assert_eq!(load_photo(&path, 10_000).unwrap().picture.width(), 32, "{name}");
    }
}

#[test]
fn it_says_what_it_reads() {
    let Some(ffmpeg) = Ffmpeg::installed() else { return };
    let formats = ffmpeg.formats().unwrap();
    assert!(formats.contains(&("H.264", true)), "{formats:?}");
    assert!(ffmpeg.version.starts_with("ffmpeg version"), "{}", ffmpeg.version);
}
