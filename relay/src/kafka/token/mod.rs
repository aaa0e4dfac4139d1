//! Tokens for a login with OAUTHBEARER: always one at hand, and a newer one before it ends.
//!
//! librdkafka asks for the next one when four fifths of a token's life are over, and whoever polls it has to answer. The
//! loop must not wait for a program, so a thread of its own fetches the next one before. When that is late, or it is the
//! very first, that thread polls instead of the loop: it can wait.

mod command;
mod read;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::client::OAuthToken;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Secret, TokenSource};

/// How often it is looked after whether the next token is due, or nobody is left to use it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A source that failed is asked again after this.
const ASK_AGAIN_AFTER_MS: i64 = 2_000;
/// A token that ends sooner than this may have ended when it is handed out.
const MARGIN_MS: i64 = 500;

/// A token and when it ends.
#[derive(Debug, Clone)]
pub(super) struct Token {
    value: SecretString,
    principal: String,
    expires_at_ms: i64,
}

/// The tokens of one producer.
#[derive(Debug)]
pub(super) struct Tokens {
    source: TokenSource,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When librdkafka may ask for one.
    asked_at_ms: i64,
    /// When the next one is to be fetched.
    due_at_ms: Option<i64>,
    /// The next one, or why there is none.
    next: Option<Result<Token, String>>,
}

impl Tokens {
    pub(super) fn of(source: TokenSource) -> Self {
        Self {
            source,
            state: Mutex::default(),
        }
    }

    /// The token to log in with from now on.
    pub(super) fn take(&self) -> Result<OAuthToken, String> {
        let next = self.state().next.take();
        let now_ms = now_ms();
        let token = match next {
            Some(Ok(token)) if token.expires_at_ms > now_ms => token,
            Some(Err(why)) => {
                self.state().due_at_ms = Some(now_ms + ASK_AGAIN_AFTER_MS);
                return Err(why);
            }
            Some(Ok(_)) | None => self.fetch()?,
        };
        let now_ms = self::now_ms();
        let life_ms = token.expires_at_ms - now_ms;
        let mut state = self.state();
        // Early enough for a source that takes its time.
        state.due_at_ms = Some(now_ms + life_ms / 5 * 3);
        state.asked_at_ms = now_ms + life_ms / 5 * 4;
        Ok(OAuthToken {
            token: token.value.expose_secret().to_owned(),
            principal_name: token.principal,
            lifetime_ms: token.expires_at_ms,
        })
    }

    /// Whether an answer would take no time, or nobody asks yet.
    pub(super) fn is_ready(&self) -> bool {
        let (state, now_ms) = (self.state(), now_ms());
        let is_there = match &state.next {
            Some(Ok(token)) => token.expires_at_ms > now_ms + MARGIN_MS,
            Some(Err(_)) => true,
            None => false,
        };
        is_there || now_ms < state.asked_at_ms
    }

    /// Starts the thread that fetches the next ones, and polls while an answer would take time.
    pub(super) fn fetch_ahead(
        self: Arc<Self>,
        poll: impl Fn(Duration) + Send + 'static,
        stopping: Arc<AtomicBool>,
    ) -> std::io::Result<()> {
        let run = move || {
            while !stopping.load(Ordering::Acquire) {
                self.fetch_if_due(now_ms());
                if self.is_ready() {
                    thread::sleep(LOOK_EVERY);
                } else {
                    poll(LOOK_EVERY);
                }
            }
        };
        thread::Builder::new()
            .name("kafka-token".to_owned())
            .spawn(run)
            .map(drop)
    }

    fn fetch_if_due(&self, now_ms: i64) {
        if self.state().due_at_ms.is_none_or(|due_at_ms| now_ms < due_at_ms) {
            return;
        }
        let fetched = self.fetch();
        let mut state = self.state();
        state.due_at_ms = fetched.is_err().then_some(now_ms + ASK_AGAIN_AFTER_MS);
        state.next = Some(fetched);
    }

    fn fetch(&self) -> Result<Token, String> {
        let (key, printed) = match &self.source {
            TokenSource::File(path) => ("kafka.oauth_token_file", from_file(path)),
            TokenSource::Command(program, arguments) => ("kafka.oauth_token_command", command::run(program, arguments)),
        };
        let token = printed.and_then(|printed| read::token(&printed, now_ms()));
        token.map_err(|why| format!("{key}: {why}"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn from_file(path: &Path) -> Result<SecretString, String> {
    Secret::File(path.to_owned())
        .reveal()
        .map_err(|error| error.to_string())
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(lifetime_ms: i64) -> Tokens {
        let text = format!(r#"{{"token": "t", "expires_at_ms": {}}}"#, now_ms() + lifetime_ms);
        Tokens::of(TokenSource::Command("echo".to_owned(), vec![text]))
    }

    #[test]
    fn the_next_token_is_there_before_it_is_asked_for() {
        let tokens = tokens(60_000);
        let first = tokens.take().expect("a token").lifetime_ms;
        tokens.fetch_if_due(now_ms());
        assert!(tokens.state().next.is_none(), "far too early");
        tokens.fetch_if_due(first - 60_000 + 40_000);
        assert!(matches!(&tokens.state().next, Some(Ok(next)) if next.expires_at_ms == first));
    }

    #[test]
    fn the_loop_polls_only_while_nobody_waits_for_a_token() {
        let tokens = tokens(60_000);
        assert!(!tokens.is_ready(), "the first has to be fetched");
        tokens.take().expect("the first token");
        assert!(tokens.is_ready(), "librdkafka asks much later");
        tokens.state().asked_at_ms = 0;
        assert!(!tokens.is_ready(), "the next one is late");
        tokens.state().due_at_ms = Some(0);
        tokens.fetch_if_due(1);
        assert!(tokens.is_ready());
        tokens.state().next = Some(Err("why".to_owned()));
        assert!(tokens.is_ready(), "to say why there is none takes no time");
    }

    #[test]
    fn whoever_asks_while_the_source_fails_is_told_at_once_and_the_source_is_asked_again() {
        let tokens = Tokens::of(TokenSource::File("/no/such/token".into()));
        tokens.state().due_at_ms = Some(0);
        tokens.fetch_if_due(1);
        let why = tokens.take().err().expect("an error");
        assert!(why.starts_with("kafka.oauth_token_file: "), "{why}");
        assert!(tokens.state().due_at_ms.is_some());
    }

    #[test]
    fn a_token_is_not_shown() {
        let shown = tokens(60_000).fetch().map(|token| format!("{token:?}"));
        assert!(shown.is_ok_and(|shown| !shown.contains("\"t\"")));
    }
}
