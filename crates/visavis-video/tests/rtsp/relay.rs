//! A relay between the camera and its reader that simulates a bad network: lost and delayed packets, changed times, closed
//! connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct Faults {
    /// Number of lost packets in a thousand.
    lose: AtomicU32,
    /// Added to every RTP time.
    shift: AtomicU32,
    /// Nothing is forwarded.
    held: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

/// Forwards connections to a port of this machine.
pub(crate) struct Relay {
    pub(crate) port: u16,
    faults: Arc<Faults>,
}

impl Relay {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults::default());
        let shared = Arc::clone(&faults);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                // The camera is away: the connection is refused by closing it.
                let Ok(camera) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let mut kept = shared.connections.lock().unwrap();
                kept.clear();
                kept.extend([client.try_clone().unwrap(), camera.try_clone().unwrap()]);
                drop(kept);
                let (mut from, mut to) = (client.try_clone().unwrap(), camera.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let faults = Arc::clone(&shared);
                thread::spawn(move || {
                    let _ = pass(camera, &client, &faults);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port: own, faults }
    }

    pub(crate) fn lose(&self, of_thousand: u32) {
        self.faults.lose.store(of_thousand, Ordering::Relaxed);
    }

    /// Sets the camera's clock forward or back by this many seconds.
    pub(crate) fn jump(&self, seconds: i32) {
        let ticks = seconds.wrapping_mul(90_000) as u32;
        self.faults.shift.fetch_add(ticks, Ordering::Relaxed);
    }

    pub(crate) fn hold(&self, held: bool) {
        self.faults.held.store(held, Ordering::Relaxed);
    }

    pub(crate) fn cut(&self) {
        for connection in self.faults.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// Forwards the data of the camera: answers unchanged, packets (after `$`, RFC 2326, 10.12) according to the faults.
fn pass(mut camera: TcpStream, mut client: &TcpStream, faults: &Faults) -> std::io::Result<()> {
    let mut random = 1u32;
    let mut first = [0];
    loop {
        camera.read_exact(&mut first)?;
        // Polled: a lost wake-up would only make a test wait.
        while faults.held.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        if first[0] != b'$' {
            client.write_all(&first)?;
            continue;
        }
        let mut head = [0; 3];
        camera.read_exact(&mut head)?;
        let mut packet = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        camera.read_exact(&mut packet)?;
        if head[0] % 2 == 0 && packet.len() > 12 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if random >> 16 < faults.lose.load(Ordering::Relaxed) * 65_536 / 1000 {
                continue;
            }
            let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
            let time = time.wrapping_add(faults.shift.load(Ordering::Relaxed));
            packet[4..8].copy_from_slice(&time.to_be_bytes());
        }
        client.write_all(b"$")?;
        client.write_all(&head)?;
        client.write_all(&packet)?;
    }
}
