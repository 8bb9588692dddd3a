//! A server that speaks enough RTSP or HTTP to be believed, and then sends without end.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What is sent without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Lines of headers of the first answer.
    Headers,
    /// One line of a header.
    OneHeader,
    /// The description of the streams (SDP), with a length that the header announces.
    Description,
    /// Fragments of one picture.
    Fragments,
    /// Packets of the largest size, all of one picture.
    Packets,
    /// A picture of 16384×16384 pixels, once, then nothing.
    Size,
    /// One part of an MJPEG stream over HTTP.
    Part,
    /// Fragments of a picture of which one begins before the other has ended, at another time, and continues nothing; again and again.
    Contradiction,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    sent: Arc<AtomicU64>,
}

impl Server {
    /// Serves every client in the same way, until the process ends.
    pub(crate) fn start(attack: Attack) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let sent = Arc::clone(&counted);
                // Ends with an error when the client closes the connection.
                thread::spawn(move || Client::new(client, sent)?.serve(attack));
            }
        });
        Self { port, sent }
    }

    pub(crate) fn sent_mib(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) >> 20
    }
}

/// Bytes between two pauses, and the pause: at most 250 MB per second, about twice what a network of a gigabit per second carries.
/// The loopback carries gigabytes per second, which no camera can send.
const PART: usize = 1 << 18;
const PAUSE: Duration = Duration::from_millis(1);

struct Client {
    requests: BufReader<TcpStream>,
    to: TcpStream,
    sent: Arc<AtomicU64>,
}

impl Client {
    fn new(to: TcpStream, sent: Arc<AtomicU64>) -> io::Result<Self> {
        Ok(Self { requests: BufReader::new(to.try_clone()?), to, sent })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(PART) {
            self.to.write_all(part)?;
            let before = self.sent.fetch_add(part.len() as u64, Ordering::Relaxed);
            if before / PART as u64 != (before + part.len() as u64) / PART as u64 {
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn for_ever(&mut self, bytes: &[u8]) -> io::Result<()> {
        let many = bytes.repeat((64 << 10) / bytes.len() + 1);
        loop {
            self.send(&many)?;
        }
    }

    /// The next request: its method and its number. An error at the end of the connection.
    fn request(&mut self) -> io::Result<(String, String)> {
        let (mut method, mut number) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.requests.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim();
            if method.is_empty() {
                method = line.split(' ').next().unwrap_or_default().to_owned();
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("cseq")
            {
                number = value.trim().to_owned();
            } else if line.is_empty() {
                return Ok((method, number));
            }
        }
    }

    fn serve(mut self, attack: Attack) -> io::Result<()> {
        loop {
            let (method, number) = self.request()?;
            let head = match method.as_str() {
                "GET" => "HTTP/1.1 200 OK\r\n".to_owned(),
                _ => format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\n"),
            };
            match (method.as_str(), attack) {
                ("GET" | "DESCRIBE", Attack::Headers) => {
                    self.send(head.as_bytes())?;
                    return self.for_ever(b"X-Word: and another one, of the many that are to come\r\n");
                }
                ("GET" | "DESCRIBE", Attack::OneHeader) => {
                    self.send(format!("{head}X-Word: ").as_bytes())?;
                    return self.for_ever(b"and another one, ");
                }
                ("GET", _) => {
                    let part = "Content-Type: multipart/x-mixed-replace;boundary=part\r\n\r\n--part\r\n\
                        Content-Type: image/jpeg\r\n\r\n";
                    self.send(format!("{head}{part}").as_bytes())?;
                    self.send(b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0")?;
                    return self.for_ever(b"\x11\x22\x33");
                }
                ("DESCRIBE", Attack::Description) => {
                    let length = "Content-Type: application/sdp\r\nContent-Length: 4000000000\r\n\r\n";
                    self.send(format!("{head}{length}{SDP}").as_bytes())?;
                    return self.for_ever(b"a=word:and another one\r\n");
                }
                ("DESCRIBE", _) => {
                    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n", SDP.len());
                    self.send(format!("{head}{length}{SDP}").as_bytes())?;
                }
                ("SETUP", _) => {
                    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n";
                    self.send(format!("{head}{transport}").as_bytes())?;
                }
                ("PLAY", _) => {
                    self.send(format!("{head}Session: 1\r\n\r\n").as_bytes())?;
                    self.play(attack)?;
                }
                _ => self.send(format!("{head}\r\n").as_bytes())?,
            }
        }
    }

    /// RTP packets (RFC 3550) with H.264 (RFC 6184), interleaved with RTSP (RFC 2326, section 10.12).
    fn play(&mut self, attack: Attack) -> io::Result<()> {
        let key_frame = [vec![0x67], header_of_giant()].concat();
        let parameters: [&[u8]; 2] = [&key_frame, &[0x68, 0xCE, 0x3C, 0x80]];
        let mut number = 0;
        let mut packet = |client: &mut Self, payload: &[u8], last: bool| {
            number += 1u16;
            let length = u16::try_from(payload.len() + 12).unwrap();
            let mut bytes = vec![b'$', 0];
            bytes.extend(length.to_be_bytes());
            bytes.extend([0x80, if last { 0x80 | 96 } else { 96 }]);
            bytes.extend(number.to_be_bytes());
            // The same time, and the same sender, in all packets.
            bytes.extend([0, 0, 0, 9, 0, 0, 0, 7]);
            bytes.extend(payload);
            let sent = client.send(&bytes);
            if number == u16::MAX {
                number = 0;
            }
            sent
        };
        match attack {
            Attack::Contradiction => {
                // Each packet has its own time: the last four bytes before the sender.
                let mut bytes = Vec::new();
                for (number, fragment) in (1_u16..).zip([[0x7C, 0x85, 1, 2], [0x7C, 0x45, 3, 4], [0x7C, 0x45, 5, 6]]) {
                    bytes.extend([b'$', 0, 0, 16, 0x80, 96]);
                    bytes.extend(number.to_be_bytes());
                    bytes.extend([0, 0, number as u8, 0, 0, 0, 0, 7]);
                    bytes.extend(fragment);
                }
                self.send(&bytes)?;
                // The client closes the connection.
                while self.request().is_ok() {}
                Ok(())
            }
            Attack::Size => {
                for unit in parameters {
                    packet(self, unit, false)?;
                }
                packet(self, &[&[0x65, 0x88, 0x84][..], &[0x55; 900]].concat(), true)
            }
            Attack::Packets => loop {
                packet(self, &[&[0x41][..], &[0x55; 65_000]].concat(), false)?;
            },
            _ => {
                let fragment = |start: bool| [&[0x7C, if start { 0x85 } else { 0x05 }][..], &[0x55; 1400]].concat();
                packet(self, &fragment(true), false)?;
                loop {
                    packet(self, &fragment(false), false)?;
                }
            }
        }
    }
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=control:*\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:video\r\n";

/// A sequence parameter set (ITU-T H.264, 7.3.2.1.1) of the baseline profile with 16384×16384 pixels, without its first byte.
fn header_of_giant() -> Vec<u8> {
    // Profile, constraints, level 6.2.
    let mut bits = Bits { bytes: vec![66, 0, 62], used: 8 };
    // Id, bits of the frame number, order by frame number, reference pictures.
    for value in [0, 0, 2, 1] {
        bits.exp_golomb(value);
    }
    bits.push(0, 1);
    // Size in blocks of 16 pixels, less one.
    bits.exp_golomb(16384 / 16 - 1);
    bits.exp_golomb(16384 / 16 - 1);
    // Frames only, direct inference, no cropping, no further information; the end.
    for bit in [1, 1, 0, 0, 1] {
        bits.push(bit, 1);
    }
    // A byte of 3 keeps two zeros from being taken for the begin of a unit (7.4.1).
    let mut unit = Vec::new();
    for byte in bits.bytes {
        if unit.ends_with(&[0, 0]) && byte <= 3 {
            unit.push(3);
        }
        unit.push(byte);
    }
    unit
}

struct Bits {
    bytes: Vec<u8>,
    /// Number of used bits of the last byte.
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used == 8 {
                self.bytes.push(0);
                self.used = 0;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> bit & 1 == 1) << (7 - self.used);
            }
            self.used += 1;
        }
    }

    fn exp_golomb(&mut self, value: u32) {
        let length = 32 - (value + 1).leading_zeros();
        self.push(0, length - 1);
        self.push(value + 1, length);
    }
}
