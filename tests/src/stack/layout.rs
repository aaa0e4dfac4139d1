//! Where the stack keeps its files, and the account its `PostgreSQL` runs under.

use std::env;
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

use super::StackError;

/// A Unix socket's path must fit into 108 bytes; `/.s.PGSQL.65535.lock` follows the folder.
const LONGEST_SOCKET_DIR: usize = 80;

/// The folders of the stack.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    shared: PathBuf,
    account: Option<Account>,
}

/// The account that runs `PostgreSQL` when this process is root, as `PostgreSQL` refuses to run as root.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A file that only the workspace's root has, to know it by.
const LANDMARK: &str = "deploy/local/kafka/pom.xml";

/// The workspace that this process was started in. A copy of the program uses the workspace it is run in, not the one
/// it was built in.
fn workspace() -> Result<PathBuf, StackError> {
    let here = env::current_dir().map_err(StackError::file("find", Path::new(".")))?;
    let mut above = here.ancestors();
    let found = above.find(|folder| folder.join(LANDMARK).is_file());
    let remedy = "run it inside a clone of the repository";
    found
        .map(Path::to_owned)
        .ok_or_else(|| StackError::missing("the workspace of outbox-relay", remedy))
}

impl Layout {
    /// The folders of this workspace: `.stack/` at its root. What the `PostgreSQL` account must reach goes into the
    /// system's folder for temporary files when that account cannot enter the workspace (a clone under `/root`).
    ///
    /// # Errors
    ///
    /// [`StackError::Missing`] when run outside the workspace, or as root on a system with neither a `postgres` nor a `nobody` account,
    /// [`StackError::File`] when a folder cannot be made.
    pub fn of_workspace() -> Result<Layout, StackError> {
        Layout::at(&workspace()?.join(".stack"), account()?)
    }

    fn at(root: &Path, account: Option<Account>) -> Result<Layout, StackError> {
        make_dir(root, 0o755)?;
        let reachable = account.as_ref().is_none_or(|account| account.can_enter(root));
        let shared = if reachable {
            root.to_owned()
        } else {
            temporary_twin(root)?
        };
        let layout = Layout {
            root: root.to_owned(),
            shared,
            account,
        };
        for folder in [
            layout.run(),
            layout.logs(),
            layout.downloads(),
            layout.data(),
            layout.shared_downloads(),
        ] {
            make_dir(&folder, 0o755)?;
        }
        Ok(layout)
    }

    /// State and lock files.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The servers' logs, kept after they stop until a stack of the same name starts.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Downloads that only this user needs to read.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Downloads that the `PostgreSQL` account must read, too.
    pub fn shared_downloads(&self) -> PathBuf {
        self.shared.join("downloads")
    }

    /// The servers' data.
    pub fn data(&self) -> PathBuf {
        self.shared.join("data")
    }

    /// The account for `PostgreSQL`; `None` when this process is not root and runs it itself.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Makes a folder that only the `PostgreSQL` account may enter.
    pub(crate) fn make_private(&self, folder: &Path) -> Result<(), StackError> {
        make_dir(folder, 0o700)?;
        let Some(account) = &self.account else { return Ok(()) };
        std::os::unix::fs::chown(folder, Some(account.uid), Some(account.gid))
            .map_err(StackError::file("change the owner of", folder))
    }

    /// The folder for the Unix socket of the server with this data folder: inside it, or under the system's folder for
    /// temporary files when that path would be too long for a socket.
    pub(crate) fn socket_dir(data: &Path) -> PathBuf {
        let inside = data.join("socket");
        if inside.as_os_str().len() <= LONGEST_SOCKET_DIR {
            return inside;
        }
        env::temp_dir().join(format!("outbox-relay-socket-{:016x}", fingerprint(data)))
    }
}

impl Account {
    /// Whether every folder on the way may be entered by this account, going by the permission bits.
    fn can_enter(&self, folder: &Path) -> bool {
        folder.ancestors().all(|folder| {
            fs::metadata(folder).is_ok_and(|metadata| {
                let search = match metadata {
                    ref metadata if metadata.uid() == self.uid => 0o100,
                    ref metadata if metadata.gid() == self.gid => 0o010,
                    _ => 0o001,
                };
                metadata.mode() & search != 0
            })
        })
    }
}

/// Makes a folder with these permissions, whatever the umask; an existing one gets them, too.
pub(crate) fn make_dir(folder: &Path, mode: u32) -> Result<(), StackError> {
    fs::create_dir_all(folder).map_err(StackError::file("make the folder", folder))?;
    fs::set_permissions(folder, Permissions::from_mode(mode)).map_err(StackError::file("open to its users", folder))
}

/// Removes a folder with everything in it; an absent one is fine.
pub(crate) fn remove_dir(folder: &Path) -> Result<(), StackError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StackError::file("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn account() -> Result<Option<Account>, StackError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let user = ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten());
    let user = user.ok_or_else(|| {
        StackError::missing(
            "an account for PostgreSQL, which refuses to run as root,",
            "create one (`useradd --system postgres`) or run the stack as an ordinary user",
        )
    })?;
    Ok(Some(Account {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    }))
}

/// A folder for this workspace under the system's folder for temporary files, which anybody may write to: what is found
/// there counts only when it is a folder of this user.
fn temporary_twin(root: &Path) -> Result<PathBuf, StackError> {
    let twin = env::temp_dir().join(format!("outbox-relay-stack-{:016x}", fingerprint(root)));
    if let Err(error) = fs::create_dir(&twin)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(StackError::file("make the folder", &twin)(error));
    }
    let metadata = fs::symlink_metadata(&twin).map_err(StackError::file("look at", &twin))?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        let error = std::io::Error::other("somebody else made it");
        return Err(StackError::file("use", &twin)(error));
    }
    make_dir(&twin, 0o755)?;
    Ok(twin)
}

/// A number that stays the same from run to run; `DefaultHasher::new` is unkeyed, a change between compiler versions
/// would only make another folder.
fn fingerprint(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn stranger() -> Account {
        Account {
            name: "stranger".to_owned(),
            uid: 4_000_001,
            gid: 4_000_001,
        }
    }

    #[test]
    fn a_workspace_closed_to_the_account_moves_the_data_to_the_temporary_folder() -> Outcome {
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("clone/.stack");
        make_dir(folder.path(), 0o755)?;
        assert_eq!(Layout::at(&root, Some(stranger()))?.data(), root.join("data"));

        make_dir(folder.path(), 0o700)?;
        let closed = Layout::at(&root, Some(stranger()))?;
        assert!(!closed.data().starts_with(&root) && !closed.shared_downloads().starts_with(&root));
        assert!(stranger().can_enter(&closed.data()));
        assert_eq!(
            Layout::at(&root, None)?.data(),
            root.join("data"),
            "without another account nothing moves"
        );
        assert_eq!(closed.logs(), root.join("logs"));
        remove_dir(&closed.shared)?;
        Ok(())
    }

    #[test]
    fn the_socket_path_stays_short_however_deep_the_workspace_is() {
        let deep = PathBuf::from(format!("/{}", "deep/".repeat(40)));
        assert!(Layout::socket_dir(&deep).as_os_str().len() <= LONGEST_SOCKET_DIR);
        assert_eq!(
            Layout::socket_dir(Path::new("/srv/data/a")),
            PathBuf::from("/srv/data/a/socket")
        );
    }
}
