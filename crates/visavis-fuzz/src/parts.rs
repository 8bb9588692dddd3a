//! Inputs that consist of several named parts: the files of a folder, or a word that selects a parser and its text.
//!
//! A part begins with a line `=== NAME`. Bytes before the first such line are dropped.

use std::fs;
use std::io;
use std::path::Path;

const MARK: &[u8] = b"=== ";

/// Most parts that are used.
const MOST: usize = 16;

/// The parts of an input: name and contents. The newline before a mark belongs to the mark.
pub(crate) fn split(bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut starts: Vec<usize> = Vec::new();
    for (at, window) in bytes.windows(MARK.len()).enumerate() {
        if window == MARK && (at == 0 || bytes[at - 1] == b'\n') {
            starts.push(at);
        }
    }
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([bytes.len()]);
    let parts = starts.iter().zip(ends).map(|(start, end)| {
        let part = &bytes[start + MARK.len()..end.max(start + MARK.len())];
        let line = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
        let name = String::from_utf8_lossy(&part[..line]).trim().to_owned();
        (name, part.get(line + 1..).unwrap_or_default())
    });
    parts.take(MOST).collect()
}

/// An input of these parts.
#[cfg_attr(not(any(feature = "data", feature = "product", feature = "media")), expect(dead_code))]
pub(crate) fn join<'a>(parts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, contents) in parts {
        if !bytes.is_empty() {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(MARK);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(contents);
    }
    bytes
}

/// Writes the parts as files into a folder. Parts whose name is not that of a file below the folder are left out.
#[cfg_attr(not(feature = "data"), expect(dead_code))]
pub(crate) fn write(parts: &[(String, &[u8])], folder: &Path) -> io::Result<()> {
    for (name, contents) in parts {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() < 64;
        let letters = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
        if !name.split('/').all(|part| plain(part) && part.chars().all(letters)) || name.split('/').count() > 4 {
            continue;
        }
        let path = folder.join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, contents));
        // A name may be that of a folder of another part.
        if let Err(error) = made
            && !matches!(
                error.kind(),
                io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists
            )
        {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_split_as_they_were_joined() {
        let parts: [(&str, &[u8]); 3] = [("a/b.txt", b"one\n"), ("c", b""), ("d", b"x=== y")];
        let joined = join(parts);
        let split = split(&joined);
        assert_eq!(split.iter().map(|(name, part)| (name.as_str(), *part)).collect::<Vec<_>>(), parts);
        assert!(super::split(b"no parts").is_empty());
        for bytes in [&b"=== "[..], b"\n=== \n=== x", b"=== a=== b\n\n=== "] {
            super::split(bytes);
        }
    }
}
