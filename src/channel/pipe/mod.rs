//! `Pipe`: messages between one sender and one receiver, as `multiprocessing.Pipe`.
//!
//! A simplex pipe is one object and one block of 64 KiB, with a [ring](crate::raw::ring) in it. A duplex pipe is two of them:
//! each [`Connection`] has the sender of the one and the receiver of the other, so that an end can be split and its halves can
//! go different ways. An end belongs to one process at a time; see [`ends`] for who has it and how it moves.
//!
//! Lowest first:
//!
//! - `layout`: what stands where; `span`: its bytes; `records`: what the records hold;
//! - `store`: what a pipe needs of memory, handles and liveness;
//! - `ends`: who has an end, whether the other one is there, and how it travels;
//! - `wait`: polling and sleeping;
//! - `outlet`, `inlet`: sending and receiving without a type;
//! - `sending`, `receiving`: the methods that the ends have in common;
//! - `sender`, `receiver`, `connection`: the ends as users see them; `face`: making a pipe.
//!
//! # Span layout
//!
//! ```text
//! the object (one line)
//!   0   8  number of the block
//!  40   8  not 0 once a message with handles was sent
//! the block (64 KiB with its head of 64 bytes)          writes              reads for each message
//!   0   4  hash of the message type                     maker
//!   8   8  departures: twice for each end that left     who leaves          sender
//!  16   4  first message with handles, its block        both, arena lock
//!  20   4  last message with handles, its block         sender, arena lock
//!  24   8  processors of sender and receiver            each when it waits
//!  64   8  tail: offset and count of records sent       sender              nobody
//!  72   4  event count of messages                      who sleeps or wakes sender
//!  80   8  bytes sent in blocks of their own            sender
//! 192   8  head: offset and count of records received   receiver            nobody (sender: when it lacks room)
//! 200   4  event count of room                          who sleeps or wakes receiver
//! 208   8  bytes received in blocks of their own        receiver
//! 320 256  name of the message type, length first       maker
//! 576      the ring's bytes                             sender              receiver
//! ```
//!
//! While both are awake and the pipe is neither full nor empty, nothing crosses but the bytes of the records.
//!
//! A record's `info` has the form (typed or plain bytes) and says whether the payload names a block in which the message
//! stands: messages above 16 KiB, and all that carry handles. The latter are listed, too, so that whoever asks under the arena
//! lock what messages refer to need not read the ring, which moves meanwhile. The block of a message begins with a line:
//! the next such message, the count of its record, its length.
//!
//! # Sending
//!
//! 1. Check that the end is here, and that the other one is somewhere: two words that change only when an end may have gone.
//! 2. Find room in the ring, or wait for it. A message for a block of its own waits, too, while such messages in the pipe have
//!    more than 1 MiB.
//! 3. Write the message in place. Or allocate a block (holder: this thread), fill it, give it to the pipe for life, and write
//!    its name.
//! 4. Commit the record. *The message is sent.* With handles: under the arena lock, and the block is listed before it.
//! 5. Pass a light barrier; if the receiver sleeps, wake it.
//! 6. Ends in the message leave this process.
//!
//! # Receiving
//!
//! 1. Check that the end is here. Poll for a record. If there is none, and the other end is nowhere, poll once more and give up;
//!    else wait.
//! 2. Check the record and what it names. Copy the message, or use it in place. Handles in it become this process's.
//! 3. Move the head. *The message is received.* With handles: under the arena lock, and the block is taken from the list.
//! 4. Pass a light barrier; if the sender sleeps, wake it.
//! 5. Free the message's block. Decode the private copy: a peer that wrote after a check would make invalid values.
//!
//! # Leaving
//!
//! An end leaves a process when it is dropped or was sent.
//!
//! 1. Raise the departures: a keeper of whoever sleeps sees that there is something to check, should this thread be stopped below.
//! 2. Take the role's presence bit away. *The end has left.*
//! 3. Raise the departures again: who checked between 1 and 2 checks once more.
//! 4. Wake both sides. If the receiver left, and messages carried handles, raise the alarm: ends in them may have gone with it.
//!
//! # If a process dies
//!
//! Its ends are nowhere once all its threads are dead; the alarm wakes whoever sleeps, who checks for the other end and finds
//! none. Nobody takes an end over from the dead.
//!
//! | the sender dies after step | the receiver sees |
//! |---|---|
//! | 1, 2 | what was sent before, and then that the pipe is closed |
//! | 3 | the same; the block is free, or the pipe's and goes with it; a listed message whose record is not there counts for nothing |
//! | 4, 5 | the message as well. Ends in it are the receiver's |
//! | 6 | the same |
//!
//! | the receiver dies after step | the sender sees |
//! |---|---|
//! | 1, 2 | that the pipe is closed; the message is gone with it |
//! | 3, 4 | the same; a block that was not freed is the pipe's and goes with it; ends in the message are closed |
//! | 5 | the same |
//!
//! # Measured
//!
//! By `benches/pipe.rs` on an AMD EPYC of the fourth generation with two virtual processors, on two cores that share a cache, where a
//! bare cache line takes 68 to 76 ns to and fro. The host moves the processors: on two threads of one core that is 30 ns, on cores without a
//! common cache 330.
//!
//! | | Pipe | yardstick | ratio |
//! |---|---|---|---|
//! | round trip of 64 B, awake | 206 ns | bare cache line 76 ns | 2.7 |
//! | send to received, asleep | 26.3 us | bare futex 24.3 us | 1.03 |
//! | round trip on one processor | 3.2 us | bare futex 4.4 us | 0.72 |
//! | one way 64 B | 54 to 59 M/s | rtrb, threads 22 to 29 M/s | 1.7 to 2.6 |
//! | one way 64 B, in batches of 16 | 70 to 109 M/s | the same | 2.6 to 4.1 |
//! | one way 8 B | 52 to 82 M/s | rtrb, threads 59 to 153 M/s | 0.38 to 1.08 |
//! | send and receive 64 B, one thread | 13.6 ns | rtrb 12.1 ns | 1.12 |
//!
//! A stream is bound by lines: to write a line that the other side has read takes 37 ns here, and one after the other, since stores
//! reach the cache in order. So a sender that commits a record asks for lines, to write them: as many as this record has, and as far
//! ahead, from 128 bytes to 2 KiB. By runs that did so and did not in turn, a line of 85 to 105 ns: at times when lines were what a
//! stream waited for, a message of 8 B took 19 ns with it and 48 without, one of 64 B 46 and 56, one of 1 KiB 67 and 81; at others 8
//! and 64 B took the same (14 to 24 ns), 256 B and more 5 to 13 % less. Farther ahead than 128 bytes, 2 KiB pass 1.0 to 1.3 times as
//! fast, and 8 B 0.75 to 1.0 times. A compiler's hint makes a prefetch for reading of it, which changes nothing
//! ([`prefetch_write`](crate::sys::atomic::prefetch_write)). A dialogue would only move lines to and fro (8 to 13 % slower on cores
//! without a common cache), so a connection that answers does not ask; two simplex pipes do.
//!
//! Four messages of 8 B share a line, with their headers; eight of rtrb's do.
//!
//! A round trip awake: with 8 B, which mostly stay in one line, it takes 163 to 176 ns, with 64 B 173 to 188, with 248 B 240 to 266, a
//! bare line 92 to 96 at that time. So the second line is 10 ns of it. The four calls in one thread are 36 to 42 ns. A ring of the same
//! layout without anything around it, in C, takes 86 to 220 ns by the hour, 1.1 to 2.6 bare lines. Records that begin 128, 256 or 512
//! bytes apart, with nothing else in their lines: 4 to 10 % slower. Writing the payload from its end, so that the polled line comes
//! last; copying by 8 or 16 bytes in place of `memcpy`; polling without a call: no difference (on two threads of one core, where a bare
//! line takes 30 ns and the pipe 100, the last one takes 9 % less).
//!
//! What mattered: no barrier on the fast path; polling the header instead of a tail; few stores besides the message's own
//! ([`outlet`]); the word behind a record before the record ([`crate::raw::ring`]); the reader fetching the second line together with
//! the first (236 ns a round trip without); holding off in a stream (8 B on an older processor: 13.8 M/s without, 35.6 with it) but
//! not in a dialogue; one `sched_yield` instead of a sleep where both are on one processor.

mod connection;
mod ends;
mod face;
mod inlet;
mod layout;
mod outlet;
mod receiver;
mod receiving;
mod records;
mod sender;
mod sending;
mod span;
mod store;
#[cfg(test)]
mod tests;
mod wait;

pub use connection::Connection;
pub use face::Pipe;
pub use receiver::Receiver;
pub use receiving::Incoming;
pub use sender::Sender;
