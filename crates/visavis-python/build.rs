//! Lets the linker of macOS accept that Python's functions are found when the library is loaded.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
