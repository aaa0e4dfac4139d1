//! Numbers as a reader takes them in at a glance.

/// What is known of a measured number: about three digits, with commas between thousands.
pub(super) fn short(number: f64) -> String {
    match number.abs() {
        1000.0.. => {
            let last_digit = 10f64.powf(number.abs().log10().floor() - 2.0);
            with_commas((number / last_digit).round() * last_digit)
        }
        100.0.. => format!("{number:.0}"),
        // As much as 9.96 has the digits of 10.0.
        9.95.. => format!("{number:.1}").trim_end_matches(".0").to_owned(),
        1.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A whole number, every digit of it.
pub(super) fn with_commas(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many things, in the plural where there is not one.
pub(super) fn count(number: u32, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", with_commas(f64::from(number)))
}

/// What a figure is made of: one measurement, or the median of some.
pub(super) fn medians_of(measurements: usize, thing: &str) -> String {
    match u32::try_from(measurements).unwrap_or(u32::MAX) {
        1 => format!("One {thing}"),
        many => format!("Medians of {}", count(many, thing)),
    }
}

/// Milliseconds, as seconds where there are many.
pub(super) fn duration(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{} s", short(ms / 1e3))
    } else {
        format!("{} ms", short(ms))
    }
}

/// The ratio of a figure to another one in words, such as `5.2× the events` or `1/14 of the CPU`. What is claimed is
/// never more than what was measured: 1/14.9 is 1/14.
pub(super) fn ratio(ratio: f64, of: &str) -> String {
    match ratio {
        10.0.. => format!("{:.0}× the {of}", ratio.floor()),
        2.0.. => format!("{ratio:.1}× the {of}"),
        // One digit would make 1.36 what was asked for, 1.4.
        0.995.. => format!("{ratio:.2}× the {of}"),
        ..0.1 if ratio > 0.0 => format!("1/{:.0} of the {of}", (1.0 / ratio).floor()),
        _ => format!("{:.0} % of the {of}", 100.0 * ratio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_about_three_digits_and_commas() {
        let shown = [0.0, 0.527, 3.7, 9.97, 26.75, 439.2, 1234.5, 116_194.0].map(short);
        assert_eq!(shown, ["0.00", "0.53", "3.7", "10", "26.8", "439", "1,230", "116,000"]);
    }

    #[test]
    fn what_is_counted_is_not_rounded() {
        assert_eq!(count(1_234_567, "row"), "1,234,567 rows");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(
            [1, 3].map(|runs| medians_of(runs, "run")),
            ["One run", "Medians of 3 runs"]
        );
    }

    #[test]
    fn a_long_duration_is_in_seconds() {
        assert_eq!(duration(9.93), "9.9 ms");
        assert_eq!(duration(3901.4), "3.9 s");
    }

    #[test]
    fn a_ratio_reads_as_it_is_said() {
        assert_eq!(ratio(5.23, "events"), "5.2× the events");
        assert_eq!(ratio(1.36, "speed"), "1.36× the speed");
        assert_eq!(ratio(12.9, "events"), "12× the events");
        assert_eq!(ratio(0.067, "CPU"), "1/14 of the CPU");
        assert_eq!(ratio(0.35, "memory"), "35 % of the memory");
        assert_eq!(ratio(1.0, "memory"), "1.00× the memory");
        assert_eq!(ratio(0.0, "memory"), "0 % of the memory");
    }
}
