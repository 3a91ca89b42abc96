//! Valid histories: by hand, or at random from a seed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use roomlog_eventlog::{PartitionCounts, TopicPartition};
use roomlog_schemas::event::Seq;
use roomlog_schemas::{
    Access, AccountClaimed, AccountId, AccountRegistered, Event, History, IdKey, ImportNoted, Imported,
    MemberJoined, MemberLeft, MessageId, MessageSent, Noted, RoleDefined, RoleId, RoleSet, RoomCreated,
    RoomId, RoomKind,
};
use roomlog_stores::Sealer;
use roomlog_stores::sealing::aad;

use super::TestLog;

/// What the log says about a room.
#[derive(Debug, Clone)]
pub struct TestRoom {
    pub parent: Option<RoomId>,
    pub history: History,
    pub name: String,
    /// In this order from seq 1.
    pub timeline: Vec<Event>,
    pub members: BTreeSet<AccountId>,
}

/// A log together with what a reader of it should find.
pub struct World {
    pub log: TestLog,
    pub accounts: BTreeMap<AccountId, Option<String>>,
    pub rooms: BTreeMap<RoomId, TestRoom>,
    pub texts: BTreeMap<MessageId, String>,
    /// Of the last command.
    pub last: (TopicPartition, u64),
    sealer: Sealer,
    ids: IdKey,
    random: StdRng,
    made: u64,
}

impl World {
    pub async fn new(seed: u64, partitions: PartitionCounts, sealer: Sealer) -> Self {
        Self {
            log: TestLog::new(partitions).await,
            accounts: BTreeMap::new(),
            rooms: BTreeMap::new(),
            texts: BTreeMap::new(),
            last: (TopicPartition::accounts(0), 0),
            sealer,
            ids: IdKey::new([9; 32]),
            random: StdRng::seed_from_u64(seed),
            made: 0,
        }
    }

    /// An account; without a name it is an imported one that nobody has claimed.
    pub async fn register(&mut self, username: Option<&str>) -> AccountId {
        let key = self.next();
        let account_id = self.ids.account(&key);
        self.sealer.create_account_keys(&[account_id]).await.expect("keys can be made");
        let key = self.sealer.account_key(account_id).await.expect("the key was made");
        let event = AccountRegistered {
            account_id,
            username: username.map(|name| key.seal(&aad::username(account_id), name.as_bytes())),
            email: username
                .map(|name| key.seal(&aad::email(account_id), format!("{name}@example.org").as_bytes())),
            display_name: Some(key.seal(&aad::display_name(account_id), b"Somebody")),
            source: username.is_none().then(|| "import".to_owned()),
        };
        self.accounts.insert(account_id, username.map(str::to_owned));
        self.append(self.log.account_partition(account_id), "register", vec![event.into()]).await;
        account_id
    }

    pub async fn claim_account(&mut self, account_id: AccountId, username: &str) {
        let key = self.sealer.account_key(account_id).await.expect("the key was made");
        let event = AccountClaimed {
            account_id,
            username: key.seal(&aad::username(account_id), username.as_bytes()),
            email: key.seal(&aad::email(account_id), b"claimed@example.org"),
        };
        self.accounts.insert(account_id, Some(username.to_owned()));
        self.append(self.log.account_partition(account_id), "claim_account", vec![event.into()]).await;
    }

    /// A room whose creator is its first member.
    pub async fn create_room(
        &mut self,
        creator_id: AccountId,
        parent_id: Option<RoomId>,
        history: History,
        name: &str,
    ) -> RoomId {
        let key = self.next();
        let room_id = match parent_id {
            None => self.ids.root_room(creator_id, &key),
            Some(parent) => self.ids.sub_room(creator_id, &key, parent),
        };
        self.sealer.create_room_keys(&[room_id]).await.expect("keys can be made");
        let sealed = self
            .sealer
            .room_key(room_id)
            .await
            .expect("the key was made")
            .seal(&aad::room_name(room_id), name.as_bytes());
        let created = RoomCreated {
            room_id,
            seq: 1,
            parent_id,
            kind: RoomKind::Group,
            access: Access::Public,
            history,
            name: sealed,
            creator_id,
            source: None,
        };
        let joined =
            MemberJoined { room_id, seq: 2, account_id: creator_id, role: "owner".into(), imported: None };
        let timeline = vec![created.into(), joined.into()];
        let members = BTreeSet::from([creator_id]);
        self.rooms.insert(
            room_id,
            TestRoom { parent: parent_id, history, name: name.to_owned(), timeline: Vec::new(), members },
        );
        self.append(self.log.room_partition(room_id), "create_room", timeline).await;
        room_id
    }

    /// Joins the room, and first what it lies in.
    pub async fn join(&mut self, room_id: RoomId, account_id: AccountId) {
        let mut path = vec![room_id];
        while let Some(parent) = path.last().and_then(|room| self.rooms[room].parent) {
            path.push(parent);
        }
        path.retain(|room| !self.rooms[room].members.contains(&account_id));
        for room in path.into_iter().rev() {
            self.join_one(room, account_id).await;
        }
    }

    async fn join_one(&mut self, room_id: RoomId, account_id: AccountId) {
        let seq = self.next_seq(room_id);
        self.room(room_id).members.insert(account_id);
        let event = MemberJoined { room_id, seq, account_id, role: "member".into(), imported: None };
        self.append(self.log.room_partition(room_id), "join_room", vec![event.into()]).await;
    }

    /// Leaves the room and every room below it, in one command.
    pub async fn leave(&mut self, room_id: RoomId, account_id: AccountId) {
        let mut events = Vec::new();
        let mut left = vec![room_id];
        while let Some(room_id) = left.pop() {
            let seq = self.next_seq(room_id);
            if self.room(room_id).members.remove(&account_id) {
                events.push(MemberLeft { room_id, seq, account_id, imported: None }.into());
            }
            left.extend(
                self.rooms.iter().filter(|(_, room)| room.parent == Some(room_id)).map(|(id, _)| *id),
            );
        }
        self.append(self.log.room_partition(room_id), "leave_room", events).await;
    }

    pub async fn send(&mut self, room_id: RoomId, author_id: AccountId, text: &str) -> MessageId {
        self.message(room_id, author_id, text, None).await
    }

    /// Another event of a room, made from its place in the timeline.
    pub async fn tell(&mut self, room_id: RoomId, command: &str, event: impl FnOnce(Seq) -> Event) {
        let event = event(self.next_seq(room_id));
        self.append(self.log.room_partition(room_id), command, vec![event]).await;
    }

    /// Gives a member a role.
    pub async fn set_role(&mut self, room_id: RoomId, account_id: AccountId, role: &str, by: AccountId) {
        let role = role.to_owned();
        self.tell(room_id, "set_role", |seq| RoleSet { room_id, seq, account_id, role, by }.into()).await;
    }

    /// A custom role of a root.
    pub async fn define_role(
        &mut self,
        room_id: RoomId,
        name: &str,
        rank: i32,
        permissions: &[&str],
        by: AccountId,
    ) -> RoleId {
        let key = self.next();
        let role_id = self.ids.role(by, &key, room_id);
        let key = self.sealer.room_key(room_id).await.expect("the key was made");
        let name = key.seal(&aad::role_name(role_id), name.as_bytes());
        let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
        self.tell(room_id, "create_role", |seq| {
            RoleDefined { room_id, seq, role_id, name, rank, permissions, by }.into()
        })
        .await;
        role_id
    }

    /// Does something at random that is valid now.
    pub async fn step(&mut self) {
        let account = self.accounts.keys().copied().choose(&mut self.random);
        let room = self.rooms.keys().copied().choose(&mut self.random);
        let (Some(account), Some(room)) = (account, room) else {
            let account = self.register(Some("first")).await;
            self.create_room(account, None, History::FromBeginning, "First").await;
            return;
        };
        let is_member = self.rooms[&room].members.contains(&account);
        let author = self.rooms[&room].members.iter().copied().choose(&mut self.random);
        let history = if self.random.random() { History::FromBeginning } else { History::FromJoin };
        match (self.random.random_range(0..100), author) {
            (0..6, _) => drop(self.register(Some(&format!("user{}", self.made))).await),
            (6..8, _) => drop(self.register(None).await),
            (8..10, _) if self.accounts[&account].is_none() => self.claim_account(account, "claimed").await,
            (10..14, _) => drop(self.create_room(account, None, history, "Root").await),
            (14..20, _) if is_member => drop(self.create_room(account, Some(room), history, "Sub").await),
            (20..40, _) if is_member => self.leave(room, account).await,
            (20..40, _) => self.join(room, account).await,
            (40..44, _) => self.note(room, account).await,
            (44..50, _) => self.noise(room).await,
            (50..60, Some(author)) => {
                let imported = self.imported();
                self.message(room, author, "imported", Some(imported)).await;
            }
            (_, Some(author)) => drop(self.send(room, author, &format!("text {}", self.made)).await),
            (_, None) => self.join(room, account).await,
        }
    }

    async fn message(
        &mut self,
        room_id: RoomId,
        author_id: AccountId,
        text: &str,
        imported: Option<Imported>,
    ) -> MessageId {
        let key = self.next();
        let message_id = self.ids.message(author_id, &key, 0, room_id);
        let key = self.sealer.message_key(author_id, room_id).await.expect("the keys were made");
        let event = MessageSent {
            room_id,
            seq: self.next_seq(room_id),
            message_id,
            author_id,
            text: key.seal(&aad::message_text(room_id, message_id), text.as_bytes()),
            reply_to: self.texts.keys().copied().collect::<Vec<_>>().choose(&mut self.random).copied(),
            imported,
        };
        self.texts.insert(message_id, text.to_owned());
        self.append(self.log.room_partition(room_id), "send_message", vec![event.into()]).await;
        message_id
    }

    async fn note(&mut self, room_id: RoomId, account_id: AccountId) {
        let (seq, imported) = (self.next_seq(room_id), self.imported());
        let event = ImportNoted { room_id, seq, account_id, noted: Noted::Join, renamed_to: None, imported };
        self.append(self.log.room_partition(room_id), "import", vec![event.into()]).await;
    }

    /// Something that no reader counts, or another owner.
    async fn noise(&mut self, room: RoomId) {
        let partition = self.log.room_partition(room);
        if self.random.random() {
            self.log.raw(partition, Bytes::from_static(b"not ours")).await;
        } else {
            self.log.claim(partition).await;
        }
    }

    fn imported(&mut self) -> Imported {
        let position = u64::from_be_bytes(self.next());
        Imported {
            source: "import".into(),
            position,
            source_id: format!("$id-{position}"),
            time_ms: 1_000 * position as i64,
        }
    }

    async fn append(&mut self, partition: TopicPartition, name: &str, events: Vec<Event>) {
        let offset = self.log.command(partition, name, &events).await;
        self.last = (partition, offset);
        for event in events {
            if let Some((room, seq)) = event.timeline() {
                let timeline = &mut self.room(room).timeline;
                timeline.push(event);
                assert_eq!(seq, timeline.len() as Seq, "seqs have no gaps");
            }
        }
    }

    fn next_seq(&self, room: RoomId) -> Seq {
        self.rooms[&room].timeline.len() as Seq + 1
    }

    fn room(&mut self, room: RoomId) -> &mut TestRoom {
        self.rooms.get_mut(&room).expect("a room of this world")
    }

    fn next(&mut self) -> [u8; 8] {
        self.made += 1;
        self.made.to_be_bytes()
    }
}
