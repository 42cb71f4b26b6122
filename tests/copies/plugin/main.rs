//! A shared library with this crate in it.

/// Tries what works in a shared library and what does not.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_try() {
    // Does nothing: its copy of the crate is not the program's.
    multiproc::init();
    let lock = multiproc::Lock::new().unwrap();
    drop(lock.lock().unwrap());
    let error = multiproc::Process::spawn(|| {}, ()).unwrap_err();
    println!("plugin: a lock works; a process is {:?}: {error}", error.kind());
}
