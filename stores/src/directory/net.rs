//! What a batch comes to: one change for each row, so that it can be written in a few statements.

use std::collections::{BTreeMap, BTreeSet};

use roomlog_domain::Role;
use roomlog_schemas::event::Seq;
use roomlog_schemas::{AccountId, RoleId, RoomId};

use crate::directory::{AccountRow, DirectoryChange, OverrideRow, RoleRow, RoomRow};

/// Written in this order. Keys rise, so that neighbouring rows are written together.
#[derive(Debug, Default, PartialEq)]
pub struct NetChanges {
    pub accounts: BTreeMap<AccountId, AccountRow>,
    /// Of accounts from earlier batches.
    pub claims: BTreeMap<AccountId, String>,
    pub rooms: BTreeMap<RoomId, RoomRow>,
    /// Everyone who left at some point of the batch, also who is back at its end.
    pub left: BTreeSet<(RoomId, AccountId)>,
    /// Who is a member at the end of the batch by joining in it; who was one before and did not
    /// leave stays as it is.
    pub joined: BTreeMap<(RoomId, AccountId), Joined>,
    /// The roles that members have at the end of the batch, where that was said in it.
    pub member_roles: BTreeMap<(RoomId, AccountId), String>,
    /// Removed ones with what rooms said of them, before anything else about roles.
    pub removed_roles: BTreeSet<(RoomId, RoleId)>,
    pub roles: BTreeMap<(RoomId, RoleId), RoleRow>,
    /// Empty ones are removed.
    pub overrides: BTreeMap<(RoomId, Role), OverrideRow>,
    pub last_seqs: BTreeMap<RoomId, Seq>,
}

#[derive(Debug, PartialEq)]
pub struct Joined {
    pub role: String,
    pub seq: Seq,
    pub at_ms: i64,
}

impl NetChanges {
    pub fn of(changes: Vec<DirectoryChange>) -> Self {
        let mut net = Self::default();
        for change in changes {
            net.add(change);
        }
        net
    }

    fn add(&mut self, change: DirectoryChange) {
        match change {
            DirectoryChange::Account(row) => {
                self.claims.remove(&row.account_id);
                self.accounts.insert(row.account_id, row);
            }
            DirectoryChange::AccountClaimed { account_id, username } => {
                match self.accounts.get_mut(&account_id) {
                    Some(row) => row.username = Some(username),
                    None => drop(self.claims.insert(account_id, username)),
                }
            }
            DirectoryChange::Room(row) => drop(self.rooms.insert(row.room_id, row)),
            DirectoryChange::Joined { room_id, account_id, role, seq, at_ms } => {
                let joined = Joined { role, seq, at_ms };
                self.joined.entry((room_id, account_id)).or_insert(joined);
            }
            DirectoryChange::Left { room_id, account_id } => {
                self.joined.remove(&(room_id, account_id));
                self.member_roles.remove(&(room_id, account_id));
                self.left.insert((room_id, account_id));
            }
            DirectoryChange::RoleSet { room_id, account_id, role } => {
                self.member_roles.insert((room_id, account_id), role);
            }
            DirectoryChange::Role(row) => drop(self.roles.insert((row.root_id, row.role_id), row)),
            DirectoryChange::RoleRemoved { root_id, role_id } => {
                self.roles.remove(&(root_id, role_id));
                self.overrides.retain(|(_, role), _| *role != Role::Custom(role_id));
                self.removed_roles.insert((root_id, role_id));
            }
            DirectoryChange::Override(row) => drop(self.overrides.insert((row.room_id, row.role), row)),
            DirectoryChange::LastSeq { room_id, seq } => {
                let last = self.last_seqs.entry(room_id).or_default();
                *last = seq.max(*last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use roomlog_domain::Permissions;
    use roomlog_domain::role::Override;

    use super::*;

    const ROOM: RoomId = RoomId::from_u128(1);
    const ACCOUNT: AccountId = AccountId::from_u128(2);

    fn joined(seq: Seq) -> DirectoryChange {
        DirectoryChange::Joined { room_id: ROOM, account_id: ACCOUNT, role: "member".into(), seq, at_ms: 0 }
    }

    const LEFT: DirectoryChange = DirectoryChange::Left { room_id: ROOM, account_id: ACCOUNT };

    #[test]
    fn who_leaves_and_comes_back_is_removed_and_added_again() {
        let net = NetChanges::of(vec![joined(2), LEFT, joined(4), joined(5)]);
        assert_eq!(net.left.len(), 1);
        assert_eq!(net.joined[&(ROOM, ACCOUNT)].seq, 4);

        let net = NetChanges::of(vec![joined(2), LEFT]);
        assert_eq!((net.left.len(), net.joined.len()), (1, 0));
    }

    #[test]
    fn a_member_has_the_role_that_was_set_last_and_none_from_before_it_left() {
        let set =
            |role: &str| DirectoryChange::RoleSet { room_id: ROOM, account_id: ACCOUNT, role: role.into() };
        let net = NetChanges::of(vec![joined(2), set("admin"), set("guest")]);
        assert_eq!(net.member_roles[&(ROOM, ACCOUNT)], "guest");
        let net = NetChanges::of(vec![set("admin"), LEFT, joined(4)]);
        assert!(net.member_roles.is_empty());
    }

    #[test]
    fn with_a_removed_role_goes_what_was_said_of_it_before() {
        let role_id = RoleId::from_u128(3);
        let row = RoleRow {
            root_id: ROOM,
            role_id,
            name: "Helper".into(),
            definition: Role::Member.built_in().expect("built in"),
        };
        let set = Override { deny: Permissions::ALL, ..Override::default() };
        let said = OverrideRow { room_id: ROOM, root_id: ROOM, role: Role::Custom(role_id), set };
        let net = NetChanges::of(vec![
            DirectoryChange::Role(row),
            DirectoryChange::Override(said),
            DirectoryChange::RoleRemoved { root_id: ROOM, role_id },
        ]);
        assert!(net.roles.is_empty() && net.overrides.is_empty());
        assert_eq!(net.removed_roles.len(), 1);
    }

    #[test]
    fn a_claim_meets_its_account_in_the_same_batch_or_waits_for_the_store() {
        let account = AccountRow {
            account_id: ACCOUNT,
            username: None,
            display_name: Some("Ada".into()),
            source: Some("irc".into()),
            registered_at_ms: 1,
        };
        let claim = || DirectoryChange::AccountClaimed { account_id: ACCOUNT, username: "ada".into() };
        let net = NetChanges::of(vec![DirectoryChange::Account(account), claim()]);
        assert_eq!(net.accounts[&ACCOUNT].username.as_deref(), Some("ada"));
        assert!(net.claims.is_empty());
        assert_eq!(NetChanges::of(vec![claim()]).claims[&ACCOUNT], "ada");
    }

    #[test]
    fn the_highest_seq_of_a_room_is_left() {
        let last = |seq| DirectoryChange::LastSeq { room_id: ROOM, seq };
        assert_eq!(NetChanges::of(vec![last(3), last(5), last(4)]).last_seqs[&ROOM], 5);
    }
}
