//! Unix domain sockets: who owns the file behind a path.
//!
//! | Endpoint | The file before `bind` | The file after `close` |
//! | --- | --- | --- |
//! | `ipc://path` | taken over if it is a socket that nobody answers on | stays (D2.5) |
//! | `ipc://@name` | none | none |
//! | `ipc://*` | made in a fresh directory that only this user enters | removed with its directory (D2.3) |

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::PathBuf;
use std::task::{Context, Poll};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::{BindError, TransportOptions};
use crate::endpoint::{Address, IpcAddress};

/// A listener, and the private directory of its file if it has one.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    _directory: Option<PrivateDir>,
}

impl Listener {
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.socket.poll_accept(cx).map_ok(|(stream, _)| stream)
    }
}

/// Listens; gives the address back with the real path in place of the wildcard.
pub(super) async fn bind(
    address: &Address,
    ipc: &IpcAddress,
    options: &TransportOptions,
) -> Result<(Listener, IpcAddress), BindError> {
    let error = |source| BindError::io(address, source);
    let (directory, bound) = match ipc {
        IpcAddress::Wildcard => {
            let directory = PrivateDir::new().map_err(error)?;
            let path = directory.file();
            let text = path.to_str().ok_or_else(|| error(io::ErrorKind::InvalidFilename.into()))?;
            let bound = text.parse::<IpcAddress>()?;
            (Some(directory), bound)
        }
        _ => (None, ipc.clone()),
    };
    let socket = match listen(&bound, options) {
        Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => {
            clear_stale(address, &bound).await?;
            listen(&bound, options)
        }
        result => result,
    };
    Ok((Listener { socket: socket.map_err(error)?, _directory: directory }, bound))
}

pub(super) async fn connect(ipc: &IpcAddress) -> io::Result<UnixStream> {
    UnixStream::connect(os_path(ipc)).await
}

fn listen(ipc: &IpcAddress, options: &TransportOptions) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(os_path(ipc))?;
    socket.listen(options.backlog)
}

/// Removes the file that a dead listener left behind, and nothing else (D2.4).
///
/// Two processes that find the same stale file at the same moment can still take over from one another, as any two do
/// under libzmq; the file system has no step that would exclude it.
async fn clear_stale(address: &Address, bound: &IpcAddress) -> Result<(), BindError> {
    let in_use = || BindError::AddressInUse { endpoint: address.into() };
    let IpcAddress::Path(path) = bound else {
        return Err(in_use());
    };
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            return Err(BindError::NotASocket { endpoint: address.into() });
        }
        _ => {}
    }
    match connect(bound).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Somebody answers, is too busy to, or does not let this user ask.
        _ => return Err(in_use()),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BindError::io(address, error)),
        _ => Ok(()),
    }
}

/// The form that tokio takes: an abstract name begins with NUL.
fn os_path(ipc: &IpcAddress) -> PathBuf {
    match ipc {
        IpcAddress::Path(path) => path.into(),
        IpcAddress::Abstract(name) => format!("\0{name}").into(),
        // Resolved by `bind` and refused by `check_connect`.
        IpcAddress::Wildcard => PathBuf::new(),
    }
}

/// A directory of mode 0700 for one socket file; dropping it removes both.
#[derive(Debug)]
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn new() -> io::Result<Self> {
        // libzmq gives a path relative to the current directory, which is of no use to another process.
        let parent = std::path::absolute(std::env::temp_dir())?;
        loop {
            // Guessing the name gains nothing: `mkdir` refuses one that exists.
            let path = parent.join(format!("sinew-{:08x}", fastrand::u32(..)));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and what stays harms nobody.
        _ = fs::remove_file(self.file());
        _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bind, connect, exchange};
    use super::*;
    use crate::endpoint::Endpoint;
    use std::os::unix::fs::PermissionsExt;

    /// A path of one's own, removed with its directory at the end of the test.
    fn fresh() -> (PrivateDir, String) {
        let directory = PrivateDir::new().unwrap();
        let text = format!("ipc://{}", directory.file().display());
        (directory, text)
    }

    fn path(endpoint: &Endpoint) -> PathBuf {
        endpoint.to_string().strip_prefix("ipc://").unwrap().into()
    }

    #[tokio::test]
    async fn d2_1_a_path() {
        let (_directory, text) = fresh();
        let (listener, bound) = bind(&text).await.unwrap();
        assert_eq!(bound.to_string(), text);
        exchange(&listener, &bound).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn d2_2_an_abstract_name_has_no_file_and_one_owner() {
        let text = format!("ipc://@sinew-test-{}-{:x}", std::process::id(), fastrand::u64(..));
        let (listener, bound) = bind(&text).await.unwrap();
        exchange(&listener, &bound).await;
        // The bytes of the name are those of libzmq: a NUL before it, none after.
        use std::os::linux::net::SocketAddrExt;
        let name = text.strip_prefix("ipc://@").unwrap();
        let plain = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        std::os::unix::net::UnixStream::connect_addr(&plain).unwrap();
        assert!(matches!(bind(&text).await.unwrap_err(), BindError::AddressInUse { .. }));
        drop(listener);
        bind(&text).await.unwrap();
    }

    #[tokio::test]
    async fn d2_3_a_wildcard_is_private_and_leaves_nothing() {
        let (listener, bound) = bind("ipc://*").await.unwrap();
        exchange(&listener, &bound).await;
        let file = path(&bound);
        let directory = file.parent().unwrap();
        assert!(file.is_absolute());
        assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
        let (_other, elsewhere) = bind("ipc://*").await.unwrap();
        assert_ne!(bound, elsewhere);
        drop(listener);
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn d2_4_a_path_that_somebody_answers_on_is_in_use() {
        let (_directory, text) = fresh();
        let (listener, bound) = bind(&text).await.unwrap();
        assert!(matches!(bind(&text).await.unwrap_err(), BindError::AddressInUse { .. }));
        // The question that was asked stands in the queue, and has ended already.
        listener.accept().await.unwrap();
        exchange(&listener, &bound).await;
    }

    #[tokio::test]
    async fn d2_5_a_named_file_stays_and_can_be_bound_again() {
        let (directory, text) = fresh();
        drop(bind(&text).await.unwrap());
        assert!(directory.file().exists());
        assert_eq!(connect(&text).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let (listener, bound) = bind(&text).await.unwrap();
        exchange(&listener, &bound).await;
    }

    #[tokio::test]
    async fn only_sockets_are_ever_removed() {
        let (directory, text) = fresh();
        fs::write(directory.file(), "precious").unwrap();
        let error = bind(&text).await.unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error:?}");
        assert_eq!(fs::read(directory.file()).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_missing_directory_is_the_systems_error() {
        let (directory, text) = fresh();
        drop(directory);
        let error = bind(&text).await.unwrap_err();
        assert!(matches!(error, BindError::Io { .. }), "{error:?}");
        assert_eq!(connect(&text).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
