//! The interpreter's start, each in a process of its own: this program again, told by a variable to be the one under test.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use pybridge::embed;
use pyo3::prelude::*;
use serde_json::Value;

/// What to look at, as a Python expression for JSON; who has it is the program under test.
const LOOK: &str = "PYBRIDGE_TEST_LOOK";

/// The program under test: starts the interpreter and prints what it was asked for, or the error.
#[test]
#[ignore = "a program of the other tests"]
#[expect(clippy::disallowed_methods, reason = "a host's own thread is no thread of the runtime")]
#[expect(clippy::print_stdout, reason = "what the tests read")]
fn program() {
    let Ok(look) = std::env::var(LOOK) else { return };
    if look.starts_with("# already started") {
        Python::initialize();
    }
    if look.starts_with("# not started") {
        embed::shutdown_blocking(std::time::Duration::from_secs(600));
        let error = pybridge::Engine::import_blocking("handlers:chat").expect_err("no interpreter runs");
        println!("\nERROR {error}");
        return;
    }
    if look.starts_with("# by several threads") {
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| embed::initialize().expect("it starts")))));
    }
    if let Err(error) = embed::initialize().and_then(|()| embed::initialize()) {
        println!("\nERROR {error}");
        return;
    }
    let look = std::ffi::CString::new(look).expect("no NUL");
    let text = Python::attach(|py| {
        let names = pyo3::types::PyDict::new(py);
        py.run(&look, Some(&names), None).expect("it runs");
        let found = names.get_item("found").expect("a dict");
        py.import("json").and_then(|json| json.call_method1("dumps", (found,))).expect("JSON").to_string()
    });
    println!("\nFOUND {text}");
}

/// A folder for one test, with this program in it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("start-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        for part in ["bin", "work"] {
            fs::create_dir_all(folder.join(part)).expect("the target folder is writable");
        }
        let program = std::env::current_exe().expect("known");
        let folder = folder.canonicalize().expect("it is there");
        fs::hard_link(program, folder.join("bin/program")).expect("on the same volume");
        Self(folder)
    }

    /// The program, in its working directory, without what the caller's environment says of Python.
    fn program(&self, look: &str) -> Command {
        let mut command = Command::new(self.0.join("bin/program"));
        command.args(["--exact", "program", "--ignored", "--nocapture"]).current_dir(self.0.join("work"));
        command.env(LOOK, look);
        for name in ["VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH"] {
            command.env_remove(name);
        }
        command
    }

    /// A real environment with a module of its own.
    fn environment(&self, path: &str) -> PathBuf {
        let python = found(self.program("import sys; found = sys.executable"));
        let folder = self.0.join(path);
        let made = Command::new(python.as_str().expect("a path"))
            .args([OsStr::new("-m"), OsStr::new("venv"), OsStr::new("--without-pip"), folder.as_os_str()])
            .output()
            .expect("it starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let packages =
            fs::read_dir(folder.join("lib")).expect("a folder").next().expect("a version").expect("readable");
        fs::write(packages.path().join("site-packages/installed.py"), format!("where = {path:?}\n")).expect("writable");
        folder
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn line(output: &Output, begin: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix(begin)).map(str::to_owned)
}

/// What the program found.
fn found(mut program: Command) -> Value {
    let output = program.output().expect("it starts");
    let text = line(&output, "FOUND ").unwrap_or_else(|| panic!("{output:?}"));
    serde_json::from_str(&text).expect("JSON")
}

/// Why the program did not start.
fn refused(mut program: Command) -> String {
    let output = program.output().expect("it starts");
    line(&output, "ERROR ").unwrap_or_else(|| panic!("{output:?}"))
}

const INSTALLED: &str = "import installed, sys; found = [installed.where, sys.prefix, sys.prefix != sys.base_prefix]";

#[test]
fn the_environment_is_the_named_one_else_beside_the_program_else_in_the_working_directory() {
    let place = Place::new();
    let expected = |path: &str, folder: &Path| serde_json::json!([path, folder, true]);

    let here = place.environment("work/.venv");
    assert_eq!(found(place.program(INSTALLED)), expected("work/.venv", &here));
    let beside = place.environment("bin/.venv");
    assert_eq!(found(place.program(INSTALLED)), expected("bin/.venv", &beside));
    let named = place.environment("named");
    let mut program = place.program(INSTALLED);
    program.env("VIRTUAL_ENV", &named);
    assert_eq!(found(program), expected("named", &named));
    let mut program = place.program(INSTALLED);
    program.env("VIRTUAL_ENV", "../named");
    assert_eq!(found(program)[0], "named");
    let mut program = place.program(INSTALLED);
    program.env("VIRTUAL_ENV", "");
    assert_eq!(found(program)[0], "bin/.venv");
}

#[test]
fn without_an_environment_it_is_the_installation_of_the_loaded_library() {
    let place = Place::new();
    // An empty folder is none.
    fs::create_dir(place.0.join("work/.venv")).expect("writable");
    let look = "import sys, os, encodings, ctypes\nfound = [sys.prefix == sys.base_prefix, os.path.exists(sys.executable), \
                os.path.dirname(os.path.dirname(encodings.__file__))]";
    let mut program = place.program(look);
    program.env("PATH", "/nowhere");
    let found = found(program);
    assert_eq!((&found[0], &found[1]), (&Value::Bool(true), &Value::Bool(true)), "{found}");
}

#[test]
fn the_working_directory_comes_first_unless_it_is_said_to_be_unsafe() {
    let place = Place::new();
    let look = "import sys, os; found = [os.getcwd() == sys.path[0], sys.path.count(os.getcwd()), sys.argv]";
    assert_eq!(found(place.program(look)), serde_json::json!([true, 1, [""]]));
    let mut program = place.program(look);
    program.env("PYTHONSAFEPATH", "1");
    assert_eq!(found(program), serde_json::json!([false, 0, [""]]));
}

#[test]
fn without_an_interpreter_there_is_nothing_to_import_and_nothing_to_stop() {
    let error = refused(Place::new().program("# not started"));
    assert_eq!(
        error,
        "RuntimeError: the Python interpreter has not been started: call pybridge::embed::initialize() first"
    );
}

#[test]
fn threads_that_start_it_at_the_same_time_start_it_once() {
    let place = Place::new();
    let look = "# by several threads\nimport sys, os; found = [sys.path.count(os.getcwd()), len(sys.meta_path)]";
    let alone = found(place.program(look.trim_start_matches("# by several threads")));
    assert_eq!(found(place.program(look)), alone);
    assert_eq!(alone[0], 1);
}

#[test]
fn the_package_is_installed() {
    let place = Place::new();
    assert_eq!(found(place.program("import pybridge; found = pybridge.__file__")), "<embedded>/pybridge/__init__.py");
}

#[test]
fn ctrl_c_ends_a_program_that_does_not_handle_it() {
    let place = Place::new();
    let mut program = place.program("import asyncio, os, signal; os.kill(os.getpid(), signal.SIGINT); found = 'alive'");
    let output = program.output().expect("it starts");
    assert_eq!(output.status.signal(), Some(libc::SIGINT), "{output:?}");
}

#[test]
fn an_interpreter_that_runs_already_is_taken_as_it_is() {
    let place = Place::new();
    let folder = place.environment("work/.venv");
    let look = "# already started\nimport pybridge, sys, os; found = [sys.prefix, os.getcwd() in sys.path]";
    let found = found(place.program(look));
    assert_ne!(found[0], folder.to_str().expect("text"));
    assert_eq!(found[1], false);
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_in_another_place_brings_its_own_interpreter_and_is_only_logged() {
    let place = Place::new();
    let look = "import sys\nversion = '%d.%d' % sys.version_info[:2]\nmaps = open('/proc/self/maps').read().split()\n\
                found = [version, sys.executable, sys.prefix, [part for part in maps if 'libpython' + version in part][0]]";
    let facts = found(place.program(look));
    let text = |index: usize| facts[index].as_str().expect("text");
    let (version, library) = (text(0), Path::new(text(3)));
    fs::create_dir(place.0.join("lib")).expect("writable");
    fs::copy(library, place.0.join("lib").join(library.file_name().expect("a file"))).expect("writable");
    let executable = place.0.join(format!("bin/python{version}"));
    std::os::unix::fs::symlink(text(1), &executable).expect("writable");
    let logs = "import logging; logging.basicConfig(level='INFO', format='%(levelname)s %(name)s %(message)s')";
    fs::write(place.0.join("sitecustomize.py"), logs).expect("writable");

    let mut program = place.program("import sys; found = [sys.executable, sys.prefix]");
    program.env("LD_LIBRARY_PATH", place.0.join("lib")).env("PYTHONPATH", &place.0);
    let output = program.output().expect("it starts");
    let there = line(&output, "FOUND ").unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(there, serde_json::json!([executable, text(2)]).to_string().replace("\",\"", "\", \""));
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("the one in {} was loaded; packages come from {}", place.0.join("lib").display(), text(2));
    assert!(said.contains("WARNING pybridge.embed") && said.contains(&expected), "{said}");
}

#[test]
fn an_environment_of_another_version_is_refused_with_both_versions_and_its_path() {
    let place = Place::new();
    let folder = place.0.join("work/.venv");
    fs::create_dir_all(&folder).expect("writable");
    for line in ["version = 3.8.1", "version_info = 3.8.1.final.0"] {
        fs::write(folder.join("pyvenv.cfg"), format!("home = /usr/bin\n{line}\n")).expect("writable");
        let error = refused(place.program("found = 1"));
        assert!(error.starts_with("ImportError: the virtual environment "), "{error}");
        for part in [folder.to_str().expect("text"), "Python 3.8.1", "libpython", "-m venv"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}

#[test]
fn a_named_environment_that_is_none_is_refused() {
    let place = Place::new();
    let mut program = place.program("found = 1");
    program.env("VIRTUAL_ENV", "/nowhere/at/all");
    let error = refused(program);
    assert!(
        error.starts_with("ImportError: VIRTUAL_ENV is /nowhere/at/all, which is no virtual environment"),
        "{error}"
    );
}

/// A library in front of the real one tells its version.
#[cfg(target_os = "linux")]
fn with_library_that_says(place: &Place, version: &str) -> Command {
    let (source, library) = (place.0.join("says.c"), place.0.join("libsays.so"));
    fs::write(&source, format!("const char *Py_GetVersion(void) {{ return \"{version}\"; }}\n")).expect("writable");
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().expect("a linker");
    assert!(made.success());
    let mut program = place.program("found = 1");
    program.env("LD_PRELOAD", &library);
    program
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_of_another_version_or_without_the_interpreter_lock_is_refused() {
    let place = Place::new();
    let error = refused(with_library_that_says(&place, "3.99.0 (main, Jan  1 2026) [GCC 12.2.0]"));
    assert!(error.starts_with("ImportError: this program was compiled for Python 3."), "{error}");
    for part in ["libpython", "is Python 3.99: ", "PYO3_PYTHON"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let running: String =
        found(place.program("import sys; found = sys.version.split()[0]")).as_str().expect("text").to_owned();
    let error = refused(with_library_that_says(&place, &format!("{running} free-threading build (main)")));
    assert!(error.contains("t: compile it with"), "{error}");
}
