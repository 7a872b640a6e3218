//! The source of a stream's items: an async iterator, resumed as directly as its type allows.
#![allow(unsafe_code)] // the interpreter's C API has no safe form of these calls

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::awaitable_step::{Step, async_slots, awaiter, send_none};

/// How items are asked for.
#[derive(Clone, Copy)]
enum PullStrategy {
    /// One awaitable per item, made by the slot of `__anext__`.
    Anext(ffi::unaryfunc),
    /// The interpreter's own generators can be resumed themselves, which saves an object and an exception per item. Their
    /// first item is asked for by `__anext__`, which calls the hooks of `sys.set_asyncgen_hooks`.
    Direct { begun: bool, first: ffi::unaryfunc, inside: Inside },
}

/// An async iterator.
pub(super) struct ItemSource {
    object: Py<PyAny>,
    strategy: PullStrategy,
    /// It was resumed itself, and waits.
    waits: bool,
}

// SAFETY: the pointers are of the object's type and of a static type, and used with the interpreter attached only.
unsafe impl Send for ItemSource {}

/// What asking for an item came to.
pub(super) enum Pulled<'py> {
    /// The iterator itself was resumed, and is what goes on if it waits.
    Itself(Step<'py>),
    /// This awaitable was resumed.
    Awaitable(Bound<'py, PyAny>, Step<'py>),
}

impl ItemSource {
    /// The iterator, for the collector.
    pub(super) fn peek(&self) -> &Py<PyAny> {
        &self.object
    }

    /// `object.__aiter__()`; `None` when it has none.
    pub(super) fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = object.py();
        let Some(aiter) = async_slots(object).and_then(|slots| slots.am_aiter) else { return Ok(None) };
        // SAFETY: attached; the slot belongs to the object's type; NULL means an exception is set.
        let iterator = unsafe { Bound::from_owned_ptr_or_err(py, aiter(object.as_ptr())) }?;
        let Some(anext) = async_slots(&iterator).and_then(|slots| slots.am_anext) else {
            let kind = iterator.get_type().qualname()?;
            return Err(PyTypeError::new_err(format!("__aiter__ returned {kind}, which has no __anext__")));
        };
        let strategy = match inside_of(&iterator) {
            Some(inside) => PullStrategy::Direct { begun: false, first: anext, inside },
            None => PullStrategy::Anext(anext),
        };
        Ok(Some(Self { object: iterator.unbind(), strategy, waits: false }))
    }

    pub(super) fn object<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// True for the interpreter's own generators, which are done once they have raised.
    pub(super) fn is_generator(&self) -> bool {
        matches!(self.strategy, PullStrategy::Direct { .. })
    }

    /// Asks for the next item.
    #[inline]
    pub(super) fn pull<'py>(&mut self, py: Python<'py>) -> PyResult<Pulled<'py>> {
        let anext = match &mut self.strategy {
            PullStrategy::Direct { begun: true, inside, .. } => {
                if inside.is_running(self.object.bind(py)) {
                    return Err(PyRuntimeError::new_err("anext(): asynchronous generator is already running"));
                }
                return Ok(Pulled::Itself(self.resume(py)));
            }
            PullStrategy::Direct { begun, first, .. } => {
                *begun = true;
                *first
            }
            PullStrategy::Anext(anext) => *anext,
        };
        // SAFETY: attached; the slot was read from this object's type, which the object keeps alive; NULL means an
        // exception is set.
        let awaitable = unsafe { Bound::from_owned_ptr_or_err(py, anext(self.object.as_ptr())) }?;
        let awaitable = awaiter(awaitable)?;
        let step = send_none(&awaitable);
        Ok(Pulled::Awaitable(awaitable, step))
    }

    /// Resumes the generator itself, parked at a `yield` or waiting.
    #[inline]
    pub(super) fn resume<'py>(&mut self, py: Python<'py>) -> Step<'py> {
        let PullStrategy::Direct { inside, .. } = self.strategy else {
            unreachable!("only generators are resumed themselves")
        };
        inside.set_running(self.object(py), true);
        let step = match send_none(self.object(py)) {
            // A generator returns nothing but None, when it runs out.
            Step::Returned(_) => Step::Ended,
            // SAFETY: attached; an object of this type holds the yielded value right behind its head, as `probe` saw.
            Step::Waits(object) if unsafe { ffi::Py_TYPE(object.as_ptr()) } == inside.wrapper => unsafe {
                Step::Returned(Bound::from_borrowed_ptr(py, (*object.as_ptr().cast::<Wrapped>()).value))
            },
            // Whoever else asks it for something meanwhile is refused, as with the interpreter's own awaitables.
            Step::Waits(object) => {
                self.waits = true;
                return Step::Waits(object);
            }
            step => step,
        };
        self.waits = false;
        inside.set_running(self.object(py), false);
        step
    }

    /// What is thrown into the generator, or closes it, next takes the place of what resumed it.
    pub(super) fn interrupt(&mut self, py: Python<'_>) {
        if let PullStrategy::Direct { inside, .. } = self.strategy
            && std::mem::take(&mut self.waits)
        {
            inside.set_running(self.object(py), false);
        }
    }
}

/// Where a generator keeps what its awaitables would look at.
#[derive(Clone, Copy)]
struct Inside {
    wrapper: *mut ffi::PyTypeObject,
    /// Of the flag that `ag_running` shows.
    running: usize,
}

impl Inside {
    fn is_running(self, generator: &Bound<'_, PyAny>) -> bool {
        // SAFETY: attached; generators have the flag there, by their type's own word.
        unsafe { *generator.as_ptr().cast::<u8>().add(self.running) != 0 }
    }

    fn set_running(self, generator: &Bound<'_, PyAny>, running: bool) {
        // SAFETY: as above.
        unsafe { *generator.as_ptr().cast::<u8>().add(self.running) = running.into() };
    }
}

/// What the interpreter hands out of a generator's frame for a yielded value.
#[repr(C)]
struct Wrapped {
    head: ffi::PyObject,
    value: *mut ffi::PyObject,
}

/// What is known of generators if `object` is one of the interpreter's own, and if they work as expected.
fn inside_of(object: &Bound<'_, PyAny>) -> Option<Inside> {
    static KNOWN: PyOnceLock<Option<(usize, usize)>> = PyOnceLock::new();
    let py = object.py();
    // SAFETY: only the address of the type is compared.
    if unsafe { ffi::Py_TYPE(object.as_ptr()) != &raw mut ffi::PyAsyncGen_Type } {
        return None;
    }
    let known = KNOWN.get_or_init(py, || probe(py).ok().flatten());
    known.map(|(wrapper, running)| Inside { wrapper: std::ptr::with_exposed_provenance_mut(wrapper), running })
}

/// Looks at what a small generator hands out.
fn probe(py: Python<'_>) -> PyResult<Option<(usize, usize)>> {
    let sentinel = pyo3::types::PyList::empty(py);
    let generator = py.import("pybridge._worker")?.call_method1("yield_once", (&sentinel,))?;
    let Step::Waits(object) = send_none(&generator) else { return Ok(None) };
    let ty = object.get_type();
    let is_wrapper = ty.name()? == "async_generator_wrapped_value"
        && ty.getattr("__basicsize__")?.extract::<usize>()? == size_of::<Wrapped>();
    // SAFETY: the object is as large as `Wrapped`, by its type's own word, and alive.
    let holds = is_wrapper && unsafe { (*object.as_ptr().cast::<Wrapped>()).value } == sentinel.as_ptr();
    let ended = matches!(send_none(&generator), Step::Returned(none) if none.is_none());
    let Some(running) = place_of_running(&generator)? else { return Ok(None) };
    let inside = Inside { wrapper: ty.as_type_ptr(), running };
    let shows = |running: bool| {
        inside.set_running(&generator, running);
        generator.getattr("ag_running")?.extract::<bool>().map(|shown| shown == running)
    };
    let is_flag = shows(true)? && shows(false)?;
    Ok((holds && ended && is_flag).then(|| (ty.as_type_ptr().expose_provenance(), running)))
}

/// The interpreter's description of a plain member of a type.
#[repr(C)]
struct MemberDescriptor {
    head: ffi::PyObject,
    ty: *mut ffi::PyTypeObject,
    name: *mut ffi::PyObject,
    qualname: *mut ffi::PyObject,
    member: *const ffi::PyMemberDef,
}

/// Where in a generator the flag lies that `ag_running` shows, if it is a plain member of one byte.
fn place_of_running(generator: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    let ty = generator.get_type();
    let descriptor = ty.getattr("__dict__")?.get_item("ag_running")?;
    let kind = descriptor.get_type();
    if kind.name()? != "member_descriptor"
        || kind.getattr("__basicsize__")?.extract::<usize>()? != size_of::<MemberDescriptor>()
    {
        return Ok(None);
    }
    // SAFETY: attached; the object is of that type, as large, and alive.
    let member = unsafe { &*(*descriptor.as_ptr().cast::<MemberDescriptor>()).member };
    let size = ty.getattr("__basicsize__")?.extract::<usize>()?;
    let offset = usize::try_from(member.offset)?;
    Ok((member.type_code == ffi::Py_T_BOOL && offset >= size_of::<ffi::PyObject>() && offset < size).then_some(offset))
}
