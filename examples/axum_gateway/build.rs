//! Lets the program find libpython where it was linked from, also in folders that the loader does not search.

fn main() {
    if let Ok(folder) = std::env::var("DEP_PYBRIDGE_LIBPYTHON") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
