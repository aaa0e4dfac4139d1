//! Points in time as PostgreSQL sends them.

use std::fmt;

/// Unix time of 2000-01-01 00:00:00 UTC, PostgreSQL's epoch, in microseconds.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A point in time: microseconds since 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_unix_us(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// From microseconds since 2000-01-01, the form on the wire. `infinity` saturates.
    pub const fn from_postgres_us(microseconds: i64) -> Self {
        Self(microseconds.saturating_add(POSTGRES_EPOCH_US))
    }

    /// Microseconds since 2000-01-01, the form on the wire.
    pub const fn as_postgres_us(self) -> i64 {
        self.0.saturating_sub(POSTGRES_EPOCH_US)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_unix_us(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch: a Kafka record timestamp.
    pub const fn as_unix_ms(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads `2026-11-22 15:39:13.123456+01:30`, the ISO text form; without an offset the time is taken as UTC.
    pub fn from_iso_text(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once([' ', 'T'])?;
        let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
        let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let offset_at = rest.find(['+', '-', 'Z']).unwrap_or(rest.len());
        let (time, offset) = rest.split_at_checked(offset_at)?;
        let seconds_of_day_us = clock_us(time)?;
        let days = days_from_civil(year, month, day);
        Some(Self(days * 86_400_000_000 + seconds_of_day_us - offset_us(offset)?))
    }
}

/// To the millisecond, in UTC: `2026-11-22T15:39:13.123Z`, which [`Timestamp::from_iso_text`] reads.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, of_day_ms) = (
            self.as_unix_ms().div_euclid(86_400_000),
            self.as_unix_ms().rem_euclid(86_400_000),
        );
        let (year, month, day) = civil_from_days(days);
        let (seconds, ms) = (of_day_ms / 1000, of_day_ms % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"
        )
    }
}

fn clock_us(time: &str) -> Option<i64> {
    let mut parts = time.splitn(3, ':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let seconds = parts.next()?;
    let Some((seconds, fraction)) = seconds.split_once('.') else {
        return parts_in_range(hours, minutes, seconds.parse().ok()?, 0);
    };
    if fraction.is_empty() || fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
    parts_in_range(
        hours,
        minutes,
        seconds.parse().ok()?,
        fraction.parse::<i64>().ok()? * scale,
    )
}

fn parts_in_range(hours: i64, minutes: i64, seconds: i64, microseconds: i64) -> Option<i64> {
    let fits = (0..=24).contains(&hours) && (0..=59).contains(&minutes) && (0..=60).contains(&seconds);
    fits.then(|| ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + microseconds)
}

fn offset_us(offset: &str) -> Option<i64> {
    let (sign, digits) = match offset.split_at_checked(1) {
        None => return Some(0),
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        Some((_, rest)) => return rest.is_empty().then_some(0),
    };
    let mut seconds = 0;
    for (part, unit) in digits.splitn(3, ':').zip([3600, 60, 1]) {
        seconds += i64::from(part.parse::<u8>().ok()?) * unit;
    }
    Some(sign * seconds * 1_000_000)
}

/// Days between 1970-01-01 and a date of the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The other way round (Howard Hinnant, `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_text_is_read_with_its_offset() {
        let at = |text| Timestamp::from_iso_text(text).map(Timestamp::as_unix_us);
        assert_eq!(at("1970-01-01 00:00:00+00"), Some(0));
        assert_eq!(at("2000-01-01 00:00:00"), Some(POSTGRES_EPOCH_US));
        assert_eq!(at("2026-11-22 15:39:13.5+01:30"), Some(1_795_356_553_500_000));
        assert_eq!(at("2024-02-29 23:59:59.000001-05"), Some(1_709_269_199_000_001));
    }

    #[test]
    fn text_that_is_no_timestamp_is_refused() {
        for text in [
            "",
            "infinity",
            "2026-13-01 00:00:00",
            "2026-01-01",
            "2026-01-01 1:2",
            "2026-01-01 00:00:00.x",
        ] {
            assert_eq!(Timestamp::from_iso_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_time_is_shown_as_it_is_read() {
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2000-02-29T23:59:59.999Z",
            "2026-11-22T15:39:13.500Z",
            "1969-12-31T23:59:59.001Z",
            "2100-03-01T00:00:00.000Z",
        ] {
            assert_eq!(
                Timestamp::from_iso_text(text).map(|at| at.to_string()).as_deref(),
                Some(text)
            );
        }
        assert_eq!(Timestamp::from_unix_us(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn the_wire_form_survives_a_round_trip() {
        assert_eq!(Timestamp::from_postgres_us(-5).as_postgres_us(), -5);
        assert_eq!(Timestamp::from_postgres_us(0).as_unix_ms(), 946_684_800_000);
    }
}
