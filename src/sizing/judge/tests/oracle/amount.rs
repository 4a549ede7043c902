//! Quantities for the oracle: read and spelled without a line of the code under test.

/// The keys of a resource list that a share is of.
pub(super) const KEYS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The finest part that is handed out, in billionths of a unit: a millicore, a byte.
pub(super) const GRAIN: [u128; 3] = [1_000_000, 1_000_000_000, 1_000_000_000];

/// One text for each resource, where there is one.
pub(super) type Texts = [Option<String>; 3];

/// A quantity in billionths of its unit; what is finer counts as one more.
pub(super) fn nanos(text: &str) -> u128 {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (twos, tens) = powers(unit);
    let digits: u128 = format!("0{whole}{fraction}").parse().unwrap();
    let shift = 9 + tens - i32::try_from(fraction.len()).unwrap();
    let power = 10_u128.pow(shift.unsigned_abs());
    let scaled = digits * 2_u128.pow(twos);
    if shift < 0 {
        scaled.div_ceil(power)
    } else {
        scaled * power
    }
}

/// What a unit stands for: a power of two, and a power of ten.
fn powers(unit: &str) -> (u32, i32) {
    let large = ["k", "M", "G", "T", "P", "E"];
    if let Some(at) = large.iter().position(|one| *one == unit) {
        return (0, 3 * (i32::try_from(at).unwrap() + 1));
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(at) = binary.iter().position(|one| *one == unit) {
        return (10 * (u32::try_from(at).unwrap() + 1), 0);
    }
    match unit {
        "" => (0, 0),
        "m" => (0, -3),
        "u" => (0, -6),
        "n" => (0, -9),
        exponent => (0, exponent[1..].parse().unwrap()),
    }
}

/// So many grains, in one of the ways in which people and programs write them. The last way is a little more than that.
pub(super) fn spelled(resource: usize, grains: u64, way: u8) -> String {
    let is_cpu = resource == 0;
    let divides = |by: u64| grains.is_multiple_of(by);
    match way % 10 {
        0 if is_cpu && divides(1000) => format!("{}", grains / 1000),
        1 if is_cpu => format!("{}.{:03}", grains / 1000, grains % 1000),
        2 if is_cpu => format!("{grains}e-3"),
        3 if is_cpu => format!("{grains}000u"),
        4 if is_cpu && divides(100) => format!("+{}.{}", grains / 1000, grains % 1000 / 100),
        5 if is_cpu && divides(1_000_000) => format!("{}k", grains / 1_000_000),
        6 if is_cpu && grains < 1000 => format!(".{grains:03}"),
        9 if is_cpu => format!("{grains}.5m"),
        _ if is_cpu => format!("{grains}m"),
        1 if divides(1000) => format!("{}e3", grains / 1000),
        2 if divides(1_000_000) => format!("{}M", grains / 1_000_000),
        3 if divides(1 << 30) => format!("{}Gi", grains >> 30),
        4 if divides(1 << 29) => format!("{}.{}Gi", grains >> 30, (grains >> 29) % 2 * 5),
        5 if divides(1 << 20) => format!("{}Mi", grains >> 20),
        6 if divides(1 << 10) => format!("{}Ki", grains >> 10),
        7 => format!("{grains}000m"),
        8 => format!("{grains}.0"),
        9 => format!("{grains}.0000000001"),
        _ => format!("{grains}"),
    }
}

/// `a × b ÷ c`, rounded down, and what is left over: by doubling, since the product need not fit.
pub(super) fn times(a: u128, b: u128, c: u128) -> (u128, u128) {
    let (mut quotient, mut rest) = (0, 0);
    for bit in (0..128).rev() {
        quotient *= 2;
        rest *= 2;
        if a >> bit & 1 == 1 {
            quotient += b / c;
            rest += b % c;
        }
        quotient += rest / c;
        rest %= c;
    }
    (quotient, rest)
}

#[test]
fn the_oracle_can_count() {
    for (text, expected) in [
        ("1", 1_000_000_000_u128),
        ("1.5Ki", 1_536_000_000_000),
        ("2e3", 2_000_000_000_000),
        ("+.5m", 500_000),
        ("1E", 1_000_000_000_000_000_000_000_000_000),
        ("1.1n", 2),
        ("5.", 5_000_000_000),
    ] {
        assert_eq!(nanos(text), expected, "{text}");
    }
    for way in 0..9 {
        for grains in [1, 100, 3920, 2_000_000, 3 << 29] {
            for (resource, grain) in GRAIN.iter().enumerate() {
                let text = spelled(resource, grains, way);
                assert_eq!(nanos(&text), u128::from(grains) * grain, "{text}");
            }
        }
    }
    let large = 10_u128.pow(30);
    assert_eq!(times(7 * large, large, large), (7 * large, 0));
    assert_eq!(times(10, 10, 3), (33, 1));
}
