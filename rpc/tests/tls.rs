//! Mutual TLS: only processes with a certificate of the CA talk to each other.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use common::*;
use roomlog_command_api::forward::{PeerAnswer, PeerError, Peers};
use roomlog_rpc::{GrpcPeers, Pool, TlsConfig, Transport, TransportError, TransportOptions};
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

const MOVED: PeerAnswer = PeerAnswer::Moved { owner: None };
const LONG: Duration = Duration::from_secs(10);

async fn ask(server: &Server, transport: Transport) -> Result<PeerAnswer, PeerError> {
    let peers = GrpcPeers::new(Pool::new(transport));
    within("an answer", peers.run(&server.address, ROOMS_3, request(LONG), 1)).await
}

#[tokio::test]
async fn processes_of_one_ca_talk_to_each_other_and_to_nobody_else() {
    let (_here, ours) = certificates();
    let (_there, theirs) = certificates();
    let writers = FakeWriters::answering(MOVED);
    let server = Server::start_with(tls(&ours), writers.services()).await;
    assert_eq!(ask(&server, tls(&ours)).await, Ok(MOVED));
    assert_eq!(writers.asked.lock().unwrap().len(), 1);

    // The server's certificate is not believed.
    let distrusted = ask(&server, tls(&theirs)).await;
    assert!(matches!(distrusted, Err(PeerError::NotSent(_))), "{distrusted:?}");

    // The client's certificate is not believed.
    let foreign = TlsConfig { ca_file: ours.ca_file.clone(), ..theirs };
    let refused = ask(&server, tls(&foreign)).await;
    assert!(refused.is_err(), "{refused:?}");

    // Without TLS, under the address that heartbeats might give.
    let plain_address = server.address.replace("https", "http");
    let peers = GrpcPeers::new(Pool::new(tls(&ours)));
    let downgraded = peers.run(&plain_address, ROOMS_3, request(LONG), 1).await;
    assert!(matches!(downgraded, Err(PeerError::NotSent(_))), "{downgraded:?}");

    assert_eq!(writers.asked.lock().unwrap().len(), 1, "nothing more has come through");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let (_folder, ours) = certificates();
    let writers = FakeWriters::answering(MOVED);
    let server = Server::start_with(tls(&ours), writers.services()).await;
    let ca = Certificate::from_pem(std::fs::read(&ours.ca_file).unwrap());
    let endpoint = Endpoint::from_shared(server.address.clone())
        .unwrap()
        .tls_config(ClientTlsConfig::new().ca_certificate(ca))
        .unwrap();
    let mut client = tonic::client::Grpc::new(endpoint.connect_lazy());
    let asking = async {
        client.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static("/roomlog.internal.v1.Writers/Run");
        client.unary(tonic::Request::new(()), path, tonic_prost::ProstCodec::<(), ()>::default()).await
    };
    let status = within("a refusal", asking).await.unwrap_err();
    // An answer of the service itself would be another.
    assert!(!matches!(status.code(), Code::Ok | Code::InvalidArgument), "{status:?}");
    assert!(writers.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn certificates_may_bear_another_name_than_the_host() {
    let (_folder, ours) = certificates();
    let server = Server::start_with(tls(&ours), FakeWriters::answering(MOVED).services()).await;
    let named = TlsConfig { server_name: Some("localhost".into()), ..ours.clone() };
    assert_eq!(ask(&server, tls(&named)).await, Ok(MOVED));
    let misnamed = TlsConfig { server_name: Some("other.example".into()), ..ours };
    let refused = ask(&server, tls(&misnamed)).await;
    assert!(matches!(refused, Err(PeerError::NotSent(_))), "{refused:?}");
}

#[test]
fn plain_connections_need_permission() {
    let refused = Transport::new(&TransportOptions::default());
    assert!(matches!(refused, Err(TransportError::NoTls)));
}

#[test]
fn files_that_cannot_be_used_are_found_out_at_the_start() {
    let (folder, ours) = certificates();
    let start = |config: TlsConfig| {
        Transport::new(&TransportOptions { tls: Some(config), allow_plain: false }).err().expect("an error")
    };
    let missing = start(TlsConfig { key_file: folder.path().join("missing"), ..ours.clone() });
    assert!(missing.to_string().ends_with("missing"), "{missing}");
    let swapped = start(TlsConfig { cert_file: ours.key_file.clone(), ..ours.clone() });
    assert!(matches!(swapped, TransportError::Unusable(_)), "{swapped}");
    let foreign_key = start(TlsConfig { key_file: folder.path().join("broker.key"), ..ours });
    assert!(matches!(foreign_key, TransportError::Unusable(_)), "{foreign_key}");
}
