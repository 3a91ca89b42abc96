//! Commands, short enough for a test to be read.

use super::*;

pub fn register(account_id: AccountId) -> Command {
    Command::RegisterAccount(RegisterAccount {
        account_id,
        username: sealed("name"),
        email: sealed("e-mail"),
    })
}

pub fn claim(account_id: AccountId) -> Command {
    Command::ClaimAccount(ClaimAccount { account_id, username: sealed("name"), email: sealed("e-mail") })
}

pub fn import_accounts(accounts: impl IntoIterator<Item = AccountId>) -> Command {
    Command::ImportAccounts(ImportAccounts {
        source: SOURCE.to_owned(),
        accounts: accounts.into_iter().map(|account_id| (account_id, sealed("display name"))).collect(),
    })
}

pub fn end_session(account_id: AccountId, session_id: SessionId) -> Command {
    Command::EndSession { account_id, session_id }
}

pub fn create_root(room_id: RoomId, creator_id: AccountId) -> Command {
    Command::CreateRoom(creation(room_id, None, creator_id))
}

pub fn create_sub(room_id: RoomId, parent_id: RoomId, creator_id: AccountId) -> Command {
    Command::CreateRoom(creation(room_id, Some(parent_id), creator_id))
}

/// What an import sends, which may create below any room.
pub fn import_sub(room_id: RoomId, parent_id: RoomId, creator_id: AccountId) -> Command {
    let source = Some(SOURCE.to_owned());
    Command::CreateRoom(CreateRoom { source, ..creation(room_id, Some(parent_id), creator_id) })
}

/// A public group that shows its whole history.
pub fn creation(room_id: RoomId, parent_id: Option<RoomId>, creator_id: AccountId) -> CreateRoom {
    CreateRoom {
        room_id,
        parent_id,
        kind: RoomKind::Group,
        access: Access::Public,
        history: History::FromBeginning,
        name: sealed("room"),
        creator_id,
        source: None,
    }
}

pub fn join(room_id: RoomId, account_id: AccountId) -> Command {
    Command::JoinRoom { room_id, account_id }
}

pub fn leave(room_id: RoomId, account_id: AccountId) -> Command {
    Command::LeaveRoom { room_id, account_id }
}

pub fn send(room_id: RoomId, author_id: AccountId, message_id: MessageId) -> Command {
    let (text, reply_to) = (sealed("text"), None);
    Command::SendMessage(SendMessage { room_id, message_id, author_id, text, reply_to })
}

pub fn reply(room_id: RoomId, author_id: AccountId, message_id: MessageId, to: MessageId) -> Command {
    let (text, reply_to) = (sealed("text"), Some(to));
    Command::SendMessage(SendMessage { room_id, message_id, author_id, text, reply_to })
}

pub fn set_role(room_id: RoomId, by: AccountId, account_id: AccountId, role: Role) -> Command {
    Command::SetRole(SetRole { room_id, account_id, role, by })
}

pub fn transfer(room_id: RoomId, by: AccountId, account_id: AccountId) -> Command {
    Command::TransferOwnership(TransferOwnership { room_id, account_id, by })
}

pub fn create_role(room_id: RoomId, by: AccountId, role_id: RoleId, rank: u8, may: &[Permission]) -> Command {
    Command::CreateRole(definition(room_id, by, role_id, rank, may))
}

pub fn change_role(room_id: RoomId, by: AccountId, role_id: RoleId, rank: u8, may: &[Permission]) -> Command {
    Command::ChangeRole(definition(room_id, by, role_id, rank, may))
}

fn definition(room_id: RoomId, by: AccountId, role_id: RoleId, rank: u8, may: &[Permission]) -> DefineRole {
    DefineRole { room_id, role_id, name: sealed("role"), rank, permissions: Permissions::of(may), by }
}

pub fn remove_role(room_id: RoomId, by: AccountId, role_id: RoleId) -> Command {
    Command::RemoveRole(RemoveRole { room_id, role_id, by })
}

pub fn set_override(
    room_id: RoomId,
    by: AccountId,
    role: Role,
    allow: &[Permission],
    deny: &[Permission],
) -> Command {
    let set = Override { allow: Permissions::of(allow), deny: Permissions::of(deny) };
    Command::SetOverride(SetOverride { room_id, role, set, by })
}

pub fn import(room_id: RoomId, items: impl IntoIterator<Item = ImportItem>) -> Command {
    import_from(SOURCE, room_id, items)
}

pub fn import_from(source: &str, room_id: RoomId, items: impl IntoIterator<Item = ImportItem>) -> Command {
    let (source, items) = (source.to_owned(), items.into_iter().collect());
    Command::Import(Box::new(ImportBatch { room_id, source, items }))
}

pub fn item(position: u64, account_id: AccountId, kind: ImportKind) -> ImportItem {
    ImportItem { position, source_id: source_id(position), time_ms: time_ms(position), account_id, kind }
}

pub fn wrote(position: u64, author: AccountId, message_id: MessageId) -> ImportItem {
    item(position, author, ImportKind::Message { message_id, text: sealed("text"), reply_to: None })
}

pub fn replied(position: u64, author: AccountId, message_id: MessageId, to: MessageId) -> ImportItem {
    item(position, author, ImportKind::Message { message_id, text: sealed("text"), reply_to: Some(to) })
}

pub fn came(position: u64, account_id: AccountId) -> ImportItem {
    item(position, account_id, ImportKind::Join)
}

pub fn went(position: u64, account_id: AccountId) -> ImportItem {
    item(position, account_id, ImportKind::Leave)
}

pub fn renamed(position: u64, account_id: AccountId, to: AccountId) -> ImportItem {
    item(position, account_id, ImportKind::Rename { to })
}
