//! The current trace, and spans that belong to one.
//!
//! Nothing here costs more than a look at a flag while no spans are exported.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use roomlog_eventlog::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Whether this process exports spans.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

pub(crate) fn switch_on() {
    IS_ON.store(true, Ordering::Relaxed);
    roomlog_eventlog::trace::read_traces();
}

/// The current span as a `traceparent` header, for a request to another process. Also of a trace
/// that is not sampled, so that the other process does not begin one of its own.
pub fn current_traceparent() -> Option<String> {
    if !is_on() {
        return None;
    }
    context_of(&Span::current()).map(|context| context.to_string())
}

/// Makes `span` a child of the span that a `traceparent` header names, before anything else is done
/// with it. A header that is none is ignored: the span stays as it is.
pub fn parent_of(span: &Span, traceparent: &str) {
    if let Some(parent) = TraceContext::parse(traceparent.as_bytes()) {
        child_of(span, &parent);
    }
}

/// The same with a header that has been read.
pub fn child_of(span: &Span, parent: &TraceContext) {
    if !is_on() {
        return;
    }
    let parent = SpanContext::new(
        TraceId::from_bytes(parent.trace_id),
        SpanId::from_bytes(parent.span_id),
        if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
        true,
        TraceState::NONE,
    );
    // Fails for a span that nobody exports.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
}

/// The current span's context if its trace is sampled: where it is not, spans below are not worth
/// making.
pub fn sampled() -> Option<TraceContext> {
    if !is_on() {
        return None;
    }
    context_of(&Span::current()).filter(|context| context.is_sampled)
}

/// The context of a span that is exported, if its trace is sampled.
pub fn sampled_of(span: &Span) -> Option<TraceContext> {
    if !is_on() {
        return None;
    }
    context_of(span).filter(|context| context.is_sampled)
}

fn context_of(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        is_sampled: context.is_sampled(),
    })
}
