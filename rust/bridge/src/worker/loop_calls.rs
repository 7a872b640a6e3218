//! The functions of one event loop that a worker calls, looked up once: for callbacks, futures and tasks.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::base::interpreter::call_with_keywords;

/// Calls of one event loop.
pub(super) struct LoopCalls {
    call_soon: Py<PyAny>,
    create_future: Py<PyAny>,
    /// `None`: it is read as an attribute, as asyncio's own loops do.
    get_task_factory: Option<Py<PyAny>>,
    task_type: Py<PyAny>,
    event_loop: Py<PyAny>,
    /// An empty one: what the loop keeps must not keep the context of the caller who happens to be the first.
    context: Py<PyAny>,
    context_keyword: Py<PyTuple>,
    task_keywords: Py<PyTuple>,
}

impl LoopCalls {
    pub(super) fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        let asyncio = py.import("asyncio")?;
        let (context, event_loop_name, name) = (intern!(py, "context"), intern!(py, "loop"), intern!(py, "name"));
        Ok(Self {
            call_soon: event_loop.getattr("call_soon")?.unbind(),
            create_future: event_loop.getattr("create_future")?.unbind(),
            get_task_factory: get_task_factory(event_loop)?,
            task_type: asyncio.getattr("Task")?.unbind(),
            event_loop: event_loop.clone().unbind(),
            context: py.import("contextvars")?.call_method0("Context")?.unbind(),
            context_keyword: PyTuple::new(py, [context])?.unbind(),
            task_keywords: PyTuple::new(py, [event_loop_name, context, name])?.unbind(),
        })
    }

    pub(super) fn event_loop<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.event_loop.bind(py)
    }

    /// The context that callbacks of the loop's own run in.
    pub(super) fn context<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.context.bind(py)
    }

    /// Has `callback()` called in the loop's next turn, or `callback(argument)`.
    pub(super) fn call_soon<'py>(
        &self,
        callback: &Bound<'py, PyAny>,
        argument: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = callback.py();
        let context = self.context(py);
        let keyword = self.context_keyword.bind(py);
        let call_soon = self.call_soon.bind(py);
        match argument {
            Some(argument) => call_with_keywords(call_soon, &[callback, argument, context], keyword),
            None => call_with_keywords(call_soon, &[callback, context], keyword),
        }
        .map(drop)
    }

    pub(super) fn create_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.create_future.bind(py).call0()
    }

    /// A task that runs `coroutine` in `context`; by the loop's task factory, where it has one, else with this name, which
    /// spares asyncio to make one up.
    pub(super) fn create_task<'py>(
        &self,
        coroutine: &Bound<'py, PyAny>,
        context: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        let event_loop = self.event_loop.bind(py);
        let factory = match &self.get_task_factory {
            Some(get) => get.bind(py).call0()?,
            None => event_loop.getattr(intern!(py, "_task_factory"))?,
        };
        if factory.is_none() {
            let arguments = [coroutine, event_loop, context, name];
            return call_with_keywords(self.task_type.bind(py), &arguments, self.task_keywords.bind(py));
        }
        let create_task = event_loop.getattr(intern!(py, "create_task"))?;
        call_with_keywords(&create_task, &[coroutine, context], self.context_keyword.bind(py))
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.call_soon)?;
        visit.call(&self.create_future)?;
        visit.call(&self.get_task_factory)?;
        visit.call(&self.task_type)?;
        visit.call(&self.event_loop)?;
        visit.call(&self.context)
    }
}

/// The method of `event_loop` that gives its task factory, unless that is asyncio's own.
fn get_task_factory(event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    let py = event_loop.py();
    let own = py.import("asyncio.base_events")?.getattr("BaseEventLoop")?.getattr("get_task_factory")?;
    let is_own = event_loop.get_type().getattr("get_task_factory")?.is(&own);
    if is_own && event_loop.hasattr("_task_factory")? {
        return Ok(None);
    }
    event_loop.getattr("get_task_factory").map(|get| Some(get.unbind()))
}
