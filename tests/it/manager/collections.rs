//! The methods of dicts, lists, sets and namespaces, beside the collections they stand for.

use std::collections::{HashMap, HashSet};

use multiproc::Manager;

use crate::common::Chance;
use crate::watchdog::watch;

#[test]
fn a_dict_does_what_a_map_does() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let dict = manager.dict::<u64, u64>().unwrap();
    let mut map = HashMap::new();
    let mut chance = Chance::new(5);
    for _ in 0..2000 {
        let (key, value) = (chance.below(20), chance.below(1000));
        match chance.below(10) {
            0 => assert_eq!(dict.insert(key, value).unwrap(), map.insert(key, value)),
            1 => assert_eq!(dict.get(key).unwrap(), map.get(&key).copied()),
            2 => assert_eq!(dict.remove(key).unwrap(), map.remove(&key)),
            3 => assert_eq!(dict.contains_key(key).unwrap(), map.contains_key(&key)),
            4 => assert_eq!(dict.len().unwrap(), map.len()),
            5 => assert_eq!(
                dict.get_or_insert(key, value).unwrap(),
                *map.entry(key).or_insert(value)
            ),
            6 => {
                let add = |n: &mut u64, by: u64| {
                    *n += by;
                    *n
                };
                let expected = map.get_mut(&key).map(|n| add(n, value));
                assert_eq!(dict.update(key, add, (value,)).unwrap(), expected);
            }
            7 => {
                let add = |n: &mut u64, by: u64| {
                    *n += by;
                    *n
                };
                let expected = add(map.entry(key).or_insert(3), value);
                assert_eq!(dict.update_or(key, 3, add, (value,)).unwrap(), expected);
            }
            8 if value < 50 => {
                dict.retain(|key, value| key % 2 == 0 || *value > 500).unwrap();
                map.retain(|key, value| key % 2 == 0 || *value > 500);
            }
            _ => {
                dict.extend([(key, value), (key + 1, value)]).unwrap();
                map.extend([(key, value), (key + 1, value)]);
            }
        }
    }
    assert_eq!(dict.to_map().unwrap(), map);
    let sorted = |mut all: Vec<u64>| {
        all.sort_unstable();
        all
    };
    assert_eq!(sorted(dict.keys().unwrap()), sorted(map.keys().copied().collect()));
    assert_eq!(sorted(dict.values().unwrap()), sorted(map.values().copied().collect()));
    let (key, value) = dict.pop().unwrap().unwrap();
    assert_eq!(map.remove(&key), Some(value));
    assert_eq!(dict.take_all().unwrap().into_iter().collect::<HashMap<_, _>>(), map);
    assert!(dict.is_empty().unwrap() && dict.pop().unwrap().is_none());
    dict.insert(1, 1).unwrap();
    dict.clear().unwrap();
    assert_eq!(dict.len().unwrap(), 0);
    // Several entries at once, with an argument.
    dict.extend((0..10).map(|n| (n, n))).unwrap();
    let keep = |map: &mut HashMap<u64, u64>, most: u64| map.retain(|_, value| *value < most);
    dict.proxy().call(keep, (3,)).unwrap();
    assert_eq!(sorted(dict.keys().unwrap()), [0, 1, 2]);
}

#[test]
fn a_list_does_what_a_vector_does() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let list = manager.list::<u64>().unwrap();
    let mut vec = Vec::new();
    let mut chance = Chance::new(7);
    for _ in 0..2000 {
        let (index, item) = (chance.below(vec.len() as u64 + 1) as usize, chance.below(20));
        let is_in = index < vec.len();
        match chance.below(16) {
            0..4 => {
                list.push(item).unwrap();
                vec.push(item);
            }
            4 => assert_eq!(list.pop().unwrap(), vec.pop()),
            5 => assert_eq!(list.get(index).unwrap(), vec.get(index).copied()),
            6 if is_in => {
                assert_eq!(list.set(index, item).unwrap(), std::mem::replace(&mut vec[index], item))
            }
            6 => assert!(list.set(index, item).unwrap_err().is_invalid_input()),
            7 => {
                list.insert(index, item).unwrap();
                vec.insert(index, item);
            }
            8 if is_in => assert_eq!(list.remove(index).unwrap(), vec.remove(index)),
            8 => assert!(list.remove(index).unwrap_err().is_invalid_input()),
            9 if is_in => assert_eq!(list.swap_remove(index).unwrap(), vec.swap_remove(index)),
            10 if is_in => {
                list.swap(index, 0).unwrap();
                vec.swap(index, 0);
            }
            11 => {
                assert_eq!(list.contains(item).unwrap(), vec.contains(&item));
                assert_eq!(list.index_of(item).unwrap(), vec.iter().position(|it| *it == item));
                assert_eq!(list.count(item).unwrap(), vec.iter().filter(|it| **it == item).count());
            }
            12 if is_in => {
                let add = |n: &mut u64, by: u64| {
                    *n += by;
                    *n
                };
                vec[index] += item;
                assert_eq!(list.update(index, add, (item,)).unwrap(), vec[index]);
            }
            13 if item == 0 => {
                list.sort().unwrap();
                list.reverse().unwrap();
                vec.sort_by(|a, b| b.cmp(a));
            }
            14 if item < 3 => {
                list.retain(|item| item % 3 != 0).unwrap();
                vec.retain(|item| item % 3 != 0);
            }
            15 if item == 1 => {
                list.truncate(index).unwrap();
                vec.truncate(index);
            }
            _ => {
                let end = index + item as usize;
                assert_eq!(list.slice(index..end).unwrap(), vec[index..end.min(vec.len())]);
                assert_eq!(list.len().unwrap(), vec.len());
            }
        }
    }
    assert_eq!(list.to_vec().unwrap(), vec);
    assert_eq!(list.first().unwrap(), vec.first().copied());
    assert_eq!(list.last().unwrap(), vec.last().copied());
    assert_eq!(list.take_all().unwrap(), vec);
    assert!(list.is_empty().unwrap());
    list.extend_from_slice(&[3, 1, 2]).unwrap();
    list.sort_by_key(|n| u64::MAX - n).unwrap();
    assert_eq!(list.slice(..).unwrap(), [3, 2, 1]);
    assert_eq!(list.slice(..=1).unwrap(), [3, 2]);
    let (start, end) = (2, 1);
    assert_eq!(list.slice(start..end).unwrap(), [0_u64; 0]);
    assert_eq!(list.slice(9..).unwrap(), [0_u64; 0]);
}

#[test]
fn a_set_does_what_a_set_does() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let set = manager.set::<u64>().unwrap();
    let mut expected = HashSet::new();
    let mut chance = Chance::new(9);
    for _ in 0..1000 {
        let item = chance.below(30);
        match chance.below(5) {
            0 | 1 => assert_eq!(set.insert(item).unwrap(), expected.insert(item)),
            2 => assert_eq!(set.remove(item).unwrap(), expected.remove(&item)),
            3 => assert_eq!(set.contains(item).unwrap(), expected.contains(&item)),
            _ => assert_eq!(set.len().unwrap(), expected.len()),
        }
    }
    set.extend(40..45).unwrap();
    expected.extend(40..45);
    set.retain(|item| item % 2 == 0).unwrap();
    expected.retain(|item| item % 2 == 0);
    assert_eq!(set.to_set().unwrap(), expected);
    let popped = set.pop().unwrap().unwrap();
    assert!(expected.remove(&popped));
    assert_eq!(set.take_all().unwrap().into_iter().collect::<HashSet<_>>(), expected);
    assert!(set.is_empty().unwrap() && set.pop().unwrap().is_none());
    set.insert(1).unwrap();
    set.clear().unwrap();
    assert_eq!(set.items().unwrap(), [0_u64; 0]);
}

#[test]
fn a_namespace_knows_its_types() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let names = manager.namespace().unwrap();
    names.set("name", "Bob".to_owned()).unwrap();
    names.set("age", 41_u32).unwrap();
    assert_eq!(names.get::<String>("name").unwrap().unwrap(), "Bob");
    let birthday = |age: &mut u32| {
        *age += 1;
        *age
    };
    assert_eq!(names.update("age", birthday, ()).unwrap(), Some(42));
    assert_eq!(names.update("height", birthday, ()).unwrap(), None);
    let error = names.get::<u64>("age").unwrap_err();
    assert!(error.is_mismatch());
    assert_eq!(error.to_string(), r#"namespace: "age" opened as u64, holds u32"#);
    assert!(names.update("name", birthday, ()).unwrap_err().is_mismatch());
    assert_eq!(names.names().unwrap(), ["age", "name"]);
    assert!(names.remove("age").unwrap() && !names.remove("age").unwrap());
    assert!(names.contains("name").unwrap() && !names.contains("age").unwrap());
    assert_eq!(names.get::<u32>("age").unwrap(), None);
}
