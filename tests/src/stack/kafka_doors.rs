//! Further ways into a Kafka: encrypted, with a login, and with rules about who may do what.
//!
//! Whoever comes in the clear on the first listener, or encrypted without a certificate, is anonymous and may do
//! everything; whoever logs in, or shows a certificate, may do what the rules allow, and that is nothing at first.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StackError;
use super::kafka_properties::NodeAddress;
use super::ports::free_port;
use crate::certificates::{Authority, Subject};
use crate::failure::Outcome;

/// The user that logs in with PLAIN; the others are made over the admin API.
pub const PLAIN_USER: &str = "plain";
/// Its password.
pub const PLAIN_PASSWORD: &str = "plain, and not a secret";

const LOGIN: &str = "org.apache.kafka.common.security";

/// Ports on 127.0.0.1, and the authority that all of them trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaDoors {
    /// TLS; a certificate of the client is checked when there is one, and is its name.
    pub tls: u16,
    /// TLS and a login: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or an unsigned token.
    pub login: u16,
    /// TLS and a login with PLAIN only.
    pub only_plain: u16,
    /// The folder of the authority that signed the broker's certificate, which is for 127.0.0.1 and nothing else; it
    /// signs those of clients too.
    pub authority: PathBuf,
}

impl KafkaDoors {
    /// Makes certificates in a folder and chooses ports.
    pub(crate) fn build(folder: &Path) -> Result<KafkaDoors, StackError> {
        certify(folder)
            .map_err(|failure| StackError::file("write", folder)(std::io::Error::other(failure.to_string())))?;
        Ok(KafkaDoors {
            tls: free_port()?,
            login: free_port()?,
            only_plain: free_port()?,
            authority: folder.to_owned(),
        })
    }

    /// The broker settings of `node`, the only one.
    pub(crate) fn settings(&self, node: NodeAddress) -> Vec<(String, String)> {
        let KafkaDoors {
            tls, login, only_plain, ..
        } = self;
        let all = format!(
            "PLAINTEXT://{},TLS://127.0.0.1:{tls},LOGIN://127.0.0.1:{login},ONLYPLAIN://127.0.0.1:{only_plain}",
            node.broker()
        );
        let file = |name: &str| self.authority.join(name).display().to_string();
        let plain = format!("{LOGIN}.plain.PlainLoginModule required user_{PLAIN_USER}=\"{PLAIN_PASSWORD}\";");
        let scram = format!("{LOGIN}.scram.ScramLoginModule required;");
        let token =
            format!("{LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";");
        let settings = [
            (
                "listeners",
                format!("{all},CONTROLLER://127.0.0.1:{}", node.controller_port),
            ),
            ("advertised.listeners", all),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,LOGIN:SASL_SSL,ONLYPLAIN:SASL_SSL".to_owned(),
            ),
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.location", file("broker.pem")),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", file("ca.crt")),
            ("listener.name.tls.ssl.client.auth", "requested".to_owned()),
            (
                "listener.name.login.sasl.enabled.mechanisms",
                "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned(),
            ),
            ("listener.name.login.plain.sasl.jaas.config", plain.clone()),
            ("listener.name.login.scram-sha-256.sasl.jaas.config", scram.clone()),
            ("listener.name.login.scram-sha-512.sasl.jaas.config", scram),
            ("listener.name.login.oauthbearer.sasl.jaas.config", token),
            // With it a connection ends with its token, unless a newer one is shown in time.
            (
                "listener.name.login.oauthbearer.connections.max.reauth.ms",
                "3600000".to_owned(),
            ),
            // A login with this one is asked for anew every few seconds: so that a changed password shows.
            (
                "listener.name.login.scram-sha-256.connections.max.reauth.ms",
                "2000".to_owned(),
            ),
            ("listener.name.onlyplain.sasl.enabled.mechanisms", "PLAIN".to_owned()),
            ("listener.name.onlyplain.plain.sasl.jaas.config", plain),
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
            ),
            ("super.users", "User:ANONYMOUS".to_owned()),
            ("allow.everyone.if.no.acl.found", "false".to_owned()),
        ];
        settings
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

fn certify(folder: &Path) -> Outcome {
    fs::create_dir_all(folder)?;
    let authority = Authority::new("outbox-relay stack")?;
    authority.save(folder)?;
    let (certificate, key) = authority.sign(&Subject::of("broker", &["127.0.0.1"]))?.pem()?;
    fs::write(folder.join("broker.pem"), [key, certificate].concat())?;
    Ok(())
}
