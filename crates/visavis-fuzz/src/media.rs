//! Pictures, films and the streams of cameras.

use std::io::{Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use image::codecs::{bmp::BmpEncoder, gif::GifEncoder, webp::WebPEncoder};
use image::{DynamicImage, ImageEncoder};
use visavis_image::{Picture, codec};
use visavis_video::{Mp4Writer, OpenOptions, RawFormat, Source, StreamParams, Transport, VideoError, fuzzing};

use crate::{Target, parts, scratch};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "picture", run: picture, seeds: pictures, most_bytes: 64 << 10, mutations: 400 },
    Target { name: "gif", run: film, seeds: gifs, most_bytes: 64 << 10, mutations: 300 },
    Target { name: "mp4", run: film, seeds: films, most_bytes: 64 << 10, mutations: 150 },
    Target { name: "h264", run: h264, seeds: h264_streams, most_bytes: 64 << 10, mutations: 150 },
    Target { name: "mjpeg", run: mjpeg, seeds: mjpeg_streams, most_bytes: 64 << 10, mutations: 300 },
    Target { name: "rtsp", run: rtsp, seeds: rtsp_answers, most_bytes: 32 << 10, mutations: 40 },
    Target { name: "webcam", run: webcam, seeds: webcam_buffers, most_bytes: 16 << 10, mutations: 400 },
    Target { name: "ffprobe", run: ffprobe, seeds: probe_outputs, most_bytes: 8 << 10, mutations: 400 },
];

/// Limit of the size of most pictures, so that a driver tries many inputs in a second.
const FEW_PIXELS: u64 = 1 << 20;

/// Most pictures that are read from one film or stream.
const MOST_FRAMES: usize = 64;

/// Most errors in a row after which a film or stream is given up, as the pipeline would.
const MOST_ERRORS: usize = 64;

/// The limit of the size of pictures: that of the product for every sixteenth length of an input.
fn max_pixels(bytes: &[u8]) -> u64 {
    if bytes.len().is_multiple_of(16) { codec::MAX_PIXELS } else { FEW_PIXELS }
}

/// How long the camera waits for the next request.
const PATIENCE: Duration = Duration::from_millis(40);

/// An encoded still picture.
fn picture(bytes: &[u8]) {
    let most = max_pixels(bytes);
    let size = codec::size(Cursor::new(bytes));
    if let Ok(photo) = codec::decode_photo(bytes, most) {
        assert!(u64::from(photo.picture.width()) * u64::from(photo.picture.height()) <= most);
        if let Ok(picture) = codec::decode(bytes, most) {
            let size = size.expect("a picture that can be decoded has a size");
            assert_eq!(size, (picture.width(), picture.height()));
        }
    }
}

/// Reads a film until its end, or until it has shown enough. Then again from its start.
fn play(mut source: Box<dyn Source>, most_pixels: u64) {
    for _ in 0..2 {
        let (mut frames, mut errors) = (0, 0);
        while frames < MOST_FRAMES && errors < MOST_ERRORS {
            match source.read() {
                Ok(Some(shot)) => {
                    let pixels = u64::from(shot.picture.width()) * u64::from(shot.picture.height());
                    assert!(pixels <= most_pixels, "{pixels} pixels");
                    (frames, errors) = (frames + 1, 0);
                }
                Ok(None) => break,
                Err(_) => errors += 1,
            }
        }
        if source.rewind().is_err() {
            return;
        }
    }
}

/// A file with a film or a picture.
fn film(bytes: &[u8]) {
    let most = max_pixels(bytes);
    let opened = scratch::with_file("film", bytes, |path| fuzzing::open_file(path, most));
    if let Ok(source) = opened {
        play(source, most);
    }
}

/// Coded pictures of H.264 from a camera, each a part of the input.
fn h264(bytes: &[u8]) {
    let pictures: Vec<&[u8]> = parts::split(bytes).into_iter().map(|(_, picture)| picture).collect();
    let pictures = if pictures.is_empty() { vec![bytes] } else { pictures };
    let _ = fuzzing::decode_h264(&pictures, FEW_PIXELS);
}

/// JPEG pictures one after the other; the same bytes as raw pictures.
fn mjpeg(bytes: &[u8]) {
    play(fuzzing::mjpeg(bytes.to_vec(), FEW_PIXELS), FEW_PIXELS);
    let format = RawFormat { width: 7, height: 5, frame_rate: 30.0 };
    play(fuzzing::raw(bytes.to_vec(), format, FEW_PIXELS).expect("the format is possible"), FEW_PIXELS);
}

/// A buffer of a webcam; the first five bytes are its format.
fn webcam(bytes: &[u8]) {
    let Some(([format, width, height, stride, ..], buffer)) = bytes.split_first_chunk::<5>() else { return };
    #[cfg(target_os = "linux")]
    {
        let size = (u32::from(*width).max(1), u32::from(*height).max(1));
        let _ = fuzzing::webcam_picture(usize::from(*format), size, usize::from(*stride) * 8, buffer, FEW_PIXELS);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (format, width, height, stride, buffer);
}

/// The output of `ffprobe`.
fn ffprobe(bytes: &[u8]) {
    let _ = fuzzing::probe_has_picture(bytes);
}

/// The answers of a network camera: one part for each request, sent as it is but for the number of the request. When all parts were
/// sent, the camera closes the connection.
fn rtsp(bytes: &[u8]) {
    static CAMERA: OnceLock<Mutex<Camera>> = OnceLock::new();
    let mut camera = CAMERA.get_or_init(|| Mutex::new(Camera::start())).lock().unwrap_or_else(PoisonError::into_inner);
    camera.closed.try_iter().for_each(drop);
    let answers = parts::split(bytes).into_iter().map(|(_, answer)| answer.to_vec()).collect();
    camera.answers.send(answers).expect("the camera runs");
    let stream = StreamParams { transport: Transport::Tcp, ..StreamParams::default() };
    let options = OpenOptions { max_pixels: FEW_PIXELS, stream, ..OpenOptions::default() };
    let address = format!("rtsp://ada:secret@127.0.0.1:{}/1", camera.port);
    let Ok(mut source) = visavis_video::open(&address, &options) else { return };
    let Some(interrupt) = source.interrupter() else { return };
    let closed = &mut camera.closed;
    thread::scope(|scope| {
        // The pictures until the connection is closed; the program would go on and open it again.
        scope.spawn(move || {
            let _ = closed.recv_timeout(10 * PATIENCE);
            thread::sleep(PATIENCE / 4);
            interrupt();
        });
        while !matches!(source.read(), Ok(None) | Err(VideoError::Interrupted { .. })) {}
    });
}

/// A camera that gives the answers that are sent to it: one list for each connection.
struct Camera {
    port: u16,
    answers: Sender<Vec<Vec<u8>>>,
    /// Tells when a connection was closed.
    closed: Receiver<()>,
}

impl Camera {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("the port is known").port();
        let (answers, lists) = channel::<Vec<Vec<u8>>>();
        let (close, closed) = channel();
        let serve = move || {
            let mut clients = listener.incoming();
            while let Some(Ok(client)) = clients.next() {
                // A connection that is opened again after the last list was used gets no answer.
                if let Some(list) = lists.try_iter().last() {
                    let _ = answer(client, &list);
                    let _ = close.send(());
                }
            }
        };
        thread::Builder::new().name("camera".into()).spawn(serve).expect("a thread can be started");
        Self { port, answers, closed }
    }
}

fn answer(mut client: TcpStream, list: &[Vec<u8>]) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    // A client that waits for the rest of an answer sends no further request: the connection is closed.
    client.set_read_timeout(Some(PATIENCE))?;
    for part in list {
        let Some(number) = request(&mut client)? else { return Ok(()) };
        let at = part.windows(4).position(|window| window == b"CSEQ");
        match at {
            Some(at) => client.write_all(&[&part[..at], number.as_bytes(), &part[at + 4..]].concat())?,
            None => client.write_all(part)?,
        }
    }
    Ok(())
}

/// Waits for a request. Returns its number; `None` at the end of the connection.
fn request(client: &mut TcpStream) -> std::io::Result<Option<String>> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let number = text.lines().find_map(|line| line.strip_prefix("cseq:")).unwrap_or("0");
    Ok(Some(number.trim().to_owned()))
}

// Seeds.

/// A picture with some detail.
fn drawing(width: u32, height: u32) -> Picture {
    let mut picture = Picture::new(width, height);
    for y in 0..height {
        for x in 0..width {
            picture.set_pixel(x, y, [(x * 11 + y) as u8, (y * 13) as u8, (x ^ y) as u8 * 7]);
        }
    }
    picture
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    codec::encode_jpeg(&drawing(width, height), 80).expect("a picture can be encoded")
}

fn pictures() -> Vec<Vec<u8>> {
    let picture = drawing(19, 13);
    let rgb = |write: &dyn Fn(&mut Vec<u8>, &[u8])| {
        let mut bytes = Vec::new();
        write(&mut bytes, picture.pixels());
        bytes
    };
    let kind = image::ExtendedColorType::Rgb8;
    let webp = rgb(&|out, pixels| WebPEncoder::new_lossless(out).write_image(pixels, 19, 13, kind).expect("WebP"));
    let bmp = rgb(&|out, pixels| BmpEncoder::new(out).write_image(pixels, 19, 13, kind).expect("BMP"));
    let image = image::RgbImage::from_raw(19, 13, picture.pixels().to_vec()).map(DynamicImage::ImageRgb8);
    let image = image.expect("the size fits");
    let png = |image: DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).expect("PNG");
        bytes.into_inner()
    };
    let grey = {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(image.to_luma8()).write_to(&mut bytes, image::ImageFormat::Jpeg).expect("JPEG");
        bytes.into_inner()
    };
    let whole = jpeg(19, 13);
    // An orientation: as cameras write it.
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (2 + 6 + tiff.len() as u16).to_be_bytes();
    let turned = [&whole[..2], &[0xff, 0xe1], &length, b"Exif\0\0", tiff, &whole[2..]].concat();
    let mut seeds = vec![whole, turned, grey, webp, bmp, png(image.clone())];
    seeds.push(png(DynamicImage::ImageLumaA8(image.to_luma_alpha8())));
    seeds.push(png(DynamicImage::ImageRgba16(image.to_rgba16())));
    seeds.extend(gifs());
    seeds
}

fn gifs() -> Vec<Vec<u8>> {
    let mut one = Vec::new();
    GifEncoder::new(&mut one).encode(drawing(9, 7).pixels(), 9, 7, image::ExtendedColorType::Rgb8).expect("GIF");
    let mut several = Vec::new();
    let palette = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(&mut several, 8, 6, &palette).expect("GIF");
    for (number, dispose) in
        (0..).zip([gif::DisposalMethod::Keep, gif::DisposalMethod::Background, gif::DisposalMethod::Previous])
    {
        let frame = gif::Frame {
            left: number,
            top: number,
            width: 5,
            height: 3,
            delay: number,
            dispose,
            interlaced: number == 1,
            transparent: Some(number as u8),
            buffer: (0..15).map(|pixel| pixel % 4).collect::<Vec<u8>>().into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).expect("GIF");
    }
    drop(encoder);
    vec![one, several]
}

/// A film of some small pictures.
fn mp4() -> Vec<u8> {
    let folder = scratch::folder();
    let path = folder.path().join("film.mp4");
    let mut writer = Mp4Writer::create(&path, 32, 16, 25.0).expect("a film can be begun");
    for number in 0..4 {
        writer.write(&drawing(32, 16 + number), Duration::from_millis(40) * number).expect("a picture can be added");
    }
    writer.finish().expect("a film can be finished");
    std::fs::read(path).expect("the film can be read")
}

/// The samples of the film, as a camera sends them: units of annex B.
fn h264_pictures() -> Vec<Vec<u8>> {
    let film = mp4();
    // In films of our writer all samples lie one after the other in `mdat`, each unit behind its length in four bytes.
    let body = film.windows(4).position(|window| window == b"mdat").expect("a film has samples") + 4;
    let body = if film[body - 8..body - 4] == [0, 0, 0, 1] { body + 8 } else { body };
    let sets = film.windows(4).position(|window| window == b"avcC").expect("a film has parameters") + 4;
    let size = |at: usize| usize::from(film[at]) << 8 | usize::from(film[at + 1]);
    // One sequence parameter set after six bytes, then one picture parameter set.
    let sps = &film[sets + 8..sets + 8 + size(sets + 6)];
    let pps_at = sets + 8 + sps.len() + 1;
    let pps = &film[pps_at + 2..pps_at + 2 + size(pps_at)];
    const START: &[u8] = &[0, 0, 0, 1];
    let mut pictures = vec![[START, sps, START, pps].concat()];
    let mut rest = &film[body..];
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let Some((unit, behind)) = behind.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        if !matches!(unit.first().map(|byte| byte & 0x1F), Some(1 | 5)) {
            break;
        }
        match pictures.len() {
            1 if pictures[0].len() == sps.len() + pps.len() + 8 => pictures[0].extend([START, unit].concat()),
            _ => pictures.push([START, unit].concat()),
        }
        rest = behind;
    }
    pictures
}

fn films() -> Vec<Vec<u8>> {
    vec![mp4()]
}

fn h264_streams() -> Vec<Vec<u8>> {
    let pictures = h264_pictures();
    let named = pictures.iter().map(|picture| ("picture", picture.as_slice()));
    vec![parts::join(named), pictures[0].clone()]
}

fn mjpeg_streams() -> Vec<Vec<u8>> {
    let (a, b) = (jpeg(16, 16), jpeg(9, 21));
    vec![
        [&a[..], &b, &a[..a.len() - 9], &b].concat(),
        [b"--part\r\nContent-Type: image/jpeg\r\n\r\n", &a[..], b"\r\n--part\r\n\r\n", &b].concat(),
    ]
}

fn webcam_buffers() -> Vec<Vec<u8>> {
    let buffer: Vec<u8> = (0..16 * 8 * 3).map(|at| (at * 7) as u8).collect();
    let mut seeds: Vec<Vec<u8>> = (2..13).map(|format| [&[format, 16, 8, 2, 0][..], &buffer].concat()).collect();
    seeds.push([&[0, 16, 16, 0, 0][..], &jpeg(16, 16)].concat());
    seeds
}

fn probe_outputs() -> Vec<Vec<u8>> {
    vec![
        br#"{"streams": [{"index": 1, "codec_name": "hevc", "codec_type": "video", "width": 640, "height": 360,
        "sample_aspect_ratio": "4:3", "field_order": "tt", "color_space": "bt709", "pix_fmt": "yuv420p", "r_frame_rate": "25/1",
        "avg_frame_rate": "30000/1001", "nb_frames": "40", "disposition": {"attached_pic": 0},
        "side_data_list": [{"displaymatrix": "\n00000000: 0 65536 0\n", "rotation": -90}]}]}"#
            .to_vec(),
    ]
}

/// A packet of RTP (RFC 3550) in an RTSP connection (RFC 2326, 10.12).
fn packet(kind: u8, number: u16, last: bool, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 12).to_be_bytes();
    let mut bytes = vec![b'$', 0, length[0], length[1], 0x80, if last { 0x80 | kind } else { kind }];
    bytes.extend(number.to_be_bytes());
    bytes.extend((u32::from(number) * 3000).to_be_bytes());
    bytes.extend([0, 0, 0, 7]);
    bytes.extend(payload);
    bytes
}

fn rtsp_answers() -> Vec<Vec<u8>> {
    let session = |sdp: &str, packets: &[u8]| {
        let describe = format!(
            "RTSP/1.0 200 OK\r\nCSeq: CSEQ\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        let setup = "RTSP/1.0 200 OK\r\nCSeq: CSEQ\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=7\r\n\
                     Session: 1;timeout=60\r\n\r\n";
        let play = "RTSP/1.0 200 OK\r\nCSeq: CSEQ\r\nSession: 1\r\nRange: npt=0.000-\r\n\
                    RTP-Info: url=rtsp://127.0.0.1/1/video;seq=1;rtptime=3000\r\n\r\n";
        let play = [play.as_bytes(), packets].concat();
        parts::join([("DESCRIBE", describe.as_bytes()), ("SETUP", setup.as_bytes()), ("PLAY", &play)])
    };
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=control:*\r\na=range:npt=0-\r\n";
    let h264 = format!(
        "{head}m=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1;profile-level-id=42e01f;sprop-parameter-sets=Z0LgH5ZUAoAvyA==,aM48gA==\r\n\
         a=control:video\r\na=framerate:25\r\n"
    );
    let jpeg_stream =
        format!("{head}m=video 0 RTP/AVP 26\r\na=control:video\r\nm=audio 0 RTP/AVP 0\r\na=control:audio\r\n");
    let units: Vec<Vec<u8>> = h264_pictures()
        .iter()
        .flat_map(|picture| {
            let mut starts: Vec<usize> =
                picture.windows(4).enumerate().filter(|(_, four)| four == &[0, 0, 0, 1]).map(|(at, _)| at).collect();
            starts.push(picture.len());
            starts.windows(2).map(|pair| picture[pair[0] + 4..pair[1]].to_vec()).collect::<Vec<_>>()
        })
        .collect();
    let mut packets = Vec::new();
    for (number, unit) in (1..).zip(&units) {
        packets.extend(packet(96, number, unit[0] & 0x1F < 6, unit));
    }
    // A fragmented unit (RFC 6184, 5.8), and two units in one packet (5.7.1).
    packets.extend(packet(96, 60, false, &[0x7C, 0x85, 1, 2, 3]));
    packets.extend(packet(96, 61, true, &[0x7C, 0x45, 4, 5, 6]));
    packets.extend(packet(96, 62, true, &[0x78, 0, 2, 0x41, 9, 0, 3, 0x41, 8, 7]));
    // A picture of 16×16 pixels (RFC 2435) in two fragments.
    let mut pictures = packet(26, 1, false, &[0, 0, 0, 0, 1, 50, 2, 2, 1, 2, 3, 4]);
    pictures.extend(packet(26, 1, true, &[0, 0, 0, 4, 1, 50, 2, 2, 9, 9]));
    let unauthorised = "RTSP/1.0 401 Unauthorized\r\nCSeq: CSEQ\r\n\
                        WWW-Authenticate: Digest realm=\"camera\", nonce=\"00af\", qop=\"auth\"\r\n\r\n";
    vec![
        session(&h264, &packets),
        session(&jpeg_stream, &pictures),
        parts::join([
            ("DESCRIBE", unauthorised.as_bytes()),
            ("DESCRIBE", b"RTSP/1.0 404 Not Found\r\nCSeq: CSEQ\r\n\r\n"),
        ]),
    ]
}
