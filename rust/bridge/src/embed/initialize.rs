//! One call that starts the interpreter where none runs, in the right environment, and makes the package importable.

use std::sync::OnceLock;

use pyo3::prelude::*;

use super::environment::Environment;
use super::interpreter;
use super::library::{Abi, Library};
use crate::base::log;
use crate::engine::SetupError;
use crate::worker;

/// Starts the Python interpreter, unless it runs already, and makes `import pybridge` work. Call it in `main`, before anything
/// else uses Python; further calls give what the first gave.
///
/// * It runs in the virtual environment that the variable `VIRTUAL_ENV` names, else in `.venv` beside the program, else in
///   `.venv` in the working directory. Without any, it is the installation that the loaded libpython belongs to. `PYTHONHOME`
///   is not needed; `PYTHONPATH` and its like mean what they mean to `python`.
/// * The working directory comes first on `sys.path`, as with `python -m`, unless `PYTHONSAFEPATH` is set. So
///   [`Engine::import`](crate::Engine::import) finds a `handlers.py` there.
/// * Signals are left alone: Ctrl-C is the program's. So are the command line (`sys.argv` is empty) and the C library's streams.
/// * Where the host has started the interpreter, or pyo3 has at a first `Python::attach`, prefix, environment and `sys.path` are
///   as that left them.
///
/// The loader has to find libpython when the program starts. Where it is in no folder that the loader searches, as with pyenv and
/// uv, a `build.rs` has it look where libpython was linked from:
///
/// ```
/// fn main() {
///     if let Ok(folder) = std::env::var("DEP_PYBRIDGE_LIBPYTHON") {
///         println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
///     }
/// }
/// ```
///
/// ```no_run
/// fn main() -> Result<(), pybridge::SetupError> {
///     pybridge::embed::initialize()?;
///     let engine = pybridge::Engine::import_blocking("handlers:chat")?;
///     Ok(())
/// }
/// ```
///
/// # Errors
/// The loaded libpython is of another version than the program was compiled for, or has other ABI flags; the environment was
/// made with another version; `VIRTUAL_ENV` names none; the interpreter does not start; what [`install`](super::install) raises.
/// A libpython of the right version in another place is only logged, by the logger `pybridge.embed`, as a warning.
#[expect(clippy::needless_doctest_main, reason = "a whole build script")]
pub fn initialize() -> Result<(), SetupError> {
    static STARTED: OnceLock<Result<(), SetupError>> = OnceLock::new();
    // Who starts it attaches; who waits for that is detached.
    worker::detached(|| STARTED.get_or_init(start_once).clone())
}

fn start_once() -> Result<(), SetupError> {
    let compiled = Abi::compiled();
    let library = Library::loaded();
    if let Some(loaded) = library.abi().filter(|loaded| loaded.version != compiled.version) {
        return Err(library.refused(&compiled, &loaded));
    }
    let starts = !interpreter::is_initialized();
    if starts {
        start(&library, &compiled)?;
    }
    let settled = worker::try_attach(|py| settle(py, &library, &compiled, starts));
    settled.unwrap_or_else(|| Err(SetupError::new("RuntimeError", "the interpreter is shutting down")))
}

/// Starts the interpreter of the environment or of the library.
fn start(library: &Library, compiled: &Abi) -> Result<(), SetupError> {
    // Its types have other layouts: not one call may be made.
    if let Some(loaded) = library.abi().filter(|loaded| loaded.flags.contains('t') != compiled.flags.contains('t')) {
        return Err(library.refused(compiled, &loaded));
    }
    let environment = Environment::find()?;
    if let Some(environment) = &environment {
        environment.check(compiled.version, library)?;
    }
    let executable = environment.map(|environment| environment.executable());
    interpreter::start(executable.or_else(|| library.executable(compiled.version)).as_deref())
}

/// Looks at the interpreter that runs, and installs the package.
fn settle(py: Python<'_>, library: &Library, compiled: &Abi, started: bool) -> Result<(), SetupError> {
    let raised = |error: PyErr| SetupError::of(py, &error);
    let sys = py.import("sys").map_err(raised)?;
    // Not every system has the attribute.
    let flags = sys.getattr_opt("abiflags").and_then(|flags| flags.map(|flags| flags.extract()).transpose());
    let loaded = Abi { flags: flags.map_err(raised)?.unwrap_or_default(), ..compiled.clone() };
    if loaded != *compiled {
        return Err(library.refused(compiled, &loaded));
    }
    super::install(py).map_err(raised)?;
    if started {
        if let Some(folder) = library.moved() {
            let text = format!(
                "this program was compiled for the libpython in {}, but the one in {} was loaded; packages come from {}",
                Library::compiled_folder().display(),
                folder.display(),
                sys.getattr("prefix").map_err(raised)?,
            );
            log::notice(py, "embed", &text);
        }
        release_interrupts(py).map_err(raised)?;
        add_working_directory(&sys).map_err(raised)?;
    }
    Ok(())
}

/// Gives Ctrl-C back to the program: where it has no handler, Python's `signal` module takes it when it is imported.
fn release_interrupts(py: Python<'_>) -> PyResult<()> {
    let signal = py.import("signal")?;
    let interrupt = signal.getattr("SIGINT")?;
    if signal.call_method1("getsignal", (&interrupt,))?.is(&signal.getattr("default_int_handler")?) {
        signal.call_method1("signal", (interrupt, signal.getattr("SIG_DFL")?))?;
    }
    Ok(())
}

fn add_working_directory(sys: &Bound<'_, PyModule>) -> PyResult<()> {
    if sys.getattr("flags")?.getattr("safe_path")?.is_truthy()? {
        return Ok(());
    }
    let here = sys.py().import("os")?.call_method0("getcwd")?;
    sys.getattr("path")?.call_method1("insert", (0, here)).map(drop)
}
