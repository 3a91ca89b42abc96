//! This process among others: heartbeats, gRPC, and what leads to the other processes' writers.

use anyhow::Context;
use roomlog_members::{Handle, Heartbeat, Members, ProcessId, Role};
use roomlog_rpc::{Pool, Transport};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::platform::Broadcasts;

pub struct Neighbours {
    pub members: Handle,
    pub pool: Pool,
    pub transport: Transport,
    /// For other processes; taken once.
    pub listener: TcpListener,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Neighbours {
    /// Begins to be heard and to hear.
    pub async fn join(
        config: &Config,
        process: ProcessId,
        roles: &[Role],
        broadcasts: &Broadcasts,
    ) -> anyhow::Result<Self> {
        let transport = Transport::new(&config.internal.transport()?)?;
        let listen = config.internal.internal_listen;
        let listener = crate::listener::bind(listen)
            .with_context(|| format!("cannot listen on {listen} for other processes"))?;
        let host = match &config.internal.internal_address {
            Some(address) => address.clone(),
            None => {
                let own = listener.local_addr()?;
                anyhow::ensure!(
                    !own.ip().is_unspecified(),
                    "nobody can reach {own}: say with ROOMLOG_INTERNAL_ADDRESS how other processes reach this one"
                );
                own.to_string()
            }
        };
        let address = format!("{}://{host}", transport.scheme());
        let own = Heartbeat::new(process, roles.to_vec(), address);
        let members = Members::new(broadcasts.members.clone(), own);
        let handle = members.handle();
        let stop = CancellationToken::new();
        let task = tokio::spawn(members.run(stop.clone()));
        Ok(Self { members: handle, pool: Pool::new(transport.clone()), transport, listener, task, stop })
    }
}

/// Heartbeats, until they are stopped.
pub struct Beating {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Beating {
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

impl Neighbours {
    /// The listener for other processes, and the heartbeats to stop in the end.
    pub fn into_parts(self) -> (TcpListener, Transport, Beating) {
        (self.listener, self.transport, Beating { task: self.task, stop: self.stop })
    }
}
