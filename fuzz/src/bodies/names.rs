//! nsswitch.conf, hosts, networks, passwd, services and protocols: the same bytes read as each.

use netstat_user::names::files;

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(file: &[u8]) {
    for database in ["hosts", "passwd", "networks", "services"] {
        files::source(file, database.as_bytes());
        files::is_file_alone(file, database.as_bytes(), true);
    }
    assert!(files::hosts(file).all(|(_, name)| !name.is_empty()));
    assert!(files::networks(file).all(|(_, name)| !name.is_empty()));
    assert!(files::users(file).all(|(_, name)| !name.contains(&b':')));
    assert!(files::services(file).all(|(_, _, name)| !name.is_empty()));
    assert!(files::protocols(file).all(|(_, name)| !name.is_empty()));
}
