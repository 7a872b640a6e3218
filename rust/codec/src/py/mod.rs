//! Access to `CPython`'s objects past its public functions, and state that its lock guards.

pub(super) mod buffer;
pub(super) mod construct;
pub(super) mod gil_cell;
pub(super) mod imported_classes;
pub(super) mod layout;
pub(super) mod str_layout;

#[cfg(Py_3_14)]
pub use str_layout::look_at_strings;
