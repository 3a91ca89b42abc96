//! One server of one instance: where its things are.

use std::fmt;
use std::path::PathBuf;

use super::instance::Instance;
use super::service::Service;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub instance: Instance,
    pub service: Service,
}

impl Server {
    pub fn new(instance: &Instance, service: Service) -> Self {
        Self { instance: instance.clone(), service }
    }

    /// Where this server keeps its data, its log and the note of what runs.
    pub fn dir(&self) -> PathBuf {
        self.instance.dir().join(self.service.id())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir().join("data")
    }

    pub fn log_file(&self) -> PathBuf {
        self.dir().join("server.log")
    }

    /// Stands in the server's command line and nowhere else on this machine.
    pub fn mark(&self) -> String {
        // The colon ends it: `dev` is not `dev-2`.
        format!("roomlog.server={}:", self.dir().display())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.instance, self.service)
    }
}
