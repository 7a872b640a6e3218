//! The start of the interpreter, with a configuration of our own.
#![allow(unsafe_code)] // the interpreter's C API for programs that embed it has no safe form

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pyo3::ffi;

use crate::engine::SetupError;

/// True once the interpreter runs.
pub(crate) fn is_initialized() -> bool {
    // SAFETY: the call only looks, and may be made at any time.
    unsafe { ffi::Py_IsInitialized() != 0 }
}

/// Starts the interpreter as `executable` would, which tells it its prefix and its environment, and detaches the calling
/// thread.
///
/// Signals, the C library's streams, the command line and environment variables stay the program's.
pub(super) fn start(executable: Option<&Path>) -> Result<(), SetupError> {
    let executable = executable.map(|path| CString::new(path.as_os_str().as_bytes())).transpose();
    let executable = executable.map_err(|_| SetupError::new("ValueError", "the interpreter's path holds a NUL"))?;
    before()?;
    let mut config = Config::new();
    if let Some(executable) = &executable {
        config.set_executable(executable)?;
    }
    config.start()
}

/// Settles encodings and allocators.
fn before() -> Result<(), SetupError> {
    let mut config = MaybeUninit::<ffi::PyPreConfig>::zeroed();
    // SAFETY: the first call fills the configuration, which outlives the second; no interpreter runs.
    unsafe {
        ffi::PyPreConfig_InitPythonConfig(config.as_mut_ptr());
        let config = config.assume_init_mut();
        // It would set an environment variable, which other threads of the program may read at the same time. Python's UTF-8
        // mode helps where the locale is "C", as ever.
        config.coerce_c_locale = 0;
        check(ffi::Py_PreInitialize(config))
    }
}

struct Config(Box<ffi::PyConfig>);

impl Config {
    fn new() -> Self {
        let mut config = Box::new(MaybeUninit::<ffi::PyConfig>::zeroed());
        // SAFETY: the call fills the configuration: what a `python` command would have.
        let mut config = unsafe {
            ffi::PyConfig_InitPythonConfig(config.as_mut_ptr());
            config.assume_init()
        };
        config.install_signal_handlers = 0;
        config.configure_c_stdio = 0;
        config.parse_argv = 0;
        Self(config)
    }

    fn set_executable(&mut self, path: &CStr) -> Result<(), SetupError> {
        // SAFETY: the field belongs to this configuration, which owns the copy that is made of the text.
        check(unsafe {
            let config = &raw mut *self.0;
            ffi::PyConfig_SetBytesString(config, &raw mut (*config).executable, path.as_ptr())
        })
    }

    fn start(self) -> Result<(), SetupError> {
        // SAFETY: no interpreter runs; afterwards this thread is attached, and detaches itself.
        unsafe {
            check(ffi::Py_InitializeFromConfig(&raw const *self.0))?;
            ffi::PyEval_SaveThread();
        }
        Ok(())
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: the configuration is filled, and nobody uses it any more.
        unsafe { ffi::PyConfig_Clear(&raw mut *self.0) };
    }
}

/// What the interpreter says of a step of its start.
fn check(status: ffi::PyStatus) -> Result<(), SetupError> {
    // SAFETY: the status was just returned; its texts are static, or null.
    unsafe {
        if ffi::PyStatus_Exception(status) == 0 {
            return Ok(());
        }
        let text = |text: *const std::ffi::c_char| {
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        };
        let place = text(status.func).map(|place| format!(" ({place})")).unwrap_or_default();
        let reason = text(status.err_msg).unwrap_or_else(|| "it asked to exit".to_owned());
        Err(SetupError::new("RuntimeError", format!("the Python interpreter could not be started: {reason}{place}")))
    }
}
