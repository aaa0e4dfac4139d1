//! Text with `{name}` in it, filled in: the command line of a relay, and the settings of Debezium Server.

/// Names with what they stand for.
pub(super) type Values = [(&'static str, String)];

/// Fills every `{name}` in. A brace after a `$` begins something else: a variable of the shell, or of Java.
///
/// # Errors
/// The first name that stands for nothing.
pub(super) fn fill(text: &str, values: &Values) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('{') {
        let (before, after) = (&rest[..begin], &rest[begin + 1..]);
        filled.push_str(before);
        let name = after.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        let Some(name) = name.filter(|_| !before.ends_with('$')) else {
            filled.push('{');
            rest = after;
            continue;
        };
        let known = values.iter().find(|(known, _)| *known == name);
        let (_, value) = known.ok_or_else(|| name.to_owned())?;
        filled.push_str(value);
        rest = &after[name.len() + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The names as they are written, for messages.
pub(super) fn names(values: &Values) -> String {
    let names: Vec<String> = values.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    names.join(" ")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> [(&'static str, String); 2] {
        [("host", "127.0.0.1".to_owned()), ("slot", "other".to_owned())]
    }

    #[test]
    fn each_name_is_filled_in_wherever_it_stands() {
        let filled = fill("relay --dsn postgres://u@{host}/d?slot={slot} {host}", &values());
        assert_eq!(
            filled.as_deref(),
            Ok("relay --dsn postgres://u@127.0.0.1/d?slot=other 127.0.0.1")
        );
    }

    #[test]
    fn braces_that_hold_no_name_stay() {
        let text = r#"x='{"a": {}}' ${home} $${routedByValue} {1..3} {open"#;
        assert_eq!(fill(text, &values()).as_deref(), Ok(text));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!(fill("{host} {hots}", &values()), Err("hots".to_owned()));
        assert_eq!(names(&values()), "{host} {slot}");
    }
}
