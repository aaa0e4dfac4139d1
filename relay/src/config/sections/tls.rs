//! The TLS keys of `[postgres]`.

use config::Value;

use crate::config::errors::Fault;
use crate::config::key::Key;
use crate::config::libpq;
use crate::config::parse::{choice, file, secret_file};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::{ChannelBindingMode, TlsMode, TlsSettings, TlsVersion};

const MODE: &str = "postgres.tls_mode";
const CA: &str = "postgres.tls_ca_file";
const CERTIFICATE: &str = "postgres.tls_certificate_file";
const KEY: &str = "postgres.tls_key_file";
const KEY_PASSWORD: &str = "postgres.tls_key_password_file";

pub(super) fn read(reader: &mut Reader) -> Result<TlsSettings, Noted> {
    let mode = reader.read(MODE, mode);
    let min_version = reader.read("postgres.tls_min_version", version);
    let ca_file = reader.optional(CA, file);
    let certificate = reader.optional(CERTIFICATE, file);
    let key = reader.optional(KEY, file);
    let key_password = reader.optional(KEY_PASSWORD, secret_file);
    for (given, missing) in [(CERTIFICATE, KEY), (KEY, CERTIFICATE), (KEY_PASSWORD, KEY)] {
        if reader.is_given(given) && !reader.is_given(missing) {
            reader.fault(
                given,
                Fault::new(format!("is given without {missing}"), format!("set {missing} too")),
            );
            return Err(Noted);
        }
    }
    nothing_is_for_nothing(reader, mode)?;
    Ok(TlsSettings {
        mode: mode?,
        min_version: min_version?,
        ca_file: ca_file?,
        identity: certificate?.zip(key?),
        key_password: key_password?,
    })
}

/// A file that the mode makes no use of: whoever gave it expects more than there is.
fn nothing_is_for_nothing(reader: &mut Reader, mode: Result<TlsMode, Noted>) -> Result<(), Noted> {
    let (files, why) = match mode {
        Ok(TlsMode::Require) => (&[CA][..], "require, which verifies nothing with it"),
        Ok(TlsMode::Disable) => (&[CA, CERTIFICATE][..], "disable, which encrypts nothing"),
        _ => return Ok(()),
    };
    let origin = reader.origin(MODE);
    // A variable of libpq's may stand there for somebody else.
    let is_meant = |path: &&&str| reader.is_given(path) && !libpq::is_libpqs(&reader.origin(path));
    let unused: Vec<&str> = files.iter().filter(is_meant).copied().collect();
    for path in &unused {
        let problem = format!("is given, and {MODE} ({origin}) is {why}");
        let remedy = format!("set {MODE} to verify-full or verify-ca, or remove this one");
        reader.fault(path, Fault::new(problem, remedy));
    }
    if unused.is_empty() { Ok(()) } else { Err(Noted) }
}

fn mode(key: &Key, value: &Value) -> Result<TlsMode, Fault> {
    Ok(match choice(key, value)?.as_str() {
        "verify-ca" => TlsMode::VerifyCa,
        "require" => TlsMode::Require,
        "disable" => TlsMode::Disable,
        _ => TlsMode::VerifyFull,
    })
}

fn version(key: &Key, value: &Value) -> Result<TlsVersion, Fault> {
    Ok(if choice(key, value)? == "1.2" {
        TlsVersion::V1_2
    } else {
        TlsVersion::V1_3
    })
}

pub(super) fn channel_binding(key: &Key, value: &Value) -> Result<ChannelBindingMode, Fault> {
    Ok(match choice(key, value)?.as_str() {
        "disable" => ChannelBindingMode::Disable,
        "require" => ChannelBindingMode::Require,
        _ => ChannelBindingMode::Prefer,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::settings::{ChannelBindingMode, TlsMode, TlsVersion};
    use crate::config::trial::Trial;

    #[test]
    fn whoever_says_nothing_gets_the_strictest() {
        let postgres = Trial::minimal().load().expect("no error").settings.postgres;
        assert_eq!(postgres.tls.mode, TlsMode::VerifyFull);
        assert_eq!(postgres.tls.min_version, TlsVersion::V1_3);
        assert_eq!(postgres.channel_binding, ChannelBindingMode::Prefer);
        assert!(!postgres.password_methods.md5 && !postgres.password_methods.cleartext);
    }

    #[test]
    fn there_is_no_mode_that_falls_back_to_plain_text() {
        for mode in ["prefer", "allow"] {
            let errors = Trial::minimal().flag(&format!("postgres.tls_mode={mode}")).errors();
            assert!(
                errors.to_string().contains("verify-full, verify-ca, require, disable"),
                "{errors}"
            );
        }
    }

    #[test]
    fn a_certificate_a_key_or_a_passphrase_alone_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display();
        for (given, missing) in [("certificate", "key"), ("key", "certificate"), ("key_password", "key")] {
            let errors = Trial::minimal()
                .flag(&format!("postgres.tls_{given}_file={path}"))
                .errors();
            assert!(
                errors
                    .to_string()
                    .contains(&format!("without postgres.tls_{missing}_file")),
                "{errors}"
            );
        }
    }

    #[test]
    fn a_ca_that_nothing_is_verified_with_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let given = || Trial::minimal().flag(&format!("postgres.tls_ca_file={}", file.path().display()));
        let errors = given().flag("postgres.tls_mode=require").errors();
        assert!(errors.to_string().contains("verifies nothing with it"), "{errors}");
        given().flag("postgres.tls_mode=verify-ca").load().expect("no error");
    }

    #[test]
    fn files_for_a_connection_that_is_not_encrypted_are_refused_with_whoever_said_so() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display();
        let given = |key: &str| format!("postgres.tls_{key}_file={path}");
        let trial = Trial::minimal().variable("PGSSLMODE", "disable");
        let trial = trial.flag(&given("ca")).flag(&given("certificate")).flag(&given("key"));
        let errors = trial.errors();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, [super::CA, super::CERTIFICATE], "{errors}");
        let said = "postgres.tls_mode (environment variable PGSSLMODE) is disable, which encrypts nothing";
        assert!(errors.to_string().contains(said), "{errors}");
        let somebody_elses = Trial::minimal().variable("PGSSLROOTCERT", &path.to_string());
        somebody_elses
            .flag("postgres.tls_mode=disable")
            .load()
            .expect("no error");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_before_anything_is_connected() {
        let errors = Trial::minimal().flag("postgres.tls_ca_file=/no/such/ca.pem").errors();
        assert!(errors.to_string().contains("/no/such/ca.pem"), "{errors}");
    }
}
