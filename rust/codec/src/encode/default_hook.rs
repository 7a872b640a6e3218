//! The user's `default` hook, called for objects that have no encoding of their own, and the bound on its nested answers.

use pybridge_base::exception::said;
use pyo3::prelude::*;
use serde::{Serialize, Serializer};

use super::value::Value;
use super::walk::{Failure, Walk, type_name};

/// What a `default` hook or an enum gives instead of an object may itself need that; this often.
const MAX_STAND_INS: usize = 32;

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

impl<'py> Walk<'_, 'py> {
    /// Serializes what stands for an object.
    pub(super) fn stand_in<S: Serializer>(&self, instead: &Bound<'py, PyAny>, to: S) -> Result<S::Ok, S::Error> {
        self.check_stand_ins(instead)?;
        let nested = self.stand_ins.get();
        self.stand_ins.set(nested + 1);
        let done = Value::new(self, instead.as_ptr()).serialize(to);
        self.stand_ins.set(nested);
        done
    }

    fn check_stand_ins<E: serde::ser::Error>(&self, next: &Bound<'py, PyAny>) -> Result<(), E> {
        if self.stand_ins.get() < MAX_STAND_INS {
            return Ok(());
        }
        Err(self.refuse(format!(
            "more than {MAX_STAND_INS} nested answers of default= or values of enums, the last of type {}",
            type_name(next)
        )))
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
