//! Passes on which interpreter is compiled for, as `cfg(Py_3_12)` and the like and in words, and lists the Python sources to
//! compile in.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use pyo3_build_config::BuildFlag;

/// Parts of the package that only the command line uses.
const COMMAND_LINE: [&str; 5] = ["_serve_command", "bench", "cli.py", "doctor.py", "__main__.py"];

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    name_interpreter();
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_EMBED").is_some() {
        write_sources();
    }
}

/// The version, ABI flags and library folder that a program which starts the interpreter compares with what it loaded.
fn name_interpreter() {
    let config = pyo3_build_config::get();
    let has = |flag| config.build_flags().0.contains(&flag);
    let flag = |flag, letter| if has(flag) { letter } else { "" };
    let flags = [flag(BuildFlag::Py_GIL_DISABLED, "t"), flag(BuildFlag::Py_DEBUG, "d")].concat();
    let version = config.version();
    println!("cargo::rustc-env=PYBRIDGE_PYTHON_VERSION={}.{}", version.major, version.minor);
    println!("cargo::rustc-env=PYBRIDGE_PYTHON_FLAGS={flags}");
    println!("cargo::rustc-env=PYBRIDGE_PYTHON_FOLDER={}", config.lib_dir().unwrap_or_default());
    // For the build scripts of programs, as DEP_PYBRIDGE_LIBPYTHON.
    if let Some(folder) = config.lib_dir() {
        println!("cargo::metadata=LIBPYTHON={folder}");
    }
}

/// Writes `sources.rs`: an array of module names and their text, the parents first.
fn write_sources() {
    let package = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("python/pybridge");
    let mut array = "[\n".to_owned();
    for (name, path) in modules("pybridge", &package) {
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(array, "    ({name:?}, include_str!({:?})),", path.to_string_lossy())
            .expect("strings take everything");
    }
    array.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("sources.rs"), array).expect("OUT_DIR is writable");
}

/// The modules in `folder`, which is the package `parent`. A package is named with a dot at its end.
fn modules(parent: &str, folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).expect("the package is readable");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the package is readable").path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if COMMAND_LINE.contains(&file) {
            continue;
        }
        if path.join("__init__.py").is_file() {
            found.extend(modules(&format!("{parent}.{file}"), &path));
        } else if file == "__init__.py" {
            found.insert(0, (format!("{parent}."), path));
        } else if let Some(stem) = file.strip_suffix(".py") {
            found.push((format!("{parent}.{stem}"), path));
        }
    }
    found
}
