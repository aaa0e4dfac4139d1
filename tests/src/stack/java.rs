//! The Java that something needs: Kafka takes 17, what it is compared with more.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::StackError;
use super::packages::{APT, find, is_program};

/// Where systems keep more than one.
const INSTALLED: &str = "/usr/lib/jvm";

/// The `java` program, of `JAVA_HOME` or of the search path.
///
/// # Errors
///
/// [`StackError::Missing`] when there is none, or when it is older than 17, which is what Kafka 4 needs.
pub(crate) fn java() -> Result<PathBuf, StackError> {
    let remedy = || format!("{APT} `apt-get install openjdk-17-jre-headless`");
    let java = chosen().ok_or_else(|| StackError::missing("Java 17", remedy()))?;
    match java_major(&java) {
        Some(major) if major >= 17 => Ok(java),
        Some(major) => {
            let what = format!("Java 17 ({} is version {major})", java.display());
            Err(StackError::missing(
                what,
                format!("{}; then set JAVA_HOME to it", remedy()),
            ))
        }
        None => Err(StackError::missing(
            format!("Java 17 ({} does not run)", java.display()),
            remedy(),
        )),
    }
}

/// A `java` program of at least this major version: the one that Kafka runs on, or else the newest of the
/// installed ones. Returned with its version.
///
/// # Errors
///
/// [`StackError::Missing`] when there is none, with those that were looked at.
pub fn java_of_at_least(major: u32) -> Result<(PathBuf, u32), StackError> {
    let known = |java: PathBuf| Some((java_major(&java)?, java));
    let seen: Vec<(u32, PathBuf)> = chosen().into_iter().chain(installed()).filter_map(known).collect();
    newest_if_first_is_too_old(&seen, major).ok_or_else(|| {
        let versions: Vec<String> = seen.iter().map(|(major, _)| major.to_string()).collect();
        let found = match versions.len() {
            0 => "none was found".to_owned(),
            _ => format!("found: version {}", versions.join(", ")),
        };
        let remedy = format!(
            "{found} in JAVA_HOME, on the search path and under {INSTALLED}; install a Java {major} or later, such as \
             `temurin-{major}-jre` of Adoptium's packages or `openjdk-{major}-jre-headless` of a newer Debian, or set \
             JAVA_HOME to one"
        );
        StackError::missing(format!("Java {major}"), remedy)
    })
}

fn newest_if_first_is_too_old(seen: &[(u32, PathBuf)], wanted: u32) -> Option<(PathBuf, u32)> {
    let chosen = seen.first().filter(|(major, _)| *major >= wanted);
    let newest = || seen.iter().max_by_key(|(major, _)| *major);
    let (major, java) = chosen.or_else(newest).filter(|(major, _)| *major >= wanted)?;
    Some((java.clone(), *major))
}

/// What the environment says.
fn chosen() -> Option<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    home.filter(|java| is_program(java)).or_else(|| find("java"))
}

fn installed() -> Vec<PathBuf> {
    let homes = fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let programs = homes.map(|home| home.path().join("bin/java"));
    programs.filter(|java| is_program(java)).collect()
}

fn java_major(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    parse_java_major(&String::from_utf8_lossy(&output.stderr))
}

/// The major version in `openjdk version "17.0.15" 2025-04-15` or `java version "1.8.0_402"`.
fn parse_java_major(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let mut numbers = version.split(['.', '-', '_', '+']).map(str::parse);
    match numbers.next()? {
        Ok(1) => numbers.next()?.ok(),
        first => first.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_java_version_texts_are_read() {
        assert_eq!(parse_java_major("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(parse_java_major("openjdk version \"25-ea\" 2025-09-16"), Some(25));
        assert_eq!(parse_java_major("java version \"1.8.0_402\""), Some(8));
        assert_eq!(parse_java_major("Segmentation fault"), None);
    }

    #[test]
    fn the_chosen_java_is_taken_when_it_is_new_enough_and_otherwise_the_newest() {
        let java = |major: u32| (major, PathBuf::from(format!("/{major}/bin/java")));
        let newer = [java(17), java(21), java(25)];
        let taken = |seen: &[(u32, PathBuf)]| newest_if_first_is_too_old(seen, 21).map(|(_, major)| major);
        assert_eq!(taken(&newer), Some(25));
        assert_eq!(taken(&newer[1..]), Some(21));
        assert_eq!(taken(&newer[..1]), None);
        assert_eq!(taken(&[]), None);
    }
}
