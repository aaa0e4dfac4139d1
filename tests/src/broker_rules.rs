//! Who may log in to the shared Kafka, and who may do what there: its admin API, spoken directly.
//!
//! The client library has no calls for these, and the JVM tools take seconds for each. Source: "Kafka protocol guide",
//! the messages `AlterUserScramCredentials` 0, `CreateAcls` 1, `DescribeAcls` 1 and `DeleteAcls` 1.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;

use crate::failure::{Failure, Outcome, ensure};
use crate::wait::wait_for;

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const ITERATIONS: u16 = 4096;
const SALT: &[u8] = b"the same for all";
/// What a rule may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To read a topic, and with it to ask about it.
    Read = 3,
    /// To write to a topic, and with it to ask about it.
    Write = 4,
    /// To ask about a topic.
    Describe = 8,
}

const ANY: u8 = 1;
const TOPIC: u8 = 2;
const LITERAL: u8 = 3;
const ALLOW: u8 = 3;

/// A hash that a password is kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scram {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Scram {
    /// The mechanism's name.
    pub const fn name(self) -> &'static str {
        match self {
            Scram::Sha256 => "SCRAM-SHA-256",
            Scram::Sha512 => "SCRAM-SHA-512",
        }
    }
}

/// The rules of one broker. What was allowed through it is taken back when it is dropped.
#[derive(Debug)]
pub struct BrokerRules {
    bootstrap_servers: String,
    /// Principal and topic.
    allowed: Vec<(String, String)>,
    users: Vec<(String, Scram)>,
}

impl BrokerRules {
    /// Of the broker at `host:port`, where everybody may change them.
    pub fn of(bootstrap_servers: &str) -> BrokerRules {
        BrokerRules {
            bootstrap_servers: bootstrap_servers.to_owned(),
            allowed: Vec::new(),
            users: Vec::new(),
        }
    }

    /// Makes a user, or gives it another password.
    ///
    /// # Errors
    /// The broker refuses.
    pub fn set_password(&mut self, user: &str, scram: Scram, password: &str) -> Outcome {
        let mut request = Request::flexible(51);
        request.compact_length(0).compact_length(1).compact(user.as_bytes());
        let (kind, digest, bytes) = match scram {
            Scram::Sha256 => (1, MessageDigest::sha256(), 32),
            Scram::Sha512 => (2, MessageDigest::sha512(), 64),
        };
        let mut salted = vec![0; bytes];
        pbkdf2_hmac(password.as_bytes(), SALT, ITERATIONS.into(), digest, &mut salted)?;
        request
            .byte(kind)
            .int32(ITERATIONS.into())
            .compact(SALT)
            .compact(&salted);
        // No tagged fields, in the entry and in the request.
        request.byte(0).byte(0);
        let answer = self.ask(&request)?;
        // Correlation id, no tags, throttle time, one result, its user, its error.
        let error = answer
            .get(4 + 1 + 4 + 1 + 1 + user.len()..)
            .and_then(|rest| rest.first_chunk());
        ensure(error == Some(&[0, 0]), || {
            format!("{user} could not be made: {answer:?}")
        })?;
        self.users.push((user.to_owned(), scram));
        Ok(())
    }

    /// Lets a principal, such as `User:name`, write to a topic, and waits until that holds.
    ///
    /// # Errors
    /// The broker refuses.
    pub fn allow_write(&mut self, principal: &str, topic: &str) -> Outcome {
        self.allow(principal, Right::Write, topic)
    }

    /// Gives a principal a right, and waits until it has it.
    ///
    /// # Errors
    /// The broker refuses.
    pub fn allow(&mut self, principal: &str, right: Right, topic: &str) -> Outcome {
        let mut request = Request::plain(30);
        request.int32(1).byte(TOPIC).text(topic).byte(LITERAL);
        request.text(principal).text("*").byte(right as u8).byte(ALLOW);
        self.ask(&request)?;
        self.allowed.push((principal.to_owned(), topic.to_owned()));
        self.wait_until_allowed(principal, topic, true)
    }

    /// Takes back whatever it may do there, and waits until it may no more.
    ///
    /// # Errors
    /// The broker refuses.
    pub fn revoke(&self, principal: &str, topic: &str) -> Outcome {
        self.forget(principal, topic)?;
        self.wait_until_allowed(principal, topic, false)
    }

    fn forget(&self, principal: &str, topic: &str) -> Outcome {
        let mut request = Request::plain(31);
        request.int32(1);
        filter(&mut request, principal, topic);
        self.ask(&request).map(drop)
    }

    fn wait_until_allowed(&self, principal: &str, topic: &str, wanted: bool) -> Outcome {
        wait_for(&format!("the rule for {principal} on {topic}"), || {
            let allowed = self
                .is_allowed(principal, topic)
                .map_err(|failure| failure.to_string())?;
            if allowed == wanted {
                Ok(())
            } else {
                Err(format!("allowed: {allowed}"))
            }
        })
    }

    fn is_allowed(&self, principal: &str, topic: &str) -> Outcome<bool> {
        let mut request = Request::plain(29);
        filter(&mut request, principal, topic);
        let answer = self.ask(&request)?;
        // Correlation id, throttle time, error, no message, number of resources.
        let found = answer.get(4 + 4 + 2 + 2..).and_then(|rest| rest.first_chunk().copied());
        let found = found.map(i32::from_be_bytes);
        found
            .map(|found| found > 0)
            .ok_or_else(|| Failure::new(format!("{answer:?}")))
    }

    fn remove_user(&self, user: &str, scram: Scram) -> Outcome {
        let mut request = Request::flexible(51);
        request.compact_length(1).compact(user.as_bytes());
        request.byte(if scram == Scram::Sha256 { 1 } else { 2 }).byte(0);
        request.compact_length(0).byte(0);
        self.ask(&request).map(drop)
    }

    fn ask(&self, request: &Request) -> Outcome<Vec<u8>> {
        let mut broker = TcpStream::connect(&self.bootstrap_servers)?;
        broker.set_read_timeout(Some(ANSWER_LIMIT))?;
        broker.write_all(&u32::try_from(request.0.len())?.to_be_bytes())?;
        broker.write_all(&request.0)?;
        let mut length = [0; 4];
        broker.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        broker.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for BrokerRules {
    fn drop(&mut self) {
        for (principal, topic) in &self.allowed {
            let _ = self.forget(principal, topic);
        }
        for (user, scram) in &self.users {
            let _ = self.remove_user(user, *scram);
        }
    }
}

fn filter(request: &mut Request, principal: &str, topic: &str) {
    request.byte(TOPIC).text(topic).byte(LITERAL);
    request.text(principal).text("*").byte(ANY).byte(ANY);
}

/// A request, built field by field.
struct Request(Vec<u8>);

impl Request {
    fn header(key: u16, version: u16) -> Request {
        let mut request = Request(Vec::new());
        request.0.extend(key.to_be_bytes());
        request.0.extend(version.to_be_bytes());
        request.int32(7).text("rules");
        request
    }

    fn plain(key: u16) -> Request {
        Request::header(key, 1)
    }

    /// With compact lengths and tagged fields.
    fn flexible(key: u16) -> Request {
        let mut request = Request::header(key, 0);
        request.byte(0);
        request
    }

    fn byte(&mut self, byte: u8) -> &mut Request {
        self.0.push(byte);
        self
    }

    fn int32(&mut self, number: u32) -> &mut Request {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Request {
        self.0
            .extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    /// Of at most 126 members or bytes: one byte is enough for it.
    fn compact_length(&mut self, length: usize) -> &mut Request {
        self.byte(u8::try_from(length + 1).unwrap_or(u8::MAX))
    }

    fn compact(&mut self, bytes: &[u8]) -> &mut Request {
        self.compact_length(bytes.len());
        self.0.extend(bytes);
        self
    }
}
