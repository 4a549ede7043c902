//! Which pages of a process CRIU would write now, and in which order: so its memory can be read while it runs, and laid where it will be.
//! It is a guess. Whoever uses it compares it with what CRIU has written in the end.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A page, as the kernel tells of it.
const PAGE: u64 = 4096;
/// So much of what the kernel tells of pages is in memory at once.
const ENTRIES: usize = 16 << 10;
/// Of more address space than this it is not asked page by page, ...
const MOST: u64 = 1 << 38;
/// ... and of more memory it is not remembered what it was.
const MOST_USED: u64 = 1 << 35;
/// What is used more while it is looked at.
const GROWS: u64 = 16 << 20;

/// Of `/proc/PID/pagemap`.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_A_FILE: u64 = 1 << 61;
const FRAME: u64 = (1 << 55) - 1;
/// Of `/proc/kpageflags`.
const ZERO_PAGE: u64 = 1 << 24;
const HUGE: u64 = 1 << 22;
/// Sizes of memory that nobody has written to.
const FRESH: [usize; 2] = [1 << 20, 40 << 20];

/// Pages that follow each other, in a process and in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The address of the first.
    pub address: u64,
    /// All of them.
    pub bytes: u64,
}

/// A mapping that only its process sees.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    is_of_a_file: bool,
    /// CRIU writes all of it.
    is_vdso: bool,
    /// What of it is in memory, or in swap.
    used: u64,
}

/// A process, held by what the kernel shows of it: its number may be another's meanwhile, this is not.
#[derive(Debug, Clone)]
pub struct Process(Arc<OwnedFd>);

impl Process {
    /// Of this number, now.
    fn of(pid: i32) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(format!("/proc/{pid}"), flags, Mode::empty())?;
        Ok(Self(Arc::new(opened)))
    }

    /// A file of those in which the kernel shows it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()).into()
    }

    /// Whether it is in the cgroup of a container.
    fn is_of(&self, container: &str) -> Result<bool> {
        let cgroups = std::fs::read_to_string(self.path("cgroup"))?;
        Ok(cgroups.contains(container))
    }
}

/// The processes of a container, by its first one, each with the name of the image of its memory: in the order in which CRIU goes through
/// them.
///
/// # Errors
/// One of them cannot be looked at.
pub fn processes(init: i32, container: &str) -> Result<Vec<(Process, String)>> {
    let mut found = Vec::new();
    let mut next = vec![init];
    while let Some(pid) = next.pop() {
        match look(pid, container) {
            Ok(Some((process, has_memory, children))) => {
                if has_memory {
                    let number = found.len().saturating_add(1);
                    found.push((process, format!("pages-{number}.img")));
                }
                next.extend(children.into_iter().rev());
            }
            Err(error) if pid == init => return Err(error),
            // It has ended meanwhile.
            Ok(None) | Err(_) => {}
        }
    }
    Ok(found)
}

/// A process of the container, whether it has memory, and its children.
fn look(pid: i32, container: &str) -> Result<Option<(Process, bool, Vec<i32>)>> {
    let process = Process::of(pid)?;
    if !process.is_of(container)? {
        return Ok(None);
    }
    let stat = std::fs::read_to_string(process.path("stat"))?;
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut children = Vec::new();
    for task in std::fs::read_dir(process.path("task"))? {
        let text = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        let pids = text.split_ascii_whitespace();
        children.extend(pids.filter_map(|pid| pid.parse::<i32>().ok()));
    }
    // One that has ended, and was not waited for, has none.
    let has_memory = !state.starts_with(['Z', 'X']);
    Ok(Some((process, has_memory, children)))
}

/// Pages of a process that would be written, in the order of the image.
///
/// # Errors
/// It is gone; or has so much memory that this would take too long, or pages that are not of the usual size.
pub fn spans(process: &Process) -> Result<Vec<Span>> {
    let mappings = mappings(&std::fs::read_to_string(process.path("smaps"))?)?;
    let all = mappings.iter().filter(|one| one.used > 0);
    let size: u64 = all.map(|one| one.end.saturating_sub(one.start)).sum();
    let used: u64 = mappings.iter().map(|one| one.used).sum();
    if size > MOST || used > MOST_USED {
        return Err(no(&format!("it uses {used} bytes of {size}")));
    }
    let pagemap = File::open(process.path("pagemap"))?;
    let zeros = zero_frame();
    let mut spans = Vec::new();
    for mapping in &mappings {
        if mapping.is_vdso {
            add(&mut spans, (mapping.start, mapping.end));
        } else if mapping.used > 0 {
            of_mapping(mapping, &pagemap, zeros, &mut spans)?;
        }
    }
    // Huge pages of zeros look like memory, and are none.
    let found: u64 = spans.iter().map(|span| span.bytes).sum();
    if found > used.saturating_add(GROWS) {
        return Err(no(&format!("it shows {found} bytes and uses {used}")));
    }
    Ok(spans)
}

fn no(why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, why)
}

fn of_mapping(
    mapping: &Mapping,
    pagemap: &File,
    zeros: Option<u64>,
    spans: &mut Vec<Span>,
) -> Result<()> {
    let mut entries = vec![0; ENTRIES];
    let mut address = mapping.start;
    while address < mapping.end {
        let offset = (address / PAGE).saturating_mul(8);
        let left = (mapping.end.saturating_sub(address) / PAGE).saturating_mul(8);
        let wanted = usize::try_from(left).map_or(ENTRIES, |left| left.min(ENTRIES));
        let read = pagemap.read_at(entries.get_mut(..wanted).unwrap_or_default(), offset)?;
        let whole = entries.get(..read).unwrap_or_default().chunks_exact(8);
        if whole.len() == 0 {
            return Ok(());
        }
        for entry in whole {
            let entry = entry.try_into().map_or(0, u64::from_ne_bytes);
            let after = address.saturating_add(PAGE);
            let is_zero = entry & PRESENT != 0 && zeros == Some(entry & FRAME);
            if is_written(entry, mapping.is_of_a_file) && !is_zero {
                add(spans, (address, after));
            }
            address = after;
        }
    }
    Ok(())
}

fn is_written(entry: u64, is_of_a_file: bool) -> bool {
    let is_unchanged = is_of_a_file && entry & OF_A_FILE != 0;
    entry & (PRESENT | SWAPPED) != 0 && !is_unchanged
}

fn add(spans: &mut Vec<Span>, (start, end): (u64, u64)) {
    let bytes = end.saturating_sub(start);
    match spans.last_mut() {
        Some(last) if last.address.saturating_add(last.bytes) == start => {
            last.bytes = last.bytes.saturating_add(bytes);
        }
        _ => spans.push(Span {
            address: start,
            bytes,
        }),
    }
}

/// The frame of the kernel's page of zeros, which an address has that was read and never written to. None where that cannot be found out.
fn zero_frame() -> Option<u64> {
    static FOUND: OnceLock<Option<u64>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let pagemap = File::open("/proc/self/pagemap").ok()?;
        let flags = File::open("/proc/kpageflags").ok()?;
        // What is large enough comes from the kernel, and what is not too large is no huge page.
        FRESH.iter().find_map(|bytes| {
            let fresh = vec![0_u8; *bytes];
            let middle = fresh.get(*bytes / 2)?;
            if *std::hint::black_box(middle) != 0 {
                return None;
            }
            let page = u64::try_from(std::ptr::from_ref(middle).addr()).ok()? / PAGE;
            let frame = number(&pagemap, page)? & FRAME;
            let is_it = number(&flags, frame)? & (ZERO_PAGE | HUGE) == ZERO_PAGE;
            is_it.then_some(frame)
        })
    })
}

fn number(list: &File, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    list.read_exact_at(&mut bytes, at.checked_mul(8)?).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// The mappings of a process that only it sees, of `/proc/PID/smaps`.
fn mappings(smaps: &str) -> Result<Vec<Mapping>> {
    let mut found: Vec<Mapping> = Vec::new();
    let mut is_ours = false;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let mut word = || words.next().unwrap_or_default();
        let (first, second) = (word(), word());
        if let Some((start, end)) = first.split_once('-') {
            let ends = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap_or_default());
            let [start, end] = ends;
            let (_offset, _device, inode, name) = (word(), word(), word(), word());
            is_ours = second.ends_with('p') && !name.starts_with("[vvar") && name != "[vsyscall]";
            if is_ours {
                found.push(Mapping {
                    start,
                    end,
                    is_of_a_file: inode != "0",
                    is_vdso: name == "[vdso]",
                    used: 0,
                });
            }
        } else if let (true, Some(last)) = (is_ours, found.last_mut()) {
            let kib: u64 = second.parse().unwrap_or_default();
            match first {
                "Rss:" | "Swap:" => last.used = last.used.saturating_add(kib.saturating_mul(1024)),
                "KernelPageSize:" if kib.saturating_mul(1024) != PAGE => {
                    return Err(no("it has pages of another size"));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55e000-55f000 r-xp 00001000 fe:00 1234                   /usr/bin/a program
Rss:                   4 kB
Swap:                  0 kB
7f0000-7f8000 rw-p 00000000 00:00 0 
Rss:                   0 kB
Swap:                  8 kB
7fa000-7fb000 rw-p 00000000 00:00 0                      [anon: a name]
Rss:                   0 kB
Swap:                  0 kB
7fc000-7fd000 rw-s 00000000 00:01 99                     /dev/shm/x
Rss:                   4 kB
7fd000-7fe000 r--p 00000000 00:00 0                      [vvar]
7fe000-7ff000 r-xp 00000000 00:00 0                      [vdso]
Rss:                   4 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]
Rss:                   0 kB
";

    fn mapping(start: u64, end: u64) -> Mapping {
        Mapping {
            start,
            end,
            is_of_a_file: false,
            is_vdso: false,
            used: 0,
        }
    }

    #[test]
    fn what_only_the_process_sees_is_found() {
        let program = Mapping {
            is_of_a_file: true,
            used: 4096,
            ..mapping(0x55_e000, 0x55_f000)
        };
        let heap = Mapping {
            used: 8192,
            ..mapping(0x7f_0000, 0x7f_8000)
        };
        let vdso = Mapping {
            is_vdso: true,
            used: 4096,
            ..mapping(0x7f_e000, 0x7f_f000)
        };
        let unused = mapping(0x7f_a000, 0x7f_b000);
        assert_eq!(mappings(SMAPS).unwrap(), [program, heap, unused, vdso]);
        let huge = SMAPS.replacen("Swap: ", "KernelPageSize:     2048 kB\nSwap: ", 1);
        assert!(mappings(&huge).is_err());
    }

    #[test]
    fn what_is_as_in_its_file_is_not_written() {
        assert!(is_written(PRESENT, false));
        assert!(is_written(SWAPPED, false));
        assert!(!is_written(0, false));
        assert!(is_written(PRESENT | OF_A_FILE, false));
        assert!(!is_written(PRESENT | OF_A_FILE, true));
        assert!(is_written(PRESENT, true));
    }

    #[test]
    fn pages_that_follow_each_other_are_one_span() {
        let mut spans = Vec::new();
        for page in [1, 2, 4] {
            add(&mut spans, (page * PAGE, (page + 1) * PAGE));
        }
        let span = |address, bytes| Span { address, bytes };
        assert_eq!(spans, [span(PAGE, 2 * PAGE), span(4 * PAGE, PAGE)]);
    }

    #[test]
    fn what_was_only_read_is_a_page_of_zeros() {
        let (Some(zeros), Ok(pagemap)) = (zero_frame(), File::open("/proc/self/pagemap")) else {
            eprintln!("skipped: nobody may ask the kernel for frames");
            return;
        };
        let fresh = vec![0_u8; 40 << 20];
        let frame = |byte: &u8| {
            let page = u64::try_from(std::ptr::from_ref(byte).addr()).unwrap() / PAGE;
            number(&pagemap, page).unwrap() & FRAME
        };
        assert_eq!(*std::hint::black_box(&fresh[1 << 20]), 0);
        let mine = vec![1_u8; 1 << 20];
        assert_ne!(frame(&mine[1 << 19]), zeros);
        // Where huge pages are made for everybody there is another one for this.
        let huge = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        if !huge.unwrap_or_default().contains("[always]") {
            assert_eq!(frame(&fresh[1 << 20]), zeros);
        }
    }

    #[test]
    fn a_process_of_no_such_container_is_none_of_its() {
        let me = std::process::id().cast_signed();
        assert!(processes(me, "no such container").unwrap().is_empty());
        assert_eq!(processes(me, "").unwrap()[0].1, "pages-1.img");
    }

    #[test]
    fn memory_is_found_where_it_lies() {
        let mine = vec![7_u8; 1 << 20];
        let here = mine.as_ptr().addr();
        let process = Process::of(std::process::id().cast_signed()).unwrap();
        let Ok(spans) = spans(&process) else {
            eprintln!("skipped: nobody may look at this process");
            return;
        };
        let at = u64::try_from(here).unwrap() + PAGE;
        let holds = |span: &Span| span.address <= at && at < span.address + span.bytes;
        assert!(spans.iter().any(holds));
        let memory = File::open(process.path("mem")).unwrap();
        let mut read = [0; 16];
        memory.read_exact_at(&mut read, at).unwrap();
        assert_eq!(read, [7; 16]);
    }
}
