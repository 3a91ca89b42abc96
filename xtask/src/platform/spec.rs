//! What a platform consists of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::role::Role;

/// What to start.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The server's program.
    pub roomlog: PathBuf,
    /// Where everything goes that the processes leave behind: a folder for each, the secrets they share, the proxy's
    /// things. Made if it is not there; what an earlier platform left in it is used again.
    pub folder: PathBuf,
    pub groups: Vec<Group>,
    /// The address that serves all, on 127.0.0.1. `None`: any free port.
    pub port: Option<u16>,
    /// For every process: which log and stores, log level. The platform's own settings come after these.
    pub environment: Vec<(String, String)>,
    /// For one process alone, by its name: these come after those for every process.
    pub own_environment: BTreeMap<String, Vec<(String, String)>>,
}

/// Processes that do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub roles: Vec<Role>,
    pub instances: usize,
}

impl Group {
    /// Every role by itself, this many processes each.
    pub fn each_role(instances: usize) -> Vec<Self> {
        Role::ALL.map(|role| Self { roles: vec![role], instances }).to_vec()
    }

    /// All roles in one process, this many of them.
    pub fn all_in_one(instances: usize) -> Vec<Self> {
        vec![Self { roles: Role::ALL.to_vec(), instances }]
    }

    /// What its processes are called, before their number.
    pub fn name(&self) -> String {
        if self.roles == Role::ALL {
            return "all".to_owned();
        }
        self.roles.iter().map(|role| role.id()).collect::<Vec<_>>().join("+")
    }

    /// `command-api-1` and so on.
    pub fn process_names(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.instances).map(|number| format!("{}-{number}", self.name()))
    }

    /// As in `ROOMLOG_ROLES`.
    pub fn roles_setting(&self) -> String {
        self.roles.iter().map(|role| role.id()).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_called_after_what_they_do() {
        let names: Vec<_> = Group::each_role(2).iter().map(Group::name).collect();
        assert_eq!(names, ["command-api", "projectors", "query-api", "ws-fanout"]);
        assert_eq!(Group::all_in_one(1)[0].name(), "all");
        let two = Group { roles: vec![Role::CommandApi, Role::Projectors], instances: 1 };
        assert_eq!(
            (two.name().as_str(), two.roles_setting().as_str()),
            ("command-api+projectors", "command-api,projectors")
        );
    }
}
