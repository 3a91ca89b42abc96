//! nginx with the configuration of `infra/nginx`, in front of servers that only say who they are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::guard::Guard;
use super::ports;
use super::proxy::{Proxy, Upstreams};
use super::role::Role;
use crate::cluster::packages;
use crate::workspace;

const KEY: &str = "0198c5c8-3c1b-7d4e-8a55-5a5b0a4f9d11";

/// Two servers of each role.
struct Fakes {
    servers: Vec<(Role, SocketAddr)>,
    requests: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    /// Answers with its role and the request.
    Echo,
    /// Reads the request and closes the connection.
    Die,
}

impl Fakes {
    fn start(behaviour: Behaviour) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let roles = Role::ALL.into_iter().flat_map(|role| [role, role]);
        let servers = roles.map(|role| (role, serve(role, behaviour, requests.clone()))).collect();
        Self { servers, requests }
    }
}

impl Upstreams for Fakes {
    fn of(&self, role: Role) -> Vec<SocketAddr> {
        self.servers.iter().filter(|(of, _)| *of == role).map(|(_, address)| *address).collect()
    }
}

fn serve(role: Role, behaviour: Behaviour, requests: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let request = read_request(&connection);
            requests.fetch_add(1, Ordering::SeqCst);
            if behaviour == Behaviour::Die {
                continue;
            }
            let body = format!("role: {role}\r\n{request}");
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            connection.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    address
}

/// Head and body, as they came.
fn read_request(connection: &TcpStream) -> String {
    let mut reader = BufReader::new(connection);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return request;
        }
        request += &line.to_lowercase();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request + &String::from_utf8(body).unwrap()
}

struct Front {
    fakes: Fakes,
    proxy: Proxy,
    // After the proxy, which uses it.
    _folder: TempDir,
}

impl Front {
    /// `None` where there is no nginx and none is required.
    fn start(behaviour: Behaviour) -> Option<Self> {
        if !packages::has_nginx() {
            let required = std::env::var_os("ROOMLOG_TEST_REQUIRE_NGINX").is_some_and(|value| value == "1");
            assert!(!required, "nginx is not installed");
            eprintln!("skipped: nginx is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let fakes = Fakes::start(behaviour);
        let guard = Arc::new(Guard::start().unwrap());
        let proxy = Proxy::start(folder.path(), ports::free_address().unwrap(), &fakes, guard).unwrap();
        Some(Self { fakes, proxy, _folder: folder })
    }

    /// The whole answer, head and body.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut connection = TcpStream::connect(self.proxy.address()).unwrap();
        let host = "host: chat.example:8080\r\nconnection: close";
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\n{host}\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How many servers have had the request when the answer is there.
    fn attempts(&self, method: &str, path: &str, headers: &str) -> (usize, String) {
        let before = self.fakes.requests.load(Ordering::SeqCst);
        let answer = self.ask(method, path, headers, "{}");
        (self.fakes.requests.load(Ordering::SeqCst) - before, answer)
    }
}

#[test]
fn every_operation_reaches_its_role() {
    let Some(front) = Front::start(Behaviour::Echo) else { return };
    let document = std::fs::read(workspace::root().join("docs/openapi.json")).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // Any value does for a path's parameters.
            let path = path.replace(['{', '}'], "");
            // What every role serves comes from the one that queries go to.
            let role = operation["tags"][0].as_str().unwrap().replace("any", "query-api");
            let answer = front.ask(&method.to_uppercase(), &path, "", "");
            assert!(answer.contains(&format!("role: {role}\r\n")), "{method} {path}, of {role}:\n{answer}");
            operations += 1;
        }
    }
    assert!(operations > 10);
    for (path, role) in [
        ("/v1/stream", Some(Role::WsFanout)),
        ("/v1/openapi.json", Some(Role::QueryApi)),
        ("/livez", Some(Role::QueryApi)),
        ("/readyz", Some(Role::QueryApi)),
        ("/", Some(Role::QueryApi)),
        ("/docs/docs.js", Some(Role::QueryApi)),
        ("/metrics", None),
        ("/nothing", None),
    ] {
        let answer = front.ask("GET", path, "", "");
        match role {
            Some(role) => assert!(answer.contains(&format!("role: {role}\r\n")), "{path}:\n{answer}"),
            None => {
                assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("route_not_found"), "{answer}")
            }
        }
    }
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let Some(front) = Front::start(Behaviour::Echo) else { return };
    let headers = format!("idempotency-key: {KEY}\r\nx-forwarded-for: 203.0.113.9\r\n");
    let answer = front.ask("POST", "/v1/rooms?a=b%20c", &headers, "{\"name\":\"lounge\"}");
    for expected in [
        "post /v1/rooms?a=b%20c http/1.1\r\n",
        "host: chat.example:8080\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        &format!("idempotency-key: {KEY}\r\n"),
        "\r\n\r\n{\"name\":\"lounge\"}",
    ] {
        assert!(answer.contains(expected), "{expected:?}:\n{answer}");
    }
    assert!(!answer.contains("203.0.113.9"), "{answer}");

    let headers = "upgrade: websocket\r\nsec-websocket-protocol: roomlog.v1, bearer.abc\r\n";
    let answer = front.ask("GET", "/v1/stream", headers, "");
    for expected in ["upgrade: websocket\r\n", "connection: upgrade\r\n", "roomlog.v1, bearer.abc\r\n"] {
        assert!(answer.contains(expected), "{expected:?}:\n{answer}");
    }
}

#[test]
fn only_what_cannot_become_a_second_command_is_sent_again() {
    let key = format!("idempotency-key: {KEY}\r\n");
    for (method, path, headers, attempts, code) in [
        ("GET", "/v1/rooms", "", 2, "unavailable"),
        ("GET", "/v1/imports/x/progress", "", 2, "outcome_unknown"),
        ("POST", "/v1/rooms", "", 1, "outcome_unknown"),
        ("POST", "/v1/rooms", key.as_str(), 2, "outcome_unknown"),
        ("PUT", "/v1/rooms/x/members/me", "", 1, "outcome_unknown"),
        ("DELETE", "/v1/rooms/x/members/me", "", 1, "outcome_unknown"),
        ("DELETE", "/v1/rooms/x/members/me", key.as_str(), 2, "outcome_unknown"),
    ] {
        // A proxy for each: one that has seen its servers fail leaves them out for a while.
        let Some(front) = Front::start(Behaviour::Die) else { return };
        let (made, answer) = front.attempts(method, path, headers);
        assert_eq!(made, attempts, "{method} {path} {headers}\n{answer}");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let problem: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(problem["code"], code, "{answer}");
        let named_key = if headers.is_empty() { Value::Null } else { KEY.into() };
        assert_eq!(problem["idempotency_key"], named_key, "{answer}");
    }
}

#[test]
fn a_key_that_is_none_stays_out_of_the_answer() {
    let Some(front) = Front::start(Behaviour::Die) else { return };
    let (_, answer) = front.attempts("POST", "/v1/rooms", "idempotency-key: x\",\"code\":\"accepted\r\n");
    let problem: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(problem["code"], "outcome_unknown", "{answer}");
}
