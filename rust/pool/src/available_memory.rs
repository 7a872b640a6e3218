//! The memory that this process may use, by its control group and the machine, and the default of `max_live_bytes` made of it.

use std::fs;

/// Files that hold a limit in bytes: of cgroup v2 and of v1, as seen inside a container.
const CGROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Most that `max_live_bytes` is by default.
const DEFAULT_LIVE: usize = 1 << 30;

/// What `max_live_bytes` is by default: a quarter of the memory limit, and at most 1 GiB.
pub(crate) fn default_max_live() -> usize {
    ceiling(memory_limit())
}

fn ceiling(limit: Option<usize>) -> usize {
    limit.map_or(DEFAULT_LIVE, |limit| (limit / 4).min(DEFAULT_LIVE)).max(1)
}

/// The smallest memory limit that applies: the cgroup's or the machine's. `None` if neither can be read.
pub fn memory_limit() -> Option<usize> {
    let own = own_cgroups();
    let limits = CGROUP_LIMITS.iter().map(ToString::to_string).chain(own);
    let cgroup = limits.filter_map(|path| fs::read_to_string(path).ok()).filter_map(|text| parse_limit(&text));
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_meminfo(&text));
    cgroup.chain(machine).min()
}

/// Limit files of this process's own cgroup and of those above it, as seen outside a container.
fn own_cgroups() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    text.lines().flat_map(limit_files).collect()
}

fn limit_files(line: &str) -> Vec<String> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (root, file) = if controllers.is_empty() {
        ("/sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    std::path::Path::new(path)
        .ancestors()
        .filter(|ancestor| ancestor.as_os_str().len() > 1)
        .map(|ancestor| format!("{root}{}/{file}", ancestor.display()))
        .collect()
}

fn parse_limit(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

fn parse_meminfo(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_a_quarter_of_the_memory_limit_and_at_most_1_gib() {
        let limits = [None, Some(0), Some(4096), Some(4 << 30), Some((4 << 30) - 4), Some(usize::MAX)];
        assert_eq!(limits.map(ceiling), [1 << 30, 1, 1024, 1 << 30, (1 << 30) - 1, 1 << 30]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "reads files of the system")]
    fn the_limit_of_this_machine_is_what_the_ceiling_is_made_of() {
        let pool = crate::Pool::new(crate::PoolConfig::default()).unwrap();
        assert_eq!(pool.config().max_live_bytes, Some(default_max_live()));
    }

    #[test]
    fn a_limit_is_a_number_and_max_is_none() {
        assert_eq!(parse_limit("536870912\n"), Some(536_870_912));
        assert_eq!(parse_limit("max\n"), None);
    }

    #[test]
    fn the_machine_total_is_in_kibibytes() {
        assert_eq!(parse_meminfo("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(parse_meminfo("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn both_cgroup_versions_are_looked_up_to_the_root() {
        assert_eq!(limit_files("0::/a/b"), ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max"]);
        assert_eq!(limit_files("7:cpu,memory:/a"), ["/sys/fs/cgroup/memory/a/memory.limit_in_bytes"]);
        assert!(limit_files("3:pids:/a").is_empty());
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn the_limit_is_at_most_what_the_machine_has() {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_meminfo(&text)).expect("readable");
        let limit = memory_limit().expect("the machine's at least");
        assert!((1 << 20..=machine).contains(&limit), "{limit} of {machine}");
    }
}
