//! Describes the computer on which speeds were measured.

use visavis_cli::options::cores;

/// Such as `AMD EPYC 7B13 with AVX2, 2 cores, linux x86_64`.
pub(super) fn describe() -> String {
    let rest = format!(
        "{} core{}, {} {}",
        cores(),
        if cores() == 1 { "" } else { "s" },
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    match processor() {
        Some(name) => format!("{name}{}, {rest}", vectors().map(|with| format!(" with {with}")).unwrap_or_default()),
        None => rest,
    }
}

/// The widest vector extension of the CPU: CPUs with the same name may differ in it, and in speed.
fn vectors() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        return Some("AVX-512");
    } else if std::arch::is_x86_feature_detected!("avx2") {
        return Some("AVX2");
    }
    None
}

/// The name of the CPU, if the system has it in a file.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).trim().to_owned()).filter(|name| !name.is_empty())
}
