//! The check that the Python library that was loaded is the one that the program was compiled for.
#![allow(unsafe_code)] // the dynamic linker's calls, and one of the interpreter's that needs no interpreter

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pyo3::ffi;

use crate::engine::SetupError;

/// The flags of the library that the program was compiled for.
const FLAGS: &str = env!("PYBRIDGE_PYTHON_FLAGS");

/// Major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(u8, u8);

impl Version {
    /// The first two numbers of a text such as `3.12.1`, `3.12.1.final.0` or `3.13.0rc1 (main, …)`.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?;
        let end = minor.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(minor.len());
        Some(Self(major, minor[..end].parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What tells Python libraries apart whose types and calls differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Abi {
    pub(super) version: Version,
    /// As `sys.abiflags`: `t` is free-threaded, `d` a debug build.
    pub(super) flags: String,
}

impl Abi {
    /// What the program was compiled for.
    pub(super) fn compiled() -> Self {
        let version = Version::of(env!("PYBRIDGE_PYTHON_VERSION")).expect("written by the build script");
        Self { version, flags: FLAGS.to_owned() }
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.version, self.flags)
    }
}

/// The loaded library.
#[derive(Debug)]
pub(super) struct Library {
    /// Its file, where the linker tells; the program itself where Python is linked into that.
    pub(super) file: Option<PathBuf>,
    /// As Python tells it: `3.12.1 (main, …) [GCC …]`.
    text: String,
}

impl Library {
    pub(super) fn loaded() -> Self {
        // SAFETY: the text is static, ends with NUL, and needs no interpreter.
        let text = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) };
        Self { file: file(), text: text.to_string_lossy().into_owned() }
    }

    /// `3.12.1`
    pub(super) fn number(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// Version and what its text tells of the flags; only a running interpreter tells all of them.
    pub(super) fn abi(&self) -> Option<Abi> {
        let free_threaded = self.text.contains("free-threading build");
        let flags = if free_threaded { "t" } else { "" }.to_owned();
        Some(Abi { version: Version::of(&self.text)?, flags })
    }

    /// The error of a program that was compiled for another library.
    pub(super) fn refused(&self, compiled: &Abi, loaded: &Abi) -> SetupError {
        let text = format!(
            "this program was compiled for Python {compiled}, but the library that was loaded, {self}, is Python {loaded}: \
             compile it with PYO3_PYTHON naming an interpreter of that version, or let the loader find libpython{compiled}"
        );
        SetupError::new("ImportError", text)
    }

    /// The interpreter that belongs to the library: `bin/python3.12` in one of the folders above it.
    pub(super) fn executable(&self, version: Version) -> Option<PathBuf> {
        let folders = self.file.as_deref()?.ancestors().skip(1);
        folders.map(|folder| folder.join(format!("bin/python{version}"))).find(|file| file.is_file())
    }

    /// The folder of the library that the program was compiled with.
    pub(super) fn compiled_folder() -> &'static Path {
        Path::new(env!("PYBRIDGE_PYTHON_FOLDER"))
    }

    /// The library's folder, if it is not the one that the program was compiled with.
    pub(super) fn moved(&self) -> Option<&Path> {
        let folder = self.file.as_deref()?.parent()?;
        let compiled = Self::compiled_folder();
        let compiled = compiled.canonicalize().unwrap_or_else(|_| compiled.to_owned());
        (folder != compiled).then_some(folder)
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => file.display().fmt(f),
            None => f.write_str("libpython"),
        }
    }
}

/// The file that the interpreter's functions come from, without links.
fn file() -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the name ends with a NUL; the address is looked up, not called; `info` outlives the call that fills it.
    let path = unsafe {
        let address = libc::dlsym(libc::RTLD_DEFAULT, c"Py_IsInitialized".as_ptr());
        if address.is_null() || libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        let name = info.assume_init().dli_fname;
        if name.is_null() {
            return None;
        }
        PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()))
    };
    path.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_all_that_writes_them() {
        for text in
            ["3.12.1", "3.12", " 3.12.0rc1", "3.12.1.final.0", "3.12.1 (main, Jan  1 2026) [GCC 12.2.0]", "3.12+"]
        {
            assert_eq!(Version::of(text), Some(Version(3, 12)), "{text}");
        }
        for text in ["", "3", "three.twelve", "3.", "3.x"] {
            assert_eq!(Version::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_free_threaded_library_is_told_by_its_text() {
        let abi = |text: &str| Library { file: None, text: text.to_owned() }.abi().map(|abi| abi.to_string());
        assert_eq!(abi("3.13.0 experimental free-threading build (main, Oct  7 2024)").as_deref(), Some("3.13t"));
        assert_eq!(abi("3.14.0 free-threading build (main)").as_deref(), Some("3.14t"));
        assert_eq!(abi("3.13.0 (main, Oct  7 2024)").as_deref(), Some("3.13"));
    }
}
