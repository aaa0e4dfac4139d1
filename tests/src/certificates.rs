//! Certificates as an operator's own authority would make them, and some that nobody should trust.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use crate::failure::Outcome;

const DAY_S: i64 = 24 * 60 * 60;

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    certificate: X509,
    key: PKey<Private>,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its common name.
    pub name: &'a str,
    /// The hosts it is for: names and addresses.
    pub hosts: &'a [&'a str],
    /// It ended yesterday.
    pub is_expired: bool,
    /// Its signature's hash.
    pub digest: Digest,
}

/// The hash of a signature; it decides what a login is bound to.
#[derive(Debug, Clone, Copy)]
pub enum Digest {
    /// SHA-256, as almost everywhere.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl<'a> Subject<'a> {
    /// A good certificate for these hosts.
    pub const fn of(name: &'a str, hosts: &'a [&'a str]) -> Self {
        Self {
            name,
            hosts,
            is_expired: false,
            digest: Digest::Sha256,
        }
    }
}

/// A certification authority.
#[derive(Debug, Clone)]
pub struct Authority(Identity);

impl Authority {
    /// A new one, that nobody knows yet.
    ///
    /// # Errors
    /// The library refuses.
    pub fn new(name: &str) -> Outcome<Authority> {
        let key = new_key()?;
        let mut builder = begin(name, &key, false)?;
        let issuer = common_name(name)?;
        builder.set_issuer_name(&issuer)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Authority(Identity {
            certificate: builder.build(),
            key,
        }))
    }

    /// Keeps it in a folder, with its key, so that another process can sign with it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path) -> Outcome {
        self.0.write(folder, "ca").map(drop)
    }

    /// The one that was kept in a folder.
    ///
    /// # Errors
    /// There is none.
    pub fn load(folder: &Path) -> Outcome<Authority> {
        let certificate = X509::from_pem(&fs::read(folder.join("ca.crt"))?)?;
        let key = PKey::private_key_from_pem(&fs::read(folder.join("ca.key"))?)?;
        Ok(Authority(Identity { certificate, key }))
    }

    /// Signs a certificate.
    ///
    /// # Errors
    /// The library refuses.
    pub fn sign(&self, subject: &Subject<'_>) -> Outcome<Identity> {
        let key = new_key()?;
        let mut builder = begin(subject.name, &key, subject.is_expired)?;
        builder.set_issuer_name(self.0.certificate.subject_name())?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().client_auth().build()?)?;
        if !subject.hosts.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for host in subject.hosts {
                if host.parse::<IpAddr>().is_ok() {
                    names.ip(host);
                } else {
                    names.dns(host);
                }
            }
            let names = names.build(&builder.x509v3_context(Some(&self.0.certificate), None))?;
            builder.append_extension(names)?;
        }
        let digest = match subject.digest {
            Digest::Sha256 => MessageDigest::sha256(),
            Digest::Sha384 => MessageDigest::sha384(),
        };
        builder.sign(&self.0.key, digest)?;
        Ok(Identity {
            certificate: builder.build(),
            key,
        })
    }

    /// Writes the authority's certificate, for those who shall trust it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Outcome<String> {
        fs::write(file, self.pem()?)?;
        Ok(file.display().to_string())
    }

    /// The authority's certificate as text.
    ///
    /// # Errors
    /// The library refuses.
    pub fn pem(&self) -> Outcome<Vec<u8>> {
        Ok(self.0.certificate.to_pem()?)
    }
}

impl Identity {
    /// The certificate and the key as text.
    ///
    /// # Errors
    /// The library refuses.
    pub fn pem(&self) -> Outcome<(Vec<u8>, Vec<u8>)> {
        Ok((self.certificate.to_pem()?, self.key.private_key_to_pem_pkcs8()?))
    }

    /// Writes both, beside each other, and gives their paths.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Outcome<(PathBuf, PathBuf)> {
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        let (certificate_pem, key_pem) = self.pem()?;
        fs::write(&certificate, certificate_pem)?;
        fs::write(&key, key_pem)?;
        Ok((certificate, key))
    }
}

impl Identity {
    /// The key as text, locked with a passphrase.
    ///
    /// # Errors
    /// The library refuses.
    pub fn locked_key(&self, passphrase: &str) -> Outcome<Vec<u8>> {
        let cipher = Cipher::aes_256_cbc();
        Ok(self
            .key
            .private_key_to_pem_pkcs8_passphrase(cipher, passphrase.as_bytes())?)
    }
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&curve)?)
}

fn begin(name: &str, key: &PKey<Private>, is_expired: bool) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(64, MsbOption::MAYBE_ZERO, false)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    let subject = common_name(name)?;
    builder.set_subject_name(&subject)?;
    builder.set_pubkey(key)?;
    let now = i64::try_from(unix_seconds()).unwrap_or(0);
    let (from, until) = if is_expired { (-2, -1) } else { (-1, 2) };
    builder.set_not_before(&*Asn1Time::from_unix(now + from * DAY_S)?)?;
    builder.set_not_after(&*Asn1Time::from_unix(now + until * DAY_S)?)?;
    Ok(builder)
}

fn common_name(name: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_text("CN", name)?;
    Ok(builder.build())
}

fn unix_seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
