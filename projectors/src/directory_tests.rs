use bytes::Bytes;
use roomlog_domain::{Permission, Permissions};
use roomlog_eventlog::PartitionCounts;
use roomlog_schemas::{
    Access, History, Imported, MemberJoined, MessageId, MessageSent, RoleId, RoleRemoved, RoleSet, RoomKind,
};

use super::*;
use crate::testing::{World, project, sqlite_stores};

const ALICE: AccountId = AccountId::from_u128(2);
const BOB: AccountId = AccountId::from_u128(3);
const ROOT: RoomId = RoomId::from_u128(10);
const SUB: RoomId = RoomId::from_u128(11);
const LEAF: RoomId = RoomId::from_u128(12);

struct Fixture {
    directory: Directory,
    _folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    Fixture { directory: Directory { store: stores.directory, sealer: stores.sealer }, _folder: folder }
}

impl Fixture {
    async fn changes(&self, events: Vec<Event>) -> Result<Vec<DirectoryChange>, ProjectError> {
        let command = Command {
            record_time_ms: 1_000,
            name: "test".into(),
            actor: None,
            key: None,
            fingerprint: None,
            events,
        };
        let content = Content::Command(Arc::new(command));
        self.directory
            .changes(&[Accepted { offset: 5, append_time_ms: 0, value: Bytes::new(), trace: None, content }])
            .await
    }
}

fn created(room_id: RoomId, parent_id: Option<RoomId>) -> Event {
    RoomCreated {
        room_id,
        seq: 1,
        parent_id,
        kind: RoomKind::Group,
        access: Access::Public,
        history: History::FromBeginning,
        name: Bytes::from_static(b"sealed under a key that is gone"),
        creator_id: ALICE,
        source: None,
    }
    .into()
}

fn registered(username: Option<Bytes>, display_name: Option<Bytes>) -> Event {
    AccountRegistered {
        account_id: ALICE,
        username,
        email: None,
        display_name,
        source: Some("import".into()),
    }
    .into()
}

fn roots(changes: &[DirectoryChange]) -> Vec<(RoomId, RoomId)> {
    let rooms = changes.iter().filter_map(|change| match change {
        DirectoryChange::Room(row) => Some((row.room_id, row.root_id)),
        _ => None,
    });
    rooms.collect()
}

#[tokio::test]
async fn names_are_stored_in_plain_text() {
    let fixture = fixture().await;
    let sealer = &fixture.directory.sealer;
    sealer.create_account_keys(&[ALICE]).await.unwrap();
    let key = sealer.account_key(ALICE).await.unwrap();
    let username = key.seal(&aad::username(ALICE), "älice".as_bytes());
    let display_name = key.seal(&aad::display_name(ALICE), b"Alice");
    let changes = fixture.changes(vec![registered(Some(username), Some(display_name))]).await.unwrap();
    let row = AccountRow {
        account_id: ALICE,
        username: Some("älice".into()),
        display_name: Some("Alice".into()),
        source: Some("import".into()),
        registered_at_ms: 1_000,
    };
    assert_eq!(changes, [DirectoryChange::Account(row)]);
}

#[tokio::test]
async fn without_their_key_names_are_absent_and_rows_stay() {
    let fixture = fixture().await;
    let sealed = Bytes::from_static(b"sealed");
    let claimed = roomlog_schemas::AccountClaimed {
        account_id: ALICE,
        username: sealed.clone(),
        email: sealed.clone(),
    };
    let events = vec![registered(Some(sealed.clone()), Some(sealed)), claimed.into(), created(ROOT, None)];
    let changes = fixture.changes(events).await.unwrap();
    let DirectoryChange::Account(account) = &changes[0] else { panic!("{changes:?}") };
    assert_eq!((&account.username, &account.display_name), (&None, &None));
    assert_eq!(changes[1], DirectoryChange::AccountClaimed { account_id: ALICE, username: String::new() });
    let DirectoryChange::Room(room) = &changes[2] else { panic!("{changes:?}") };
    assert_eq!(room.name, "");
}

#[tokio::test]
async fn a_root_is_found_in_the_batch_and_in_the_store() {
    let fixture = fixture().await;
    let changes =
        fixture.changes(vec![created(ROOT, None), created(SUB, Some(ROOT)), created(LEAF, Some(SUB))]).await;
    assert_eq!(roots(&changes.unwrap()), [(ROOT, ROOT), (SUB, ROOT), (LEAF, ROOT)]);

    let folder = tempfile::tempdir().unwrap();
    let stores = sqlite_stores(folder.path()).await;
    let mut world = World::new(1, PartitionCounts { accounts: 1, rooms: 1 }, stores.sealer.clone()).await;
    let alice = world.register(Some("alice")).await;
    let root = world.create_room(alice, None, History::FromBeginning, "Root").await;
    let mut parent = root;
    for _ in 0..3 {
        parent = world.create_room(alice, Some(parent), History::FromBeginning, "Sub").await;
        project(&world.log.log(), &stores).await;
        assert_eq!(stores.directory.room(parent).await.unwrap().unwrap().root_id, root);
    }
}

#[tokio::test]
async fn a_room_in_an_unknown_parent_is_an_error() {
    let error = fixture().await.changes(vec![created(SUB, Some(ROOT))]).await.unwrap_err();
    assert!(matches!(error, ProjectError::UnknownParent { offset: 5, room: SUB, parent: ROOT }), "{error}");
}

#[tokio::test]
async fn only_the_last_seq_of_each_room_is_stored_after_the_other_changes() {
    let join = |account_id, seq, imported| -> Event {
        MemberJoined { room_id: ROOT, seq, account_id, role: "member".into(), imported }.into()
    };
    let imported = Imported { source: "import".into(), position: 1, source_id: "$1".into(), time_ms: 77 };
    let message = MessageSent {
        room_id: ROOT,
        seq: 4,
        message_id: MessageId::from_u128(1),
        author_id: ALICE,
        text: Bytes::new(),
        reply_to: None,
        imported: None,
    };
    let events = vec![
        created(ROOT, None),
        created(SUB, Some(ROOT)),
        join(ALICE, 2, None),
        join(BOB, 3, Some(imported)),
        message.into(),
    ];
    let changes = fixture().await.changes(events).await.unwrap();
    let role = || "member".to_owned();
    assert_eq!(
        changes[2..],
        [
            DirectoryChange::Joined { room_id: ROOT, account_id: ALICE, role: role(), seq: 2, at_ms: 1_000 },
            DirectoryChange::Joined { room_id: ROOT, account_id: BOB, role: role(), seq: 3, at_ms: 77 },
            DirectoryChange::LastSeq { room_id: ROOT, seq: 4 },
            DirectoryChange::LastSeq { room_id: SUB, seq: 1 },
        ]
    );
}

#[tokio::test]
async fn roles_are_stored_with_their_names_and_what_rooms_say_of_them_with_its_root() {
    let fixture = fixture().await;
    let sealer = &fixture.directory.sealer;
    sealer.create_room_keys(&[ROOT]).await.unwrap();
    let role_id = RoleId::from_u128(20);
    let key = sealer.room_key(ROOT).await.unwrap();
    let defined = |seq, name: &Bytes| -> Event {
        let (name, permissions) = (name.clone(), vec!["message.send".to_owned(), "of.later".to_owned()]);
        RoleDefined { room_id: ROOT, seq, role_id, name, rank: 30, permissions, by: ALICE }.into()
    };
    let said = OverrideSet {
        room_id: SUB,
        seq: 2,
        role: role_id.to_string(),
        allow: vec!["room.edit".into()],
        deny: vec![],
        by: ALICE,
    };
    let events = vec![
        created(ROOT, None),
        created(SUB, Some(ROOT)),
        defined(2, &key.seal(&aad::role_name(role_id), "Hélper".as_bytes())),
        RoleSet { room_id: ROOT, seq: 3, account_id: BOB, role: "admin".into(), by: ALICE }.into(),
        said.into(),
        RoleRemoved { room_id: ROOT, seq: 4, role_id, by: ALICE }.into(),
        defined(5, &Bytes::from_static(b"of another key")),
    ];
    let changes = fixture.changes(events).await.unwrap();
    let row = |name: &str| {
        let definition = Definition { rank: 30, permissions: Permissions::of(&[Permission::MessageSend]) };
        DirectoryChange::Role(RoleRow { root_id: ROOT, role_id, name: name.to_owned(), definition })
    };
    let set = Override { allow: Permissions::of(&[Permission::RoomEdit]), deny: Permissions::NONE };
    assert_eq!(
        changes[2..7],
        [
            row("Hélper"),
            DirectoryChange::RoleSet { room_id: ROOT, account_id: BOB, role: "admin".into() },
            DirectoryChange::Override(OverrideRow {
                room_id: SUB,
                root_id: ROOT,
                role: Role::Custom(role_id),
                set
            }),
            DirectoryChange::RoleRemoved { root_id: ROOT, role_id },
            row(""),
        ]
    );
}

#[tokio::test]
async fn what_an_unknown_room_says_of_a_role_is_an_error() {
    let (role, allow, deny) = ("member".to_owned(), Vec::new(), Vec::new());
    let said = OverrideSet { room_id: SUB, seq: 2, role, allow, deny, by: ALICE };
    let error = fixture().await.changes(vec![said.into()]).await.unwrap_err();
    assert!(matches!(error, ProjectError::UnknownRoom { offset: 5, room: SUB }), "{error}");
}
