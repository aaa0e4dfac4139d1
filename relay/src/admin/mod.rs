//! The admin listener: `/livez`, `/readyz`, `/metrics`. It changes nothing and shows no row and no secret.
//!
//! It has a thread of its own, so that it can say that the line is stuck.

mod guests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use self::guests::Guests;
use crate::telemetry::{Health, Heartbeat, Metrics, Phase};

/// The format's name, as Prometheus asks for it.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the routes show.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The state by name.
    pub health: Health,
    /// Whether the loop turns.
    pub heartbeat: Heartbeat,
    /// The numbers.
    pub metrics: Arc<Metrics>,
}

impl Admin {
    /// Binds the address and serves from then on. Returns the address that was bound.
    ///
    /// # Errors
    /// The address cannot be bound, or no thread started.
    pub fn serve(self, listen: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        thread::Builder::new().name("admin".to_owned()).spawn(move || {
            let served = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(Guests::at(listener), self.routes()).await
            });
            if let Err(error) = served {
                tracing::error!("the admin listener ended: {error}");
            }
        })?;
        Ok(bound)
    }

    fn routes(self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn livez(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.heartbeat.stuck_for() {
        None => (StatusCode::OK, "live\n".to_owned()),
        Some(silent) => {
            let seconds = silent.as_secs();
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("stuck: the line has not turned for {seconds} s\n"),
            )
        }
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let state = admin.health.snapshot();
    let status = if state.phase == Phase::Streaming {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, state.describe())
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let text = admin.metrics.render(&admin.health.snapshot());
    ([(header::CONTENT_TYPE, EXPOSITION)], text)
}
