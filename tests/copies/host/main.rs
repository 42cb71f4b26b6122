//! A program without this crate that loads a shared library with it.

use std::ffi::{CString, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

fn main() {
    println!("main");
    let file = CString::new(std::env::args().nth(2).unwrap()).unwrap();
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
