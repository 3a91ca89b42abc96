//! Traces across processes: W3C trace context and export over OTLP.
