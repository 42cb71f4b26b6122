//! All weakened variants: a text of the package, and what stands there instead while the variant is on. The models must catch every
//! one; `checks/weakened.rs` says which does.

/// One weakened variant.
pub struct Weakened {
    /// The file, from the package's `src`.
    pub file: &'static str,
    /// One name may have several texts, which are weakened together.
    pub name: &'static str,
    /// Where the original stands, if its text alone stands several times in the file.
    pub within: &'static str,
    pub original: &'static str,
    pub weak: &'static str,
}

const fn weak(
    file: &'static str,
    name: &'static str,
    original: &'static str,
    weak: &'static str,
) -> Weakened {
    Weakened { file, name, within: "", original, weak }
}

const fn weak_within(
    file: &'static str,
    name: &'static str,
    within: &'static str,
    original: &'static str,
    weak: &'static str,
) -> Weakened {
    Weakened { file, name, within, original, weak }
}

pub const WEAKENED: &[Weakened] = &[
    weak(
        "raw/lock.rs",
        "unlock_stores_zero",
        "self.word.fetch_sub(me.to_bits(), Ordering::Release)",
        "self.word.swap(0, Ordering::Release)",
    ),
    weak(
        "raw/lock.rs",
        "unlock_is_relaxed",
        "self.word.fetch_sub(me.to_bits(), Ordering::Release)",
        "self.word.fetch_sub(me.to_bits(), Ordering::Relaxed)",
    ),
    weak(
        "raw/lock.rs",
        "lock_is_relaxed",
        "self.word.compare_exchange(now.0, mine.0, Ordering::AcqRel, Ordering::Relaxed)",
        "self.word.compare_exchange(now.0, mine.0, Ordering::Release, Ordering::Relaxed)",
    ),
    weak("raw/lock.rs", "no_second_wake", "futex::wake_all(&self.word)", "0"),
    weak("raw/lock.rs", "no_check_before_sleep", "!liveness.registry.is_dead(owner)", "true"),
    weak(
        "raw/lock.rs",
        "reports_at_first_sight",
        "self.word.load(Ordering::Relaxed) == now.0",
        "true",
    ),
    weak("raw/lock.rs", "recover_clears_the_poison", "policy == Policy::Recover", "false"),
    weak(
        "raw/lock.rs",
        "taker_clears_the_poison",
        "policy != Policy::Adopt && now.is_poisoned()",
        "false",
    ),
    weak(
        "raw/lock.rs",
        "report_takes_over",
        "now.is_poisoned() && policy == Policy::Report",
        "false",
    ),
    weak(
        "raw/lock.rs",
        "recovered_keeps_the_poison",
        "self.word.fetch_sub(me.to_bits() | POISONED, Ordering::Release)",
        "self.word.fetch_sub(me.to_bits(), Ordering::Release)",
    ),
    weak("raw/lock.rs", "taker_forgets_waiters", "self.0 & WAITERS | me.to_bits()", "me.to_bits()"),
    weak(
        "sync/guard.rs",
        "panic_clears_the_poison",
        "self.recovered && !thread::is_panicking()",
        "self.recovered",
    ),
    weak(
        "sync/rlock.rs",
        "depth_counts_on",
        "self.object.depth.store(1, Ordering::Relaxed)",
        "self.object.depth.store(self.object.depth.load(Ordering::Relaxed) + 1, Ordering::Relaxed)",
    ),
    weak(
        "sync/rlock.rs",
        "unfinished_stays",
        "self.object.unfinished.store(0, Ordering::Relaxed)",
        "()",
    ),
    weak(
        "sync/rlock.rs",
        "inner_panic_forgotten",
        "object.unfinished.load(Ordering::Relaxed) == 0",
        "true",
    ),
    weak("sync/rlock.rs", "inner_guard_releases", "outer == 0", "true"),
    weak("raw/event_count.rs", "cleared_without_count", "now.wrapping_add(step)", "now"),
    weak("raw/event_count.rs", "no_fence_in_notify", "fence_after_read_modify_write()", "()"),
    weak(
        "raw/event_count.rs",
        "no_fence_in_prepare",
        "self.0.fetch_or(WAITERS, Ordering::SeqCst)",
        "return self.0.fetch_or(WAITERS, Ordering::Relaxed) | WAITERS",
    ),
    weak(
        "raw/flag.rs",
        "set_does_not_count",
        "(self.0 & COUNT).wrapping_add(ONE) | SET",
        "(self.0 & COUNT) | SET",
    ),
    weak(
        "raw/flag.rs",
        "set_is_relaxed",
        "self.0.compare_exchange_weak(now.0, next.0, Ordering::Release, Ordering::Relaxed)",
        "self.0.compare_exchange_weak(now.0, next.0, Ordering::Relaxed, Ordering::Relaxed)",
    ),
    weak("raw/flag.rs", "set_wakes_nobody", "now.has_waiters()", "false"),
    weak(
        "liveness/sleepers.rs",
        "acknowledges_unpublished",
        "sleeper.address.store(core::ptr::from_ref(word).cast_mut(), Ordering::SeqCst)",
        "()",
    ),
    weak_within(
        "liveness/sleepers.rs",
        "checks_before_publishing",
        "if check() {\n            let slice",
        "check()",
        "{ sleeper.address.store(core::ptr::null_mut(), Ordering::SeqCst); let sleeps = check(); sleeper.address.store(core::ptr::from_ref(word).cast_mut(), Ordering::SeqCst); sleeps }",
    ),
    weak(
        "liveness/sleepers.rs",
        "raises_relaxed_without_fence",
        "self.epoch.fetch_add(1, Ordering::SeqCst)",
        "self.epoch.fetch_add(1, Ordering::Relaxed)",
    ),
    weak("liveness/sleepers.rs", "no_slices", "testing::slices()", "false"),
    weak(
        "liveness/sleepers.rs",
        "truth_of_news_ignored",
        "truth.load(Ordering::Relaxed) != self.seen[which].load(Ordering::Relaxed)",
        "false",
    ),
    weak(
        "liveness/keeper.rs",
        "no_poll_for_news",
        "self.liveness.sleepers.ring_for_missed_changes()",
        "()",
    ),
    weak(
        "liveness/keeper.rs",
        "rings_once",
        "self.liveness.sleepers.ring()",
        "{ self.liveness.sleepers.ring(); false }",
    ),
    weak("liveness/keeper.rs", "no_second_alarm", "gone |= is_gone", "()"),
    weak(
        "liveness/registry.rs",
        "gone_with_its_keeper",
        "self.live_thread_of(process).is_none()",
        "true",
    ),
    weak(
        "liveness/registry.rs",
        "generation_ignored",
        "state.generation() != id.generation() || !state.is_alive()",
        "!state.is_alive()",
    ),
    weak(
        "raw/short_lock.rs",
        "short_unlock_is_relaxed",
        "self.word.store(0, Ordering::Release)",
        "self.word.store(0, Ordering::Relaxed)",
    ),
    weak(
        "raw/short_lock.rs",
        "the_dead_keep_the_lock",
        "liveness.registry.is_dead(owner)",
        "false",
    ),
    weak("raw/permits.rs", "gives_back_silently", "self.words().event_count.notify_slow(1)", "()"),
    weak(
        "raw/permits.rs",
        "the_dead_keep_theirs",
        "self.liveness().registry.is_gone(process)",
        "false",
    ),
    weak(
        "raw/permits.rs",
        "sleeps_without_a_check",
        "available.is_ok_and(|available| available == 0)",
        "true",
    ),
    weak(
        "memory/sweep.rs",
        "holder_seen_once",
        "block.head.holder.load(Ordering::Acquire) != holder",
        "false",
    ),
    weak(
        "memory/block.rs",
        "holder_cleared_first",
        "self.head.until.store(until, Ordering::Relaxed)",
        "{ self.head.holder.store(0, Ordering::Release); self.head.until.store(until, Ordering::Relaxed) }",
    ),
    weak("memory/alloc.rs", "free_ignores_life", "!block.is_reused()", "true"),
    weak(
        "raw/records/take.rs",
        "left_freed_before_the_head",
        "first.chunk.read(position, record.len, out)?",
        "if let Some(left) = first.left { self.store.free_chunk(left) } first.chunk.read(position, record.len, out)?",
    ),
    weak("channel/queue/store.rs", "chunk_not_given", "self.give_until(&block, until)", "()"),
    weak(
        "raw/records/put.rs",
        "chunk_given_too_short",
        "self.store.new_chunk(me, after_chunk(next_number))",
        "self.store.new_chunk(me, after_chunk(number))",
    ),
    weak_within(
        "raw/records/put.rs",
        "tail_is_relaxed",
        "as in `store_tail`.\n        self.tail.tail.store(next.0, Ordering::Release)",
        "self.tail.tail.store(next.0, Ordering::Release)",
        "self.tail.tail.store(next.0, Ordering::Relaxed)",
    ),
    weak_within(
        "raw/records/put.rs",
        "tail_is_relaxed",
        "before the tail (I1).\n        self.tail.tail.store(next.0, Ordering::Release)",
        "self.tail.tail.store(next.0, Ordering::Release)",
        "self.tail.tail.store(next.0, Ordering::Relaxed)",
    ),
    weak_within(
        "liveness/view.rs",
        "watchers_are_not_told",
        "filter(|&slot| slot != own) {\n            self.bump(self.registry.slot(slot));",
        "self.bump(self.registry.slot(slot))",
        "()",
    ),
    weak(
        "liveness/registry.rs",
        "reuse_hides_a_death",
        "slot.died.fetch_max(old.generation(), Ordering::SeqCst)",
        "0",
    ),
    weak(
        "liveness/thread.rs",
        "a_joining_thread_does_not_stay",
        "self.registry.stay(self.this_process())",
        "()",
    ),
    weak("liveness/thread.rs", "a_leaver_does_not_check", "self.registry.stay(process)", "()"),
    weak_within(
        "raw/records/take.rs",
        "closing_is_no_news",
        "Some((&self.tail.tail, seen.0)), Some((&self.tail.closed, 0))",
        "Some((&self.tail.closed, 0))",
        "None",
    ),
    weak(
        "raw/claims.rs",
        "claims_are_relaxed",
        "self.owner.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)",
        "self.owner.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)",
    ),
    weak_within(
        "raw/claims.rs",
        "claims_are_checked_relaxed",
        "match entry.owner.load(Ordering::Acquire) {",
        "entry.owner.load(Ordering::Acquire)",
        "entry.owner.load(Ordering::Relaxed)",
    ),
    weak("raw/claims.rs", "one_part_twice", "part == wanted", "false"),
    weak("raw/claims.rs", "partitions_mix", "part.partition != wanted.partition", "false"),
    weak_within(
        "raw/claims.rs",
        "the_living_are_adopted",
        "if !is_gone(owner) {",
        "!is_gone(owner)",
        "false",
    ),
    weak("raw/claims.rs", "the_dead_are_passed_over", "abandoned = Some((index, owner))", "()"),
    weak(
        "raw/claims.rs",
        "owner_before_part",
        "entry.partition.store(wanted.partition, Ordering::Relaxed)",
        "()",
    ),
    weak(
        "raw/claims.rs",
        "owner_before_part",
        "entry.change_owner(0, me)",
        "{ let taken = entry.change_owner(0, me); entry.partition.store(wanted.partition, Ordering::Relaxed); taken }",
    ),
    weak(
        "raw/claims.rs",
        "open_after_owner",
        "self.open.store(index as u32 + 1, Ordering::Relaxed)",
        "()",
    ),
    weak(
        "raw/claims.rs",
        "open_after_owner",
        "entry.change_owner(0, me)",
        "{ let taken = entry.change_owner(0, me); self.open.fetch_max(index as u32 + 1, Ordering::Relaxed); taken }",
    ),
    weak("raw/claims.rs", "closed_over_the_dead", "found == Found::Nobody", "true"),
    weak("raw/claims.rs", "the_dead_hide_the_living", "return Found::Live", "()"),
    weak_within(
        "raw/claims.rs",
        "settled_before_poisoned",
        "poison();\n        for",
        "poison()",
        "{ for entry in self.used() { let owner = entry.owner.load(Ordering::Acquire); if owner != 0 && is_gone(owner) { entry.change_owner(owner, 0); } } poison() }",
    ),
    weak(
        "raw/claims.rs",
        "frozen_is_relaxed",
        "self.frozen.store(1, Ordering::Release)",
        "self.frozen.store(1, Ordering::Relaxed)",
    ),
    weak(
        "raw/claims.rs",
        "frozen_is_read_relaxed",
        "self.frozen.load(Ordering::Acquire)",
        "self.frozen.load(Ordering::Relaxed)",
    ),
];
