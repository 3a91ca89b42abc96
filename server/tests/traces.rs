//! One trace follows a message from the request through the log to projections and sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use support::stream::Stream;
use support::{Account, Answer, DEADLINE, Server, kafka, on_kafka};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

const TEXT: &str = "nobody but its readers may see this";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that keeps what it is sent.
#[derive(Clone)]
struct Collector {
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    changes: watch::Sender<()>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.received.lock().unwrap().push(request.into_inner());
        self.changes.send_replace(());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// With its endpoint.
    async fn start() -> (Self, String) {
        let collector = Self { received: Arc::default(), changes: watch::Sender::new(()) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(collector.clone());
        let router = tonic::service::Routes::new(service).into_axum_router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (collector, endpoint)
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let scopes = received.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits until there are spans of all these names.
    async fn until(&self, names: &[&str]) -> Vec<Span> {
        let mut changes = self.changes.subscribe();
        let all = async {
            loop {
                changes.borrow_and_update();
                let spans = self.spans();
                if names.iter().all(|name| count(&spans, name) >= names.iter().filter(|n| n == &name).count())
                {
                    return spans;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(DEADLINE, all).await.unwrap_or_else(|_| {
            let spans: Vec<String> = self.spans().into_iter().map(|span| span.name).collect();
            panic!("of {names:?} there are only {spans:?}")
        })
    }
}

fn count(spans: &[Span], name: &str) -> usize {
    spans.iter().filter(|span| span.name == name).count()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn send(server: &Server, who: &Account, room: &str, flags: &str) {
    let request = server
        .http
        .post(format!("{}/v1/rooms/{room}/messages", server.url))
        .bearer_auth(&who.token)
        .header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"))
        .json(&json!({ "text": TEXT }));
    Answer::of(request).await.created();
}

async fn one_trace_follows_a_message(settings: &[(String, String)]) {
    let (collector, endpoint) = Collector::start().await;
    let mut settings: Vec<(&str, &str)> = settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    settings.extend([("ROOMLOG_OTLP_ENDPOINT", endpoint.as_str()), ("ROOMLOG_OTLP_SAMPLE_RATIO", "0")]);
    let mut server = Server::start_with(&settings).await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Traces").await;
    let mut stream = Stream::open(&server, &ada, json!({})).await;
    send(&server, &ada, &room, "00").await;
    stream.until_text(TEXT).await;
    send(&server, &ada, &room, "01").await;
    stream.until_text(TEXT).await;

    let spans = collector
        .until(&["request", "command", "append", "read_back", "project", "project", "deliver", "write"])
        .await;
    let trace: Vec<String> = spans.iter().map(|span| hex(&span.trace_id)).collect();
    assert!(trace.iter().all(|id| id == TRACE), "only what is sampled is exported: {spans:#?}");
    let one = |name: &str| {
        assert_eq!(count(&spans, name), 1, "{name}");
        spans.iter().find(|span| span.name == name).unwrap()
    };
    assert_eq!(hex(&one("request").parent_span_id), PARENT);
    assert_eq!(one("command").parent_span_id, one("request").span_id);
    for span in spans.iter().filter(|s| ["append", "read_back", "project", "deliver"].contains(&&*s.name)) {
        assert_eq!(span.parent_span_id, one("command").span_id, "{}", span.name);
    }
    assert_eq!(one("write").parent_span_id, one("deliver").span_id);
    let deliver: HashMap<&str, String> =
        one("deliver").attributes.iter().map(|a| (a.key.as_str(), format!("{:?}", a.value))).collect();
    assert!(deliver["room"].contains(&room) && deliver["partition"].contains("rooms/"), "{deliver:?}");
    assert!(deliver.contains_key("offset") && deliver.contains_key("seq"), "{deliver:?}");

    let received = format!("{:?}", collector.received.lock().unwrap());
    for secret in [TEXT, "ada@example.org", ada.token.as_str()] {
        assert!(!received.contains(secret), "{secret} was exported");
    }
    for attribute in ["service.name", "service.instance.id", "roomlog.roles"] {
        assert!(received.contains(attribute), "{attribute}");
    }

    // What is left when the process stops is sent first.
    send(&server, &ada, &room, "01").await;
    assert!(server.stop().await.success());
    assert_eq!(count(&collector.spans(), "request"), 2);
}

#[tokio::test]
async fn one_trace_follows_a_message_through_sqlite() {
    one_trace_follows_a_message(&[]).await;
}

#[tokio::test]
async fn one_trace_follows_a_message_through_kafka() {
    let Some(brokers) = kafka() else { return };
    one_trace_follows_a_message(&on_kafka(&brokers)).await;
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = format!("http://{nobody}");
    let settings = [("ROOMLOG_OTLP_ENDPOINT", endpoint.as_str()), ("ROOMLOG_OTLP_SAMPLE_RATIO", "1")];
    let mut server = Server::start_with(&settings).await;
    let ada = server.account("ada").await;
    let room = server.room(&ada, "Traces").await;
    for n in 0..50 {
        server.send(&ada, &room, &n.to_string()).await;
    }
    assert!(server.stop().await.success());
}
