//! How many heaps the C library's allocator keeps.
//!
//! glibc gives threads heaps of their own, up to eight for each core, and what is free in one is no use to the
//! others: a server whose threads take turns with large buffers then holds far more than it uses. As many heaps
//! as cores are enough. The number is read from the environment when a process starts and is not to be set
//! later but by an unsafe call; so the server starts itself once more.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_few_heaps() {
    use std::os::unix::process::CommandExt as _;

    const HEAPS: &str = "MALLOC_ARENA_MAX";

    // Whoever set one of these knows better, or it was us.
    if [HEAPS, "GLIBC_TUNABLES"].iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let (Ok(program), Ok(cores)) = (std::env::current_exe(), std::thread::available_parallelism())
    else {
        return;
    };
    let mut command = std::process::Command::new(program);
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Comes back only where that is not possible: the server then runs as it is, with more memory.
    let _ = command.args(arguments).env(HEAPS, cores.to_string()).exec();
}

/// Other allocators do not keep as many.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn keep_few_heaps() {}
