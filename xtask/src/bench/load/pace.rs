//! Waiting for a moment to better than the millisecond of the runtime's own timers.

use std::io;
use std::time::Instant;

#[cfg(target_os = "linux")]
use {
    rustix::fd::OwnedFd,
    rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
    std::time::Duration,
    tokio::io::unix::AsyncFd,
};

/// A timer of the kernel's that the runtime waits for as for a socket.
#[cfg(target_os = "linux")]
pub struct Pacer {
    timer: AsyncFd<OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Pacer {
    /// To be called within a runtime.
    pub fn new() -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "it is unsound for what may change its descriptor; an owned one does not, and the new way is unsafe code"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Returns at once if that moment has passed.
    pub async fn until(&mut self, moment: Instant) -> io::Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let once = Itimerspec { it_interval: timespec(Duration::ZERO)?, it_value: timespec(left)? };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?));
            match read {
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn timespec(duration: Duration) -> io::Result<Timespec> {
    Timespec::try_from(duration).map_err(io::Error::other)
}

/// Elsewhere as good as the runtime's timers.
#[cfg(not(target_os = "linux"))]
pub struct Pacer;

#[cfg(not(target_os = "linux"))]
impl Pacer {
    pub fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub async fn until(&mut self, moment: Instant) -> io::Result<()> {
        tokio::time::sleep_until(moment.into()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_never_returns_early() {
        let mut pacer = Pacer::new().unwrap();
        for microseconds in [0, 1, 300, 2_000] {
            let moment = Instant::now() + Duration::from_micros(microseconds);
            pacer.until(moment).await.unwrap();
            assert!(Instant::now() >= moment);
        }
    }
}
