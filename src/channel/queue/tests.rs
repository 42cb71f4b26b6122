use super::*;

/// The number of the last chunk before positions start from 0 again.
const LAST_CHUNK: u32 = u32::MAX / CHUNK;

fn push(ring: &Records, bytes: &[u8]) {
    ring.push(&Item { form: Form::Bytes, bytes, parcel: None }, Deadline::NOW).unwrap();
}

fn pop(ring: &Records) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ring.pop(Form::Bytes, "bytes", Deadline::NOW, &mut bytes).map(|_| bytes)
}

/// A payload that tells its number and its length.
fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; len];
    for (byte, digit) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *byte = digit;
    }
    bytes
}

#[test]
fn positions_wrap_around() {
    let ring = Records::starting_at(LAST_CHUNK - 1, "bytes", 0, 0).unwrap();
    let before = ring.load_tail().position();
    for round in 0..40 {
        for number in 0..100 {
            push(&ring, &payload(number + round, 700));
        }
        assert_eq!(ring.len(), 100);
        for number in 0..100 {
            assert_eq!(pop(&ring).unwrap(), payload(number + round, 700));
        }
    }
    assert!(ring.load_tail().position() < before, "the positions have wrapped");
    assert!(pop(&ring).unwrap_err().is_empty());
}

#[test]
fn a_backlog_across_the_wrap_survives_a_sweep() {
    let ring = Records::starting_at(LAST_CHUNK, "bytes", 0, 0).unwrap();
    let len = |number: u32| if number.is_multiple_of(50) { 20_000 } else { 900 };
    for number in 0..1000 {
        push(&ring, &payload(number, len(number)));
    }
    ring.world().sweep().unwrap();
    for number in 0..1000 {
        assert_eq!(pop(&ring).unwrap(), payload(number, len(number)));
    }
}

#[test]
fn every_length_at_every_place_of_a_chunk() {
    let ring = Records::new("bytes", 0, 0).unwrap();
    let mut number = 0;
    // Lengths that share no factor with the chunk's, and those around the limits.
    for len in [0, 1, 7, 8, 9, 63, 64, 65, 1000, INLINE - 1, INLINE, INLINE + 1] {
        for _ in 0..200 {
            for len in [len, 0] {
                push(&ring, &payload(number, len));
                assert_eq!(pop(&ring).unwrap(), payload(number, len));
                number += 1;
            }
        }
    }
    assert_eq!(ring.len(), 0);
}

#[test]
fn an_empty_record_may_be_the_last_of_a_chunk() {
    let ring = Records::new("bytes", 0, 0).unwrap();
    // One word each: the records end exactly with the chunk.
    for _ in 0..3 * CHUNK {
        push(&ring, b"");
    }
    assert_eq!(ring.len(), 3 * CHUNK as usize);
    for _ in 0..3 * CHUNK {
        assert_eq!(pop(&ring).unwrap(), b"");
    }
    assert_eq!(ring.len(), 0);
}

#[test]
fn bytes_are_counted_to_the_last() {
    let ring = Records::new("bytes", 0, 100).unwrap();
    push(&ring, &[1; 60]);
    push(&ring, &[2; 40]);
    let item = Item { form: Form::Bytes, bytes: &[3], parcel: None };
    assert!(ring.push(&item, Deadline::NOW).unwrap_err().is_full());
    assert_eq!(pop(&ring).unwrap().len(), 60);
    push(&ring, &[3; 60]);
    assert!(ring.push(&item, Deadline::NOW).unwrap_err().is_full());
    let item = Item { form: Form::Bytes, bytes: &[3; 101], parcel: None };
    assert!(ring.push(&item, Deadline::NOW).unwrap_err().is_too_large());
}

#[test]
fn scribbled_records_are_corrupted_not_followed() {
    let words = [
        0,
        1,
        u64::MAX - 1,
        u64::MAX,
        1 << 32,
        2 << 32 | 0xffff,
        (NAMES_BLOCK as u64 | 2) << 32 | 16,
    ];
    for word in words {
        let ring = Records::new("bytes", 0, 0).unwrap();
        push(&ring, &[0xff; 16]);
        let id = ring.head.chunks[0].load(Ordering::Relaxed);
        let chunk = ring.head_chunk.chunk(id, ring.world()).unwrap();
        chunk.word(CHUNK_FIRST).unwrap().store(word, Ordering::Relaxed);
        match pop(&ring) {
            Ok(bytes) => assert!(bytes.is_empty(), "{word:#x}: {bytes:?}"),
            Err(error) => {
                assert!(error.is_corrupted() || error.is_mismatch(), "{word:#x}: {error}")
            }
        }
    }
    for head in [0u64, 7, u64::MAX, 0x5555_5555_5555_5555] {
        let ring = Records::new("bytes", 0, 0).unwrap();
        push(&ring, &[1; 16]);
        ring.head.head.store(head, Ordering::Relaxed);
        // Whatever it finds: an answer, and no wait.
        let _ = pop(&ring);
        let _ = ring.len();
    }
    for chunk in [0, 1, 1 << 20 | 0xf_ffff, u32::MAX] {
        let ring = Records::new("bytes", 0, 0).unwrap();
        push(&ring, &[1; 16]);
        ring.head.chunks[0].store(chunk, Ordering::Relaxed);
        assert!(pop(&ring).unwrap_err().is_corrupted());
    }
}

#[test]
fn dropped_queues_leave_nothing() {
    let world = crate::world::world().unwrap();
    let used = || world.sweep().unwrap();
    // Other tests run beside this one: a leak would grow with every round.
    let before = used();
    for _ in 0..500 {
        let ring = Records::new("bytes", 0, 0).unwrap();
        for _ in 0..20 {
            push(&ring, &[1; 10_000]);
        }
    }
    let grown = used().saturating_sub(before);
    assert!(grown < 50 << 20, "{grown} bytes are still in use of at least {}", 500 * 20 * 10_000);
}
