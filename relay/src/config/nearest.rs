//! The key that was probably meant, or another name.

use super::keys::KEYS;
use super::librdkafka;

/// Comparing costs the product of both lengths, and nobody means a longer one (found by the fuzzer: seconds for some KiB).
const PATH_BYTES_MAX: usize = 120;

/// The one of the names that was probably meant, if one is near enough.
pub(crate) fn among<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let furthest = (name.len() / 3).max(2);
    names
        .filter(|_| name.len() <= PATH_BYTES_MAX)
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= furthest)
        .map(|(_, known)| known)
}

/// The known path nearest to `path`, if one is near enough to be what was meant.
pub(super) fn to(path: &str) -> Option<String> {
    let furthest = (path.len() / 3).max(3);
    KEYS.iter()
        .filter(|_| path.len() <= PATH_BYTES_MAX)
        .map(|key| (key.path, filled(key.path, path)))
        .map(|(pattern, candidate)| (distance(path, pattern, &candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= furthest)
        .map(|(_, candidate)| candidate)
        .or_else(|| {
            let property = path.strip_prefix("kafka.")?;
            let is_known = librdkafka::fault(property, None).is_none();
            is_known.then(|| format!("kafka.properties.{property}"))
        })
}

/// Whether the last name of `path` is the last name of a key.
pub(super) fn ends_like_a_key(path: &str) -> bool {
    KEYS.iter()
        .any(|key| key.path.rsplit('.').next() == path.rsplit('.').next())
}

/// The first known path below the section `path`.
pub(super) fn below(path: &str) -> String {
    let parts = path.split('.').count();
    let somewhere_below = format!("{path}.<name>");
    let starts = |pattern: &str| {
        let pattern = filled(pattern, &somewhere_below);
        pattern.split('.').take(parts).eq(path.split('.'))
    };
    KEYS.iter()
        .find(|key| starts(key.path))
        .map_or_else(|| path.to_owned(), |key| filled(key.path, &somewhere_below))
}

/// The pattern with its `*` replaced by what stands there in `path`.
fn filled(pattern: &str, path: &str) -> String {
    let fill = if pattern.ends_with('*') {
        path.splitn(3, '.').nth(2)
    } else {
        path.split('.').nth(1)
    };
    let has_room = path.split('.').count() > 2;
    pattern.replace('*', fill.filter(|_| has_room).unwrap_or("<name>"))
}

/// The right name in the wrong section counts as near; a property's name was copied from `path` and proves nothing.
fn distance(path: &str, pattern: &str, candidate: &str) -> usize {
    const SAME_NAME: usize = 3;
    let distance = strsim::damerau_levenshtein(path, candidate);
    let is_same_name = path.rsplit('.').next() == pattern.rsplit('.').next();
    if is_same_name {
        distance.min(SAME_NAME)
    } else {
        distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_path_is_found() {
        for (given, meant) in [
            ("postgres.prot", "postgres.port"),
            ("postgress.port", "postgres.port"),
            ("postgres_host", "postgres.host"),
            ("host", "postgres.host"),
            ("log.fitler", "log.filter"),
            ("outbox.orders.topics", "outbox.orders.topic"),
            (
                "outbox.orders.columns.aggregateid",
                "outbox.orders.columns.aggregate_id",
            ),
            ("kafka.propertys.linger.ms", "kafka.properties.linger.ms"),
            ("kafka.linger.ms", "kafka.properties.linger.ms"),
            ("kafka.bootstrap.servers", "kafka.bootstrap_servers"),
            ("outbox.topic", "outbox.<name>.topic"),
        ] {
            assert_eq!(to(given).as_deref(), Some(meant), "{given}");
        }
    }

    #[test]
    fn what_resembles_nothing_gets_no_suggestion() {
        assert_eq!(to("colour"), None);
        assert_eq!(to("kafka.colour"), None, "librdkafka knows no such property either");
        let long = format!("outbox.{}.topics", "x".repeat(PATH_BYTES_MAX));
        assert_eq!(to(&long), None, "too long to be compared");
    }

    #[test]
    fn a_key_below_a_section_is_found() {
        assert_eq!(below("admin"), "admin.listen");
        assert_eq!(below("outbox"), "outbox.<name>.schema");
        assert_eq!(below("kafka.properties"), "kafka.properties.<name>");
        assert_eq!(below("outbox.orders"), "outbox.orders.schema");
    }
}
