//! Random changes of inputs, for a driver that does not know which code they reach.

use fastrand::Rng;

/// Numbers at the limits of fields.
const LIMITS: [u64; 12] =
    [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 40, u64::MAX];

/// Most changes of one input.
const MOST_CHANGES: usize = 6;

/// A changed copy of one of `inputs`, of at most `most` bytes. Without inputs: random bytes.
#[must_use]
pub fn mutated(inputs: &[Vec<u8>], most: usize, random: &mut Rng) -> Vec<u8> {
    let mut bytes = match random.choice(inputs) {
        Some(input) => input.clone(),
        None => (0..random.usize(..64)).map(|_| random.u8(..)).collect(),
    };
    for _ in 0..random.usize(1..=MOST_CHANGES) {
        change(&mut bytes, inputs, random);
    }
    bytes.truncate(most);
    bytes
}

fn change(bytes: &mut Vec<u8>, inputs: &[Vec<u8>], random: &mut Rng) {
    if bytes.is_empty() {
        bytes.push(random.u8(..));
    }
    let at = random.usize(..bytes.len());
    let length = random.usize(1..=(bytes.len() - at).min(64));
    match random.usize(..10) {
        0 => bytes[at] ^= 1 << random.usize(..8),
        1 => bytes[at] = random.u8(..),
        2 => bytes[at] = bytes[at].wrapping_add(random.i8(-4..=4) as u8),
        3 => number(&mut bytes[at..], random),
        4 => digits(bytes, at, random),
        5 => drop(bytes.drain(at..at + length)),
        6 => bytes.truncate(at),
        7 => {
            let copy = bytes[at..at + length].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, copy);
        }
        8 => {
            let added: Vec<u8> = (0..random.usize(1..8)).map(|_| random.u8(..)).collect();
            bytes.splice(at..at, added);
        }
        _ => {
            // The rest of another input.
            if let Some(other) = random.choice(inputs).filter(|other| !other.is_empty()) {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.usize(..other.len())..]);
            }
        }
    }
}

/// Overwrites one, two, four or eight bytes with a number at a limit, in either byte order.
fn number(bytes: &mut [u8], random: &mut Rng) {
    let value = LIMITS[random.usize(..LIMITS.len())].wrapping_add(random.u64(..3)).wrapping_sub(1);
    let width = (1 << random.usize(..4)).min(bytes.len());
    let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
    bytes[..width].copy_from_slice(if random.bool() { &little[..width] } else { &big[8 - width..] });
}

/// Replaces the next number in a text by another one.
fn digits(bytes: &mut Vec<u8>, at: usize, random: &mut Rng) {
    let Some(begin) = bytes[at..].iter().position(u8::is_ascii_digit).map(|begin| begin + at) else { return };
    let end = bytes[begin..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |end| end + begin);
    let value = LIMITS[random.usize(..LIMITS.len())];
    let text = match random.usize(..4) {
        0 => format!("-{value}"),
        1 => format!("{value}.5e{}", random.i32(-40..40)),
        _ => value.to_string(),
    };
    bytes.splice(begin..end, text.into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_and_no_limit_is_exceeded() {
        let inputs = vec![b"width = 12, height = 34".to_vec(), vec![0; 100], Vec::new()];
        let many = |seed| {
            let mut random = Rng::with_seed(seed);
            (0..2000).map(|_| mutated(&inputs, 80, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(many(1), many(1));
        assert_ne!(many(1), many(2));
        assert!(many(3).iter().all(|input| input.len() <= 80));
        assert!(!mutated(&[], 80, &mut Rng::with_seed(1)).is_empty());
    }
}
