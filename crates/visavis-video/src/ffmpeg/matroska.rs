//! Writes a minimal Matroska stream (RFC 9559) that passes coded pictures with their times to ffmpeg.
//!
//! Without `CodecPrivate`, ffmpeg reads the pictures as a byte stream (annex B) that contains parameter sets, as cameras
//! send it.

/// `V_MPEGH/ISO/HEVC` or `V_MPEG4/ISO/AVC`, and so on.
pub(super) fn header(codec_id: &str) -> Vec<u8> {
    let text = |text: &str| text.as_bytes().to_vec();
    let ebml = [
        element(&[0x42, 0x86], &[1]),
        element(&[0x42, 0xF7], &[1]),
        element(&[0x42, 0xF2], &[4]),
        element(&[0x42, 0xF3], &[8]),
        element(&[0x42, 0x82], &text("matroska")),
        element(&[0x42, 0x87], &[4]),
        element(&[0x42, 0x85], &[2]),
    ]
    .concat();
    // A tick is a millisecond.
    let info = element(&[0x2A, 0xD7, 0xB1], &1_000_000u64.to_be_bytes());
    // The pictures define the size, but a video track must specify one.
    let video = [element(&[0xB0], &[16]), element(&[0xBA], &[16])].concat();
    let track = [
        element(&[0xD7], &[1]),
        element(&[0x73, 0xC5], &[1]),
        element(&[0x83], &[1]),
        element(&[0x86], &text(codec_id)),
        element(&[0xE0], &video),
    ]
    .concat();
    [
        element(&[0x1A, 0x45, 0xDF, 0xA3], &ebml),
        // A segment of unknown length.
        vec![0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        element(&[0x15, 0x49, 0xA9, 0x66], &info),
        element(&[0x16, 0x54, 0xAE, 0x6B], &element(&[0xAE], &track)),
    ]
    .concat()
}

/// The header of one picture of `bytes` bytes in a cluster of its own; the data follow it.
pub(super) fn cluster_head(at_ms: u64, key: bool, bytes: usize) -> Vec<u8> {
    let time = element(&[0xE7], &at_ms.to_be_bytes());
    // Track 1, 0 ticks after the cluster.
    let block = [0x81, 0, 0, if key { 0x80 } else { 0 }];
    let block_bytes = block.len() + bytes;
    let mut head = vec![0x1F, 0x43, 0xB6, 0x75];
    // After the time: the identifier of the block, its length and the block.
    head.extend(length(time.len() + 1 + 8 + block_bytes));
    head.extend(time);
    head.push(0xA3);
    head.extend(length(block_bytes));
    head.extend(block);
    head
}

fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &length(body.len()), body].concat()
}

/// A length in eight bytes (RFC 8794, 4).
fn length(bytes: usize) -> [u8; 8] {
    (bytes as u64 | 1 << 56).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_as_long_as_it_says() {
        let head = cluster_head(5000, true, 100);
        let told = u64::from_be_bytes(head[4..12].try_into().unwrap()) & !(1 << 56);
        assert_eq!(told as usize, head.len() - 12 + 100);
        assert!(head.ends_with(&[0x81, 0, 0, 0x80]));
        assert!(header("V_MPEGH/ISO/HEVC").starts_with(&[0x1A, 0x45, 0xDF, 0xA3]));
    }
}
