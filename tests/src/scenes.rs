//! The scenes that cases play in, each made when the first case needs it and kept until the end.

use crate::locales;
use crate::sandbox::Sandbox;
use crate::zoo::actor::Actor;
use crate::zoo::peer::Sink;
use crate::zoo::{Keep, keep, network, tcp, udp, unix};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Where a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A namespace as the kernel makes it: the loopback interface is down, nothing else is there.
    Bare,
    /// Every kind of socket, and processes of odd names and other users that hold some.
    Sockets,
    /// A UNIX socket at a path with blanks.
    Blanks,
    /// Sockets of a user whose number is above 2³¹.
    BigUid,
    /// Interfaces, routes and groups of every kind.
    Network,
    /// An interface whose name has all 15 characters.
    LongName,
    /// Nothing but loopback, for a test that makes sockets while it looks.
    Churn,
    /// A captured or hand-written /proc of `golden/`, by the name of its folder.
    Tree(&'static str),
}

/// A scene that has been made.
pub struct Stage {
    /// Where programs run.
    pub sandbox: Sandbox,
    /// Held while a case is judged: a program that looks up names opens sockets of its own, and the table of another must
    /// not show them.
    pub turn: Mutex<()>,
    _keep: Keep,
}

impl Stage {
    fn new(sandbox: Sandbox, keep: Keep) -> Self {
        Self { sandbox, turn: Mutex::new(()), _keep: keep }
    }
}

/// The words of a command line, the user that runs it, and the port it holds.
type Process<'a> = (&'a [&'a [u8]], Option<u32>, u16);

/// All scenes.
pub struct Theatre {
    stages: [OnceLock<Stage>; 7],
    trees: Mutex<Vec<(&'static str, &'static Stage)>>,
    folder: PathBuf,
    locale: PathBuf,
}

/// A folder of this crate.
pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Theatre {
    /// An empty theatre that keeps generated locales in the folder `scratch`.
    ///
    /// # Errors
    /// What is missing here: root, a way to generate locales, a folder.
    pub fn new(scratch: &Path) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("it needs root, to make namespaces".into());
        }
        let locale = locales::generate(&scratch.join("locale"))?;
        // Socket paths are at most 107 bytes: a short folder, not one under target/.
        let folder = std::env::temp_dir().join(format!("netstat-zoo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { stages: std::array::from_fn(|_| OnceLock::new()), trees: Default::default(), folder, locale })
    }

    /// The stage of a scene, made now if it is not there yet.
    pub fn stage(&self, scene: Scene) -> &Stage {
        let index = match scene {
            Scene::Bare => 0,
            Scene::Sockets => 1,
            Scene::Blanks => 2,
            Scene::BigUid => 3,
            Scene::Network => 4,
            Scene::LongName => 5,
            Scene::Churn => 6,
            Scene::Tree(name) => return self.tree(name),
        };
        self.stages[index].get_or_init(|| {
            self.make(scene).unwrap_or_else(|error| panic!("the scene {scene:?} cannot be made: {error}"))
        })
    }

    fn tree(&self, name: &'static str) -> &Stage {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stage)) = trees.iter().find(|(known, _)| *known == name) {
            return stage;
        }
        let sandbox = self.sandbox().expect("a namespace").bind(here("golden").join(name).join("proc"), "/proc");
        // One per tree, for the life of the process.
        let stage: &'static Stage = Box::leak(Box::new(Stage::new(sandbox, Keep::new())));
        trees.push((name, stage));
        stage
    }

    /// A namespace with the names of `fixtures/etc` and the generated locales.
    fn sandbox(&self) -> io::Result<Sandbox> {
        let mut sandbox = Sandbox::new()?.bind(&self.locale, locales::LOCALE_DIR);
        for name in ["hosts", "networks", "services", "protocols", "passwd", "nsswitch.conf"] {
            sandbox = sandbox.bind(here("fixtures/etc").join(name), Path::new("/etc").join(name));
        }
        Ok(sandbox)
    }

    fn make(&self, scene: Scene) -> io::Result<Stage> {
        let sandbox = self.sandbox()?;
        let keep = match scene {
            Scene::Bare => {
                sandbox.netns().enter(|| crate::zoo::peer::ip("link set lo down"));
                Keep::new()
            }
            Scene::Sockets => self.sockets(&sandbox)?,
            Scene::Blanks => sandbox.netns().enter(|| {
                let paths = ["two words.sock", " leading.sock", "trailing .sock", "a  b   c.sock"];
                let bind = |name: &&str| std::os::unix::net::UnixListener::bind(self.folder.join(name));
                paths.iter().map(bind).collect::<io::Result<Vec<_>>>().map(keep)
            })?,
            Scene::BigUid => keep([
                Actor::start(&sandbox, &[b"big"], Some(3_000_000_000), "listen 127.0.0.1:7000", None)?,
                Actor::start(&sandbox, &[b"biggest"], Some(u32::MAX - 1), "udp 127.0.0.1:7001", None)?,
            ]),
            Scene::Network => sandbox.netns().enter(network::zoo)?,
            Scene::Churn => Keep::new(),
            Scene::LongName => sandbox.netns().enter(network::long_name)?,
            Scene::Tree(_) => unreachable!("trees have stages of their own"),
        };
        Ok(Stage::new(sandbox, keep))
    }

    fn sockets(&self, sandbox: &Sandbox) -> io::Result<Keep> {
        let folder = self.folder.join("zoo");
        std::fs::create_dir_all(&folder)?;
        let (mut all, shared) = sandbox.netns().enter(|| -> io::Result<_> {
            let sink = Sink::new()?;
            let mut all = tcp::zoo(&sink)?;
            all.extend(udp::zoo()?);
            all.extend(unix::zoo(&folder)?);
            all.extend(keep([sink]));
            Ok((all, tcp::listener("127.0.0.1:7999", 1)?))
        })?;
        let long = b"long-".repeat(120);
        // argv, user, port. netstat names a process by the first string of its argv.
        let processes: [Process; 16] = [
            (&[b"plain"], None, 7001),
            (&[b"/usr/lib/prog --opt=/etc/conf"], None, 7002),
            (&[b"./x/y", b"/z"], None, 7003),
            (&[b""], None, 7004),
            (&[b"", b"second"], None, 7005),
            (&[b"a program with blanks and a long name"], None, 7006),
            (&[b"/"], None, 7007),
            (&[b"trailing/"], None, 7008),
            (&[b"/trailing/slash/"], None, 7009),
            (&["größe-ünïcode-näme".as_bytes()], None, 7010),
            (&[b"latin-\xe9\xe8\xff-name"], None, 7011),
            (&[&long], None, 7012),
            (&[b"sshd: root@pts/0"], None, 7013),
            (&[b"anns"], Some(1000), 7014),
            (&[b"unnamed-user"], Some(54_321), 7015),
            (&[b"annabella"], Some(1001), 7016),
        ];
        for (argv, uid, port) in processes {
            let script = format!("listen 127.0.0.1:{port}\nudp 127.0.0.1:{port}");
            all.extend(keep([Actor::start(sandbox, argv, uid, &script, None)?]));
        }
        for (name, uid) in [(&b"mueller"[..], 1002), (b"biggest-int", 2_147_483_647), (b"nobody", 65_534)] {
            let port = 7100 + uid % 100;
            all.extend(keep([Actor::start(sandbox, &[name], Some(uid), &format!("listen [::1]:{port}"), None)?]));
        }
        // One socket of three processes.
        for name in [&b"shares-1"[..], b"shares-2"] {
            all.extend(keep([Actor::start(sandbox, &[name], None, "", Some(&shared))?]));
        }
        let path = folder.join("actor.sock");
        let script = format!("unix {}", path.display());
        all.extend(keep([Actor::start(sandbox, &[b"unix-actor"], None, &script, None)?]));
        all.extend(keep([shared]));
        Ok(all)
    }
}

impl Drop for Theatre {
    fn drop(&mut self) {
        // What cannot be removed is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
