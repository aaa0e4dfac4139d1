//! Times on a command line, and how long ago something was.

use std::time::Duration;

use outbox_decoder::Timestamp;

use crate::clock;

const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
const WANTED: &str =
    "wanted is a time as 2026-05-01T06:30:00Z, a day as 2026-05-01, or how long ago, as 90s, 15m, 2h, 7d";

/// A time, a day (its beginning, UTC), or so long before now.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let at = match ago(text.trim_end_matches("ago").trim()) {
        Some(seconds) => before(clock::now(), seconds),
        None if text.contains([' ', 'T']) => Timestamp::from_iso_text(text).or_else(|| without_seconds(text)),
        None => Timestamp::from_iso_text(&format!("{text}T00:00:00Z")),
    };
    at.ok_or_else(|| WANTED.to_owned())
}

fn without_seconds(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once([' ', 'T'])?;
    let (clock, offset) = rest.split_at_checked("03:00".len())?;
    Timestamp::from_iso_text(&format!("{date} {clock}:00{offset}"))
}

fn before(now: Timestamp, seconds: u64) -> Option<Timestamp> {
    let microseconds = i64::try_from(seconds.checked_mul(1_000_000)?).ok()?;
    let at = now.as_unix_us().checked_sub(microseconds)?;
    (at >= 0).then(|| Timestamp::from_unix_us(at))
}

fn ago(text: &str) -> Option<u64> {
    UNITS.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?;
        number.parse::<u64>().ok()?.checked_mul(*seconds)
    })
}

/// A stretch of time in its two largest units.
pub(super) fn stretch(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let mut parts = UNITS.iter().rev().scan(seconds, |left, (unit, size)| {
        let count = *left / size;
        *left %= size;
        Some((count, unit))
    });
    let Some((count, unit)) = parts.find(|(count, _)| *count > 0) else {
        return "0s".to_owned();
    };
    match parts.next() {
        Some((next, smaller)) if next > 0 => format!("{count}{unit}{next}{smaller}"),
        _ => format!("{count}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_given_as_a_time_a_day_or_how_long_ago() {
        let at = |text: &str| moment(text).map(Timestamp::as_unix_us);
        assert_eq!(at("1970-01-02T00:00:01.5Z"), Ok(86_401_500_000));
        assert_eq!(at("1970-01-02 01:00:00+01"), Ok(86_400_000_000));
        assert_eq!(at("1970-01-02"), Ok(86_400_000_000));
        for text in ["1970-01-02T01:00+01", "1970-01-02 00:00", "1970-01-02 00:00Z"] {
            assert_eq!(at(text), Ok(86_400_000_000), "{text}");
        }
        let hours = |text: &str| moment(text).map(|at| (clock::now().as_unix_us() - at.as_unix_us()) / 3_600_000_000);
        assert_eq!(hours("2h"), Ok(2));
        assert_eq!(hours("2h ago"), Ok(2));
        assert_eq!(hours("1d"), Ok(24));
        for wrong in [
            "",
            "h",
            "-1h",
            "2 fortnights",
            "yesterday",
            "2026-13-01",
            "22.11.2026",
            "2026-11-22 3",
            "2026-11-22 03:00 o'clock",
            "99999999999999999w",
        ] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stretch_is_told_in_two_units() {
        let told = |seconds| stretch(Duration::from_secs(seconds));
        assert_eq!(told(0), "0s");
        assert_eq!(told(59), "59s");
        assert_eq!(told(3_600), "1h");
        assert_eq!(told(3_661), "1h1m");
        assert_eq!(told(86_400 * 9 + 7_200), "1w2d");
    }
}
