//! Locks that travel to other processes, and where they cannot.

use multiproc::{ErrorKind, Event, Lock, Process, Queue};
use serde::ser::Impossible;
use serde::{Deserialize, Serialize, Serializer};

use crate::common::kind;
use crate::watchdog::watch;

fn make_and_hold(out: Queue<Lock>, release: Event) {
    let lock = Lock::new().unwrap();
    let _guard = lock.lock().unwrap();
    out.put(&lock).unwrap();
    release.wait().unwrap();
}

#[test]
fn a_lock_made_by_a_child_goes_to_its_sibling() {
    let _watch = watch();
    let (locks, release) = (Queue::new().unwrap(), Event::new().unwrap());
    let maker = Process::spawn(make_and_hold, (&locks, &release)).unwrap();
    let pid = maker.id();
    let use_it = |locks: Queue<Lock>, release: Event, maker: u32| {
        let lock = locks.get().unwrap();
        assert_eq!(lock.owner().unwrap().pid, maker);
        assert_eq!(kind(lock.try_lock()), ErrorKind::Busy);
        release.set();
        drop(lock.lock().unwrap());
        locks.put(lock).unwrap();
    };
    let sibling = Process::spawn(use_it, (&locks, &release, pid)).unwrap();
    maker.join().unwrap();
    sibling.join().unwrap();
    // Both that ever had it are gone; it was on its way.
    let lock = locks.try_get().unwrap();
    drop(lock.lock().unwrap());
}

#[derive(Serialize, Deserialize)]
struct Shop {
    name: String,
    doors: Vec<Lock>,
    open: Option<Event>,
    back: Queue<Shop>,
}

#[test]
fn handles_travel_inside_a_structure() {
    let _watch = watch();
    let shop = Shop {
        name: "corner".to_owned(),
        doors: (0..3).map(|_| Lock::new().unwrap()).collect(),
        open: Some(Event::new().unwrap()),
        back: Queue::new().unwrap(),
    };
    let visit = |mut shop: Shop| {
        assert_eq!(kind(shop.doors[1].try_lock()), ErrorKind::Busy);
        drop(shop.doors[2].try_lock().unwrap());
        shop.open.as_ref().unwrap().set();
        shop.doors.swap(0, 1);
        shop.name.push_str(" shop");
        let back = shop.back.clone();
        back.put(shop).unwrap();
    };
    let guard = shop.doors[1].lock().unwrap();
    let process = Process::spawn(visit, (&shop,)).unwrap();
    let returned = shop.back.get().unwrap();
    process.join().unwrap();
    assert!(shop.open.as_ref().unwrap().is_set());
    assert_eq!(returned.name, "corner shop");
    assert_eq!(kind(returned.doors[0].try_lock()), ErrorKind::Deadlock, "held here");
    drop(guard);
    drop(returned.doors[0].try_lock().unwrap());
}

#[test]
fn one_handle_twice_in_a_message_is_one_lock() {
    let lock = Lock::new().unwrap();
    let queue: Queue<(Lock, Lock)> = Queue::new().unwrap();
    queue.put((lock.clone(), lock.clone())).unwrap();
    let (one, two) = queue.get().unwrap();
    let _guard = one.lock().unwrap();
    assert_eq!(kind(two.try_lock()), ErrorKind::Deadlock);
    assert_eq!(kind(lock.try_lock()), ErrorKind::Deadlock);
}

/// A format of our own, as JSON would be: refuses everything but tells what it was told.
struct Elsewhere;

#[derive(Debug)]
struct Told(String);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

impl serde::ser::Error for Told {
    fn custom<T: std::fmt::Display>(text: T) -> Told {
        Told(text.to_string())
    }
}

macro_rules! written {
    ($($method:ident($($type:ty),*);)*) => {$(
        fn $method(self, $(_: $type),*) -> std::result::Result<(), Told> {
            Err(Told("it was written".to_owned()))
        }
    )*};
}

macro_rules! opened {
    ($($method:ident($($type:ty),*) -> $answer:ident;)*) => {$(
        fn $method(self, $(_: $type),*) -> std::result::Result<Self::$answer, Told> {
            Err(Told("it was written".to_owned()))
        }
    )*};
}

impl Serializer for Elsewhere {
    type Ok = ();
    type Error = Told;
    type SerializeSeq = Impossible<(), Told>;
    type SerializeTuple = Impossible<(), Told>;
    type SerializeTupleStruct = Impossible<(), Told>;
    type SerializeTupleVariant = Impossible<(), Told>;
    type SerializeMap = Impossible<(), Told>;
    type SerializeStruct = Impossible<(), Told>;
    type SerializeStructVariant = Impossible<(), Told>;

    written! {
        serialize_bool(bool); serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]);
        serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64);
        serialize_f32(f32); serialize_f64(f64); serialize_none(); serialize_unit();
        serialize_unit_struct(&'static str); serialize_unit_variant(&'static str, u32, &'static str);
    }
    opened! {
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> std::result::Result<(), Told> {
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> std::result::Result<(), Told> {
        self.serialize_unit()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> std::result::Result<(), Told> {
        self.serialize_unit()
    }
}

#[test]
fn a_handle_written_elsewhere_is_a_clear_error() {
    let (lock, event, queue) =
        (Lock::new().unwrap(), Event::new().unwrap(), Queue::<u8>::new().unwrap());
    let (producer, consumer) = Queue::<u8>::new().unwrap().split();
    for refused in [
        lock.serialize(Elsewhere),
        event.serialize(Elsewhere),
        queue.serialize(Elsewhere),
        producer.serialize(Elsewhere),
        consumer.serialize(Elsewhere),
    ] {
        let text = refused.unwrap_err().0;
        assert!(text.contains("a shared object can travel only in"), "{text}");
    }
    assert!(postcard::to_stdvec(&lock).is_err());
}

#[test]
fn a_handle_read_from_elsewhere_is_a_clear_error() {
    use serde::de::value::{Error, SeqDeserializer};
    fn read<'de, T: Deserialize<'de>>() -> String {
        let bytes = SeqDeserializer::<_, Error>::new([0_u64, 0].into_iter());
        T::deserialize(bytes).map(drop).unwrap_err().to_string()
    }
    for text in [read::<Lock>(), read::<Event>(), read::<Queue<u8>>()] {
        assert!(text.contains("only from a message of its own process tree"), "{text}");
    }
    assert!(postcard::from_bytes::<Lock>(&[0; 16]).is_err());
}
