//! Those who receive.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;

use super::Scene;
use super::stream::{self as live, Opening, Socket, Started};
use crate::bench::workload::Place;

const OPENED_AT_ONCE: usize = 32;

/// From the connection to `started` with the room in it. The stream may have to catch up with the joins first.
const OPEN_DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Read buffers of all sockets together; few sockets get larger ones, to take much with one call of the system.
const READ_BUFFERS: usize = 16 * 1024 * 1024;
const READ_BUFFER_MIN: usize = 4 * 1024;
const READ_BUFFER_MAX: usize = 64 * 1024;

/// All sockets of the load.
pub struct Sockets {
    scene: Rc<Scene>,
    /// Bytes of a read buffer.
    buffer: usize,
    /// What each socket receives with, in the order of their numbers in the tally.
    receiving: RefCell<Vec<Option<AbortHandle>>>,
    /// Where each socket of the tally belongs.
    places: RefCell<Vec<Place>>,
    log_id: OnceCell<String>,
    /// Whether sockets may get lost.
    may_get_lost: Cell<bool>,
}

impl Sockets {
    pub fn new(scene: Rc<Scene>) -> Rc<Self> {
        let count = scene.plan.workload.sockets();
        Rc::new(Self {
            scene,
            buffer: (READ_BUFFERS / count.max(1)).clamp(READ_BUFFER_MIN, READ_BUFFER_MAX),
            receiving: RefCell::default(),
            places: RefCell::default(),
            log_id: OnceCell::new(),
            may_get_lost: Cell::new(false),
        })
    }

    /// Opens these sockets of the workload and keeps them receiving from then on.
    pub async fn open(self: &Rc<Self>, numbers: Range<usize>) -> Result<()> {
        eprintln!("  opening {} sockets", numbers.len());
        let opening = stream::iter(numbers).map(Ok);
        opening.try_for_each_concurrent(OPENED_AT_ONCE, |number| self.open_one(number)).await
    }

    /// From now on a socket that ends comes back.
    pub fn expect_loss(&self) {
        self.may_get_lost.set(true);
    }

    /// Closes every connection without a word and has the sockets come back.
    pub fn close_all(self: &Rc<Self>) {
        let now = Instant::now();
        let receiving = std::mem::take(&mut *self.receiving.borrow_mut());
        for handle in receiving.iter().flatten() {
            handle.abort();
        }
        self.receiving.borrow_mut().resize(receiving.len(), None);
        for socket in 0..receiving.len() {
            self.scene.tally.borrow_mut().way_back.lost(socket, now);
            self.keep(socket, None);
        }
    }

    async fn open_one(self: &Rc<Self>, number: usize) -> Result<()> {
        let place = self.scene.plan.workload.place(number);
        let asked = Instant::now();
        loop {
            let Started { socket, next_seq, log_id } = self.attempt(place, number, 0, None).await?;
            if let Some(next_seq) = next_seq {
                self.log_id.get_or_init(|| log_id);
                let in_tally = self.scene.tally.borrow_mut().add_socket(place.room, next_seq);
                self.places.borrow_mut().push(place);
                self.receiving.borrow_mut().push(None);
                self.keep(in_tally, Some(socket));
                return Ok(());
            }
            let room = &self.scene.stage.rooms[place.room].id;
            ensure!(asked.elapsed() < OPEN_DEADLINE, "`started` does not name the room {room}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(
        &self,
        place: Place,
        number: usize,
        again: usize,
        since: Option<u64>,
    ) -> Result<Started> {
        let room = &self.scene.stage.rooms[place.room];
        let log_id = self.log_id.get().map(String::as_str).unwrap_or_default();
        let opening = Opening {
            address: self.scene.plan.addresses.stream(place.turn, again),
            number,
            room_id: &room.id,
            token: &room.members[place.member % room.members.len()],
            buffer: self.buffer,
            since: since.map(|since| (since, log_id)),
        };
        let started = tokio::time::timeout(OPEN_DEADLINE, live::open(&opening)).await;
        started.context("no `started` in time")?
    }

    /// Receives with this socket. Without one, and when it ends although it may get lost, another one is opened.
    fn keep(self: &Rc<Self>, number: usize, socket: Option<Socket>) {
        let sockets = self.clone();
        let task = tokio::task::spawn_local(async move {
            let mut socket = socket;
            loop {
                let open = match socket.take() {
                    Some(open) => open,
                    None => sockets.open_again(number).await,
                };
                sockets.receive(open, number).await;
                let mut tally = sockets.scene.tally.borrow_mut();
                if !sockets.may_get_lost.get() {
                    tally.count_error("socket_ended".to_owned());
                    return;
                }
                tally.way_back.lost(number, Instant::now());
            }
        });
        self.receiving.borrow_mut()[number] = Some(task.abort_handle());
    }

    async fn open_again(&self, number: usize) -> Socket {
        let place = self.places.borrow()[number];
        // Another process than before comes first, as behind a proxy that knows which are gone.
        let mut again = 1;
        loop {
            let since = self.scene.tally.borrow().way_back.seen(number);
            if let Ok(Started { socket, next_seq: Some(_), .. }) =
                self.attempt(place, number, again, Some(since)).await
            {
                self.scene.tally.borrow_mut().way_back.started(number, Instant::now());
                return socket;
            }
            self.scene.tally.borrow_mut().way_back.failed_attempts += 1;
            again += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Until the socket ends.
    async fn receive(&self, mut socket: Socket, number: usize) {
        let Scene { stage, tally, .. } = &*self.scene;
        let room = self.places.borrow()[number].room;
        let room_id = &stage.rooms[room].id;
        while let Some(Ok(message)) = socket.next().await {
            let now = Instant::now();
            let text = match &message {
                Message::Text(text) => text.as_str(),
                Message::Close(_) => return,
                _ => continue,
            };
            let mut tally = tally.borrow_mut();
            match live::understand(text, room_id) {
                Ok(arrival) => tally.arrived(number, arrival, now),
                Err(what) => tally.count_error(what),
            }
        }
    }
}
