//! Records: a queue of records under two locks, with two positions, in chunks. It promises first in, first out; that a record is
//! there for everyone once `put` has returned, and taken by exactly one `take`; and that nobody's death loses or doubles any
//! other's.
//!
//! # Layout
//!
//! ```text
//! the head line, written by takers: 48 bytes of the queue's object
//! 0   8  head: position in the low half, count of records taken in the high half   THE TRUTH of taking
//! 8   8  head lock, a short one
//! 16  4  id of the queue's block                                                       never after the start
//! 20  4  event count of room
//! 24  8  a tail seen earlier (cache, under the head lock)
//! 32  8  chunks by parity of their number: where the head is
//! 40  4  1 once a record was put that names a block or carries references                  putters
//! 44  4  id of the block of leases (0: what is taken is gone)                          never after the start
//! the tail line, written by putters: the start of the queue's block
//! 0   8  tail: position and count of records put                                    THE TRUTH of putting
//! 8   8  tail lock, a short one
//! 16  8  closed (bit 0); above it a count of changes that are no records
//! 24  4  event count of messages
//! 28  4  1: ends are counted, and somebody may wait for an end to go
//! 32  8  a head seen earlier (cache, under the tail lock)
//! 40  8  chunks by parity of their number: where the tail is
//! 48  4  most records (0: no limit)                                                   never after the start
//! 52  4  checksum of the message type                                                 never after the start
//! 56  8  most bytes (0: no limit)                                                     never after the start
//! 64 32  bytes put and bytes taken, two words each, by parity of the count
//! 96  4  how often the last end of a role went in some process                        whoever drops it
//! ```
//!
//! Positions count units of 8 bytes and run on for ever, modulo 2^32. Chunk number n, a block of 64 KiB, holds the positions
//! from 8192 n + 8 to 8192 (n + 1). A record is one word (length, form) and its payload, and never crosses a chunk: a word
//! `NEXT` or the chunk's end sends the reader to the chunk that the block's link names. Payloads above 4 KiB lie in a block
//! of their own that the record names.
//!
//! # Putting
//!
//! 1. A large payload: allocate a block (holder: this thread), fill it.
//! 2. Take the tail lock, adopting it from the dead.
//! 3. Full or closed: give the lock back and wait, or give up.
//! 4. No room in the chunk: allocate the next (holder: this thread), give it to the queue until its last position; write
//!    `NEXT`, the link, and its number under its parity.
//! 5. Write the record behind the tail. A large block: give it to the queue until this position.
//! 6. Store the tail. *The record is put.*
//! 7. Give the lock back; pass a light barrier; notify one on the event count of messages.
//!
//! A record that carries shared objects ends with their list. Step 6 then happens under the arena lock, so that whoever asks
//! there what messages refer to sees the record whole or not at all; so does step 5 of getting, after the getter has taken
//! the objects over.
//!
//! # Getting
//!
//! 1. Take the head lock, adopting it from the dead.
//! 2. Empty: give the lock back and wait, or give up.
//! 3. At the end of the chunk, follow the link: number under its parity.
//! 4. Copy the record out. A large block: this thread becomes its holder.
//! 5. Store the head. *The record is taken.*
//! 6. Give the lock back; pass a light barrier; free the chunk that was left; copy and free a large block; notify one on the event
//!    count of room.
//!
//! # Waiting
//!
//! Who finds the queue empty, or full, polls for a while ([`pace`]), prepares on the event count, passes a *heavy* barrier for itself
//! and for those who put and take, checks once more, and sleeps. So a message costs one read-modify-write on either side, that of the
//! lock, and no barrier ([`crate::sys::barrier`]). Who waits for a lock may miss its wake, and naps ([`crate::raw::short_lock`]).
//!
//! # Invariants
//!
//! - I1: what lies between head and tail was written before the tail was stored, and is not written until the head is past it.
//! - I2: a chunk is the queue's until the head is past its end (at the end, its link is still needed), a large block until
//!   the head is past its record ([`crate::memory`]).
//! - I3: the chunk numbers under the parities of head and tail are those of the chunks where head and tail are.
//!
//! # If a process dies
//!
//! | after putting step | the others see |
//! |---|---|
//! | 1 | nothing; the block is free, its holder being dead |
//! | 2, 3 | the lock of a dead owner, and take it over |
//! | 4 | the same tail; the successor writes `NEXT`, link and parity again (I3 holds: the parity is not the tail's); the orphan chunk is free once the head is past it (I2) |
//! | 5 | the same tail; the successor writes over it; an orphan block as above |
//! | 6 | the record; sleepers are woken by the alarm |
//!
//! | after getting step | the others see |
//! |---|---|
//! | 1, 2, 3 | the same head; the successor does it again |
//! | 4 | the same head; the large block is the queue's still, and the successor becomes its holder |
//! | 5 | the record is gone with the victim; its blocks are free (I2, holder dead) and found by the next sweep |
//!
//! Who dies between giving the lock back and a wake leaves that to the alarm.
//!
//! The successor repairs nothing. Caches hold values that were true once, which is all they are used for.
//!
//! # Measured
//!
//! With robust locks, each of which a second read-modify-write gave back, by `benches/queue.rs` on an AMD EPYC of the first generation
//! with two virtual processors, few rounds each and not all in one run, where a cache line took 70 ns:
//!
//! | | robust locks | short locks |
//! |---|---|---|
//! | put and get 64 B alone, to crossbeam's in the same run | 1.30 to 1.39 | 1.25 |
//! | one way 64 B, one to one | 11.6 M/s | 14.7 M/s |
//! | one way 8 B, one to one | 20.4 M/s | 26.0 M/s |
//! | round trip of 64 B, awake | 510 to 590 ns | 570 ns |
//!
//! On an EPYC of the fourth generation: a putter that has put a record on the fast path asks for lines, to write them, as many as this
//! record has, some way ahead. By runs that did so from 128 bytes ahead on and did not in turn, a message one way takes 5 to 46 % less
//! time with 8 B, 14 to 33 % with 64 B, 19 to 25 % with 128 and 256 B, 9 to 25 % with 1 KiB; for those in blocks of their own it was no
//! gain. A taker that has polled asks for the lines of the record before it takes the lock: with both a round trip takes 4 to 8 % less.
//!
//! How far ahead: the locked instruction waits for all stores before it, so no put goes on before its lines are there. Where a line
//! takes 400 ns to and fro, 128 bytes are too few: 64 B pass 1.2 times as fast from 256 bytes on, 1.5 times from 512, 1.5 to 2.4 times
//! from 1024 (1-1, 2-1, 2-2, in slices of 17 ms by turns), and 2048 is no better; 128 B 1.6 times. Where it takes 70 to 100 ns, 1.0 to
//! 1.3 times. But of 8 B up to 22 % fewer pass with 1024, of 1 KiB up to 14 %. So it is 768 less the record, or 128: 0.95 to 1.14 of what
//! 512 give.
//! As many records ahead as 16 left holes where long and short ones come by turns: 8 and 64 B pass 1.0 to 1.3 times as fast without.
//!
//! What the fast path takes is copied to the stack ([`Local`](crate::sys::bytes::Local)): 14 to 24 % more of 64 B pass one way than by
//! a vector which is kept from call to call. 4 to 64 bytes are copied without a call: 9 % more.
//!
//! What did not help: fetching lines of the chunk for reading, 8 to 1024 bytes ahead (5 to 10 % slower: the taker only has more to do);
//! copying by words of 8 bytes (as many more stores); polling for the tail without a pause, which takes the line from the putter between
//! its lock and its store (600 ns a round trip); polling a word behind the last record, which the putter makes 0, in place of the tail
//! (a round trip 5 % shorter, 8 B one way 6 % slower); asking for lines on the slow path as well.
//!
//! # Files
//!
//! - `lines`: the words of head line and tail line; `head`: a record's first word;
//! - `chunk`: positions, and the bytes of a chunk;
//! - `store`: what the records need of the rooms above;
//! - `queue`: one handle's view, what both sides do; `pace`: how they wait before they sleep;
//! - `put`, `take`: the steps above; `walk`: going through all records.

mod chunk;
mod head;
mod lines;
mod pace;
mod put;
mod queue;
mod store;
mod take;
mod walk;

pub(crate) use chunk::{CHUNK_BYTES, ChunkBlock, after_chunk};
pub(crate) use head::{Form, INLINE, NamedBlock, RecordHead, damaged};
pub(crate) use lines::{CARRIES, HeadLine, LARGE, TailLine, begin};
pub(crate) use put::{Attached, Put};
pub(crate) use queue::Records;
pub(crate) use store::{Side, Store};
pub(crate) use take::Special;
pub(crate) use walk::{Walk, walk};
