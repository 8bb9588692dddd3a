//! Decodes coded pictures of a camera with an ffmpeg into which they are piped.

use std::io::{self, BufReader, Write};
use std::process::{ChildStdin, Command};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use visavis_image::Picture;

use super::child::{Killer, Running};
use super::frames::Frames;
use super::{Ffmpeg, matroska};

/// Number of spare buffers, as for our own decoder.
const SPARE_PICTURES: usize = 12;

/// An ffmpeg that decodes H.264 or H.265 as it arrives. It always holds about three pictures.
pub(crate) struct Elementary {
    /// Closed before its thread is joined.
    stdin: Option<ChildStdin>,
    program: Running,
    reader: Option<JoinHandle<()>>,
}

impl Elementary {
    /// Starts ffmpeg. Calls `show` with each decoded picture and its time since the first one, on a separate thread.
    pub(crate) fn start(
        h265: bool,
        interlaced: bool,
        max_pixels: u64,
        mut show: impl FnMut(Picture, Duration) + Send + 'static,
    ) -> io::Result<Self> {
        let tools = Ffmpeg::installed().ok_or_else(|| io::Error::other("ffmpeg is not installed"))?;
        let mut command = Command::new(&tools.ffmpeg);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "repeat+error", "-protocol_whitelist", "pipe"]);
        // ffmpeg does not wait to analyse the stream: the first pictures contain all that is needed.
        command.args(["-flags", "low_delay", "-thread_type", "slice", "-fflags", "nobuffer"]);
        command.arg("-max_pixels").arg(max_pixels.to_string());
        command.args(["-probesize", "32", "-analyzeduration", "0", "-f", "matroska", "-i", "pipe:0"]);
        command.args(tools.every_frame()).args(["-enc_time_base", "-1"]);
        command.arg("-vf").arg(super::stream::filters(interlaced));
        super::film::write_frames(&mut command);
        let (program, mut stdin, stdout) = Running::start_fed(command)?;
        stdin.write_all(&matroska::header(if h265 { "V_MPEGH/ISO/HEVC" } else { "V_MPEG4/ISO/AVC" }))?;
        let mut frames = Frames::of_any_size(BufReader::with_capacity(256 << 10, stdout), max_pixels, SPARE_PICTURES);
        let read = move || loop {
            match frames.next() {
                Ok(Some((picture, at))) => show(picture, at),
                Ok(None) => return,
                // The pipe is closed with this thread: ffmpeg ends, and the next write to it fails.
                Err(error) => return log::debug!("ffmpeg: {error}"),
            }
        };
        let reader = thread::Builder::new().name("ffmpeg-frames".into()).spawn(read)?;
        Ok(Self { stdin: Some(stdin), program, reader: Some(reader) })
    }

    /// Writes one coded picture. Waits while ffmpeg is busy; the killer ends the wait.
    pub(crate) fn feed(&mut self, at_ms: u64, key: bool, data: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(&matroska::cluster_head(at_ms, key, data.len()))?;
        stdin.write_all(data)?;
        stdin.flush()
    }

    /// Ends it from any thread.
    pub(crate) fn killer(&self) -> Killer {
        self.program.killer()
    }

    /// The last message of ffmpeg.
    pub(crate) fn said(&self) -> Option<String> {
        self.program.messages().lines.pop()
    }
}

impl Drop for Elementary {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.program.killer().kill();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
