//! PostgreSQL from the distribution's package: a cluster of its own, beside any that is already there.
//!
//! It refuses to run as root. Where root runs this, it runs as the package's user `postgres`, in a folder that this
//! user can reach.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::certificates::Certificates;
use super::ports::Ports;
use super::runtime::remove_folder;
use super::server::Server;
use super::{instance, packages, process};
use crate::{secret, wait, workspace};

/// The role and the database that Roomlog gets. The same as in `infra/compose.yaml`.
const ROLE: &str = "roomlog";
const DATABASE: &str = "roomlog";

/// The unprivileged user that the distribution's package makes.
const USER: &str = "postgres";

/// They look whether their parent lives, and end at once.
const CHILDREN_DEADLINE: Duration = Duration::from_secs(15);

/// Who runs the server's programs.
#[derive(Clone, Copy)]
enum User {
    Oneself,
    Other { uid: u32, gid: u32 },
}

/// Makes the cluster, unless it is there, and writes its configuration.
pub fn configure(server: &Server, programs: &Path, ports: Ports) -> Result<()> {
    let user = User::choose()?;
    let home = make_home(server, user)?;
    let data = home.join("data");
    if !data.exists() {
        create(server, programs, user, &home).context("cannot create PostgreSQL's cluster")?;
    }
    forget_killed_server(server, &data)?;
    let certificates = Certificates::of(&server.instance);
    for (file, copy) in
        [(certificates.server_certificate(), "server.pem"), (certificates.server_key(), "server.key")]
    {
        // The server takes a key that it owns alone.
        let copy = home.join(copy);
        secret::write(&copy, &secret::read(&file)?)?;
        user.own(&copy)?;
    }
    let template = workspace::root().join("infra/postgres/postgresql.conf");
    let template =
        std::fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let filled = template
        .replace("{{client_port}}", &ports.client.to_string())
        .replace("{{home}}", &home.to_string_lossy())
        .replace("{{data_dir}}", &data.to_string_lossy());
    let configuration = home.join("postgresql.conf");
    std::fs::write(&configuration, filled).context("cannot write PostgreSQL's configuration")
}

/// The server; `configure` comes first.
pub fn command(server: &Server, programs: &Path) -> Result<Command> {
    let user = User::choose()?;
    let home = home(server, user)?;
    let mut postgres = user.command(&programs.join("postgres"), &home);
    postgres
        .arg("-c")
        .arg(format!("config_file={}", home.join("postgresql.conf").display()))
        .args(["-c", &server.mark()]);
    Ok(postgres)
}

/// With the password, for connections without TLS. The cluster must have been made, or the container been started.
pub fn url(server: &Server, port: u16) -> Result<String> {
    Ok(format!("{}?sslmode=disable", url_over_tls(server, port)?))
}

/// The same, for connections with TLS where an authority is named besides.
pub fn url_over_tls(server: &Server, port: u16) -> Result<String> {
    Ok(format!("postgres://{ROLE}:{}@127.0.0.1:{port}/{DATABASE}", password(server)?))
}

/// Made up once and kept as long as the data.
pub fn password(server: &Server) -> Result<String> {
    let user = User::choose()?;
    let path = make_home(server, user)?.join("password");
    if !path.exists() {
        secret::write(&path, &secret::password())?;
    }
    // Whoever made it up may have been cut short before this.
    user.own(&path)?;
    secret::read(&path)
}

/// Deletes what is not in the server's own folder.
pub fn wipe(server: &Server) -> Result<()> {
    remove_folder(&elsewhere(server))
}

/// Whole or not at all: made under another name and moved into place.
fn create(server: &Server, programs: &Path, user: User, home: &Path) -> Result<()> {
    password(server)?;
    let unfinished = home.join("data.partial");
    remove_folder(&unfinished)?;
    std::fs::create_dir(&unfinished)?;
    user.own(&unfinished)?;

    let mut initdb = user.command(&programs.join("initdb"), home);
    initdb.arg("--pgdata").arg(&unfinished).arg("--pwfile").arg(home.join("password")).args([
        "--username",
        ROLE,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]);
    if server.instance.is_ephemeral() {
        initdb.arg("--no-sync");
    }
    workspace::run_quietly(&mut initdb)?;

    // Alone with the data folder, which needs no server and no password.
    let mut alone = user.command(&programs.join("postgres"), home);
    alone.arg("--single").arg("-D").arg(&unfinished).arg("postgres");
    let mut alone = alone.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let statement = format!("CREATE DATABASE {DATABASE};\n");
    alone.stdin.take().context("no standard input")?.write_all(statement.as_bytes())?;
    let status = alone.wait()?;
    if !status.success() {
        bail!("cannot create the database: {status}");
    }
    std::fs::rename(&unfinished, home.join("data"))?;
    Ok(())
}

/// The note of a server that was killed may name a process that has nothing to do with it, or one that has ended and was
/// not waited for; the server would refuse to start. Its own children, though, must be gone first.
fn forget_killed_server(server: &Server, data: &Path) -> Result<()> {
    let note = data.join("postmaster.pid");
    let Ok(text) = std::fs::read_to_string(&note) else {
        return Ok(());
    };
    let pid = text.lines().next().and_then(|pid| pid.trim().parse().ok());
    if pid.is_some_and(|pid| process::is_server(pid, server)) {
        bail!("PostgreSQL runs already, as process {}", pid.unwrap_or_default());
    }
    wait::until("what a killed PostgreSQL left behind to end", CHILDREN_DEADLINE, || {
        Ok(!process::works_in(data))
    })?;
    std::fs::remove_file(&note).with_context(|| format!("cannot remove {}", note.display()))
}

impl User {
    fn choose() -> Result<Self> {
        if !packages::is_root()? {
            return Ok(Self::Oneself);
        }
        let id = |option| -> Result<u32> {
            let output = workspace::run_quietly(Command::new("id").args([option, USER]))
                .with_context(|| format!("PostgreSQL does not run as root, and there is no user `{USER}`"))?;
            String::from_utf8_lossy(&output.stdout).trim().parse().context("not a number")
        };
        Ok(Self::Other { uid: id("-u")?, gid: id("-g")? })
    }

    /// A program that this user runs, in a folder that this user can reach.
    fn command(self, program: &Path, home: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(home);
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes this user the owner.
    fn own(self, path: &Path) -> Result<()> {
        if let Self::Other { uid, gid } = self {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .with_context(|| format!("cannot give {} away", path.display()))?;
        }
        Ok(())
    }

    /// Whether this user can follow the path. Another one has no more than what everybody has.
    fn reaches(self, path: &Path) -> Result<bool> {
        let Self::Other { .. } = self else {
            return Ok(true);
        };
        for folder in path.ancestors().filter(|folder| folder.exists()) {
            if std::fs::metadata(folder)?.mode() & 0o001 == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The folder of the server's data, configuration and password.
fn home(server: &Server, user: User) -> Result<PathBuf> {
    // The instance's folder is looked at, not the server's own, which is nobody else's business.
    let reachable = user.reaches(&server.instance.dir())?;
    Ok(if reachable { server.dir() } else { elsewhere(server) })
}

/// For a checkout in a folder that is closed to others, such as root's home.
fn elsewhere(server: &Server) -> PathBuf {
    let name = format!("roomlog-{:04x}-{}-{}", instance::checkout(), server.instance, server.service.id());
    Path::new("/var/tmp").join(name)
}

fn make_home(server: &Server, user: User) -> Result<PathBuf> {
    std::fs::create_dir_all(server.dir())?;
    let home = home(server, user)?;
    match std::fs::create_dir(&home) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot create {}", home.display()));
        }
        _ => {}
    }
    let found = std::fs::symlink_metadata(&home)?;
    // Where everybody may write, somebody else could have been faster.
    if let User::Other { .. } = user
        && !(found.is_dir() && found.uid() == 0)
    {
        bail!("{} is not root's folder", home.display());
    }
    Ok(home)
}
