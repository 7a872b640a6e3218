//! Lets the program find libpython where it was linked from, also in folders that the loader does not search.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
