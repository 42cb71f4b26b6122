//! The methods by which a process is started.

/// How a process is started: [`ProcessBuilder::start_method`](crate::ProcessBuilder::start_method), and for the workers of a pool
/// [`PoolBuilder::start_method`](crate::PoolBuilder::start_method).
///
/// Both give the same child: a fresh image of this program, with the environment, the working directory, the limits, the
/// standard streams and the signal mask that this process has at the time, and nothing else of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartMethod {
    /// Executes the program again for each child.
    Spawn,
    /// Forks each child from a *fork server*: the same program, executed once, at this method's first use, and kept at its very
    /// beginning. A start and its join take less than half of the time that they take by `Spawn`, measured on a busy machine.
    ///
    /// The server forks ahead: there is always one child that waits for the next start. Both are processes more, asleep, without
    /// shared objects, and in no list of children. They end with this process; one that is
    /// killed is replaced at the next start, and no start or child is lost with it. Its children are this process's own. What
    /// differs from `Spawn`:
    ///
    /// - the addresses of code and stack are the same in all children of one server;
    /// - control group, namespaces, the mask of file modes (`umask`), and the processors on which a child may run are those that this
    ///   process had when the server started;
    /// - what constructors of *shared libraries* do, they do once, in the server.
    ///
    /// [`spawn`](crate::Process::spawn) is [`Unsupported`](crate::ErrorKind::Unsupported) by this method where a library starts
    /// a thread before `main`, and with a libc other than glibc.
    ForkServer,
}
