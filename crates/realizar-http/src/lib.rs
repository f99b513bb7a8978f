//! A model behind HTTP: the OpenAI interface, our own routes, and a chat page.
//!
//! [`App::handle`] is one function from a request to a response; a [`Server`] carries it over the network. A model is
//! anything that is a [`Backend`].
//!
//! ```no_run
//! use realizar_http::{App, HyperServer, Limits, Listener, Served, Server, Settings};
//!
//! # async fn serve(engine: realizar_engine::Engine) -> Result<(), Box<dyn std::error::Error>> {
//! let app = App::new(Served::new(engine, "my-model"), Settings::default());
//! let listener = Listener::bind("127.0.0.1:8080".parse()?, &Limits::default())?;
//! HyperServer.serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! This crate knows no file formats, no kernels and no command line. It writes no prompt and no answer anywhere but into
//! the response.
#![forbid(unsafe_code)]

mod access;
mod answers;
mod app;
mod backend;
mod body;
mod error;
mod fields;
mod json;
mod keys;
mod lifecycle;
mod limits;
mod listener;
mod metrics;
mod native;
mod openai;
mod own_answer;
mod pace;
mod page;
mod places;
mod record;
mod refusal;
mod routes;
mod served;
mod server;
mod sse;
mod target;

pub use access::Access;
pub use app::{App, Settings};
pub use backend::{Answer, Backend, Chat, Facts, Job, Load, Next};
pub use body::Body;
pub use error::HttpError;
pub use keys::Keys;
pub use lifecycle::Phase;
pub use limits::Limits;
pub use listener::Listener;
pub use record::{LogSink, RequestLog};
pub use refusal::Refusal;
pub use served::Served;
#[cfg(feature = "axum")]
pub use server::AxumServer;
pub use server::{HyperServer, Server};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
