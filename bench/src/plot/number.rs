//! Numbers as a reader takes them in at a glance.

/// Three digits or so, with commas between thousands.
pub(super) fn short(number: f64) -> String {
    match number.abs() {
        100.0.. => with_commas(number),
        // As much as 9.96 has the digits of 10.0.
        9.95.. => format!("{number:.1}").trim_end_matches(".0").to_owned(),
        1.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn with_commas(number: f64) -> String {
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
        0.995.. => format!("{ratio:.1}× the {of}"),
        ..0.1 if ratio > 0.0 => format!("1/{:.0} of the {of}", (1.0 / ratio).floor()),
        _ => format!("{:.0} % of the {of}", 100.0 * ratio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_about_three_digits_and_commas() {
        let shown = [0.0, 0.527, 3.7, 9.97, 26.75, 439.2, 1234.5, 1_234_567.0].map(short);
        assert_eq!(
            shown,
            ["0.00", "0.53", "3.7", "10", "26.8", "439", "1,234", "1,234,567"]
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
        assert_eq!(ratio(12.9, "events"), "12× the events");
        assert_eq!(ratio(0.067, "CPU"), "1/14 of the CPU");
        assert_eq!(ratio(0.35, "memory"), "35 % of the memory");
        assert_eq!(ratio(1.0, "memory"), "1.0× the memory");
        assert_eq!(ratio(0.0, "memory"), "0 % of the memory");
    }
}
