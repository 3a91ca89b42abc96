//! Associated data: what a sealed text is and where it belongs. A change here makes everything
//! sealed before unreadable.

use roomlog_schemas::{AccountId, MessageId, RoleId, RoomId};

use crate::secrets::KeyOwner;

/// Of a message's text, sealed under the author's and the room's keys.
pub fn message_text(room: RoomId, message: MessageId) -> [u8; 33] {
    let mut aad = [0; 33];
    aad[0] = b'm';
    aad[1..17].copy_from_slice(room.0.as_bytes());
    aad[17..].copy_from_slice(message.0.as_bytes());
    aad
}

/// Of a room's name, sealed under the room's key alone.
pub fn room_name(room: RoomId) -> [u8; 17] {
    tagged(b'r', room.0)
}

/// Of a custom role's name, sealed under its root room's key alone.
pub fn role_name(role: RoleId) -> [u8; 17] {
    tagged(b'o', role.0)
}

/// Of a user name, sealed under the account's key alone.
pub fn username(account: AccountId) -> [u8; 17] {
    tagged(b'u', account.0)
}

/// Of an e-mail address, sealed under the account's key alone.
pub fn email(account: AccountId) -> [u8; 17] {
    tagged(b'e', account.0)
}

/// Of a display name, sealed under the account's key alone.
pub fn display_name(account: AccountId) -> [u8; 17] {
    tagged(b'd', account.0)
}

/// Of a wrapped key of an account or a room.
pub(super) fn wrapped_key(owner: KeyOwner) -> [u8; 17] {
    match owner {
        KeyOwner::Account(account) => tagged(b'A', account.0),
        KeyOwner::Room(room) => tagged(b'R', room.0),
    }
}

/// Of a wrapped key of the platform.
pub(super) fn platform_key(name: &str) -> Vec<u8> {
    [b"P", name.as_bytes()].concat()
}

fn tagged(tag: u8, id: uuid::Uuid) -> [u8; 17] {
    let mut aad = [tag; 17];
    aad[1..].copy_from_slice(id.as_bytes());
    aad
}
