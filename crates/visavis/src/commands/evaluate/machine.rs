//! What figures of speed were measured on.

use crate::options::cores;

/// Such as `AMD EPYC 7B13, 2 cores, linux x86_64`.
pub(super) fn describe() -> String {
    let rest = format!(
        "{} core{}, {} {}",
        cores(),
        if cores() == 1 { "" } else { "s" },
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    match processor() {
        Some(name) => format!("{name}, {rest}"),
        None => rest,
    }
}

/// The processor's name, where the system tells it in a file.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).trim().to_owned()).filter(|name| !name.is_empty())
}
