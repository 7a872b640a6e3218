//! Anonymous mappings: memory that malloc never sees and that goes back to the system when dropped.
#![expect(unsafe_code, reason = "mmap, munmap and views of the mapped bytes")]

use std::ptr::NonNull;
use std::slice;

/// Bytes that the debug build fills returned memory with, and looks for when it is taken again.
pub(crate) const POISON: u8 = 0xA5;

/// Parked memory must still be as `poison` left it.
pub(crate) fn assert_poisoned(memory: &[u8]) {
    const CLEAN: [u8; 4096] = [POISON; 4096];
    let clean = memory.chunks(CLEAN.len()).all(|part| part == &CLEAN[..part.len()]);
    assert!(clean, "a parked buffer was written after it had been returned");
}

/// A private anonymous mapping; every byte is initialised (zero when fresh).
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory owned by this value; nothing in it is bound to a thread.
unsafe impl Send for Mapping {}
// SAFETY: a shared mapping only gives out its address; reads and writes through it are the caller's claim.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes, or `None` if the system has no room.
    pub(crate) fn new(len: usize) -> Option<Self> {
        system::map(len).map(|start| Self { start, len })
    }

    /// Address of the first byte, with the right to all of the mapping.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first `len` bytes.
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        assert!(len <= self.len);
        // SAFETY: the range is mapped and initialised; writers need `&mut self`, or never overlap what they sealed.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), len) }
    }

    /// The whole mapping, writable.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped, initialised, and borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Called when memory goes to a free list: makes a later read of it visible in builds with assertions.
    pub(crate) fn poison(&mut self) {
        if cfg!(debug_assertions) {
            self.bytes_mut().fill(POISON);
        }
    }

    /// Called when memory comes from a free list.
    pub(crate) fn prepare(&mut self, zero: bool) {
        if cfg!(debug_assertions) {
            assert_poisoned(self.bytes_mut());
        }
        if zero {
            self.bytes_mut().fill(0);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        system::unmap(self.start, self.len);
    }
}

#[cfg(not(any(miri, loom)))]
mod system {
    use std::ptr::{self, NonNull};

    /// Least mapping that could hold a huge page.
    #[cfg(target_os = "linux")]
    const HUGE_PAGE: usize = 2 << 20;

    /// A huge page makes two resident megabytes of one written byte; memory that is not used should not be there.
    #[cfg(target_os = "linux")]
    fn refuse_huge_pages(start: *mut libc::c_void, len: usize) {
        if len >= HUGE_PAGE {
            // SAFETY: advice about a mapping of ours; a kernel that knows no huge pages refuses it.
            unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn refuse_huge_pages(_start: *mut libc::c_void, _len: usize) {}

    pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
        // SAFETY: a fresh private anonymous mapping aliases nothing.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        refuse_huge_pages(start, len);
        NonNull::new(start.cast())
    }

    pub(super) fn unmap(start: NonNull<u8>, len: usize) {
        // SAFETY: the range came from `map` with this length and nothing refers to it any more.
        let result = unsafe { libc::munmap(start.as_ptr().cast(), len) };
        debug_assert_eq!(result, 0, "munmap");
    }
}

/// Heap memory in place of mappings, for checkers that know no `mmap`.
#[cfg(any(miri, loom))]
mod heap {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.max(1), 64).ok()
    }

    pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
        // SAFETY: the layout is not empty.
        NonNull::new(unsafe { alloc_zeroed(layout(len)?) })
    }

    pub(super) fn unmap(start: NonNull<u8>, len: usize) {
        if let Some(layout) = layout(len) {
            // SAFETY: allocated by `map` with the same layout.
            unsafe { dealloc(start.as_ptr(), layout) }
        }
    }
}

#[cfg(any(miri, loom))]
use heap as system;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn parked_memory_that_was_written_is_noticed_wherever_that_was() {
        let mut mapping = Mapping::new(3 * 4096).expect("room");
        for place in [None, Some(0), Some(4096), Some(3 * 4096 - 1)] {
            mapping.poison();
            if let Some(place) = place {
                mapping.bytes_mut()[place] = 0;
            }
            let found = catch_unwind(AssertUnwindSafe(|| mapping.prepare(true))).is_err();
            assert_eq!(found, cfg!(debug_assertions) && place.is_some(), "{place:?}");
        }
        assert!(catch_unwind(|| assert_poisoned(&[POISON; 5000])).is_ok());
    }

    #[test]
    fn memory_is_zero_at_first_and_on_demand() {
        let mut mapping = Mapping::new(4096).expect("room");
        assert_eq!((mapping.len(), mapping.bytes(4096)), (4096, &[0; 4096][..]));
        mapping.poison();
        mapping.prepare(true);
        assert_eq!(mapping.bytes_mut(), [0; 4096]);
        assert!(catch_unwind(AssertUnwindSafe(|| mapping.bytes(4097).len())).is_err());
    }

    /// A number of kibibytes in a file of the process.
    #[cfg(all(target_os = "linux", not(any(miri, loom))))]
    fn kibibytes(text: &str, name: &str) -> usize {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }

    #[test]
    #[cfg(all(target_os = "linux", not(any(miri, loom))))]
    fn a_dropped_mapping_goes_back_to_the_system() {
        const GIB: usize = 1 << 30;
        let mapped = || kibibytes(&std::fs::read_to_string("/proc/self/status").expect("readable"), "VmSize:");
        let before = mapped();
        for _ in 0..64 {
            drop(Mapping::new(GIB).expect("room for what is never touched"));
        }
        assert!(mapped() < before + (GIB >> 10));
        assert!(Mapping::new(usize::MAX / 2).is_none());
    }

    #[test]
    #[cfg(all(target_os = "linux", not(any(miri, loom))))]
    fn memory_that_could_hold_a_huge_page_is_kept_from_it() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            return;
        }
        let refused = |len| {
            let mapping = Mapping::new(len).expect("room");
            let start = mapping.start().addr().get();
            let maps = std::fs::read_to_string("/proc/self/smaps").expect("readable");
            let mut inside = false;
            for line in maps.lines() {
                let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
                let range = range.and_then(|(from, to)| {
                    Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
                });
                if let Some(range) = range {
                    inside = range.contains(&start);
                } else if inside && line.starts_with("VmFlags:") {
                    return line.split_whitespace().any(|flag| flag == "nh");
                }
            }
            panic!("the mapping is not among those of the process");
        };
        assert_eq!([refused(1 << 20), refused(2 << 20), refused(3 << 20)], [false, true, true]);
    }
}
