//! Users and groups by name or number, as the C library knows them (NSS).

use nix::unistd::{Group, Uid, User};
use std::path::Path;

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Nobody has this name or number.
    #[error("--user: there is no user `{0}': give the name or number of one that is there")]
    Absent(String),
    /// The one that is taken by itself is a person's.
    #[error(
        "--user: the user `{SERVICE}' logs in (number {uid}, {shell}), and the agent becomes it only where it is asked to: \
         give --user with another name, or with this one"
    )]
    LogsIn {
        /// Its number.
        uid: u32,
        /// What it logs in to.
        shell: String,
    },
    /// The C library cannot look it up.
    #[error("--user: `{name}' cannot be looked up: {error}: give a number")]
    Lookup {
        /// Name or number.
        name: String,
        /// Why.
        #[source]
        error: nix::Error,
    },
}

/// A user by name or number. `None` for the one that is taken by itself and is not there.
///
/// # Errors
/// One that was asked for and is not there, or one of the service's name that was made for something else.
pub fn user(wanted: Option<&str>) -> Result<Option<User>, UserError> {
    let name = wanted.unwrap_or(SERVICE);
    let found = match name.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    match (found, wanted) {
        (Ok(Some(user)), None) if logs_in(&user) => {
            Err(UserError::LogsIn { uid: user.uid.as_raw(), shell: user.shell.display().to_string() })
        }
        (Ok(Some(user)), _) => Ok(Some(user)),
        (_, None) => Ok(None),
        (Ok(None), Some(name)) => Err(UserError::Absent(name.into())),
        (Err(error), Some(name)) => Err(UserError::Lookup { name: name.into(), error }),
    }
}

/// Whether it is a person's, and no service's: whoever logs in as the user of the agent may send signals to it.
fn logs_in(user: &User) -> bool {
    // SYS_UID_MAX of every distribution's login.defs; systemd-sysusers gives a user the number of a group of its name, whichever that is.
    let of_system = user.uid.as_raw() < 1000 || user.dir == Path::new("/nonexistent");
    !(of_system && ["nologin", "false"].iter().any(|shell| user.shell.ends_with(shell)))
}

/// The user that the agent runs as where there is one of this name.
pub const SERVICE: &str = "netstat-user";

/// Why there is no such group.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum GroupError {
    /// No group has this name or number.
    #[error("--group: there is no group `{0}': give the name or number of one that is there")]
    Absent(String),
    /// The C library cannot look it up.
    #[error("--group: `{name}' cannot be looked up: {error}: give a number")]
    Lookup {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        error: nix::Error,
    },
}

/// A group by number, or by name.
///
/// # Errors
/// No group has this name or number.
pub fn group(name: &str) -> Result<u32, GroupError> {
    match name.parse() {
        // No group has the number that means none.
        Ok(u32::MAX) => return Err(GroupError::Absent(name.into())),
        Ok(gid) => return Ok(gid),
        Err(_) => {}
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(GroupError::Absent(name.into())),
        Err(error) => Err(GroupError::Lookup { name: name.into(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_by_name_and_number() {
        assert_eq!(user(Some("root")).unwrap().unwrap().uid, Uid::from_raw(0));
        assert_eq!(user(Some("0")).unwrap().unwrap().name, "root");
        assert!(user(Some("no-such-user")).unwrap_err().to_string().contains("--user"));
        assert!(user(None).is_ok());
    }

    #[test]
    fn a_user_that_logs_in_is_told_from_a_services() {
        let root = User::from_name("root").unwrap().unwrap();
        let user = |uid, shell: &str| User { uid: Uid::from_raw(uid), shell: shell.into(), ..root.clone() };
        assert!(!logs_in(&user(998, "/usr/sbin/nologin")) && !logs_in(&user(101, "/bin/false")));
        let homeless = User { dir: "/nonexistent".into(), ..user(1001, "/usr/sbin/nologin") };
        assert!(!logs_in(&homeless));
        assert!(logs_in(&user(998, "/bin/sh")) && logs_in(&user(1000, "/usr/sbin/nologin")) && logs_in(&user(998, "")));
    }

    #[test]
    fn groups_by_number_and_name() {
        assert_eq!((group("7"), group("0"), group("4294967294")), (Ok(7), Ok(0), Ok(u32::MAX - 1)));
        assert_eq!(group("root"), Ok(0));
        for none in ["4294967295", "4294967296", "no such group", "-1", ""] {
            assert_eq!(group(none), Err(GroupError::Absent(none.into())));
        }
    }
}
