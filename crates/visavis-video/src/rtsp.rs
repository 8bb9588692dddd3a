//! Cameras that speak RTSP (RFC 2326), through the `retina` crate.
//!
//! Two threads serve one camera. `rtsp` ([`client`]) holds the connection: it opens it, passes every coded picture on at
//! once, notices when pictures stop, and reopens the connection. `rtsp-decode` ([`decode`]) decodes every picture, since
//! each depends on earlier ones, and stores the newest one for the reader. Between them is a bounded [`queue`].
//!
//! H.264 is decoded as in an MP4; H.265, and H.264 that our decoder does not support, by an installed ffmpeg; MJPEG like
//! photos. `retina` does not support TLS: `rtsps` addresses are read by ffmpeg.
//!
//! `retina` has no limit for the size of a message or a coded picture, so [`received`] counts the bytes that came since the last
//! complete picture, and the connection is closed when they are too many. Everything after it is bounded.

mod age;
mod client;
mod decode;
mod queue;
mod received;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::ffmpeg::Killer;
use crate::network::{Address, NetworkSource, Newest};
use crate::{OpenOptions, Source, VideoError};
use client::Client;
use queue::Queue;

/// The codecs that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    H264,
    H265,
    Jpeg,
}

/// What a camera reports about its stream before the first picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Described {
    size: Option<(u32, u32)>,
    frame_rate: Option<f64>,
}

/// The ffmpeg that decodes, if there is one. Killing it ends every wait for it.
type Child = Arc<Mutex<Option<Killer>>>;

fn kill(child: &Child) {
    if let Some(killer) = child.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_ref() {
        killer.kill();
    }
}

/// Opens a camera. Waits until it plays.
///
/// # Errors
/// [`VideoError`] if the camera cannot be reached, refuses, or sends what cannot be decoded. Later failures are returned by
/// reads, and the connection is reopened.
pub(crate) fn open(address: &Address, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    let name = address.name.clone();
    let no_thread = |error: std::io::Error| VideoError::Stream {
        name: name.clone(),
        reason: format!("its thread could not be started: {error}"),
    };
    let (queue, newest, child) = (Arc::new(Queue::default()), Arc::new(Newest::default()), Child::default());
    let mut threads = Threads {
        queue: Arc::clone(&queue),
        newest: Arc::clone(&newest),
        child: Arc::clone(&child),
        stop: None,
        network: None,
        decoder: None,
    };

    let decoder = decode::Output::new(address.name.clone(), options, Arc::clone(&newest), Arc::clone(&child));
    let waiting = Arc::clone(&queue);
    let decoding = thread::Builder::new().name("rtsp-decode".into()).spawn(move || decode::run(&waiting, decoder));
    threads.decoder = Some(decoding.map_err(no_thread)?);

    let (stop, stopped) = oneshot::channel();
    let (first, opened) = mpsc::channel();
    let client =
        Client { address: address.clone(), params: options.stream.clone(), queue, newest: Arc::clone(&newest), child };
    let network = thread::Builder::new().name("rtsp".into()).spawn(move || client.run(stopped, first));
    threads.network = Some(network.map_err(no_thread)?);
    threads.stop = Some(stop);

    // The thread limits the time of opening, and drops its end of the channel if it dies.
    let described = opened.recv().unwrap_or_else(|_| {
        Err(VideoError::Stream { name: name.clone(), reason: "the thread of the connection has ended".into() })
    })?;
    Ok(Box::new(NetworkSource::new(
        address.name.clone(),
        described.size,
        described.frame_rate,
        newest,
        Box::new(threads),
    )))
}

/// The threads of one camera. They are ended and joined on drop.
struct Threads {
    queue: Arc<Queue>,
    newest: Arc<Newest>,
    child: Child,
    stop: Option<oneshot::Sender<()>>,
    network: Option<JoinHandle<()>>,
    decoder: Option<JoinHandle<()>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.newest.close();
        drop(self.stop.take());
        if let Some(network) = self.network.take() {
            let _ = network.join();
        }
        // After the connection, which would start another one.
        self.queue.close();
        kill(&self.child);
        if let Some(decoder) = self.decoder.take() {
            let _ = decoder.join();
        }
    }
}

/// Decodes coded pictures of H.264 as they come from a camera; for [`crate::fuzzing`]. Returns the number of those that could be decoded.
#[must_use]
pub fn decode_h264(pictures: &[&[u8]], max_pixels: u64) -> usize {
    decode::h264_pictures(pictures, max_pixels)
}
