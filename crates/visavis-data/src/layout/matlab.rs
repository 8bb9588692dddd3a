//! MAT-files of version 5 (`save` of Matlab 5 to 7): numbers, text, cells and structures.
//!
//! After MathWorks, "MAT-File Format". Complex, sparse and object arrays are skipped; version 7.3, which is HDF5, is an error.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// The value of a variable. Arrays of any shape are flattened column by column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Any numeric type.
    Numbers(Vec<f64>),
    /// A row of characters.
    Text(String),
    /// A cell array.
    Cells(Vec<Value>),
    /// A structure: its first element, field by field.
    Structure(Vec<(String, Value)>),
}

impl Value {
    /// A field of a structure.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        let Self::Structure(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The numbers; empty for any other value.
    pub(super) fn numbers(&self) -> &[f64] {
        if let Self::Numbers(numbers) = self { numbers } else { &[] }
    }

    /// The cells; empty for any other value.
    pub(super) fn cells(&self) -> &[Value] {
        if let Self::Cells(cells) = self { cells } else { &[] }
    }

    /// The text; empty for any other value.
    pub(super) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }
}

const HEADER: usize = 128;

/// Largest total size of a file's decompressed variables in bytes: twice what half a million faces with names need.
const MOST_INFLATED: u64 = 256 << 20;

/// Most memory for all values of a file in bytes: twice what half a million faces with names need. Small elements, such as numbers of
/// one byte and empty cells, need several times as much memory as in the file.
const MOST_VALUES: usize = 384 << 20;

/// Memory of a value besides its contents: the value itself in a list that may have grown to twice its length, and its allocation.
const VALUE: usize = 2 * size_of::<Value>() + 16;

/// Most dimensions of an array.
const MOST_DIMENSIONS: usize = 32;

/// Deepest nesting of cells and structures.
const DEEPEST: usize = 16;

// Types of elements.
const MI_INT8: u32 = 1;
const MI_UINT8: u32 = 2;
const MI_INT16: u32 = 3;
const MI_UINT16: u32 = 4;
const MI_INT32: u32 = 5;
const MI_UINT32: u32 = 6;
const MI_SINGLE: u32 = 7;
const MI_DOUBLE: u32 = 9;
const MI_INT64: u32 = 12;
const MI_UINT64: u32 = 13;
const MI_MATRIX: u32 = 14;
const MI_COMPRESSED: u32 = 15;
const MI_UTF8: u32 = 16;
const MI_UTF16: u32 = 17;

// Classes of arrays.
const MX_CELL: u8 = 1;
const MX_STRUCT: u8 = 2;
const MX_CHAR: u8 = 4;
const MX_NUMERIC: std::ops::RangeInclusive<u8> = 6..=15;

/// All variables of a file with a supported class, by name.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let header = bytes.get(..HEADER).ok_or("it is shorter than the header of a MAT-file")?;
    match (&header[124..126], &header[126..128]) {
        ([0, 1], b"IM") => {}
        (_, b"MI") => return Err("it was written on a big-endian machine, which is not read".into()),
        ([0, 2], _) => return Err("it is of version 7.3 (HDF5): save it again in Matlab with `-v7`".into()),
        _ => return Err("it is no MAT-file of version 5".into()),
    }
    parse_within(bytes, MOST_INFLATED, MOST_VALUES)
}

/// The same with other limits than [`MOST_INFLATED`] and [`MOST_VALUES`].
fn parse_within(bytes: &[u8], mut budget: u64, values: usize) -> Result<Vec<(String, Value)>, String> {
    let mut reader = Elements { bytes: &bytes[HEADER..] };
    let mut variables = Vec::new();
    let mut room = Room(values);
    while let Some((kind, data)) = reader.next()? {
        let matrix = match kind {
            MI_COMPRESSED => {
                let mut inflated = Vec::new();
                let read = ZlibDecoder::new(data).take(budget + 1).read_to_end(&mut inflated);
                read.map_err(|error| format!("a compressed variable is damaged ({error})"))?;
                budget = budget
                    .checked_sub(inflated.len() as u64)
                    .ok_or("its variables are too large to be a list of faces")?;
                let Some((MI_MATRIX, data)) = (Elements { bytes: &inflated }).next()? else { continue };
                matrix(data, 0, &mut room)?
            }
            MI_MATRIX => matrix(data, 0, &mut room)?,
            _ => None,
        };
        variables.extend(matrix);
    }
    Ok(variables)
}

/// Bytes of memory that further values may need.
struct Room(usize);

impl Room {
    /// Takes this many bytes.
    fn take(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or("its values need too much memory to be a list of faces")?;
        Ok(())
    }
}

/// Tagged elements, one after the other, each padded to eight bytes.
struct Elements<'a> {
    bytes: &'a [u8],
}

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Option<(u32, &'a [u8])>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let cut = || "it ends in the middle of an element: the file is incomplete".to_owned();
        let word = |at: usize| {
            let bytes = self.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or_else(cut)
        };
        let tag = word(0)?;
        if tag >> 16 != 0 {
            // A small element: length and type share a word, followed by a word with up to four bytes of data.
            let data = self.bytes.get(4..4 + (tag >> 16) as usize).filter(|data| data.len() <= 4).ok_or_else(cut)?;
            self.bytes = self.bytes.get(8..).ok_or_else(cut)?;
            return Ok(Some((tag & 0xffff, data)));
        }
        let length = word(4)? as usize;
        let data = self.bytes.get(8..).and_then(|rest| rest.get(..length)).ok_or_else(cut)?;
        // Compressed elements are not padded, and the last element may lack its padding.
        let padded = if tag == MI_COMPRESSED { length } else { length.next_multiple_of(8) };
        self.bytes = self.bytes.get(8 + padded..).unwrap_or_default();
        Ok(Some((tag, data)))
    }

    fn expect(&mut self, what: &str) -> Result<(u32, &'a [u8]), String> {
        self.next()?.ok_or_else(|| format!("an array has no {what}"))
    }
}

/// A named array; `None` for an unsupported class.
fn matrix(bytes: &[u8], depth: usize, room: &mut Room) -> Result<Option<(String, Value)>, String> {
    if depth > DEEPEST {
        return Err(format!("arrays are nested more than {DEEPEST} deep"));
    }
    room.take(VALUE)?;
    if bytes.is_empty() {
        // An empty cell or field.
        return Ok(Some((String::new(), Value::Numbers(Vec::new()))));
    }
    let mut parts = Elements { bytes };
    let (_, flags) = parts.expect("flags")?;
    let class = *flags.first().ok_or("an array has no class")?;
    let complex = flags.get(1).is_some_and(|flags| flags & 0x08 != 0);
    let (kind, dimensions) = parts.expect("dimensions")?;
    if dimensions.len() > MOST_DIMENSIONS * width_of(kind) {
        return Err(format!("an array has more than {MOST_DIMENSIONS} dimensions"));
    }
    let count = numbers(kind, dimensions)?.iter().try_fold(1usize, |count, &side| count.checked_mul(side as usize));
    let count = count.ok_or("an array has more elements than fit")?;
    let name = String::from_utf8_lossy(parts.expect("name")?.1).into_owned();
    let value = match class {
        MX_CELL => Value::Cells(children(&mut parts, count, depth, room)?),
        MX_STRUCT => {
            let (kind, width) = parts.expect("width of field names")?;
            let width = numbers(kind, width.get(..8).unwrap_or(width))?.first().map_or(0, |&width| width as usize);
            let names = parts.expect("field names")?.1;
            if width == 0 {
                return Err("a structure's field names have no width".into());
            }
            let count_of_names = names.len() / width;
            room.take(count_of_names.saturating_mul(VALUE).saturating_add(names.len()))?;
            let names: Vec<String> = names
                .chunks_exact(width)
                .map(|name| {
                    String::from_utf8_lossy(name.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
                })
                .collect();
            let fields = if count == 0 { 0 } else { names.len() };
            let values = children(&mut parts, fields, depth, room)?;
            Value::Structure(names.into_iter().zip(values).collect())
        }
        MX_CHAR => {
            let (kind, data) = parts.expect("characters")?;
            // A byte becomes a letter of at most two bytes, two bytes one of three.
            room.take(data.len().saturating_mul(2))?;
            Value::Text(text(kind, data)?)
        }
        class if MX_NUMERIC.contains(&class) && !complex => {
            let (kind, data) = parts.expect("numbers")?;
            room.take(data.len().saturating_mul(size_of::<f64>()) / width_of(kind))?;
            let numbers = numbers(kind, data)?;
            if numbers.len() != count {
                return Err(format!("the array `{name}` has {} numbers instead of {count}", numbers.len()));
            }
            Value::Numbers(numbers)
        }
        _ => return Ok(None),
    };
    Ok(Some((name, value)))
}

fn children(parts: &mut Elements<'_>, count: usize, depth: usize, room: &mut Room) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for _ in 0..count {
        let (kind, data) = parts.expect("further cells or fields")?;
        if kind != MI_MATRIX {
            return Err(format!("a cell or field is of type {kind} instead of an array"));
        }
        // An unsupported value keeps its place.
        values.push(matrix(data, depth + 1, room)?.map_or_else(|| Value::Numbers(Vec::new()), |(_, value)| value));
    }
    Ok(values)
}

/// Bytes of a number of this type in a file.
fn width_of(kind: u32) -> usize {
    match kind {
        MI_INT16 | MI_UINT16 => 2,
        MI_INT32 | MI_UINT32 | MI_SINGLE => 4,
        MI_DOUBLE | MI_INT64 | MI_UINT64 => 8,
        _ => 1,
    }
}

fn numbers(kind: u32, data: &[u8]) -> Result<Vec<f64>, String> {
    macro_rules! all {
        ($number:ty) => {
            data.as_chunks().0.iter().map(|&bytes| <$number>::from_le_bytes(bytes) as f64).collect()
        };
    }
    Ok(match kind {
        MI_INT8 => all!(i8),
        MI_UINT8 => all!(u8),
        MI_INT16 => all!(i16),
        MI_UINT16 => all!(u16),
        MI_INT32 => all!(i32),
        MI_UINT32 => all!(u32),
        MI_SINGLE => all!(f32),
        MI_DOUBLE => all!(f64),
        MI_INT64 => all!(i64),
        MI_UINT64 => all!(u64),
        _ => return Err(format!("numbers are of type {kind}, which is not a numeric type")),
    })
}

fn text(kind: u32, data: &[u8]) -> Result<String, String> {
    Ok(match kind {
        MI_UTF8 | MI_INT8 | MI_UINT8 => match std::str::from_utf8(data) {
            Ok(text) => text.to_owned(),
            // Older files contain Latin-1, whose code points are those of Unicode.
            Err(_) => data.iter().map(|&byte| char::from(byte)).collect(),
        },
        MI_UTF16 | MI_UINT16 => {
            let units: Vec<u16> = data.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes)).collect();
            String::from_utf16_lossy(&units)
        }
        _ => return Err(format!("characters are of type {kind}, which is not a character type")),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    /// An element with its tag and padding; in the compact form if it is small, as Matlab writes it.
    fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if (1..=4).contains(&data.len()) {
            bytes.extend((kind | (data.len() as u32) << 16).to_le_bytes());
            bytes.extend(data);
        } else {
            bytes.extend(kind.to_le_bytes());
            bytes.extend((data.len() as u32).to_le_bytes());
            bytes.extend(data);
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn array(class: u8, count: usize, name: &str, contents: &[u8]) -> Vec<u8> {
        let dimensions: Vec<u8> = [1, count as i32].iter().flat_map(|side| side.to_le_bytes()).collect();
        let mut bytes = element(MI_UINT32, &[class, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(element(MI_INT32, &dimensions));
        bytes.extend(element(MI_INT8, name.as_bytes()));
        bytes.extend(contents);
        element(MI_MATRIX, &bytes)
    }

    fn written(name: &str, value: &Value) -> Vec<u8> {
        match value {
            Value::Numbers(numbers) => {
                let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                array(6, numbers.len(), name, &element(MI_DOUBLE, &data))
            }
            Value::Text(text) => {
                let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                array(MX_CHAR, units.len() / 2, name, &element(MI_UINT16, &units))
            }
            Value::Cells(cells) => {
                let contents: Vec<u8> = cells.iter().flat_map(|cell| written("", cell)).collect();
                array(MX_CELL, cells.len(), name, &contents)
            }
            Value::Structure(fields) => {
                let mut contents = element(MI_INT32, &32i32.to_le_bytes());
                let mut names = Vec::new();
                for (field, _) in fields {
                    names.extend(field.as_bytes());
                    names.resize(names.len().next_multiple_of(32), 0);
                }
                contents.extend(element(MI_INT8, &names));
                contents.extend(fields.iter().flat_map(|(_, value)| written("", value)));
                array(MX_STRUCT, 1, name, &contents)
            }
        }
    }

    /// A MAT-file with one variable.
    pub(crate) fn mat_file(name: &str, value: &Value, compressed: bool) -> Vec<u8> {
        let mut bytes = b"MATLAB 5.0 MAT-file, made by a test".to_vec();
        bytes.resize(124, b' ');
        bytes.extend([0, 1, b'I', b'M']);
        let variable = written(name, value);
        if compressed {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&variable).unwrap();
            let data = encoder.finish().unwrap();
            bytes.extend(MI_COMPRESSED.to_le_bytes());
            bytes.extend((data.len() as u32).to_le_bytes());
            bytes.extend(data);
        } else {
            bytes.extend(variable);
        }
        bytes
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            prop::collection::vec(-1e9f64..1e9, 0..5).prop_map(Value::Numbers),
            "[a-zé😀]{0,6}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let fields = prop::collection::vec(("[a-z]{1,31}", inner.clone()), 1..4);
            prop_oneof![prop::collection::vec(inner, 0..4).prop_map(Value::Cells), fields.prop_map(Value::Structure),]
        })
    }

    proptest! {
        #[test]
        fn what_matlab_would_write_is_read(value in any_value(), compressed in any::<bool>()) {
            let read = parse(&mat_file("it", &value, compressed)).unwrap();
            prop_assert_eq!(read, [("it".to_owned(), value)]);
        }

        #[test]
        fn damage_gives_an_error_or_something_else_but_no_panic(
            value in any_value(),
            compressed in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = mat_file("it", &value, compressed);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn a_small_file_does_not_become_large() {
        // Compressed zeros, and empty cells, each of which is larger in memory than in the file.
        let zeros = mat_file("it", &Value::Numbers(vec![0.0; 1 << 16]), true);
        assert!(zeros.len() < 2000);
        assert!(parse_within(&zeros, 1 << 20, 1 << 20).is_ok());
        let reason = parse_within(&zeros, 1 << 19, 1 << 20).unwrap_err();
        assert!(reason.contains("too large"), "{reason}");
        let reason = parse_within(&zeros, 1 << 20, 1 << 19).unwrap_err();
        assert!(reason.contains("too much memory"), "{reason}");
        let cells = mat_file("it", &Value::Cells(vec![Value::Numbers(Vec::new()); 1000]), false);
        assert!(parse_within(&cells, 0, 1000 * VALUE / 2).unwrap_err().contains("too much memory"));
        assert!(parse_within(&cells, 0, 1001 * VALUE + 8000).is_ok());
        let bytes = array(8, 1 << 16, "it", &element(MI_INT8, &[1; 1 << 16]));
        let file = [&zeros[..HEADER], &bytes].concat();
        assert!(parse_within(&file, 0, 1 << 18).unwrap_err().contains("too much memory"));
        assert!(parse_within(&file, 0, 1 << 20).is_ok());
    }

    #[test]
    fn other_versions_are_told_apart() {
        let mut bytes = mat_file("it", &Value::Numbers(vec![1.0]), false);
        bytes[125] = 2;
        assert!(parse(&bytes).unwrap_err().contains("7.3"));
        bytes[126..128].copy_from_slice(b"MI");
        assert!(parse(&bytes).unwrap_err().contains("big-endian"));
        bytes[124..128].copy_from_slice(b"\0\x01??");
        assert!(parse(&bytes).unwrap_err().contains("no MAT-file"));
        assert!(parse(b"short").unwrap_err().contains("shorter"));
    }
}
