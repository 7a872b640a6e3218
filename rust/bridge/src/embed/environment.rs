//! The virtual environment whose packages a program uses.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::library::{Library, Version};
use crate::engine::SetupError;

/// The file by which Python tells an environment.
const MARK: &str = "pyvenv.cfg";

/// A virtual environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Environment {
    folder: PathBuf,
    /// Of the interpreter that made it, as its file says: `3.12.1`.
    version: Option<String>,
}

impl Environment {
    /// The one that `VIRTUAL_ENV` names, else `.venv` beside the program, else `.venv` in the working directory.
    pub(super) fn find() -> Result<Option<Self>, SetupError> {
        if let Some(named) = env::var_os("VIRTUAL_ENV").filter(|named| !named.is_empty()) {
            let folder = PathBuf::from(named);
            return Self::at(&folder).map(Some).ok_or_else(|| {
                let text =
                    format!("VIRTUAL_ENV is {}, which is no virtual environment: it has no {MARK}", folder.display());
                SetupError::new("ImportError", text)
            });
        }
        let program = env::current_exe().ok();
        let beside = program.as_deref().and_then(Path::parent).map(Path::to_owned);
        let folders = beside.into_iter().chain(env::current_dir().ok());
        Ok(folders.map(|folder| folder.join(".venv")).find_map(|folder| Self::at(&folder)))
    }

    fn at(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(MARK)).ok()?;
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Some(Self { folder, version: version_in(&text) })
    }

    /// Its interpreter, which need not be there: Python takes its place for where the environment is.
    pub(super) fn executable(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Refuses an environment of another version than the library's; packages of one are not found by the other.
    pub(super) fn check(&self, version: Version, library: &Library) -> Result<(), SetupError> {
        match self.version.as_deref().map(|text| (text, Version::of(text))) {
            Some((text, Some(found))) if found != version => {
                let text = format!(
                    "the virtual environment {} was made with Python {text}, but the library that was loaded, {library}, is \
                     Python {}: make it anew with python{version} -m venv, or compile the program with PYO3_PYTHON naming its \
                     interpreter",
                    self.folder.display(),
                    library.number(),
                );
                Err(SetupError::new("ImportError", text))
            }
            _ => Ok(()),
        }
    }
}

/// What `version = …` says, as the standard library writes it, or `version_info = …`, as virtualenv and uv do.
fn version_in(text: &str) -> Option<String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut known = pairs.map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim()));
    known.find(|(key, _)| key == "version" || key == "version_info").map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_as_venv_virtualenv_and_uv_write_it() {
        let venv = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.7\nexecutable = /usr/bin/python3.11\n";
        let virtualenv = "home = /usr/bin\nimplementation = CPython\nversion_info = 3.12.3.final.0\n";
        let uv = "home = /usr/bin\nimplementation = CPython\nuv = 0.4.0\nversion_info = 3.13.0\n";
        assert_eq!(version_in(venv).as_deref(), Some("3.11.7"));
        assert_eq!(version_in(virtualenv).as_deref(), Some("3.12.3.final.0"));
        assert_eq!(version_in(uv).as_deref(), Some("3.13.0"));
        assert_eq!(version_in("home = /usr/bin\n"), None);
    }
}
