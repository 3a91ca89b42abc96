//! Random commands and events over few ids, so that they meet each other often.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use roomlog_schemas::{
    AccountClaimed, AccountRegistered, ImportNoted, Imported, MemberJoined, MemberLeft, MessageSent,
    RoomCreated, SessionEnded,
};

use super::*;

const ACCOUNTS: u128 = 3;
const FIRST_ROOMS: [u128; 4] = [0, 1, 2, 3];
const ROOMS: u128 = 8;
const MESSAGES: u128 = 12;
const POSITIONS: u64 = 30;

pub fn account() -> impl Strategy<Value = AccountId> {
    (0..ACCOUNTS).prop_map(AccountId::from_u128)
}

pub fn room() -> impl Strategy<Value = RoomId> {
    prop_oneof![5 => select(FIRST_ROOMS.to_vec()), 1 => 0..ROOMS].prop_map(RoomId::from_u128)
}

pub fn message() -> impl Strategy<Value = MessageId> {
    (0..MESSAGES).prop_map(MessageId::from_u128)
}

/// What comes to an owner: a command with what is known besides.
pub fn request() -> impl Strategy<Value = (Command, Context)> {
    let context = prop_oneof![4 => Just(vec![]), 1 => vec(message(), 1..4)];
    (command(), context.prop_map(|known_messages| Context { known_messages }))
}

/// From a small tree with members on: without one, nearly every command would be refused.
pub fn requests() -> impl Strategy<Value = Vec<(Command, Context)>> {
    (account(), account(), permissions(), access(), access(), vec(request(), 0..60)).prop_map(
        |(owner, admin, denied, leaf_access, other_access, requests)| {
            let [root, sub, leaf, other_root] = FIRST_ROOMS.map(RoomId::from_u128);
            let first = [
                creation(root, None, owner),
                creation(sub, Some(root), owner),
                CreateRoom { access: leaf_access, ..creation(leaf, Some(sub), owner) },
                CreateRoom { access: other_access, ..creation(other_root, None, owner) },
            ];
            let everyone = (0..ACCOUNTS).map(AccountId::from_u128).map(|account| join(root, account));
            // An admin that lacks something can be asked for more than it holds.
            let roles = [
                set_role(root, owner, admin, Role::Admin),
                set_override(root, owner, Role::Admin, &[], &denied),
            ];
            let first = first.map(Command::CreateRoom).into_iter().chain(everyone).chain(roles);
            first.map(|command| (command, Context::default())).chain(requests).collect()
        },
    )
}

pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => account().prop_map(register),
        1 => account().prop_map(claim),
        1 => vec(account(), 0..4).prop_map(import_accounts),
        1 => (account(), session()).prop_map(|(account_id, session)| end_session(account_id, session)),
        8 => room_creation().prop_map(Command::CreateRoom),
        8 => (room(), account()).prop_map(|(room_id, account_id)| join(room_id, account_id)),
        4 => (room(), account()).prop_map(|(room_id, account_id)| leave(room_id, account_id)),
        6 => (room(), account(), message()).prop_map(|(room_id, author, id)| send(room_id, author, id)),
        3 => (room(), account(), message(), message())
            .prop_map(|(room_id, author, id, to)| reply(room_id, author, id, to)),
        6 => import_batch().prop_map(|batch| Command::Import(Box::new(batch))),
        20 => command_about_roles(),
    ]
}

pub fn command_about_roles() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => (room(), account(), account(), held_role())
            .prop_map(|(room_id, by, account_id, role)| set_role(room_id, by, account_id, role)),
        1 => (room(), account(), account()).prop_map(|(room_id, by, to)| transfer(room_id, by, to)),
        6 => (root(), account(), role_id(), rank(), permissions())
            .prop_map(|(root, by, role_id, rank, may)| create_role(root, by, role_id, rank, &may)),
        2 => (root(), account(), role_id(), rank(), permissions())
            .prop_map(|(root, by, role_id, rank, may)| change_role(root, by, role_id, rank, &may)),
        3 => (root(), account(), role_id())
            .prop_map(|(root, by, role_id)| remove_role(root, by, role_id)),
        6 => (room(), account(), held_role(), permissions(), permissions())
            .prop_map(|(room_id, by, role, allow, deny)| set_override(room_id, by, role, &allow, &deny)),
    ]
}

/// Mostly the first one, so that roles are made where they are used.
fn root() -> impl Strategy<Value = RoomId> {
    prop_oneof![4 => Just(RoomId::from_u128(FIRST_ROOMS[0])), 1 => room()]
}

fn held_role() -> impl Strategy<Value = Role> {
    prop_oneof![
        3 => select(Role::BUILT_IN.to_vec()),
        2 => role_id().prop_map(Role::Custom),
    ]
}

fn role_id() -> impl Strategy<Value = RoleId> {
    (0..3_u128).prop_map(RoleId::from_u128)
}

fn rank() -> impl Strategy<Value = u8> {
    prop_oneof![8 => select(vec![1, 15, 20, 50, 60, 70, 80, 99]), 1 => any::<u8>()]
}

/// Few of few, so that they meet.
fn permissions() -> impl Strategy<Value = Vec<Permission>> {
    use Permission::{MessageSend, OverrideManage, RoleGrant, RoleManage, RoomCreateSub};
    vec(select(vec![MessageSend, RoomCreateSub, RoleGrant, RoleManage, OverrideManage]), 0..4)
}

fn room_creation() -> impl Strategy<Value = CreateRoom> {
    let parent = option::weighted(0.8, room());
    let source = option::weighted(0.3, Just(SOURCE.to_owned()));
    (0..ROOMS, parent, kind(), access(), history(), account(), source).prop_map(
        |(room_id, parent_id, kind, access, history, creator_id, source)| CreateRoom {
            kind,
            access,
            history,
            source,
            ..creation(RoomId::from_u128(room_id), parent_id, creator_id)
        },
    )
}

fn kind() -> impl Strategy<Value = RoomKind> {
    prop_oneof![10 => Just(RoomKind::Group), 1 => Just(RoomKind::Direct), 1 => Just(RoomKind::Broadcast)]
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![4 => Just(Access::Public), 1 => Just(Access::Restricted), 1 => Just(Access::Vip)]
}

fn history() -> impl Strategy<Value = History> {
    select(vec![History::FromBeginning, History::FromJoin])
}

/// In order, but for a few.
pub fn import_batch() -> impl Strategy<Value = ImportBatch> {
    prop_oneof![9 => import_batch_in_order(), 1 => import_batch_in_any_order()]
}

pub fn import_batch_in_order() -> impl Strategy<Value = ImportBatch> {
    import_batch_in_any_order().prop_map(|mut batch| {
        batch.items.sort_by_key(|item| item.position);
        batch.items.dedup_by_key(|item| item.position);
        batch
    })
}

fn import_batch_in_any_order() -> impl Strategy<Value = ImportBatch> {
    let source = select(vec![SOURCE, "a third place"]).prop_map(str::to_owned);
    (room(), source, vec(import_item(), 0..10)).prop_map(|(room_id, source, items)| ImportBatch {
        room_id,
        source,
        items,
    })
}

fn import_item() -> impl Strategy<Value = ImportItem> {
    let reply_to = option::weighted(0.2, message());
    let kind = prop_oneof![
        4 => (message(), reply_to).prop_map(|(message_id, reply_to)| ImportKind::Message {
            message_id,
            text: sealed("text"),
            reply_to,
        }),
        2 => Just(ImportKind::Join),
        2 => Just(ImportKind::Leave),
        1 => account().prop_map(|to| ImportKind::Rename { to }),
    ];
    (0..POSITIONS, account(), kind).prop_map(|(position, account_id, kind)| item(position, account_id, kind))
}

/// Any event at all, also one that no decision makes.
pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (account(), option::of(Just(SOURCE.to_owned()))).prop_map(|(account_id, source)| {
            AccountRegistered { account_id, username: None, email: None, display_name: None, source }.into()
        }),
        1 => account().prop_map(|account_id| {
            AccountClaimed { account_id, username: sealed("name"), email: sealed("e-mail") }.into()
        }),
        1 => (account(), session())
            .prop_map(|(account_id, session_id)| SessionEnded { account_id, session_id }.into()),
        4 => (room(), seq(), option::weighted(0.8, room()), kind(), access(), account()).prop_map(
            |(room_id, seq, parent_id, kind, access, creator_id)| RoomCreated {
                room_id,
                seq,
                parent_id,
                kind,
                access,
                history: History::FromJoin,
                name: sealed("room"),
                creator_id,
                source: None,
            }.into()
        ),
        4 => (room(), seq(), account(), role(), origin()).prop_map(
            |(room_id, seq, account_id, role, imported)| {
                MemberJoined { room_id, seq, account_id, role, imported }.into()
            }
        ),
        2 => (room(), seq(), account(), origin()).prop_map(|(room_id, seq, account_id, imported)| {
            MemberLeft { room_id, seq, account_id, imported }.into()
        }),
        2 => (room(), seq(), account(), message(), option::of(message()), origin()).prop_map(
            |(room_id, seq, author_id, message_id, reply_to, imported)| {
                let text = sealed("text");
                MessageSent { room_id, seq, message_id, author_id, text, reply_to, imported }.into()
            }
        ),
        2 => (room(), seq(), account(), role(), account()).prop_map(|(room_id, seq, account_id, role, by)| {
            RoleSet { room_id, seq, account_id, role, by }.into()
        }),
        2 => (room(), seq(), role_id(), any::<i32>(), names(), account()).prop_map(
            |(room_id, seq, role_id, rank, permissions, by)| {
                RoleDefined { room_id, seq, role_id, name: sealed("role"), rank, permissions, by }.into()
            }
        ),
        1 => (room(), seq(), role_id(), account())
            .prop_map(|(room_id, seq, role_id, by)| RoleRemoved { room_id, seq, role_id, by }.into()),
        2 => (room(), seq(), role(), names(), names(), account()).prop_map(
            |(room_id, seq, role, allow, deny, by)| {
                OverrideSet { room_id, seq, role, allow, deny, by }.into()
            }
        ),
        2 => (room(), seq(), account(), option::of(account()), imported()).prop_map(
            |(room_id, seq, account_id, renamed_to, imported)| {
                ImportNoted { room_id, seq, account_id, noted: Noted::Rename, renamed_to, imported }.into()
            }
        ),
    ]
}

fn session() -> impl Strategy<Value = SessionId> {
    select(vec![PHONE, LAPTOP])
}

/// The log holds seqs and positions as signed numbers.
fn seq() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..10u64, 1 => 0..=i64::MAX as u64, 1 => Just(i64::MAX as u64)]
}

fn role() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["owner", "admin", "member", "guest", "one of a later version", ""])
            .prop_map(str::to_owned),
        role_id().prop_map(|id| id.to_string()),
    ]
}

fn names() -> impl Strategy<Value = Vec<String>> {
    vec(select(vec!["message.send", "role.grant", "of.a_later_version", ""]).prop_map(str::to_owned), 0..4)
}

fn origin() -> impl Strategy<Value = Option<Imported>> {
    option::of(imported())
}

fn imported() -> impl Strategy<Value = Imported> {
    (seq(), any::<i64>()).prop_map(|(position, time_ms)| Imported {
        source: SOURCE.to_owned(),
        position,
        source_id: String::new(),
        time_ms,
    })
}
