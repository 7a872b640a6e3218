//! The user's `default` hook, called for objects that have no encoding of their own.

use pybridge_base::exception::said;
use pyo3::prelude::*;
use serde::Serializer;

use super::value::Value;
use super::walk::{Failure, type_name};

impl Value<'_, '_, '_> {
    /// Refuses an object that nothing converts; `detail` follows its type's name.
    #[cold]
    pub(super) fn unknown<E: serde::ser::Error>(self, detail: &str) -> E {
        let name = self.type_name();
        self.walk.refuse(format!("cannot encode {name}{detail}; give the codec default= to convert it"))
    }

    /// Asks the `default` hook.
    #[inline(never)]
    pub(super) fn hook<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let Some(hook) = self.walk.writing.default else { return Err(self.unknown("")) };
        let object = self.object();
        self.walk.check_stand_ins(&object)?;
        let answer = ask(hook, &object).map_err(|failure| self.walk.fail(failure))?;
        self.walk.stand_in(&answer, to)
    }
}

/// What the `default` hook gives for an object.
pub(super) fn ask<'py>(hook: &Py<PyAny>, object: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, Failure> {
    match hook.bind(object.py()).call1((object,)) {
        Ok(answer) if answer.is(object) => {
            Err(Failure::Value(format!("default= gave back what it was given, of type {}", type_name(object))))
        }
        Ok(answer) => Ok(answer),
        Err(error) => {
            let reason = format!("default= raised for an object of type {}: {}", type_name(object), said(&error));
            Err(Failure::Raised(reason, error))
        }
    }
}
