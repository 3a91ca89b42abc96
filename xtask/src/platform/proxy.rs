//! nginx in front of the processes, so that one address serves all of them. It runs from a folder of its own, whatever
//! else the machine's nginx does.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::guard::Guard;
use super::role::Role;
use crate::cluster::packages;
use crate::{wait, workspace};

const READY_DEADLINE: Duration = Duration::from_secs(10);
/// It gives its connections two seconds.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Who stands behind the proxy.
pub trait Upstreams {
    /// Where the processes of this role serve HTTP.
    fn of(&self, role: Role) -> Vec<SocketAddr>;
}

pub struct Proxy {
    address: SocketAddr,
    child: Child,
    guard: Arc<Guard>,
}

impl Proxy {
    /// Starts it and waits until it listens.
    pub fn start(
        folder: &Path,
        address: SocketAddr,
        upstreams: &impl Upstreams,
        guard: Arc<Guard>,
    ) -> Result<Self> {
        let program = packages::ensure_nginx()?;
        configure(folder, address, upstreams)?;
        let log_file = folder.join("output.log");
        let log = File::create(&log_file)?;
        let child = command(&program, folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C at the terminal is for this process, which stops the others in order.
            .process_group(0)
            .spawn()
            .context("cannot start nginx")?;
        guard.started(child.id())?;
        let mut proxy = Self { address, child, guard };
        let listens = wait::until("nginx to listen", READY_DEADLINE, || {
            if proxy.child.try_wait()?.is_some() {
                bail!("nginx has ended");
            }
            Ok(std::net::TcpStream::connect(address).is_ok())
        });
        listens.map_err(|error| {
            let log = std::fs::read_to_string(&log_file).unwrap_or_default();
            anyhow!("{error:#}. It said:\n{log}")
        })?;
        Ok(proxy)
    }

    /// The one that serves all.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets requests under way finish, for two seconds.
    pub fn stop(mut self) -> Result<()> {
        self.end(Signal::QUIT)
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal)?;
        let ended = wait::until("nginx to end", STOP_DEADLINE, || Ok(self.child.try_wait()?.is_some()));
        if ended.is_err() {
            self.child.kill()?;
            self.child.wait()?;
        }
        self.guard.ended(self.child.id())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its child ends with it only when it is asked to.
        if let Err(error) = self.end(Signal::TERM) {
            eprintln!("warning: cannot end nginx: {error:#}");
        }
    }
}

/// Whether nginx understands the configuration: its own answer where it does not.
pub fn check(folder: &Path, address: SocketAddr, upstreams: &impl Upstreams) -> Result<()> {
    let program = packages::ensure_nginx()?;
    configure(folder, address, upstreams)?;
    workspace::run_quietly(command(&program, folder).arg("-t"))?;
    Ok(())
}

fn command(program: &Path, folder: &Path) -> Command {
    let mut nginx = Command::new(program);
    nginx.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
    nginx
}

/// Fills in the two files of `infra/nginx`.
fn configure(folder: &Path, address: SocketAddr, upstreams: &impl Upstreams) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Where root starts it, its worker would become another user, who cannot write here. Others have no such choice, and
    // nginx warns when it is asked to make one.
    let user = if packages::is_root()? { "user root;" } else { "" };
    let main =
        template("nginx.conf")?.replace("{{user}}", user).replace("{{folder}}", &folder.to_string_lossy());
    std::fs::write(folder.join("nginx.conf"), main)?;

    let mut routes = template("roomlog.conf")?.replace("{{listen}}", &address.to_string());
    for role in [Role::CommandApi, Role::QueryApi, Role::WsFanout] {
        let name = role.id().replace('-', "_");
        routes = routes.replace(&format!("{{{{{name}}}}}"), &servers(role, &upstreams.of(role))?);
    }
    std::fs::write(folder.join("roomlog.conf"), routes).context("cannot write nginx's configuration")
}

/// One that fails is left out for a second and tried again.
fn servers(role: Role, addresses: &[SocketAddr]) -> Result<String> {
    if addresses.is_empty() {
        bail!("no process has the role {role}, so no address can serve all");
    }
    let lines = addresses.iter().map(|address| format!("    server {address} max_fails=1 fail_timeout=1s;"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn template(file: &str) -> Result<String> {
    let path: PathBuf = workspace::root().join("infra/nginx").join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
