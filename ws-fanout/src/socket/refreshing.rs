//! A fresh token on an open socket.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use roomlog_stores::StoreError;
use roomlog_web::Authenticated;
use tokio::time::Instant;

use super::{Socket, deadlines};
use crate::CloseReason;
use crate::opening::session_is_live;
use crate::protocol::{self, ServerFrame};

/// A token of another session, while it is asked whether that one lives.
pub(super) type Refreshing = (Authenticated, BoxFuture<'static, Result<bool, StoreError>>);

impl Socket {
    pub(super) fn refresh(&mut self, access_token: &str) {
        match self.hub.deps.auth.verify(access_token) {
            Ok(who) if who.account_id != self.place.queue.account => {
                self.refuse(protocol::OTHER_ACCOUNT, "The access token is another account's.");
            }
            // The end of its own session would have closed it.
            Ok(who) if who.session_id == self.place.queue.session() => self.refreshed(&who),
            Ok(who) => {
                // Before the store is asked: the session's end is heard of from here on.
                self.place.queue.set_session(who.session_id);
                let hub = self.hub.clone();
                let is_live = async move { session_is_live(&hub, who.session_id).await };
                self.refreshing = Some((who, is_live.boxed()));
            }
            Err(problem) => self.refuse(protocol::TOKEN_REFUSED, &problem.title),
        }
    }

    pub(super) fn poll_refresh(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((who, is_live)) = &mut self.refreshing else { return false };
        let Poll::Ready(is_live) = is_live.poll_unpin(cx) else { return false };
        let who = *who;
        self.refreshing = None;
        match is_live {
            Ok(true) => self.refreshed(&who),
            Ok(false) => self.refuse(protocol::TOKEN_REFUSED, "The session of this access token has ended."),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a session cannot be looked up");
                self.close(CloseReason::TryLater, None);
            }
        }
        true
    }

    fn refreshed(&mut self, who: &Authenticated) {
        let now = Instant::now();
        self.expires_at = deadlines::expiry(now, who.expires_at);
        let expires_in = self.expires_at.saturating_duration_since(now).as_secs();
        self.place.queue.push(ServerFrame::Refreshed { expires_in }.encode());
    }

    fn refuse(&mut self, code: &str, title: &str) {
        self.close(CloseReason::Unauthorized, Some(ServerFrame::Error { code, title, detail: None }));
    }
}
