//! What the kernel shows of processes, read. Names in it are the pod's own choice: what does not read as expected is left out, and
//! nothing is believed beyond what it says. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket of the network namespace, by `/proc/PID/net/{tcp,tcp6,udp,udp6}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inet {
    /// It is one of TCP.
    pub is_tcp: bool,
    /// Its own address.
    pub local: SocketAddr,
    /// The other side's.
    pub remote: SocketAddr,
    /// As the kernel numbers it.
    pub state: u8,
    /// By which its file is known; 0 where no process has it.
    pub inode: u64,
}

/// The state of one that listens.
const LISTENS: u8 = 0x0a;
/// Of one that is not connected.
const CLOSED: u8 = 0x07;

impl Inet {
    /// It has another side.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_tcp && self.state != LISTENS && self.state != CLOSED
    }

    /// It can be used under this one address of the pod alone.
    #[must_use]
    pub fn is_bound_to_pod(&self) -> bool {
        let ip = self.local.ip().to_canonical();
        !self.is_connected() && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast()
    }
}

/// The sockets of a table. IPv4 addresses come mapped in the tables of IPv6, and are told as what they are.
pub fn sockets(text: &str, is_tcp: bool) -> impl Iterator<Item = Inet> + '_ {
    text.lines().skip(1).filter_map(move |line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
        let state = u8::from_str_radix(words.next()?, 16).ok()?;
        let inode = words.nth(5)?.parse().ok()?;
        Some(Inet {
            is_tcp,
            local,
            remote,
            state,
            inode,
        })
    })
}

/// Words of four bytes, as the machine has them in memory.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = ip.get(at..at.checked_add(8)?)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let mut bytes = [0; 16];
            for (byte, from) in bytes.iter_mut().zip(words.iter().flatten()) {
                *byte = *from;
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// A process's parent, by its `stat`. Its name may hold anything, and ends with the last parenthesis.
#[must_use]
pub fn parent(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// Its name, by its `stat`: letters, digits and a few marks of it.
#[must_use]
pub fn name(stat: &str) -> String {
    let inside = stat
        .split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(") "));
    let name = inside.map_or("", |(name, _)| name);
    let is_fit = |letter: char| letter.is_alphanumeric() || "-_.:/+".contains(letter);
    let mark = |letter| if is_fit(letter) { letter } else { '?' };
    name.chars().take(32).map(mark).collect()
}

/// Bytes of memory that are its alone, and those of shared memory, by its `status`.
#[must_use]
pub fn memory(status: &str) -> (u64, u64) {
    let of = |name: &str| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    (of("RssAnon:").unwrap_or(0), of("RssShmem:").unwrap_or(0))
}

/// The files that are mapped, by `maps`; one file may come many times.
pub fn mapped(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter_map(|line| {
        let at = line.find('/')?;
        // What comes before has no slash: addresses, rights, offset, device, inode.
        line.get(at..)
    })
}

/// What is mounted where, by `mountinfo`: mount points and kinds of file systems.
pub fn mounts(mountinfo: &str) -> impl Iterator<Item = (String, &str)> {
    mountinfo.lines().filter_map(|line| {
        let (own, other) = line.split_once(" - ")?;
        let point = own.split(' ').nth(4)?;
        Some((unescaped(point), other.split(' ').next()?))
    })
}

/// Blanks and such are written as `\040`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => after.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A file, by its file system's device and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode {
    /// Major and minor number.
    pub device: (u32, u32),
    /// Its number.
    pub number: u64,
}

/// What is watched, by the `fdinfo` of an inotify or fanotify.
pub fn watches(fdinfo: &str) -> impl Iterator<Item = Inode> + '_ {
    fdinfo.lines().filter_map(|line| {
        if !line.starts_with("inotify ") && !line.starts_with("fanotify ") {
            return None;
        }
        let of = |name: &str| {
            let mut words = line.split(' ');
            let word = words.find_map(|word| word.strip_prefix(name))?;
            u64::from_str_radix(word, 16).ok()
        };
        // As the kernel has it within: 12 bits, and 20.
        let device = u32::try_from(of("sdev:")?).ok()?;
        Some(Inode {
            device: (device >> 20, device & 0x000f_ffff),
            number: of("ino:")?,
        })
    })
}

/// How many objects a table of `/proc/sysvipc` has.
#[must_use]
pub fn objects(table: &str) -> usize {
    let lines = table.lines().skip(1);
    lines.filter(|line| !line.trim().is_empty()).count()
}

/// The number in a link such as `socket:[4711]`.
#[must_use]
pub fn socket(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
