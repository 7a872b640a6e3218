//! The opening of a stream: decoding the request, calling the handler, and the item source from what that returns.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::awaitable_step::{awaiter, is_awaitable};
use super::coroutine::Driver;
use super::current_stream;
use super::handler_failure::{failure, raised};
use super::item_source::ItemSource;
use super::state_machine::{Pending, Phase, StateMachine, StepResult, Transition};
use super::wrong_result::wrong_result;
use crate::base::fault;
use crate::base::lock::lock;
use crate::codec::{DecodeError, Decoder};
use crate::error::FailureKind;
use crate::error::py_errors::IntoException;
use crate::state::{Request, RequestCodec};
use crate::worker::{DecodePlace, TurnQueue};

/// Input bytes decoded before other tasks get a turn: one or a few milliseconds of small objects, and much less of text.
const DECODE_STRETCH: usize = 128 << 10;

impl StateMachine {
    pub(super) fn begin<'py>(&mut self, driver: &Bound<'py, Driver>, request: Request) -> Transition<'py> {
        let py = driver.py();
        if let Err(error) = current_stream::enter(py, driver) {
            return self.fail(driver, &error);
        }
        match request {
            Request::Object(object) => self.call(driver, object.into_inner(py)),
            Request::Encoded(bytes, codec) => {
                let spec = match codec {
                    RequestCodec::Engine => Arc::clone(&self.handler().spec),
                    RequestCodec::Plain(spec) => spec,
                };
                let encoded = bytes.len();
                let decoder = Decoder::new(spec, Arc::clone(&driver.get().stream.engine.limits), bytes);
                let decoder = Box::new(decoder);
                if encoded <= DECODE_STRETCH {
                    return self.decode(driver, decoder, encoded, None);
                }
                let turns = driver.get().worker.get().turns(py).get();
                let place = turns.place(encoded);
                if turns.is_first(place) {
                    self.decode(driver, decoder, encoded, Some(place))
                } else {
                    Some(self.wait_to_decode(driver, decoder, encoded, place))
                }
            }
        }
    }

    fn wait_to_decode<'py>(
        &mut self,
        driver: &Bound<'py, Driver>,
        decoder: Box<Decoder>,
        encoded: usize,
        place: DecodePlace,
    ) -> StepResult<'py> {
        self.phase = Phase::Decode(decoder, encoded, place);
        TurnQueue::wait_at(driver.get().worker.get().turns(driver.py()), place).map(Some)
    }

    pub(super) fn decode<'py>(
        &mut self,
        driver: &Bound<'py, Driver>,
        mut decoder: Box<Decoder>,
        encoded: usize,
        place: Option<DecodePlace>,
    ) -> Transition<'py> {
        let py = driver.py();
        fault::reach(fault::Point::Decode);
        match decoder.run(py, DECODE_STRETCH) {
            Ok(None) => {
                let turns = driver.get().worker.get().turns(py).get();
                let place = place.unwrap_or_else(|| turns.place(encoded));
                turns.count_decoded(DECODE_STRETCH);
                Some(self.wait_to_decode(driver, decoder, encoded, place))
            }
            Ok(Some(request)) => {
                let stream = &driver.get().stream;
                stream.engine.charge_decoded(stream, encoded, decoder.decoded_bytes());
                drop(decoder);
                self.call(driver, request)
            }
            Err(error) => {
                drop(decoder);
                let is_theirs = !matches!(error, DecodeError::Python(_));
                let error = error.into_exception(py);
                let mut failure = failure(driver, &error);
                if is_theirs {
                    failure.kind = FailureKind::Decode;
                    failure.public_message.clone_from(&failure.message);
                }
                let ending = raised(driver, failure);
                self.finish(driver, ending, None)
            }
        }
    }

    /// Calls the handler; the request is the handler's from here on.
    fn call<'py>(&mut self, driver: &Bound<'py, Driver>, request: Py<PyAny>) -> Transition<'py> {
        let py = driver.py();
        fault::reach(fault::Point::Call);
        let handler = self.handler();
        let function = handler.function.bind(py).clone();
        let result = match handler.context {
            Some(context_of) => context_of(driver).and_then(|context| {
                let keywords = PyDict::new(py);
                keywords.set_item(intern!(py, "context"), context)?;
                function.call((request,), Some(&keywords))
            }),
            None => function.call1((request,)),
        };
        match result {
            Ok(value) => self.adopt(driver, &value, false),
            Err(error) => self.on_error(driver, error),
        }
    }

    /// Takes what the handler (or its coroutine, if `awaited`) returned as the source of items.
    pub(super) fn adopt<'py>(
        &mut self,
        driver: &Bound<'py, Driver>,
        value: &Bound<'py, PyAny>,
        awaited: bool,
    ) -> Transition<'py> {
        if !self.handler().unary || awaited {
            match ItemSource::of(value) {
                Ok(Some(source)) => {
                    *lock(&driver.get().generator) = Some(source.object(driver.py()).clone().unbind());
                    self.source = Some(source);
                    self.phase = Phase::Iterate;
                    return None;
                }
                Ok(None) => {}
                Err(error) => return self.fail(driver, &error),
            }
        }
        if !awaited && is_awaitable(value) {
            return match awaiter(value.clone()) {
                Ok(pending) => {
                    self.pending = Some(Pending::Awaitable(pending.unbind()));
                    self.phase = Phase::Await;
                    None
                }
                Err(error) => self.fail(driver, &error),
            };
        }
        self.fail(driver, &wrong_result(value, awaited, self.handler().unary))
    }
}
