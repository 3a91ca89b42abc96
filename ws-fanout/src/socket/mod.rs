//! One socket: a task that polls everything that concerns it, so that nothing of it waits for
//! anything else of it.

mod closing;
mod commands;
mod deadlines;
mod gather;
mod incoming;
mod outgoing;
mod refreshing;
mod rooms;
mod starting;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use roomlog_web::Authenticated;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use self::closing::Closing;
use self::commands::InFlight;
use self::gather::Gather;
use self::outgoing::Unflushed;
use self::refreshing::Refreshing;
use self::rooms::{Rooms, Starts};
use crate::compression::Inflate;
use crate::hub::Hub;
use crate::opening::{Opened, Place};
use crate::partition::Lease;
use crate::protocol::Start;
use crate::queue::Inbox;

pub(crate) struct Socket {
    hub: Arc<Hub>,
    /// Before `place`: leaves the rooms while the place is still taken.
    rooms: Rooms,
    place: Place,
    stream: WebSocketStream<Inflate<Gather<TokioIo<Upgraded>>>>,
    /// From so many bytes on events go out compressed, if this client takes that.
    compress_from: Option<usize>,
    phase: Phase,
    inbox: Inbox,
    unflushed: Unflushed,
    commands: Option<InFlight>,
    refreshing: Option<Refreshing>,
    timer: Pin<Box<Sleep>>,
    expires_at: Instant,
    last_heard: Instant,
    next_ping: Instant,
}

enum Phase {
    /// Waits for the client's first frame.
    Opened {
        deadline: Instant,
        ends: Vec<(Lease, u64)>,
    },
    /// Looks for the rooms' first seqs.
    Starting(Box<Start>, BoxFuture<'static, Option<Starts>>),
    Running,
    Closing(Closing),
    Done,
}

impl Phase {
    fn is_ending(&self) -> bool {
        matches!(self, Phase::Closing(_) | Phase::Done)
    }
}

impl Socket {
    /// Runs until the socket is closed.
    pub async fn run(
        hub: Arc<Hub>,
        upgraded: Upgraded,
        opened: Opened,
        who: Authenticated,
        takes_compressed: bool,
    ) {
        let options = &hub.options;
        let config = WebSocketConfig::default()
            .read_buffer_size(options.read_buffer)
            .write_buffer_size(0)
            .max_message_size(Some(options.max_client_frame))
            .max_frame_size(Some(options.max_client_frame));
        let io = Gather::new(TokioIo::new(upgraded), options.write_buffer);
        let io = Inflate::new(io, takes_compressed.then_some(options.max_client_frame));
        let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let now = Instant::now();
        let deadline = now + options.start_timeout;
        let Opened { place, rooms, ends } = opened;
        let mut socket = Self {
            rooms: Rooms::new(hub.clone(), place.queue.clone(), &rooms, &ends),
            place,
            stream,
            compress_from: options.compress_from.filter(|_| takes_compressed),
            phase: Phase::Opened { deadline, ends },
            inbox: Inbox::default(),
            unflushed: Unflushed::default(),
            commands: None,
            refreshing: None,
            timer: Box::pin(sleep_until(deadline)),
            expires_at: deadlines::expiry(now, who.expires_at),
            last_heard: now,
            next_ping: now + options.ping_interval,
            hub,
        };
        drop(rooms);
        poll_fn(|cx| socket.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.place.queue.register(cx.waker());
        loop {
            // A step's outcome is taken before what happened to its room after it.
            let mut has_moved = self.poll_start(cx);
            has_moved |= self.rooms.poll_step(cx);
            has_moved |= self.take_inbox();
            has_moved |= self.poll_commands(cx);
            has_moved |= self.poll_refresh(cx);
            // What has been written concerns only the rooms that wait for space, and a socket's end.
            let has_written = self.poll_write(cx);
            has_moved |= has_written && (self.rooms.is_behind() || self.phase.is_ending());
            has_moved |= self.poll_read(cx);
            has_moved |= self.poll_timer(cx);
            match self.phase {
                Phase::Done => return Poll::Ready(()),
                _ if has_moved => {}
                _ => return Poll::Pending,
            }
        }
    }

    /// Takes what others have left in the queue.
    fn take_inbox(&mut self) -> bool {
        if !self.place.queue.take(&mut self.inbox) {
            return false;
        }
        if let Some(reason) = self.inbox.close.take() {
            self.close(reason, None);
        }
        let notices = std::mem::take(&mut self.inbox.notices);
        if matches!(self.phase, Phase::Opened { .. } | Phase::Starting(..) | Phase::Running) {
            for notice in notices {
                self.rooms.notice(notice);
            }
        }
        true
    }
}
