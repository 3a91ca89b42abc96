//! Export of spans over OTLP (gRPC).
//!
//! Spans wait in a queue of bounded length for a thread that sends them in batches. While the
//! collector is away the queue fills up and further spans are dropped: nothing waits for them.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::trace;

/// Spans that wait at most. One takes about half a kilobyte.
const QUEUE: usize = 8_192;
/// Between two batches.
const INTERVAL: Duration = Duration::from_secs(2);
/// For one batch, and for what is left when the process stops.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The collector's OTLP/gRPC endpoint, for example `http://127.0.0.1:4317`. Empty: no spans are
    /// made. `https` uses the system's root certificates.
    pub otlp_endpoint: String,
    /// Of the traces that begin here, the part that is sampled, from 0 to 1. A trace that comes with
    /// a request is sampled if whoever began it said so.
    pub otlp_sample_ratio: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { otlp_endpoint: String::new(), otlp_sample_ratio: 0.01 }
    }
}

/// Which process the spans are of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// For example `command-api,projectors`.
    pub roles: String,
    /// Tells the processes of one role apart.
    pub instance: String,
    pub version: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the sample ratio is from 0 to 1, not {0}")]
    Ratio(f64),
    #[error("`{endpoint}` is no endpoint for spans")]
    Endpoint {
        endpoint: String,
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
}

/// Sends the spans. To be [stopped](Exporter::stop) before the process ends.
#[derive(Debug, Clone)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// `None` where no endpoint is set. Has to be called on a Tokio runtime, which outlives the
    /// exporter. Connects when there is something to send.
    pub fn start(options: &Options, process: &Process) -> Result<Option<Self>, Error> {
        let ratio = options.otlp_sample_ratio;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Error::Ratio(ratio));
        }
        let endpoint = options.otlp_endpoint.trim();
        if endpoint.is_empty() {
            return Ok(None);
        }
        let mut builder = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(PATIENCE);
        if endpoint.starts_with("https://") {
            builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let exporter =
            builder.build().map_err(|source| Error::Endpoint { endpoint: endpoint.to_owned(), source })?;
        let batches =
            BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_scheduled_delay(INTERVAL).build();
        let resource = Resource::builder()
            .with_service_name("roomlog")
            .with_attributes([
                KeyValue::new("service.version", process.version.clone()),
                KeyValue::new("service.instance.id", process.instance.clone()),
                KeyValue::new("roomlog.roles", process.roles.clone()),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_resource(resource)
            .build();
        trace::switch_on();
        Ok(Some(Self { provider }))
    }

    /// Takes the platform's own spans of level `INFO` and above, whatever the logs show. Log lines
    /// are not exported: they are in the logs.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("roomlog"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter_fn(is_exported))
    }

    /// Sends what is left, for at most three seconds.
    pub async fn stop(self) {
        let stopping = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(PATIENCE));
        if let Ok(Err(error)) = stopping.await {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with("roomlog")
}
