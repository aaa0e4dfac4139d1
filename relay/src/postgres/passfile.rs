//! The password file that libpq's programs share: lines of `host:port:database:user:password`.
//!
//! Source: PostgreSQL documentation, "The Password File".

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::SecretString;

use crate::config::Host;
use crate::postgres::error::PostgresError;

/// The password for a login, from the first line that fits; `None` when none does.
///
/// # Errors
/// The file cannot be read, or others may read it.
pub(super) fn look_up(
    path: &Path,
    host: &Host,
    database: &str,
    user: &str,
) -> Result<Option<SecretString>, PostgresError> {
    let unusable = |why: String| PostgresError::Secret(format!("the password file {} {why}", path.display()));
    let readable = |error: std::io::Error| unusable(format!("cannot be read: {error}"));
    let mode = fs::metadata(path).map_err(readable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(unusable("is open to others: chmod 0600".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(readable)?;
    // libpq calls a unix socket localhost there.
    let name = if host.name.starts_with('/') {
        "localhost"
    } else {
        host.name.as_str()
    };
    let wanted = [name, &host.port.to_string(), database, user];
    Ok(text
        .lines()
        .find_map(|line| password(line, &wanted))
        .map(SecretString::from))
}

fn password(line: &str, wanted: &[&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = Fields(Some(line));
    let fits = wanted
        .iter()
        .all(|wanted| fields.next().is_some_and(|field| field == "*" || field == *wanted));
    let password = fields.next()?;
    (fits && !password.is_empty()).then_some(password)
}

/// Fields between colons; a backslash takes the next character as it is.
struct Fields<'a>(Option<&'a str>);

impl Iterator for Fields<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = self.0.take()?;
        let mut field = String::new();
        let mut characters = rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => field.extend(characters.next().map(|(_, escaped)| escaped)),
                ':' => {
                    self.0 = Some(&rest[at + 1..]);
                    break;
                }
                other => field.push(other),
            }
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn looked_up(text: &str, mode: u32) -> Result<Option<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let host = Host {
            name: "db1".to_owned(),
            port: 5432,
        };
        look_up(file.path(), &host, "shop", "relay")
            .map(|found| found.map(|password| password.expose_secret().to_owned()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        let text =
            "# db1:5432:shop:relay:no\ndb2:*:*:*:no\ndb1:5432:shop:other:no\ndb1:*:shop:relay:a\\:b\\\\c\n*:*:*:*:no\n";
        assert_eq!(looked_up(text, 0o600), Ok(Some("a:b\\c".to_owned())));
        assert_eq!(looked_up("db2:*:*:*:no\n", 0o600), Ok(None));
        assert_eq!(looked_up("db1:5432:shop:relay:\n", 0o600), Ok(None));
        assert_eq!(looked_up("db1:5432:shop\n", 0o600), Ok(None));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_as_libpq_does() {
        assert!(looked_up("*:*:*:*:x\n", 0o640).is_err_and(|error| error.contains("chmod 0600")));
    }
}
