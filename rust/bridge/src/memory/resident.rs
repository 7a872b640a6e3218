//! The bytes of the process that are in RAM.

/// Bytes of this process that are in RAM; `None` where the system does not tell.
pub(super) fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(page_size()?)
}

#[allow(unsafe_code)] // std does not tell the page size
fn page_size() -> Option<usize> {
    // SAFETY: `sysconf` reads a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_to_is_resident() {
        let before = resident().expect("Linux tells");
        let block = vec![1_u8; 64 << 20];
        let during = resident().expect("Linux tells");
        assert!(during >= before + (60 << 20), "{before} -> {during}, {}", block.len());
    }
}
