//! The accounts with open sockets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use roomlog_schemas::{AccountId, SessionId};
use tokio::time::Instant;

use crate::CloseReason;
use crate::queue::{Notice, SocketQueue};

#[derive(Default)]
pub(crate) struct Accounts {
    sockets: AtomicUsize,
    by_account: Mutex<HashMap<AccountId, Account>>,
}

struct Account {
    sockets: Vec<Arc<SocketQueue>>,
    /// Its memberships were looked up after this.
    looked: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The process has its limit.
    Process,
    /// The account has its limit.
    Account,
}

impl Accounts {
    /// From here on the socket hears of its account's memberships.
    pub fn add(&self, queue: Arc<SocketQueue>, most: usize, most_per_account: usize) -> Result<(), Refused> {
        let mut by_account = self.lock();
        if self.sockets() >= most {
            return Err(Refused::Process);
        }
        let account = || Account { sockets: Vec::new(), looked: Instant::now() };
        let sockets = &mut by_account.entry(queue.account).or_insert_with(account).sockets;
        if sockets.len() >= most_per_account {
            return Err(Refused::Account);
        }
        sockets.push(queue);
        self.sockets.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub fn remove(&self, queue: &Arc<SocketQueue>) {
        let mut by_account = self.lock();
        let Some(Account { sockets, .. }) = by_account.get_mut(&queue.account) else { return };
        if let Some(index) = sockets.iter().position(|socket| Arc::ptr_eq(socket, queue)) {
            sockets.swap_remove(index);
            self.sockets.fetch_sub(1, Ordering::Relaxed);
        }
        if sockets.is_empty() {
            by_account.remove(&queue.account);
        }
    }

    pub fn notify(&self, account: AccountId, notice: impl Fn() -> Notice) {
        if let Some(account) = self.lock().get(&account) {
            for queue in &account.sockets {
                queue.notify(notice());
            }
        }
    }

    pub fn close_session(&self, account: AccountId, session: SessionId) {
        if let Some(account) = self.lock().get(&account) {
            for queue in account.sockets.iter().filter(|queue| queue.session() == session) {
                queue.close(CloseReason::Unauthorized);
            }
        }
    }

    pub fn all(&self) -> Vec<Arc<SocketQueue>> {
        self.lock().values().flat_map(|account| &account.sockets).cloned().collect()
    }

    pub fn has(&self, account: AccountId) -> bool {
        self.lock().contains_key(&account)
    }

    /// The accounts whose memberships were last looked up before this time, or all.
    pub fn looked_before(&self, time: Option<Instant>) -> Vec<AccountId> {
        let by_account = self.lock();
        let due = by_account.iter().filter(|(_, account)| time.is_none_or(|time| account.looked < time));
        due.map(|(&account, _)| account).collect()
    }

    /// The account's memberships as of this time have been looked up.
    pub fn looked(&self, account: AccountId, at: Instant) {
        if let Some(account) = self.lock().get_mut(&account) {
            account.looked = account.looked.max(at);
        }
    }

    pub fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Account>> {
        self.by_account.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use roomlog_schemas::SessionId;

    use super::*;

    fn queue(account: u128) -> Arc<SocketQueue> {
        Arc::new(SocketQueue::new(AccountId::from_u128(account), SessionId::from_u128(1), 1))
    }

    #[test]
    fn limits_hold_and_places_are_given_back() {
        let accounts = Accounts::default();
        let first = queue(1);
        assert_eq!(accounts.add(first.clone(), 3, 2), Ok(()));
        assert_eq!(accounts.add(queue(1), 3, 2), Ok(()));
        assert_eq!(accounts.add(queue(1), 3, 2), Err(Refused::Account));
        assert_eq!(accounts.add(queue(2), 3, 2), Ok(()));
        assert_eq!(accounts.add(queue(3), 3, 2), Err(Refused::Process));
        accounts.remove(&first);
        accounts.remove(&first);
        assert_eq!(accounts.sockets(), 2);
        assert_eq!(accounts.add(queue(1), 3, 2), Ok(()));
    }
}
