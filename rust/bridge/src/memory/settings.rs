//! Settings of the process's memory, read off `pybridge.MemoryConfig`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::base::lock::{Mutex, lock};

/// What is given back when the process is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleRelease {
    /// Nothing.
    Off,
    /// Free pages of malloc.
    Malloc,
    /// What Python's free lists pin, then free pages of malloc.
    All,
}

/// The settings that stay in force; the others act once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) idle_release: IdleRelease,
    /// Resident bytes above what the last release left, from which a release is worth its time.
    pub(super) min_gain: usize,
}

/// Off until the package has applied its settings, which it does with the first engine.
static SETTINGS: Mutex<Settings> = Mutex::new(Settings { idle_release: IdleRelease::Off, min_gain: 64 << 20 });

pub(super) fn current() -> Settings {
    *lock(&SETTINGS)
}

pub(super) fn set(settings: Settings) {
    *lock(&SETTINGS) = settings;
}

impl<'a, 'py> FromPyObject<'a, 'py> for IdleRelease {
    type Error = PyErr;

    fn extract(ob: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match ob.extract()? {
            "off" => Ok(Self::Off),
            "malloc" => Ok(Self::Malloc),
            "all" => Ok(Self::All),
            other => Err(PyValueError::new_err(format!("idle_release: no {other:?}"))),
        }
    }
}
