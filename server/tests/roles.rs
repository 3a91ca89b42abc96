//! Roles through the whole platform: commands over REST and on the socket, their events, and queries.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::stream::Stream;
use support::{Account, Answer, Server};
use uuid::Uuid;

const NOBODY: &str = "00000000-0000-8000-8000-000000000000";

struct Scene {
    server: Server,
    ada: Account,
    bob: Account,
    eve: Account,
    room: String,
}

/// Ada owns a room in which Bob and Eve are members.
async fn scene() -> Scene {
    let server = Server::start().await;
    let (ada, bob, eve) =
        (server.account("ada").await, server.account("bob").await, server.account("eve").await);
    let room = server.room(&ada, "Lounge").await;
    server.join(&bob, &room).await;
    server.join(&eve, &room).await;
    Scene { server, ada, bob, eve, room }
}

impl Scene {
    async fn put(&self, who: &Account, path: &str, body: Value) -> Answer {
        let path = format!("/v1/rooms/{}/{path}", self.room);
        self.server.request(Method::PUT, &path, Some(&who.token), Some(body)).await
    }

    async fn delete(&self, who: &Account, path: &str) -> Answer {
        let path = format!("/v1/rooms/{}/{path}", self.room);
        self.server.request(Method::DELETE, &path, Some(&who.token), None).await
    }

    async fn set_role(&self, who: &Account, whom: &str, role: &str) -> Answer {
        self.put(who, &format!("members/{whom}/role"), json!({ "role": role })).await
    }

    async fn make_role(&self, who: &Account, body: Value) -> Answer {
        self.server.post(&format!("/v1/rooms/{}/roles", self.room), &who.token, body).await
    }

    async fn send(&self, who: &Account) -> Answer {
        let path = format!("/v1/rooms/{}/messages", self.room);
        self.server.post(&path, &who.token, json!({"text": "hello"})).await
    }

    /// Whether an account may do this, as of a command.
    async fn explained(&self, whom: &Account, permission: &str, after: &Value) -> (bool, Value) {
        let path = format!(
            "/v1/rooms/{}/members/{}/permissions?permission={permission}&min_position={}&wait_ms=20000",
            self.room,
            whom.id,
            after["position"].as_str().unwrap()
        );
        let item = self.server.get(&path, &self.eve.token).await.ok()["items"][0].clone();
        (item["allowed"].as_bool().unwrap(), item["rule"]["kind"].clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_given_used_and_taken() {
    let s = scene().await;
    let mut stream = Stream::open(&s.server, &s.eve, json!({})).await;
    let given = s.set_role(&s.ada, &s.bob.id, "admin").await.ok();
    assert_eq!(given["seq"], 5);
    let event = stream.next().await.unwrap()["event"].clone();
    assert_eq!(
        (&event["type"], &event["account_id"], &event["role"], &event["by"]),
        (&json!("role_set"), &json!(s.bob.id), &json!("admin"), &json!(s.ada.id))
    );
    assert_eq!(s.explained(&s.bob, "role.grant", &given).await, (true, json!("role")));
    s.set_role(&s.bob, &s.eve.id, "guest").await.ok();
    s.send(&s.eve).await.problem(403, "not_allowed");
    let taken = s.delete(&s.bob, &format!("members/{}/role", s.eve.id)).await.ok();
    assert_eq!(s.explained(&s.eve, "message.send", &taken).await, (true, json!("role")));
    s.send(&s.eve).await.created();

    // What no one may.
    s.set_role(&s.eve, &s.eve.id, "moderator").await.problem(403, "not_allowed");
    s.set_role(&s.bob, &s.ada.id, "member").await.problem(403, "rank_too_low");
    s.set_role(&s.bob, &s.eve.id, "admin").await.problem(403, "rank_too_low");
    s.delete(&s.ada, &format!("members/{}/role", s.ada.id)).await.problem(409, "last_owner");
    s.set_role(&s.ada, NOBODY, "admin").await.problem(404, "member_not_found");
    s.set_role(&s.ada, &s.bob.id, NOBODY).await.problem(404, "role_not_found");
    s.set_role(&s.ada, &s.bob.id, "king").await.problem(422, "invalid_body");
    s.set_role(&s.ada, "nonsense", "admin").await.problem(400, "invalid_path");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_is_handed_over() {
    let s = scene().await;
    s.put(&s.bob, "owner", json!({"account_id": s.eve.id})).await.problem(403, "not_allowed");
    let handed = s.put(&s.ada, "owner", json!({"account_id": s.bob.id})).await.ok();
    assert_eq!(s.explained(&s.bob, "role.manage", &handed).await, (true, json!("owner")));
    assert_eq!(s.explained(&s.ada, "role.manage", &handed).await, (true, json!("role")));
    s.server.leave(&s.ada, &s.room).await;
    let path = format!("/v1/rooms/{}/members/me", s.room);
    let left = s.server.request(Method::DELETE, &path, Some(&s.bob.token), None).await;
    left.problem(409, "last_owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_roles_and_overrides_change_what_members_may() {
    let s = scene().await;
    let helper = json!({"name": "Helper", "rank": 30, "permissions": ["message.send", "member.kick"]});
    s.make_role(&s.bob, helper.clone()).await.problem(403, "not_allowed");
    let made = s.make_role(&s.ada, helper.clone()).await.created();
    let id = made["role_id"].as_str().unwrap().to_owned();
    let given = s.set_role(&s.ada, &s.bob.id, &id).await.ok();
    assert_eq!(s.explained(&s.bob, "member.kick", &given).await, (true, json!("role")));

    let path = format!("/v1/rooms/{}/roles?min_position={}", s.room, given["position"].as_str().unwrap());
    let roles = s.server.get(&path, &s.bob.token).await.ok();
    let listed = roles["items"].as_array().unwrap().iter().find(|role| role["role"] == id.as_str());
    assert_eq!(listed.unwrap()["name"], "Helper");

    let changed = json!({"name": "Listener", "rank": 30, "permissions": []});
    let changed = s.put(&s.ada, &format!("roles/{id}"), changed).await.ok();
    assert_eq!(changed["role_id"], json!(id));
    s.send(&s.bob).await.problem(403, "not_allowed");
    let said = s.put(&s.ada, &format!("overrides/{id}"), json!({"allow": ["message.send"]})).await.ok();
    assert_eq!(s.explained(&s.bob, "message.send", &said).await, (true, json!("override")));
    s.send(&s.bob).await.created();
    s.delete(&s.ada, &format!("overrides/{id}")).await.ok();
    s.send(&s.bob).await.problem(403, "not_allowed");
    s.delete(&s.ada, &format!("roles/{id}")).await.ok();
    s.send(&s.bob).await.created();
    s.delete(&s.ada, &format!("roles/{id}")).await.problem(404, "role_not_found");

    s.put(&s.ada, "overrides/member", json!({"deny": ["message.send"]})).await.ok();
    s.send(&s.bob).await.problem(403, "not_allowed");
    s.send(&s.ada).await.created();
    let both = json!({"allow": ["message.send"], "deny": ["message.send"]});
    s.put(&s.ada, "overrides/member", both).await.problem(422, "override_contradicts");
    s.put(&s.ada, "overrides/owner", json!({"deny": ["message.send"]})).await.problem(403, "rank_too_low");
    s.put(&s.ada, "overrides/king", json!({})).await.problem(400, "invalid_path");
    s.put(&s.ada, "overrides/guest", json!({"deny": ["fly"]})).await.problem(422, "invalid_body");
    for (body, code) in [
        (json!({"name": "", "rank": 30}), "invalid_name"),
        (json!({"name": "a", "rank": 0}), "invalid_rank"),
        (json!({"name": "a", "rank": 100}), "invalid_rank"),
        (json!({"name": "a", "rank": 1000}), "invalid_body"),
        (json!({"name": "a", "rank": 30, "permissions": ["fly"]}), "invalid_body"),
    ] {
        s.make_role(&s.ada, body).await.problem(422, code);
    }
    let sub = json!({"name": "Corner", "parent_id": s.room});
    let sub = s.server.post("/v1/rooms", &s.ada.token, sub).await.created();
    let path = format!("/v1/rooms/{}/roles", sub["room_id"].as_str().unwrap());
    s.server.post(&path, &s.ada.token, helper).await.problem(422, "roles_are_of_roots");
    s.server.join(&s.bob, sub["room_id"].as_str().unwrap()).await;
    let path = format!("/v1/rooms/{}/members/{}/role", sub["room_id"].as_str().unwrap(), s.bob.id);
    let guest = Some(json!({"role": "guest"}));
    let guest = s.server.request(Method::PUT, &path, Some(&s.ada.token), guest).await;
    guest.problem(422, "guest_of_root_only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_made_once_for_each_key_whatever_the_way() {
    let s = scene().await;
    let key = Uuid::now_v7().to_string();
    let body = json!({"name": "Helper", "rank": 30, "permissions": ["message.send"]});
    let request = async || {
        let url = format!("{}/v1/rooms/{}/roles", s.server.url, s.room);
        let request = s.server.http.post(url).bearer_auth(&s.ada.token).header("Idempotency-Key", &key);
        Answer::of(request.json(&body)).await.created()
    };
    let first = request().await;
    assert_eq!(request().await, first);

    let mut stream = Stream::open(&s.server, &s.ada, json!({})).await;
    let mut command =
        json!({"type": "command", "id": "1", "key": key, "command": "create_role", "room_id": s.room});
    command.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    stream.send(command).await;
    let answer = stream.next().await.unwrap();
    assert_eq!((&answer["type"], &answer["role_id"]), (&json!("accepted"), &first["role_id"]));
    for (id, command, code) in [
        ("2", json!({"command": "set_role", "account_id": s.bob.id, "role": "owner"}), None),
        ("3", json!({"command": "set_role", "account_id": s.bob.id, "role": "member"}), Some("rank_too_low")),
        ("4", json!({"command": "transfer_ownership", "account_id": NOBODY}), Some("member_not_found")),
        (
            "5",
            json!({"command": "change_role", "role_id": NOBODY, "name": "a", "rank": 1}),
            Some("role_not_found"),
        ),
        ("6", json!({"command": "remove_role", "role_id": first["role_id"]}), None),
        ("7", json!({"command": "set_override", "role": "member", "deny": ["message.send"]}), None),
    ] {
        let mut frame = json!({"type": "command", "id": id, "room_id": s.room});
        frame.as_object_mut().unwrap().extend(command.as_object().unwrap().clone());
        stream.send(frame).await;
        let answer = loop {
            let frame = stream.next().await.unwrap();
            if frame["id"] == id {
                break frame;
            }
        };
        assert_eq!(answer["problem"]["code"].as_str(), code, "{answer}");
    }
    s.send(&s.eve).await.problem(403, "not_allowed");
}
