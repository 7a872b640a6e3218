//! What the codec reads and makes of CPython's objects beside its public functions.

pub(super) mod buffer;
pub(super) mod construct;
pub(super) mod layout;
pub(super) mod str_layout;

#[cfg(Py_3_14)]
pub(crate) use str_layout::look_at_strings;
