//! A program with three copies of this crate, two of them of the same version.

use std::ffi::{CString, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

fn double(n: u64) -> u64 {
    2 * n
}

/// What one copy of the crate can do, and that its objects are no other's.
macro_rules! try_copy {
    ($copy:ident, $other:ident) => {{
        // The hook of this very copy has run it: others would not know that it is a child.
        let child =
            || ($copy::parent_process().is_some(), $other::parent_process().is_some(), double(21));
        assert_eq!($copy::Process::spawn(child, ()).unwrap().join().unwrap(), (true, false, 42));
        let forked = $copy::Process::builder().start_method($copy::StartMethod::ForkServer);
        assert_eq!(forked.spawn(double, (3,)).unwrap().join().unwrap(), 6);
        // In a child of this copy the other one works as in any process.
        let inside = |lock: $copy::Lock| {
            let _guard = lock.lock().unwrap();
            let other = $other::Lock::new().unwrap();
            let _other = other.lock().unwrap();
            $other::Process::spawn(double, (4,)).unwrap().join().unwrap()
        };
        let lock = $copy::Lock::new().unwrap();
        assert_eq!($copy::Process::spawn(inside, (&lock,)).unwrap().join().unwrap(), 8);
        // A handle does not travel as the other's.
        let queue = $other::Queue::<$copy::Lock>::new().unwrap();
        assert!(queue.put(&lock).is_err());
        // A thread dies with a lock of each: both say so.
        let other = $other::Lock::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| std::mem::forget((lock.lock().unwrap(), other.lock().unwrap())));
        });
        while lock.is_locked() || other.is_locked() {
            std::thread::yield_now();
        }
        assert!(lock.lock().unwrap_err().is_owner_died());
        assert!(other.lock().unwrap_err().is_owner_died());
    }};
}

/// Loads a library and calls its one function.
fn load(file: &str) {
    let file = CString::new(file).unwrap();
    // SAFETY: a string that ends; 2 is RTLD_NOW.
    let library = unsafe { dlopen(file.as_ptr(), 2) };
    assert!(!library.is_null());
    // SAFETY: a library that was opened, a string that ends.
    let plugin_try = unsafe { dlsym(library, c"plugin_try".as_ptr()) };
    assert!(!plugin_try.is_null());
    // SAFETY: the function of that name is of this type.
    let plugin_try: extern "C" fn() = unsafe { std::mem::transmute(plugin_try) };
    plugin_try();
}

fn main() {
    println!("main");
    let arguments: Vec<String> = std::env::args().collect();
    if arguments[1] == "plugin" {
        load(&arguments[2]);
    }
    try_copy!(multiproc, newer);
    try_copy!(newer, twin);
    try_copy!(twin, multiproc);
    println!("all is well");
}
