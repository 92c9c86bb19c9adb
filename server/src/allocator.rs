//! How much the C library's allocator keeps of what is free.
//!
//! glibc gives threads heaps of their own, up to eight for each core, and what is free in one is no use to the
//! others: a server whose threads take turns with large buffers then holds far more than it uses. As many heaps
//! as cores are enough. It also keeps more and more of what is free at the end of a heap, the larger the buffers
//! are that come and go; with bounds of its own a server gives that back.
//!
//! All this is read from the environment when a process starts and is not to be set later but by an unsafe call;
//! so the server starts itself once more.

/// A heap's end is given back once so many bytes of it are free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_BYTES_MAX: usize = 8 << 20;

/// Is in the environment of a server that was started once more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const DONE: &str = "ALLOCATOR_SET_BY_TIMBERLINE";

/// Larger buffers are memory of their own, which goes when they do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAP_BUFFER_BYTES_MAX: usize = 1 << 20;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_little() {
    use std::os::unix::process::CommandExt as _;

    // glibc takes its own variables from programs that have more rights than who starts them: they do not tell whether
    // this was done.
    if std::env::var_os(DONE).is_some() {
        return;
    }
    let Ok(cores) = std::thread::available_parallelism() else { return };
    let settings = [
        ("MALLOC_ARENA_MAX", cores.get()),
        ("MALLOC_TRIM_THRESHOLD_", FREE_BYTES_MAX),
        ("MALLOC_MMAP_THRESHOLD_", HEAP_BUFFER_BYTES_MAX),
    ];
    // Whoever set one of these knows better.
    let mut names = settings.iter().map(|(name, _)| *name).chain(["GLIBC_TUNABLES"]);
    if names.any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = std::process::Command::new(program);
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(DONE, "1");
    command.envs(settings.map(|(name, value)| (name, value.to_string())));
    // Comes back only where that is not possible: the server then runs as it is, with more memory.
    let _ = command.exec();
}

/// Other allocators do not keep as much.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn keep_little() {}
