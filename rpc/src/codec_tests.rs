//! Everything that travels comes out as it went in.

use proptest::prelude::*;
use roomlog_domain::role::Override;
use roomlog_domain::{Command, Context, Permission, Permissions, Role, command};
use roomlog_schemas::{Access, History, MessageId, RoleId, RoomKind};

use super::*;

fn ids() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn content() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn import_kinds() -> impl Strategy<Value = command::ImportKind> {
    use command::ImportKind as Kind;
    prop_oneof![
        (ids(), content(), prop::option::of(ids())).prop_map(|(id, text, reply_to)| Kind::Message {
            message_id: MessageId(id),
            text,
            reply_to: reply_to.map(MessageId),
        }),
        Just(Kind::Join),
        Just(Kind::Leave),
        ids().prop_map(|to| Kind::Rename { to: AccountId(to) }),
    ]
}

fn import_batches() -> impl Strategy<Value = command::ImportBatch> {
    let item = (any::<u64>(), ".*", any::<i64>(), ids(), import_kinds()).prop_map(
        |(position, source_id, time_ms, account, kind)| command::ImportItem {
            position,
            source_id,
            time_ms,
            account_id: AccountId(account),
            kind,
        },
    );
    (ids(), ".*", prop::collection::vec(item, 0..5)).prop_map(|(room, source, items)| command::ImportBatch {
        room_id: RoomId(room),
        source,
        items,
    })
}

fn commands() -> impl Strategy<Value = Command> {
    let kinds = prop::sample::select(vec![RoomKind::Group, RoomKind::Direct, RoomKind::Broadcast]);
    let accesses = prop::sample::select(vec![Access::Public, Access::Restricted, Access::Vip]);
    let histories = prop::sample::select(vec![History::FromBeginning, History::FromJoin]);
    prop_oneof![
        (ids(), content(), content()).prop_map(|(id, username, email)| {
            Command::RegisterAccount(command::RegisterAccount { account_id: AccountId(id), username, email })
        }),
        (ids(), content(), content()).prop_map(|(id, username, email)| {
            Command::ClaimAccount(command::ClaimAccount { account_id: AccountId(id), username, email })
        }),
        (".*", prop::collection::vec((ids().prop_map(AccountId), content()), 0..5)).prop_map(
            |(source, accounts)| Command::ImportAccounts(command::ImportAccounts { source, accounts })
        ),
        (ids(), prop::option::of(ids()), kinds, accesses, histories, content(), prop::option::of(".*"))
            .prop_map(|(room, parent, kind, access, history, name, source)| {
                Command::CreateRoom(command::CreateRoom {
                    room_id: RoomId(room),
                    parent_id: parent.map(RoomId),
                    kind,
                    access,
                    history,
                    name,
                    creator_id: AccountId(room),
                    source,
                })
            }),
        (ids(), ids()).prop_map(|(room, account)| Command::JoinRoom {
            room_id: RoomId(room),
            account_id: AccountId(account)
        }),
        (ids(), ids()).prop_map(|(room, account)| Command::LeaveRoom {
            room_id: RoomId(room),
            account_id: AccountId(account)
        }),
        (ids(), ids(), content(), prop::option::of(ids())).prop_map(|(room, message, text, reply_to)| {
            Command::SendMessage(command::SendMessage {
                room_id: RoomId(room),
                message_id: MessageId(message),
                author_id: AccountId(room),
                text,
                reply_to: reply_to.map(MessageId),
            })
        }),
        import_batches().prop_map(|batch| Command::Import(Box::new(batch))),
        commands_about_roles(),
    ]
}

fn commands_about_roles() -> impl Strategy<Value = Command> {
    let roles = || {
        let custom = ids().prop_map(|id| Role::Custom(RoleId(id)));
        prop_oneof![prop::sample::select(Role::BUILT_IN.to_vec()), custom]
    };
    let permissions = || prop::collection::vec(prop::sample::select(Permission::ALL), 0..5);
    let set = |permissions: Vec<Permission>| permissions.into_iter().collect::<Permissions>();
    prop_oneof![
        (ids(), ids(), roles()).prop_map(|(room, account, role)| Command::SetRole(command::SetRole {
            room_id: RoomId(room),
            account_id: AccountId(account),
            role,
            by: AccountId(room),
        })),
        (ids(), ids(), content(), any::<u8>(), permissions()).prop_map(
            move |(room, role, name, rank, permissions)| Command::CreateRole(command::DefineRole {
                room_id: RoomId(room),
                role_id: RoleId(role),
                name,
                rank,
                permissions: set(permissions),
                by: AccountId(room),
            })
        ),
        (ids(), roles(), permissions(), permissions()).prop_map(move |(room, role, allow, deny)| {
            Command::SetOverride(command::SetOverride {
                room_id: RoomId(room),
                role,
                set: Override { allow: set(allow), deny: set(deny) },
                by: AccountId(room),
            })
        }),
    ]
}

proptest! {
    #[test]
    fn requests_survive(
        command in commands(),
        known in prop::collection::vec(ids().prop_map(MessageId), 0..4),
        (actor, fingerprint, traceparent) in (
            prop::option::of(ids()), prop::option::of(content()), prop::option::of(".*")
        ),
        (number, hops_left, within) in (any::<u32>(), any::<u8>(), 0..1_000_000_i64),
    ) {
        let partition = TopicPartition::rooms(number);
        let sent = Request {
            actor: actor.map(AccountId),
            key: fingerprint.map(|print| (IdempotencyKey::new(Uuid::now_v7()).unwrap(), print)),
            command,
            context: Context { known_messages: known },
            deadline: 5_000 + within,
            traceparent,
        };
        // Read where the clock shows another time.
        let read = request(run_request(partition, &sent, 5_000, hops_left), 1_000_000).unwrap();
        prop_assert_eq!(read.0, partition);
        prop_assert_eq!(read.2, hops_left);
        let received = read.1;
        prop_assert_eq!(received.deadline, 1_000_000 + within);
        prop_assert_eq!(received.actor, sent.actor);
        prop_assert_eq!(received.key, sent.key);
        prop_assert_eq!(received.command, sent.command);
        prop_assert_eq!(received.context, sent.context);
        prop_assert_eq!(received.traceparent, sent.traceparent);
    }
}

#[test]
fn content_travels_as_bytes_not_as_a_list_of_numbers() {
    let text = Bytes::from(vec![255; 100_000]);
    let room_id = RoomId(Uuid::from_u128(1));
    let (message_id, author_id) = (MessageId(Uuid::from_u128(2)), AccountId(Uuid::from_u128(3)));
    let send = command::SendMessage { room_id, message_id, author_id, text, reply_to: None };
    let packed = pack(&Command::SendMessage(send));
    assert!(packed.len() < 100_200, "{} bytes", packed.len());
}

#[test]
fn a_context_of_an_older_version_has_what_it_lacks_by_default() {
    let none: Vec<(u8, u8)> = Vec::new();
    let empty = pack(&none.into_iter().collect::<std::collections::BTreeMap<u8, u8>>());
    assert_eq!(unpack::<Context>("a context", &empty), Ok(Context::default()));
}

#[test]
fn what_is_not_known_is_unreadable_rather_than_something_else() {
    use crate::proto::{self, run_reply::Result as Reply};
    let unknown = [
        None,
        Some(Reply::Rejected("of_next_year".into())),
        Some(Reply::Failed(99)),
        Some(Reply::Failed(0)),
        Some(Reply::Accepted(proto::Done { answer: Bytes::from_static(b"\xc1"), offset: 1 })),
    ];
    for result in unknown {
        assert!(peer_answer(proto::RunReply { result }).is_err());
    }
    let foreign = proto::Partition { topic: "members".into(), number: 0 };
    assert!(partition(Some(foreign)).is_err());
    assert!(partition(None).is_err());
    assert!(account(&[1, 2, 3]).is_err());
    assert!(idempotency_key(Uuid::from_u128(1).as_bytes()).is_err(), "not version 7");
}

#[test]
fn rejections_have_codes_of_their_own() {
    let codes: std::collections::HashSet<_> =
        Rejection::ALL.iter().map(|rejection| rejection.code()).collect();
    assert_eq!(codes.len(), Rejection::ALL.len());
}
