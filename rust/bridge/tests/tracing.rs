//! Spans and events of calls, as a subscriber of `tracing` sees them.

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use pybridge::{CallOptions, Engine, Reason};
use support::{Script, collect, run, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const SCRIPT: &str = "
import asyncio
from pybridge import PooledEngine
records = []
async def handler(request):
    yield 'one'
    if request == 'wait':
        await asyncio.sleep(3600)
    if request == 'raise':
        raise LookupError('secret')
    if request == 'nest':
        async for item in inner(request, request_id='inner'):
            yield item
async def nested(request):
    yield 2
inner = PooledEngine(nested, name='inner')
";

type Fields = BTreeMap<&'static str, String>;

/// Spans and events, as they are closed or come.
#[derive(Debug, Clone)]
struct Seen {
    name: &'static str,
    /// Name of the span it is in, and that one's request.
    parent: Option<(&'static str, String)>,
    fields: Fields,
}

static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

struct Collect;

struct Write<'a>(&'a mut Fields);

impl Visit for Write<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

fn see(seen: Seen) {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Write(&mut fields));
        context.span(id).expect("it is new").extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("it is open");
        values.record(&mut Write(span.extensions_mut().get_mut::<Fields>().expect("put there")));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let name = context.span(id).expect("it is open").name();
        assert_ne!(name, "pybridge.call", "calls alternate on a thread");
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Write(&mut fields));
        let parent = context.event_span(event).map(|span| (span.name(), id_of(&span)));
        see(Seen { name: "event", parent, fields });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("it closes now");
        let parent = span.parent().map(|parent| (parent.name(), id_of(&parent)));
        let fields = span.extensions().get::<Fields>().expect("put there").clone();
        see(Seen { name: span.name(), parent, fields });
    }
}

fn id_of<S: for<'a> LookupSpan<'a>>(span: &tracing_subscriber::registry::SpanRef<'_, S>) -> String {
    span.extensions().get::<Fields>().and_then(|fields| fields.get("request_id").cloned()).unwrap_or_default()
}

fn subscribe() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Collect)).expect("the first");
    });
}

/// What was seen of a request: its span once that is closed, and its events.
async fn seen_of(id: &str) -> (Seen, Vec<Seen>) {
    let of = |name: &str| -> Vec<Seen> {
        let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |seen: &&Seen| seen.fields.get("request_id").is_some_and(|found| found == id);
        seen.iter().filter(named).filter(|seen| seen.name == name).cloned().collect()
    };
    until(|| !of("pybridge.call").is_empty()).await;
    let [span] = <[Seen; 1]>::try_from(of("pybridge.call")).expect("one span");
    (span, of("event"))
}

fn field<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.fields.get(name).map_or("", String::as_str)
}

fn named(id: &str) -> CallOptions {
    CallOptions::default().request_id(id)
}

#[test]
fn a_call_is_a_span_that_ends_with_it() {
    subscribe();
    let engine = Script::new(SCRIPT).engine_with(|builder| builder.name("chat"));
    run(async move {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let outer = tracing::info_span!("outer");
        let options = named("done").traceparent(trace);
        let stream = outer.in_scope(|| engine.generate::<_, String>("", options).expect("a place"));
        collect(stream).await;
        let (span, events) = seen_of("done").await;
        let [engine, parent, ending, reason] =
            ["engine", "traceparent", "ending", "reason"].map(|name| field(&span, name));
        assert_eq!((engine, parent, ending, reason), ("chat", trace, "finished", ""));
        assert_eq!((field(&span, "items"), field(&span, "bytes")), ("1", "4"));
        assert_eq!(span.parent.map(|(name, _)| name), Some("outer"));
        assert!(events.is_empty());
    });
}

#[test]
fn a_cancelled_call_says_why_while_its_stream_is_still_held() {
    subscribe();
    let engine = Script::new(SCRIPT).engine();
    run(async move {
        let mut stream = engine.generate::<_, String>("wait", named("stopped")).expect("a place");
        stream.next().await.expect("an item").expect("no failure");
        stream.cancel(Reason::Client);
        let (span, events) = seen_of("stopped").await;
        assert_eq!((field(&span, "ending"), field(&span, "reason")), ("cancelled", "client"));
        assert!(span.parent.is_none() && events.is_empty());
        drop(stream);
        let late = named("late").timeout(Duration::ZERO);
        collect(engine.generate::<_, String>("wait", late).expect("a place")).await;
        let (span, _) = seen_of("late").await;
        assert_eq!(
            (field(&span, "ending"), field(&span, "reason"), field(&span, "items")),
            ("cancelled", "deadline", "0")
        );
    });
}

#[test]
fn a_failure_is_an_event_in_the_calls_span_and_not_logged_by_python() {
    subscribe();
    let script = Script::new(SCRIPT);
    script.eval("__import__('logging').getLogger('pybridge.handler').addFilter(lambda record: records.append(record))");
    let engine = script.engine();
    run(async move {
        collect(engine.generate::<_, String>("raise", named("failed")).expect("a place")).await;
        let (span, events) = seen_of("failed").await;
        assert_eq!((field(&span, "ending"), field(&span, "reason")), ("raised", "LookupError"));
        let [event] = <[Seen; 1]>::try_from(events).expect("one event");
        assert_eq!(event.parent, Some(("pybridge.call", "failed".to_owned())));
        assert_eq!((field(&event, "class"), field(&event, "error")), ("LookupError", "secret"));
        assert!(field(&event, "traceback").contains("in handler"));
        assert_eq!(field(&event, "message"), "the handler failed");
    });
    assert_eq!(script.eval("records"), "[]");
}

#[test]
fn a_nested_call_is_a_child_of_the_call_whose_handler_makes_it() {
    subscribe();
    let script = Script::new(SCRIPT);
    let engine = script.engine();
    run(async move {
        collect(engine.generate::<_, serde_json::Value>("nest", named("around")).expect("a place")).await;
        let (span, _) = seen_of("inner").await;
        assert_eq!((field(&span, "engine"), field(&span, "ending")), ("inner", "finished"));
        assert_eq!(span.parent, Some(("pybridge.call", "around".to_owned())));
    });
}

#[test]
fn a_host_that_is_told_of_failures_gets_no_event() {
    subscribe();
    let engine: Engine = Script::new(SCRIPT).engine_with(|builder| builder.on_failure(|_, _| ()));
    run(async move {
        collect(engine.generate::<_, String>("raise", named("told")).expect("a place")).await;
        assert!(seen_of("told").await.1.is_empty());
    });
}
